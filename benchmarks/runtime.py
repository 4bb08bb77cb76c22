"""What the runtime adds to a policy's step, and how fast a log is read back; ``python -m benchmarks.runtime [POLICY.onnx]``.

Both figures of a pair come from the same run: bare `Policy.step` on the very inputs that the runtime then gives it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from deploy.policy import Policy
from deploy.record import Recorder, read_log
from deploy.runtime import Runtime
from robots import registry

TICKS = 20_000
SHIPPED = Path(__file__).parents[1] / "policies" / "hover_geometric.onnx"


def fly(policy: Policy, recorder: Recorder | None, ticks: int = TICKS) -> tuple[np.ndarray, np.ndarray]:
    """Durations [µs] of the bare step and of the whole tick, ``[ticks]`` each, interleaved."""
    recorded, _ = policy.recorded_step()
    readings = {sensor.name: recorded[sensor.name][0].astype(float) for sensor in policy.contract.sensors}
    memory, clock = policy.initial_memory(), [0.0]
    robot = registry.robot(policy.contract.robot)
    runtime = Runtime(policy, robot=robot, recorder=recorder, now=lambda: clock[0])
    runtime.activate()
    bare, whole = np.zeros(ticks), np.zeros(ticks)
    for tick in range(ticks):
        clock[0] = tick * policy.contract.period_s
        runtime.enable(clock[0])
        begin = time.perf_counter()
        memory = policy.step(recorded, recorded, memory).memory
        middle = time.perf_counter()
        runtime.on_sensors(policy.contract.clock, readings, round(clock[0] * 1e9), clock[0])
        bare[tick], whole[tick] = middle - begin, time.perf_counter() - middle
    assert runtime.state.name == "POLICY", runtime.diagnostics()
    return bare * 1e6, whole * 1e6


def main(path: Path) -> None:
    """Print the table."""
    policy = Policy.load(path)
    with tempfile.TemporaryDirectory() as folder:
        for name, log in (("not recording", None), ("recording", Path(folder) / "a.mcap")):
            recorder = Recorder(log, policy) if log else None
            bare, whole = fly(policy, recorder)
            if recorder:
                recorder.close()
            step, tick, slow = np.median(bare), np.median(whole), np.percentile(whole, 99)
            print(f"{name}: policy.step p50 {step:.1f} µs, tick p50 {tick:.1f} µs, p99 {slow:.1f} µs, added p50 {tick - step:.1f} µs")
        begin = time.perf_counter()
        steps = len(read_log(Path(folder) / "a.mcap"))
        print(f"read back: {steps / (time.perf_counter() - begin):,.0f} steps/s")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED)
