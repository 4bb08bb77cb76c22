"""A minute of walking over DDS in real time: `python -m benchmarks.dds_walk policies/go2_velocity.onnx`.

Simulated robot and policy node are two processes, the operator a third, as in `tether_walk`. The robot starts on its belly, stands up and
walks through random velocities, a new one every few seconds, as in the task's episodes. Three things are counted, each by somebody else:

- the policy node's log: steps that took longer than a control period from receipt to answer, or came too late (`missed`);
- the robot: control periods that had to go on with the command before (`unanswered`), and periods that it began late itself (`late`);
- this process: time from the stamp of an observation, the scheduled instant of its period, to the command that answers it.

Tracking is judged by the robot's ground truth, but for the second after a new command, and stands beside batch evaluations of the file:
without disturbances (`nominal`; here sensors are noisy) and with all of them (`full`; here nobody pushes). The policy node's guards on
timing are off, so that misses are counted instead of ending the run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import JointState

from benchmarks.dds_latency import PATIENT, percentiles
from deploy.guards.trips import Warn
from deploy.policy import Policy
from deploy.record.reader import read_log
from deploy.replay.replay import replay
from robots.errors import TetherError
from tether_bringup import mission
from tether_bringup.referee import Referee
from tether_ros import process, qos
from tether_ros.messages import stamp_ns
from tether_ros.walk_operator import Velocity, WalkOperator

LARGEST = Velocity(1.0, 0.5, 1.0)  # of the suites
EACH_S = 5.0
BATCH_SUITES, BATCH_EPISODES = ("nominal", "full"), 128


def profile(seconds: float, seed: int) -> list[Velocity]:
    """Uniformly random velocities, one every `EACH_S`; every tenth asks to stand still, as in the suites."""
    generator = np.random.default_rng(seed)
    asked = generator.uniform(-1.0, 1.0, (math.ceil(seconds / EACH_S), 3)) * LARGEST
    asked[::10] = 0.0
    return [Velocity(*map(float, velocity)) for velocity in asked]


def measure(policy: Policy, log: Path, seconds: float, seed: int, priority: int) -> dict[str, Any]:
    """One run."""
    velocities = profile(seconds, seed)
    answers_ms: list[float] = []

    def operate(operator: WalkOperator) -> dict[str, Any]:
        process.prioritise(priority)  # only now, or everything started from here would have it
        referee = Referee(operator)
        operator.node.create_subscription(JointState, "actuation", timed(answers_ms), qos.actuation(1.0))
        operator.walk(velocities, seconds / len(velocities))
        return referee.result()

    scheduling = {"realtime_priority": priority}
    result = mission.fulfil(policy, {"seed": seed, **scheduling}, {"log": log, **scheduling, **PATIENT}, WalkOperator, operate)
    return result | {"answer_ms": percentiles(answers_ms)} | logged(log, policy)


def timed(answers_ms: list[float]) -> Callable[[JointState], None]:
    """Keeps how old the observation of each command is on arrival."""

    def on_answer(message: JointState) -> None:
        answers_ms.append((time.time_ns() - stamp_ns(message.header.stamp)) * 1e-6)

    return on_answer


def logged(log: Path, policy: Policy) -> dict[str, Any]:
    """What the policy node recorded of the steps in which the policy ran."""
    recorded = read_log(log)
    ran = recorded.columns["policy_ran"] == 1
    took_ms = (recorded.columns["finished_s"] - recorded.columns["receipt_s"])[ran] * 1e3
    missed = (recorded.columns["warnings"].astype(int)[ran] & Warn.MISSED) != 0
    report = replay(recorded, policy)
    return {"steps": int(ran.sum()), "missed": int(missed.sum()), "step_ms": percentiles(took_ms), "replay": report.verdict}


def batch(policy: Path, suite: str, seed: int) -> dict[str, Any]:
    """The same figures from a batch evaluation, by its own command."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "evaluation.json"
        words = ["evaluate", str(policy), "--suite", suite, "--episodes", str(BATCH_EPISODES), "--seed", str(seed), "--json", str(out)]
        done = subprocess.run([sys.executable, "-m", "cli", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise TetherError(f"the evaluation on {suite} failed: {done.stderr.strip()}")
        found = json.loads(out.read_text())
    rms = {"velocity_m_s": found["tracking_rms"], "yaw_rad_s": found["measures"]["yaw_error_rad_s"]["rms"]}
    errors = {f"rms_{name}": spread["root_mean_square"] for name, spread in rms.items()}
    return {"episodes": found["episodes"], "crashes": found["crashes"], **errors}


def table(result: dict[str, Any]) -> str:
    """The figures in a few lines."""
    counts, steps = result["counts"], result["steps"]
    step, answer = result["step_ms"], result["answer_ms"]
    return "\n".join(
        [
            f"{steps} steps, {result['missed']} missed ({result['missed'] / steps:.2%}); the robot went on with an old command in "
            f"{counts['unanswered_periods']} periods and began {counts['late_periods']} late; replay: {result['replay']}",
            f"receipt to answer p50 {step['p50']:.2f} ms, p99 {step['p99']:.2f} ms, max {step['max']:.2f} ms; "
            f"stamp to answer over DDS p50 {answer['p50']:.2f} ms, p99 {answer['p99']:.2f} ms, max {answer['max']:.2f} ms",
            f"RMS error {result['rms_velocity_m_s']:.3f} m/s and {result['rms_yaw_rad_s']:.3f} rad/s; "
            f"largest tilt {math.degrees(result['largest_tilt_rad']):.1f}°; fell: {result['fell']}",
            *(
                f"batch, {suite}: {found['rms_velocity_m_s']:.3f} m/s and {found['rms_yaw_rad_s']:.3f} rad/s, {found['crashes']} falls in "
                f"{found['episodes']} episodes"
                for suite, found in result["batch"].items()
            ),
        ]
    )


def _body(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("dds_walk", description="A walk over DDS in real time: deadlines, latency, tracking.")
    parser.add_argument("policy", type=Path, help="policy file that walks, .onnx")
    parser.add_argument("--seconds", type=float, default=60.0, help="under the policy (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="of velocities and sensor noise (default 0)")
    parser.add_argument("--realtime", type=int, default=0, metavar="PRIORITY", help="SCHED_FIFO priority of all three processes")
    parser.add_argument("--no-batch", action="store_true", help="leave the batch evaluation out")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    options = parser.parse_args(arguments[1:])
    beside = {} if options.no_batch else {suite: batch(options.policy, suite, options.seed) for suite in BATCH_SUITES}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Policy.load(options.policy), Path(folder) / "walk.mcap", options.seconds, options.seed, options.realtime)
    machine = {"load_average_at_start": load, "load_average_at_end": os.getloadavg()[0], "cores": os.cpu_count()}
    run = {"seconds": options.seconds, "seed": options.seed, "realtime_priority": options.realtime}
    report = {**run, **machine, **result, "batch": beside}
    mission.write_json(options.json, report)
    print(f"{os.cpu_count()} cores, load average {load:.2f} at the start\n{table(report)}")
    return 0


if __name__ == "__main__":
    sys.exit(process.run("dds_walk", _body))
