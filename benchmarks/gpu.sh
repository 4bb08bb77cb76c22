#!/bin/sh
# Every check that wants a GPU, in one go: benchmarks/gpu.sh [DEVICE] [OUT]. Figures go to OUT as JSON; copy them to benchmarks/RESULTS.md
# with the device's name. A step that fails is named at the end, in the exit code too, and loses no other step's figures; what it said is in
# OUT/STEP.log.
#
#   benchmarks/gpu.sh              on the GPU; QUICK=1 for short runs
#   benchmarks/gpu.sh cpu --quick  the dry run: the same commands, small
#
# Environment: QUICK=1; PEERS, the folder with the peers' environments (.venv-peers; `make peers`, then jax with CUDA in its crazyflow/).
set -u
cd "$(dirname "$0")/.." || exit 2
if [ "${2:-}" = --quick ]; then
    QUICK=1
    set -- "$1"
elif [ "${1:-}" = --quick ]; then
    QUICK=1
    set --
fi
device=${1:-cuda}
out=${2:-runs/gpu}
quick=${QUICK:-}
peers=${PEERS:-.venv-peers}
failed=""
mkdir -p "$out" || exit 2

# step NAME COMMAND…: run it, keep its output, remember whether it failed.
step() {
    name=$1
    shift
    echo "== $name: $*"
    if "$@" >"$out/$name.log" 2>&1; then
        tail -n 3 "$out/$name.log"
    else
        echo "FAILED ($?): $(tail -n 1 "$out/$name.log")"
        failed="$failed $name"
        return 1
    fi
}

if [ "$device" = cpu ]; then
    provider=cpu
    sizes="512 4096 65536"
    legs="16 64"
else
    provider=cuda
    sizes="512 4096 65536 262144 1048576"
    legs="1024 4096 16384"
    step device nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
    step tests python -m pytest -m gpu
fi
seconds=2
episodes=1000
short=""
if [ -n "$quick" ]; then
    sizes="512 4096"
    legs=16
    [ "$device" = cpu ] || legs=4096
    seconds=0.2
    episodes=20
    short="num_envs=64 iterations=2 check_every=0"
fi

# Lists of words below are split on purpose.
# shellcheck disable=SC2086
step bench_cpu tether bench sim --device cpu --num-envs 4096 --seconds "$seconds" --json "$out/bench_cpu.json"
# shellcheck disable=SC2086
step bench_sim tether bench sim --device "$device" --num-envs $sizes --seconds "$seconds" --json "$out/bench_sim_$device.json"
# shellcheck disable=SC2086
step bench_env tether bench env --device "$device" --num-envs $sizes --seconds "$seconds" --json "$out/bench_env_$device.json"

# Legs on MuJoCo Warp: the engine over its bare graph, the task around it, and one policy on both engines.
rounds=9
[ -z "$quick" ] || rounds=2
# shellcheck disable=SC2086
step legged python -m benchmarks.legged --sim mujoco_warp --device "$device" --num-envs $legs --rounds "$rounds" --seconds "$seconds" \
    --json "$out/legged_warp_$device.json"
# shellcheck disable=SC2086
step bench_legs tether bench env --task go2_velocity --sim mujoco_warp --device "$device" --num-envs $legs --seconds "$seconds" \
    --json "$out/bench_legs_$device.json"
step transfer tether evaluate policies/go2_velocity.onnx --sim mujoco_cpu mujoco_warp --device "$device" --episodes "$episodes" \
    --json "$out/transfer_$device.json"

# train RUN TASK ALGORITHM SETTING…: train, export, inspect, evaluate; what needs an earlier one is left out when that failed. A GPU is as fast
# with a thousand environments as with a hundred, so that fewer iterations do.
train() {
    run=$1
    task=$2
    algorithm=$3
    shift 3
    rm -rf "${out:?}/$run"
    # shellcheck disable=SC2086
    step "train_$run" tether train "$task" --algorithm "$algorithm" --device "$device" --run-dir "$out/$run" \
        --json "$out/train_$run.json" "$@" $short || return
    step "export_$run" tether export "$out/$run" -o "$out/$run.onnx" || return
    step "inspect_$run" tether inspect "$out/$run.onnx" --provider "$provider" --json "$out/inspect_$run.json"
    step "evaluate_$run" tether evaluate "$out/$run.onnx" --suite full --episodes "$episodes" --device "$device" \
        --json "$out/evaluate_$run.json"
}

