module example/tides

go 1.18
