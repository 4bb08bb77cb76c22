#!/bin/sh
# Every check that wants a GPU, in one go: benchmarks/gpu.sh [DEVICE] [OUT]. Figures go to OUT as JSON; copy them to benchmarks/RESULTS.md with the
# device's name. `benchmarks/gpu.sh cpu` is the dry run. There is no GPU simulator peer here yet: throughput is given beside the CPU's of the same run.
set -eu
cd "$(dirname "$0")/.."
device=${1:-cuda}
out=${2:-runs/gpu}
mkdir -p "$out"

if [ "$device" != cpu ]; then
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/device.txt"
    python -m pytest -m gpu
fi

tether bench sim --device cpu --num-envs 4096 --json "$out/bench_cpu.json"
sizes="512 4096 65536"
[ "$device" = cpu ] || sizes="$sizes 262144 1048576"
# shellcheck disable=SC2086  # one word a size
tether bench sim --device "$device" --num-envs $sizes --json "$out/bench_$device.json"

tether train hover --device "$device" --run-dir "$out/hover" --json "$out/train.json"
tether export "$out/hover" -o "$out/hover.onnx"
provider=cpu; [ "$device" = cpu ] || provider=cuda
tether inspect "$out/hover.onnx" --provider "$provider" --json "$out/inspect.json"
tether evaluate "$out/hover.onnx" --suite full --episodes 1000 --device "$device" --json "$out/evaluate.json"
echo "figures: $out"
