package main

import (
	"math"
	"time"
)

// The moon comes round every 12 hours and 25 minutes, near enough.
const period = 745 * time.Minute

type Harbour struct {
	Name   string  `json:"name"`
	Offset int     `json:"offset_minutes"`
	Range  float64 `json:"range_metres"`
}

type Level struct {
	Harbour string  `json:"harbour"`
	Metres  float64 `json:"metres"`
	Trend   string  `json:"trend"`
}

// At gives the water level above low water.
func (h Harbour) At(t time.Time) Level {
	since := time.Duration(t.Unix())*time.Second - time.Duration(h.Offset)*time.Minute
	angle := 2 * math.Pi * float64(since%period) / float64(period)
	trend := "falling"
	if math.Sin(angle) < 0 {
		trend = "rising"
	}
	return Level{h.Name, h.Range / 2 * (1 + math.Cos(angle)), trend}
}