if [ "$device" = cpu ]; then
    train hover_ppo hover ppo
    train hover_shac hover shac
    train hover_bptt hover bptt
else
    train hover_ppo hover ppo num_envs=2048 iterations=80 check_from=40 ppo.halve_every=60
    train hover_shac hover shac num_envs=1024 iterations=60 check_from=40 shac.halve_every=15
    train hover_bptt hover bptt num_envs=1024 iterations=60 check_from=40 shac.halve_every=20
fi
train track_shac track shac

# Through a safeguard, averse by a level, against an adversary; and how much two policies bear.
train guarded planar_quadrotor shac safeguard.name=projection
train averse skim shac risk.measure=cvar risk.level=0.025 risk.command=True num_envs=192
train adversary hover shac adversary.name=worst
severities=5
[ -z "$quick" ] || severities=2
step robustness tether bench robustness policies/hover.onnx policies/hover_geometric.onnx --device "$device" --severities "$severities" \
    --episodes 50 --json "$out/robustness_$device.json"

# Legs on the GPU: the walk, and a gorge with and without an attitude to risk.
if [ "$device" != cpu ]; then
    train walk go2_velocity ppo sim=mujoco_warp num_envs=4096
    train gorge_neutral go2_gorge ppo sim=mujoco_warp num_envs=4096
    train gorge_averse go2_gorge ppo sim=mujoco_warp num_envs=4096 risk.measure=mean_cvar risk.level=0.05 risk.neutral_for=300 \
        risk.warm_up=60
fi

if [ ! -x "$peers/crazyflow/bin/python" ]; then
    echo "== peers: not measured, there is no $peers/crazyflow; build it with: make peers"
elif [ "$device" != cpu ] && ! "$peers/crazyflow/bin/python" -c 'import jax; jax.devices("gpu")' >/dev/null 2>&1; then
    echo "== peers: not measured on the GPU, the jax in $peers/crazyflow sees none; install there: jax[cuda12] of the pinned version"
else
    only="physics environment throughput"
    [ -z "$quick" ] || only=physics
    # shellcheck disable=SC2086
    step peers python -m benchmarks.peers --device "$device" --venv "$peers" --peers crazyflow --only $only --num-envs $sizes \
        --seconds "$seconds" --json "$out/peers_$device.json"
fi

if [ "$device" = cpu ]; then
    :
elif [ ! -x "$peers/mjlab/bin/python" ]; then
    echo "== mjlab: not measured, there is no $peers/mjlab; build it with: make peers PEERS=mjlab"
else
    step mjlab python -m benchmarks.peers --device "$device" --venv "$peers" --peers mjlab --only legs --table-envs 4096 \
        --seconds "$seconds" --json "$out/mjlab_$device.json"
fi

# Isaac Lab, in its own environment: every engine's conformance, what the other process costs, how far engines are apart, the shipped policy
# there, and a whole training of it.
isaac=${TETHER_ISAAC_PYTHON:-.venv-isaac/bin/python}
if [ ! -x "$isaac" ]; then
    echo "== isaac: not measured, there is no $isaac; build it with: make isaac-env"
else
    [ -n "$quick" ] || step isaac_tests python -m pytest -m isaac tests/sim/conformance
    # shellcheck disable=SC2086
    step isaac_process python -m benchmarks.isaac --device "$device" --num-envs $legs --steps 20 --json "$out/isaac_$device.json"
    step engines tether bench engines --robot go2 --sim mujoco_warp isaac --device "$device" --json "$out/engines_$device.json"
    step isaac_transfer tether evaluate policies/go2_velocity.onnx --sim mujoco_warp isaac --device "$device" --episodes "$episodes" \
        --json "$out/isaac_transfer_$device.json"
    if [ "$device" != cpu ]; then
        train walk_isaac go2_velocity ppo sim=isaac num_envs=4096
    fi
fi

echo "figures: $out"
if [ -n "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
