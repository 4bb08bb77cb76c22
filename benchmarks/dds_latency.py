"""Observation to command over DDS, the policy node beside a bare echo node in one run: `python -m benchmarks.dds_latency`.

A tester process of its own sends odometry on schedule and times each answer that carries the observation's stamp. The echo node
answers with a constant command and does nothing else: it is what the middleware and rclpy cost. It has half its time before and half
after the policy node, so that drift of the machine shows. The policy node records; its timing guards are off, so that misses are
counted instead of ending the run.
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
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from deploy.guards.trips import Warn
from deploy.record.reader import read_log
from robots.errors import TetherError
from tether_bringup.processes import Process, parameters
from tether_ros import process, qos
from tether_ros.messages import set_stamp, stamp_ns
from tether_ros.operator_node import ENABLE_HZ, Operator

SETTLE_S = 1.0
GRACE_S = 0.5  # answers that are still under way at the end
PATIENT = {"guards.missed_in_row": 2**31 - 1, "guards.missed_fraction": math.inf, "guards.clock_trip_periods": 1e6}


class Echo(Node):
    """Answers every observation with a constant command."""

    def __init__(self) -> None:
        super().__init__("echo")
        self._publisher = self.create_publisher(JointState, "actuation", qos.actuation(1.0))
        self.create_subscription(Odometry, "odometry", self._on_odometry, qos.STATE)

    def stop(self) -> None:
        """Nothing to say at the end."""

    def _on_odometry(self, message: Odometry) -> None:
        names = ["collective_thrust", "roll_rate", "pitch_rate", "yaw_rate"]
        answer = JointState(name=names, position=[0.0] * 4, velocity=[0.0] * 4, effort=[0.3, 0.0, 0.0, 0.0])
        answer.header.stamp = message.header.stamp
        self._publisher.publish(answer)


class Tester:
    """Sends odometry of a robot that hovers at the origin, holds the dead-man switch, and times the answers; nothing else is in its way."""

    def __init__(self, rate_hz: float) -> None:
        self.node = Node("tester", start_parameter_services=False, enable_rosout=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._period_ns = round(1e9 / rate_hz)
        self._message = Odometry()
        self._message.header.frame_id = "odom"
        self._message.pose.pose.orientation.w = 1.0
        self._publish = self.node.create_publisher(Odometry, "odometry", qos.STATE).publish
        enable = self.node.create_publisher(Bool, "policy_node/enable", qos.COMMAND)
        self.node.create_subscription(JointState, "actuation", self._on_answer, qos.actuation(1.0))
        self._sent: dict[int, int] = {}
        self._due_ns = time.time_ns()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.node.create_timer(self._period_ns * 1e-9, self._on_timer, clock=steady)
        self.node.create_timer(1.0 / ENABLE_HZ, lambda: enable.publish(Bool(data=True)), clock=steady)

    def close(self) -> None:
        """Leave."""
        self._executor.remove_node(self.node)
        self.node.destroy_node()

    def spin(self, seconds: float) -> None:
        """Send and listen for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(left)

    def measure(self, pid: int, seconds: float) -> dict[str, Any]:
        """Run for ``seconds``; what became of every observation sent in that time, and the share of a core that ``pid`` used."""
        self._sent.clear()
        busy_s, start_s = cpu_seconds(pid), time.monotonic()
        self.spin(seconds)
        load = (cpu_seconds(pid) - busy_s) / (time.monotonic() - start_s)
        asked = list(self._sent)
        self.spin(GRACE_S)
        latency_ms = np.array([-self._sent[stamp] * 1e-6 for stamp in asked if self._sent[stamp] < 0])
        return {"sent": len(asked), "latency_ms": latency_ms, "core": load}

    def _on_timer(self) -> None:
        # Stamps keep to the schedule, as a sensor's do; time is taken from the moment of sending.
        self._due_ns += max(1, (time.time_ns() - self._due_ns) // self._period_ns) * self._period_ns
        set_stamp(self._message.header.stamp, self._due_ns)
        self._sent[self._due_ns] = time.perf_counter_ns()
        self._publish(self._message)

    def _on_answer(self, message: JointState) -> None:
        stamp = stamp_ns(message.header.stamp)
        sent = self._sent.get(stamp, -1)
        if sent >= 0:
            self._sent[stamp] = sent - time.perf_counter_ns()


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used, user and system [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_echo(rate_hz: float, seconds: float, priority: int) -> dict[str, Any]:
    """Measure the echo node."""
    with Process("benchmarks.dds_latency", ["--echo", str(priority)]) as echo, closing(Tester(rate_hz)) as tester:
        while not tester.node.count_publishers("actuation"):
            echo.check()
            tester.spin(0.1)
        tester.spin(SETTLE_S)
        return tester.measure(echo.pid, seconds)


def run_policy(policy: Path, rate_hz: float, seconds: float, priority: int) -> dict[str, Any]:
    """Measure the policy node under ``policy``, with its recorder on."""
    log = policy.with_suffix(".mcap")
    arguments = parameters({"policy": policy, "log": log, "realtime_priority": priority, **PATIENT})
    with (
        Process("tether_ros.policy_node", arguments) as pilot,
        Operator(watch=(pilot.check,)) as operator,
        closing(Tester(rate_hz)) as tester,
    ):
        operator.configure()
        operator.activate()
        tester.spin(SETTLE_S)
        result = tester.measure(pilot.pid, seconds)
        operator.dwell(SETTLE_S)
        if operator.state != "POLICY":
            raise TetherError(f"the policy is not in control at {rate_hz:g} Hz; it said: {pilot.output().strip().splitlines()[-1]}")
        operator.deactivate()
        pilot.stop()
    recorded = read_log(log)
    missed = np.count_nonzero(recorded.columns["warnings"].astype(int) & Warn.MISSED)
    return result | {"recorded": len(recorded), "missed": int(missed)}


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Two measurements of equal length as one."""
    return {
        "sent": sum(part["sent"] for part in parts),
        "latency_ms": np.concatenate([part["latency_ms"] for part in parts]),
        "core": float(np.mean([part["core"] for part in parts])),
    }


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Percentiles [ms] and counts of one measurement."""
    latency_ms = result.pop("latency_ms")
    answered = {"answered": len(latency_ms), "answered_share": len(latency_ms) / result["sent"]}
    return result | answered | {f"{name}_ms": value for name, value in percentiles(latency_ms).items()}


def percentiles(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Median, 99 %, 99.9 % and largest."""
    return dict(zip(("p50", "p99", "p99_9", "max"), map(float, np.percentile(values, (50, 99, 99.9, 100)))))


def export(rate_hz: float, folder: Path) -> Path:
    """The geometric hover controller as a policy file for ``rate_hz``."""
    path = folder / f"hover_{rate_hz:g}.onnx"
    command = [sys.executable, "-m", "cli", "export", "geometric:hover", "--rate", f"{rate_hz:g}", "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TetherError(f"exporting for {rate_hz:g} Hz failed: {done.stderr.strip()}")
    return path


def measure(policy: Path, rate_hz: float, seconds: float, priority: int) -> dict[str, Any]:
    """Echo, policy, echo at one rate."""
    before = run_echo(rate_hz, seconds / 2, priority)
    flown = run_policy(policy, rate_hz, seconds, priority)
    after = run_echo(rate_hz, seconds / 2, priority)
    return {"rate_hz": rate_hz, "seconds": seconds, "echo": summary(merged([before, after])), "policy": summary(flown)}


def measure_all(rates_hz: Sequence[float], seconds: float, priority: int) -> list[dict[str, Any]]:
    """Every rate, with a policy file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        policies = [export(rate_hz, Path(folder)) for rate_hz in rates_hz]
        process.prioritise(priority)
        return [measure(policy, rate_hz, seconds, priority) for policy, rate_hz in zip(policies, rates_hz)]


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = ["| rate Hz | node | sent | answered | p50 ms | p99 ms | p99.9 ms | max ms | cores |", "|---|---|---|---|---|---|---|---|---|"]
    for result in results:
        for node in ("echo", "policy"):
            row = result[node]
            times = " | ".join(f"{row[key]:.2f}" for key in ("p50_ms", "p99_ms", "p99_9_ms", "max_ms"))
            lines.append(f"| {result['rate_hz']:g} | {node} | {row['sent']} | {row['answered_share']:.2%} | {times} | {row['core']:.2f} |")
    return "\n".join(lines)


def _echo(arguments: Sequence[str]) -> int:
    def make() -> Echo:
        process.prioritise(int(arguments[2]))
        return Echo()

    return process.spin(make, arguments[:1])


def _body(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("dds_latency", description="Observation-to-command latency of the policy node beside an echo node.")
    parser.add_argument("--rates", type=float, nargs="+", default=[100.0, 500.0], metavar="HZ", help="default 100 500")
    parser.add_argument("--seconds", type=float, default=60.0, help="per node and rate (default 60)")
    parser.add_argument("--realtime", type=int, default=0, metavar="PRIORITY", help="SCHED_FIFO priority of all three processes")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    options = parser.parse_args(arguments[1:])
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        load = os.getloadavg()[0]
        results = measure_all(options.rates, options.seconds, options.realtime)
    finally:
        rclpy.try_shutdown()
    if options.json:
        report = {"load_average_at_start": load, "cores": os.cpu_count(), "realtime_priority": options.realtime, "results": results}
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
    scheduling = f"SCHED_FIFO {options.realtime}" if options.realtime else "default scheduling"
    print(f"{os.cpu_count()} cores, load average {load:.2f} at the start, {scheduling}\n\n{table(results)}")
    return 0


if __name__ == "__main__":
    sys.exit(process.run("dds_latency", _echo if "--echo" in sys.argv else _body))
