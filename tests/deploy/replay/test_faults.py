"""What must be true: a clean flight passes; one altered command, one NaN, a gap, a cut file never do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deploy.policy import Policy
from deploy.record import Log, read_log
from deploy.replay import Report, replay
from deploy.replay.outcome import judge_file
from tests.deploy.replay.flight import fly
from tests.deploy.replay.tamper import Edit


def judged(path: Path, policy: Policy) -> Report:
    return judge_file(path, policy, (), page=False).report


def tampered(log: Log, policy: Policy, path: Path, change: Callable[[Edit], None]) -> Report:
    edit = Edit.of(log)
    change(edit)
    return judged(edit.write(path), policy)


def kinds(report: Report, check: str) -> set[str]:
    return {finding.severity for finding in report.findings if finding.check == check}


def test_a_clean_flight_passes_and_every_row_is_repeated_exactly(flight: Path, policy: Policy) -> None:
    report = judged(flight, policy)
    assert report.verdict == "pass"
    assert report.exit_code == 0
    assert {finding.severity for finding in report.findings} == {"note"}
    assert report.summary["verified_share"] == 1.0
    assert report.summary["parity_max"] <= 1e-6
    assert report.checks == ("container", "integrity", "quality", "parity", "sent", "envelope", "trips", "timing", "tracking")


def test_the_same_flight_written_again_passes(log: Log, policy: Policy, tmp_path: Path) -> None:
    assert tampered(log, policy, tmp_path / "copy.mcap", lambda edit: None).verdict == "pass"


@pytest.mark.parametrize("block", ["actuation", "policy", "command.goal_position_in_world", "sensor.linear_velocity_base_in_world"])
def test_one_altered_value_is_a_violation(log: Log, policy: Policy, tmp_path: Path, block: str) -> None:
    def change(edit: Edit) -> None:
        edit.block(block)[200, 0] += 0.01

    report = tampered(log, policy, tmp_path / "altered.mcap", change)
    assert report.verdict == "violation"
    assert report.exit_code == 1
    first = report.findings[0]
    assert first.tick == 200
    assert first.check == ("sent" if block == "actuation" else "parity")
    assert first.channel.startswith("actuation." if block == "actuation" else ("policy.", "observation."))


def test_one_nan_is_inconclusive(log: Log, policy: Policy, tmp_path: Path) -> None:
    def change(edit: Edit) -> None:
        edit.rows[200, edit.index("sensor.position_base_in_world.y")] = np.nan

    report = tampered(log, policy, tmp_path / "nan.mcap", change)
    assert report.verdict == "inconclusive"
    assert report.exit_code == 2
    quality = next(finding for finding in report.findings if finding.check == "quality")
    assert (quality.tick, quality.channel) == (200, "sensor.position_base_in_world.y")


@pytest.mark.parametrize("column", range(11))
def test_a_nan_in_any_bookkeeping_column_is_inconclusive(log: Log, policy: Policy, tmp_path: Path, column: int) -> None:
    def change(edit: Edit) -> None:
        edit.rows[200, column] = np.nan

    assert tampered(log, policy, tmp_path / "nan.mcap", change).verdict == "inconclusive"


def test_half_a_second_missing_from_the_file_is_inconclusive(log: Log, policy: Policy, tmp_path: Path) -> None:
    def change(edit: Edit) -> None:
        edit.rows = np.delete(edit.rows, slice(180, 230), axis=0)

    report = tampered(log, policy, tmp_path / "gap.mcap", change)
    assert report.verdict == "inconclusive"
    assert {finding.channel for finding in report.findings if finding.check == "quality"} >= {"tick", "stamp_s"}


def test_half_a_second_without_observations_is_inconclusive(log: Log, policy: Policy, tmp_path: Path) -> None:
    """Only the stamps jump: every record is there, and counts on."""

    def change(edit: Edit) -> None:
        edit.rows[200:, edit.index("stamp_s")] += 1
        edit.rows[200:, edit.index("stamp_ns")] -= 5e8

    report = tampered(log, policy, tmp_path / "gap.mcap", change)
    assert report.verdict == "inconclusive"
    gap = next(finding for finding in report.findings if "gap" in finding.what)
    assert (gap.tick, gap.value) == (200, pytest.approx(0.51))


def test_a_flight_whose_sensor_fell_silent_is_inconclusive(policy: Policy, tmp_path: Path) -> None:
    """The guards did what they must, and yet nobody knows what the robot did."""
    report = judged(fly(tmp_path / "silent.mcap", policy, silent=range(200, 250)), policy)
    assert report.verdict == "inconclusive"
    assert any("stale clock" in finding.what for finding in report.findings)
    assert not any(finding.severity == "violation" for finding in report.findings)


@pytest.mark.parametrize("share", [0.7, 0.5, 0.1])
def test_a_cut_file_is_inconclusive_and_what_is_left_is_judged(flight: Path, policy: Policy, tmp_path: Path, share: float) -> None:
    data = flight.read_bytes()
    path = tmp_path / "cut.mcap"
    path.write_bytes(data[: int(share * len(data))])
    report = judged(path, policy)
    assert report.verdict == "inconclusive"
    assert kinds(report, "container") == {"inconclusive"}
    assert report.summary["rows"] > 0.8 * share * 410


def test_a_violation_before_the_cut_is_still_a_violation(log: Log, policy: Policy, tmp_path: Path) -> None:
    """What came before the cut is whole, so what it shows stands."""
    edit = Edit.of(log)
    edit.block("actuation")[200, 0] += 0.01
    data = edit.write(tmp_path / "whole.mcap").read_bytes()
    path = tmp_path / "cut.mcap"
    path.write_bytes(data[: int(0.7 * len(data))])
    report = judged(path, policy)
    assert report.verdict == "violation"
    assert kinds(report, "container") == {"inconclusive"}


def test_a_violation_on_doubtful_data_does_not_stand(log: Log, policy: Policy, tmp_path: Path) -> None:
    """A repeated stamp makes the row doubtful: the altered command in it is reported, and the verdict blames nobody."""

    def change(edit: Edit) -> None:
        edit.block("actuation")[200, 0] += 0.01
        for name in ("stamp_s", "stamp_ns"):
            edit.rows[200, edit.index(name)] = edit.rows[199, edit.index(name)]

    report = tampered(log, policy, tmp_path / "doubtful.mcap", change)
    assert report.verdict == "inconclusive"
    violation = next(finding for finding in report.findings if finding.severity == "violation")
    assert not violation.stands


@pytest.mark.parametrize("size", [0, 4, 8, 100, 3000])
def test_a_file_with_next_to_nothing_in_it_is_inconclusive(flight: Path, policy: Policy, tmp_path: Path, size: int) -> None:
    path = tmp_path / "stub.mcap"
    path.write_bytes(flight.read_bytes()[:size])
    assert judged(path, policy).verdict == "inconclusive"


def test_a_log_of_another_policy_is_inconclusive(log: Log, policy: Policy, tmp_path: Path) -> None:
    def change(edit: Edit) -> None:
        edit.metadata["policy_digest"] = "0" * 64

    report = tampered(log, policy, tmp_path / "other.mcap", change)
    assert report.verdict == "inconclusive"
    assert "parity" not in report.checks


def test_a_log_of_another_contract_is_inconclusive_and_names_the_difference(log: Log, policy: Policy, tmp_path: Path) -> None:
    def change(edit: Edit) -> None:
        edit.metadata["contract"] = edit.metadata["contract"].replace('"tilt_rad": 2.27', '"tilt_rad": 3.0')

    report = tampered(log, policy, tmp_path / "other.mcap", change)
    assert report.verdict == "inconclusive"
    assert "limits" in report.findings[0].what


def test_an_empty_log_is_inconclusive(log: Log, policy: Policy, tmp_path: Path) -> None:
    def change(edit: Edit) -> None:
        edit.rows, edit.memory = edit.rows[:0], []

    assert tampered(log, policy, tmp_path / "empty.mcap", change).verdict == "inconclusive"


def test_a_short_flight_is_inconclusive(policy: Policy, tmp_path: Path) -> None:
    report = judged(fly(tmp_path / "short.mcap", policy, 0.5), policy)
    assert report.verdict == "inconclusive"
    assert "too short" in report.findings[0].what


def test_a_log_in_which_the_policy_never_ran_is_inconclusive(policy: Policy, tmp_path: Path) -> None:
    report = judged(fly(tmp_path / "ground.mcap", policy, 0.0), policy)
    assert report.verdict == "inconclusive"
    assert "never ran" in report.findings[0].what


def test_replay_is_importable_as_a_function(log: Log, policy: Policy) -> None:
    assert replay(log, policy).verdict == "pass"


def test_two_engagements_in_one_log_each_start_from_zero_memory(policy: Policy, tmp_path: Path) -> None:
    path = fly(tmp_path / "twice.mcap", policy, 4.0, pause=range(200, 230))
    log = read_log(path)
    starts = np.flatnonzero(np.diff(log.columns["policy_ran"], prepend=0.0) == 1)
    assert starts.tolist() == [10, 230]
    report = judged(path, policy)
    assert report.verdict == "pass"
    assert report.summary["verified_share"] == 1.0


def test_a_dead_man_switch_let_go_and_held_again_passes(policy: Policy, tmp_path: Path) -> None:
    report = judged(fly(tmp_path / "hold.mcap", policy, 4.0, released=range(200, 300)), policy)
    assert report.verdict == "pass"
    assert any("dead man" in finding.what for finding in report.findings)
