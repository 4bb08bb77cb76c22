#!/bin/sh
# The whole path in one go: train, export, inspect, evaluate, fly over ROS 2, judge the log. `make demo` runs it in .venv.
# Everything lands in one directory; the last line is the path of the report.
set -eu

out=${1:-runs/demo/$(date +%Y-%m-%d_%H-%M-%S)}
mkdir -p "$out"
out=$(cd "$out" && pwd)
command -v tether >/dev/null || { echo "demo: error: there is no tether command here; run make demo" >&2; exit 2; }

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
field() { python -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }

step "1  train a policy that recovers and hovers"
tether train hover --seed 0 --json "$out/train.json"

step "2  export the whole control law as one file"
tether export "$(field "$out/train.json" checkpoint)" -o "$out/hover.onnx"

step "3  what the file says about itself"
tether inspect "$out/hover.onnx"

step "4  evaluate those bytes on 200 randomised episodes, and draw some"
tether evaluate "$out/hover.onnx" --suite full --episodes 200 --seed 1 --json "$out/evaluation.json" --video "$out/hover.gif"

step "5  fly them over ROS 2: policy node and simulated robot are two processes"
export ROS_DOMAIN_ID="${ROS_DOMAIN_ID:-$(($$ % 100 + 1))}"  # apart from whatever else flies on this machine
fly() { tether_flight "$out/hover.onnx" --seconds 15 --log "$out/flight.mcap"; }
again() {
    echo "The guards took the robot from the policy, and it landed by its own failsafe: right, when a machine is too busy to keep time. Once more:"
    sleep 2
    fly
}
fly || again || again

step "6  judge the log: integrity, timing, re-inference, safety rules"
tether replay "$out/flight.mcap" --policy "$out/hover.onnx" --html "$out/report.html" --json "$out/replay.json"

printf '\nThe report, with plots of the flight; the recovery from a tilt is drawn in %s:\n' "$out/hover.gif"
echo "$out/report.html"
