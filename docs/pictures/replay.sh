#!/bin/sh
# Makes replay.png: three weeks of a simulated climate sensor to which four faults happen. Needs the plot extra.
set -eu
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 - "$folder/climate.csv" <<'EOF'
import csv, sys
from lstm_stream.simulate import DAY, simulate

(series,) = simulate(sensors=1, duration=21 * DAY, seed=5, kinds=["climate"]).series
with open(sys.argv[1], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["timestamp", *series.channels])
    for time, values in zip(series.time.tolist(), series.values.tolist()):
        writer.writerow([f"{time:.3f}", *("" if value != value else f"{value:g}" for value in values)])
EOF
lstm-stream replay "$folder/climate.csv" --plot replay.png
