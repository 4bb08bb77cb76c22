"""Each check finds what it is for, and nothing on a clean flight."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.guards import GuardConfig
from deploy.guards.trips import Trip
from deploy.policy import Policy, PolicyOutput
from deploy.record import Log, read_log
from deploy.replay import Finding, Report, replay
from deploy.runtime import State
from safety.rules import parse_rules
from tests.deploy.replay.flight import fly


def changed(log: Log, policy: Policy, change: Callable[[np.ndarray, Callable[[str], int]], object]) -> Report:
    rows = log.rows.copy()
    change(rows, log.layout.index)
    return replay(dataclasses.replace(log, rows=rows), policy)


def remembered(log: Log, memory: list[tuple[int, np.ndarray]]) -> Log:
    """The log with other snapshots, and no file to count them against."""
    return dataclasses.replace(log, memory=memory, path=Path("nowhere.mcap"))


def found(report: Report, check: str, severity: str) -> list[Finding]:
    return [finding for finding in report.findings if (finding.check, finding.severity) == (check, severity)]


def flown(path: Path, policy: Policy, **options: object) -> Report:
    return replay(read_log(fly(path, policy, **options)), policy)  # type: ignore[arg-type]


# data quality


def test_repeated_and_disordered_stamps_are_inconclusive(log: Log, policy: Policy) -> None:
    for nanoseconds in (-10_000_000, -25_000_000):
        report = changed(
            log, policy, lambda rows, at, change=nanoseconds: rows[200].__setitem__(at("stamp_ns"), rows[200, at("stamp_ns")] + change)
        )
        assert report.verdict == "inconclusive"
        assert found(report, "quality", "inconclusive")[0].channel == "stamp_s"


def test_a_step_of_the_clock_that_stamps_is_inconclusive(log: Log, policy: Policy) -> None:
    def change(rows: np.ndarray, at: Callable[[str], int]) -> None:
        rows[250:, at("stamp_ns")] += 4e7  # within the longest gap, and yet every later stamp is wrong

    finding = next(finding for finding in changed(log, policy, change).findings if "jumped" in finding.what)
    assert abs(finding.value or 0.0) == pytest.approx(0.04, abs=0.001)


def test_sensors_that_repeat_themselves_are_noted(log: Log, policy: Policy) -> None:
    def change(rows: np.ndarray, at: Callable[[str], int]) -> None:
        rows[200:251, log.layout.blocks["sensor"]] = rows[200, log.layout.blocks["sensor"]]

    note = next(finding for finding in changed(log, policy, change).findings if "repeated themselves" in finding.what)
    assert (note.severity, note.tick, note.value) == ("note", 200, pytest.approx(0.5))


def test_a_slow_message_is_not_a_clock_jump(log: Log, policy: Policy) -> None:
    def change(rows: np.ndarray, at: Callable[[str], int]) -> None:
        for name in ("receipt_s", "started_s", "finished_s"):
            rows[250, at(name)] += 0.004

    assert changed(log, policy, change).verdict == "pass"


def test_another_rate_is_inconclusive(log: Log, policy: Policy) -> None:
    def change(rows: np.ndarray, at: Callable[[str], int]) -> None:
        rows[:, at("stamp_ns")] += np.arange(len(rows)) * 1e6  # 11 ms apart

    report = changed(log, policy, change)
    assert report.verdict == "inconclusive"
    assert any("90.9 Hz" in finding.what for finding in report.findings)


def test_unsteady_stamps_are_inconclusive(log: Log, policy: Policy) -> None:
    def change(rows: np.ndarray, at: Callable[[str], int]) -> None:
        rows[20::4, at("stamp_ns")] += 3e6

    assert changed(log, policy, change).verdict == "inconclusive"


@pytest.mark.parametrize("column", ["receipt_s", "finished_s"])
def test_a_monotonic_clock_that_runs_backwards_is_inconclusive(log: Log, policy: Policy, column: str) -> None:
    report = changed(log, policy, lambda rows, at: rows[200].__setitem__(at(column), rows[200, at(column)] - 0.05))
    assert report.verdict == "inconclusive"


@pytest.mark.parametrize(("column", "value"), [("state", 4.5), ("trips", -1.0), ("sent", 2.0), ("policy_ran", 0.5)])
def test_an_impossible_flag_is_inconclusive(log: Log, policy: Policy, column: str, value: float) -> None:
    assert changed(log, policy, lambda rows, at: rows[200].__setitem__(at(column), value)).verdict != "pass"


@pytest.mark.parametrize("column", ["sent", "policy_ran"])
def test_a_flag_that_denies_what_the_row_holds_never_passes(log: Log, policy: Policy, column: str) -> None:
    assert changed(log, policy, lambda rows, at: rows[200].__setitem__(at(column), 0.0)).verdict != "pass"


# parity


def test_segments_in_one_batch_give_what_steps_one_by_one_give(log: Log, policy: Policy) -> None:
    """The oracle: the policy stepped through the log from zero memory, a row at a time."""
    memory, ran = policy.initial_memory(), log.columns["policy_ran"] == 1
    for row in np.flatnonzero(ran):
        sensors = {s.name: log.block(f"sensor.{s.name}")[row : row + 1].astype(np.float32) for s in policy.contract.sensors}
        commands = {s.name: log.block(f"command.{s.name}")[row : row + 1].astype(np.float32) for s in policy.contract.commands}
        output = policy.step(sensors, commands, memory)
        memory = output.memory
        np.testing.assert_allclose(log.block("observation")[row], output.observation[0], rtol=1e-5, atol=1e-5)
    assert replay(log, policy).summary["verified_share"] == 1.0


def test_rows_before_the_first_snapshot_left_are_inconclusive(log: Log, policy: Policy) -> None:
    report = replay(remembered(log, log.memory[1:]), policy)
    finding = found(report, "parity", "inconclusive")[0]
    assert (finding.tick, finding.count) == (log.memory[0][0], log.memory[1][0] - log.memory[0][0])
    assert report.verdict == "inconclusive"


def test_a_log_without_snapshots_is_inconclusive(log: Log, policy: Policy) -> None:
    report = replay(remembered(log, []), policy)
    assert report.verdict == "inconclusive"
    assert report.summary["verified_share"] == 0.0


def test_a_missing_snapshot_in_between_changes_nothing(log: Log, policy: Policy) -> None:
    assert replay(remembered(log, [log.memory[0], log.memory[2]]), policy).verdict == "pass"


def test_a_start_from_memory_that_is_not_zero_is_a_violation(log: Log, policy: Policy) -> None:
    tick, vector = log.memory[0]
    report = replay(remembered(log, [(tick, vector + 0.1), *log.memory[1:]]), policy)
    assert report.verdict == "violation"


class OtherProcessor:
    """The same policy where arithmetic rounds otherwise, by no more than ``error`` in any output."""

    def __init__(self, policy: Policy, error: float) -> None:
        self._policy, self._error, self._generator = policy, error, np.random.default_rng(0)
        self.contract, self.digest = policy.contract, policy.digest

    def step(self, sensors: Any, command: Any, memory: np.ndarray) -> PolicyOutput:
        output = self._policy.step(sensors, command, memory)
        actuation = {name: self._round(value) for name, value in output.actuation.items()}
        return output._replace(actuation=actuation, memory=self._round(output.memory), observation=self._round(output.observation))

    def _round(self, values: np.ndarray) -> np.ndarray:
        change = self._error * np.maximum(1, np.abs(values)) * self._generator.uniform(-1, 1, values.shape)
        return np.asarray(values + change, dtype=np.float32)


@pytest.mark.parametrize("error", [1e-7, 1e-6, 8e-6])
def test_a_flight_on_another_processor_passes_and_a_fault_in_it_does_not(policy: Policy, tmp_path: Path, error: float) -> None:
    """Rounding adds up from step to step: a tolerance for one step is not one for a hundred."""
    log = read_log(fly(tmp_path / "other.mcap", OtherProcessor(policy, error)))  # type: ignore[arg-type]
    report = replay(log, policy)
    assert report.verdict == "pass"
    assert "rounds otherwise" in found(report, "parity", "note")[0].what
    if error == 1e-6:
        assert report.summary["parity_max"] > 1e-5
    report = changed(log, policy, lambda rows, at: rows[200].__setitem__(at("sensor.position_base_in_world.x"), 1.0))
    assert report.verdict == "violation"


# what was sent


def test_clamping_to_the_limits_is_allowed_and_counted(policy: Policy, tmp_path: Path) -> None:
    report = flown(tmp_path / "slow.mcap", policy, action_rate={"roll_rate": 20.0, "collective_thrust": 0.5})
    assert report.verdict == "pass"
    assert report.summary["clamped"] > 10
    assert found(report, "sent", "note")[0].count == report.summary["clamped"]


def test_clamping_that_no_limit_asks_for_is_a_violation(policy: Policy, tmp_path: Path) -> None:
    log = read_log(fly(tmp_path / "slow.mcap", policy, action_rate={"roll_rate": 20.0}))
    metadata = {key: value for key, value in log.metadata.items() if key != "robot_limits"}
    report = replay(dataclasses.replace(log, metadata=metadata), policy)
    assert report.verdict == "violation"
    assert found(report, "sent", "violation")[0].channel == "actuation.body_rates.roll_rate"


def test_a_command_outside_the_hard_limits_is_a_violation(log: Log, policy: Policy) -> None:
    def change(rows: np.ndarray, at: Callable[[str], int]) -> None:
        rows[200, at("actuation.collective_thrust.collective_thrust")] = 0.6
        rows[200, at("policy.collective_thrust.collective_thrust")] = 0.6

    report = changed(log, policy, change)
    assert found(report, "sent", "violation")[0].what == "a command outside the hard limits was sent"
    assert any("range of collective_thrust" in finding.what for finding in found(report, "envelope", "violation"))


def test_a_policy_in_control_whose_command_was_not_sent_is_a_violation(log: Log, policy: Policy) -> None:
    def change(rows: np.ndarray, at: Callable[[str], int]) -> None:
        rows[200, at("sent")] = 0.0
        rows[200, log.layout.blocks["actuation"]] = np.nan

    assert found(changed(log, policy, change), "sent", "violation")


def test_a_stopped_robot_may_only_be_sent_the_safe_command(log: Log, policy: Policy) -> None:
    safe = [value for signal in policy.contract.actuation for value in signal.safe]
    outputs = [slice(log.layout.blocks[kind].start, log.layout.blocks[kind].stop) for kind in ("policy", "reserved", "observation")]

    def stop(rows: np.ndarray, at: Callable[[str], int]) -> None:
        rows[350:, at("state")] = State.DAMPING
        rows[350:, at("policy_ran")] = 0
        rows[350, at("trips")] = Trip.ESTOP
        for block in outputs:
            rows[350:, block] = np.nan
        rows[350:, log.layout.blocks["actuation"]] = safe

    def disobey(rows: np.ndarray, at: Callable[[str], int]) -> None:
        stop(rows, at)
        rows[380, at("actuation.body_rates.yaw_rate")] = 0.5

    memory = [(tick, vector) for tick, vector in log.memory if tick < 350]
    short = remembered(log, memory)
    assert changed(short, policy, stop).verdict == "pass"
    assert found(changed(short, policy, disobey), "sent", "violation")[0].tick == 380


# envelope and rules


def test_leaving_the_envelope_is_a_violation_and_the_trip_is_named(policy: Policy, tmp_path: Path) -> None:
    report = flown(tmp_path / "fast.mcap", policy, speed_m_s=0.9)
    assert report.verdict == "violation"
    finding = found(report, "envelope", "violation")[0]
    assert finding.channel == "speed"
    assert finding.limit == pytest.approx(0.9)
    assert "speed" in found(report, "trips", "violation")[0].what
    assert not any("should have tripped" in finding.what for finding in report.findings)


def test_a_guard_that_should_have_tripped_is_a_violation(policy: Policy, tmp_path: Path) -> None:
    log = read_log(fly(tmp_path / "fast.mcap", policy, speed_m_s=0.9, config=GuardConfig(envelope_ticks=10_000)))
    assert not any("should have tripped" in finding.what for finding in replay(log, policy).findings)
    del log.metadata["guards"]
    assert any("SPEED guard should have tripped" in finding.what for finding in found(replay(log, policy), "envelope", "violation"))


def test_a_rules_file_adds_rules(log: Log, policy: Policy) -> None:
    rules = [
        {"name": "settles", "signal": "distance", "max": 0.1, "from_s": 3.0},
        {"name": "stays low", "signal": "sensor.position_base_in_world.z", "max": 6.5},
    ]
    report = replay(log, policy, parse_rules({"rules": rules}, "test"))
    assert [finding.what for finding in found(report, "envelope", "violation")] == ["the rule 'stays low' is violated"]


def test_a_rule_whose_time_was_not_reached_is_inconclusive(log: Log, policy: Policy) -> None:
    rule = {"name": "settles", "signal": "distance", "max": 0.1, "from_s": 60.0}
    assert replay(log, policy, parse_rules({"rules": [rule]}, "test")).verdict == "inconclusive"


# trips


def test_an_operator_who_stops_the_robot_breaks_no_rule(policy: Policy, tmp_path: Path) -> None:
    report = flown(tmp_path / "estop.mcap", policy, estop=300)
    assert report.verdict == "pass"
    assert any("estop" in finding.what for finding in found(report, "trips", "note"))


@pytest.mark.parametrize(
    ("trip", "verdict"),
    [
        (Trip.POLICY_ERROR, "violation"),
        (Trip.TILT, "violation"),
        (Trip.NON_FINITE_INPUT, "inconclusive"),
        (Trip.DEADLINE, "inconclusive"),
        (Trip.DEAD_MAN, "pass"),
    ],
)
def test_what_a_trip_says_about_the_run(policy: Policy, tmp_path: Path, trip: Trip, verdict: str) -> None:
    log = read_log(fly(tmp_path / "estop.mcap", policy, estop=300))
    assert changed(log, policy, lambda rows, at: rows[300].__setitem__(at("trips"), trip)).verdict == verdict


def test_a_trip_that_changes_nothing_is_a_violation(log: Log, policy: Policy) -> None:
    report = changed(log, policy, lambda rows, at: rows[200].__setitem__(at("trips"), Trip.ESTOP))
    assert any("stayed in control" in finding.what for finding in found(report, "trips", "violation"))


# timing


@pytest.mark.parametrize(
    ("late", "verdict"), [({200}, "pass"), ({200, 240}, "pass"), ({200, 240, 280}, "violation"), ({200, 201, 202}, "violation")]
)
def test_deadlines_are_judged_as_the_guard_judges_them(log: Log, policy: Policy, late: set[int], verdict: str) -> None:
    def change(rows: np.ndarray, at: Callable[[str], int]) -> None:
        rows[sorted(late), at("finished_s")] += 0.015

    report = changed(log, policy, change)
    assert report.verdict == verdict
    assert report.summary["deadline_misses"] == len(late)


def test_latency_percentiles_are_those_of_the_rows_in_charge(log: Log, policy: Policy) -> None:
    summary = replay(log, policy).summary
    ran = log.columns["policy_ran"] == 1
    latency = (log.columns["finished_s"] - log.columns["receipt_s"])[ran] * 1e3
    for name, percentile in (("p50", 50), ("p99", 99), ("p99_9", 99.9), ("max", 100)):
        assert summary[f"latency_{name}_ms"] == pytest.approx(np.percentile(latency, percentile))


def test_a_simulated_clock_says_nothing_about_timing(log: Log, policy: Policy) -> None:
    def change(rows: np.ndarray, at: Callable[[str], int]) -> None:
        rows[:, at("started_s")] = rows[:, at("finished_s")] = rows[:, at("receipt_s")]

    report = changed(log, policy, change)
    assert report.verdict == "pass"
    assert "latency_p50_ms" not in report.summary


# tracking


def test_tracking_error_is_described(log: Log, policy: Policy) -> None:
    report = replay(log, policy)
    error = log.block("sensor.position_base_in_world") - log.block("command.goal_position_in_world")
    ran = log.columns["policy_ran"] == 1
    assert report.summary["rms_goal_position_in_world"] == pytest.approx(np.sqrt((error[ran] ** 2).sum(axis=1).mean()))
    assert "within 0.1 m for good after" in found(report, "tracking", "note")[0].what
