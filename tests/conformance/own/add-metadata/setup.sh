mkdir -p d/sub
echo f > d/f
chmod 4750 d/f
chmod 2711 d/sub
touch -d @1000000000 d/f
