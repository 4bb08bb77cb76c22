"""Peers: what is compared with what, the ratios, and what is said where one is missing. No peer runs here, and no speed is asserted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import cases, report
from benchmarks.peers.__main__ import main
from benchmarks.peers.client import CaseError, Worker, interpreter
from robots.errors import TetherError

TREE = Path(__file__).parents[2]
EVERYTHING = cases.groups(cases.GROUPS, "cpu", 64, (1, 4), 10) + cases.groups(("legs",), "cuda", 64, (), 10)


def result(group: cases.Group, speeds: dict[str, list[float]]) -> dict[str, Any]:
    """A group in which each case made so many calls a second in each round."""
    counts = {"num_envs": 64, "substeps": 10}
    ours = {cases.OURS: {"engine": "torch"}}
    built = {member.label: counts | ours.get(member.engine, {}) for member in group.members if member.label in speeds}
    return report.group_result(group, built, speeds)


@pytest.fixture
def physics() -> dict[str, Any]:
    group = cases.physics("cpu", 64, 10)
    calls = {member.label: [1.0, 2.0] for member in group.members}
    return result(group, calls | {"ctbr": [3.0, 6.0], "first_principles, body_rate, euler": [4.0, 8.0], "rotor_thrusts": [5.0, 4.0]})


@pytest.mark.parametrize("group", EVERYTHING, ids=lambda group: group.name)
def test_each_peer_is_compared_on_the_same_step(group: cases.Group) -> None:
    ours = {member.label: member for member in group.members if member.engine == cases.OURS}
    assert len({member.label for member in group.members}) == len(group.members)
    for member in group.members:
        if member.engine == cases.OURS:
            continue
        one, other = member.case, ours[member.against].case
        for key in ("num_envs", "substeps", "rate_hz", "device", "kind"):
            assert one.get(key) == other.get(key), key
        assert other["physics_dt"] == one.get("physics_dt", cases.PHYSICS_DT_S)


def test_a_gpu_is_not_compared_with_what_runs_on_processors_alone() -> None:
    engines = {member.engine for group in cases.groups(cases.GROUPS, "cuda", 64, (1,), 10) for member in group.members}
    assert engines == {cases.OURS, "crazyflow", "mjlab"}


def test_the_best_round_counts_and_units_are_those_of_the_specification(physics: dict[str, Any]) -> None:
    row = next(row for row in physics["rows"] if row["label"] == "ctbr")
    assert row["steps_per_second"] == 6.0 * 64 * 10
    assert row["env_steps_per_second"] == 6.0 * 64
    assert row["median_of_best"] == 0.75
    assert {"engine", "num_envs", "integrator", "implementation", "rounds_calls_per_second"} <= row.keys()


def test_ratios_say_whether_the_integrator_is_the_same(physics: dict[str, Any]) -> None:
    ratios = {ratio["label"]: ratio for ratio in physics["ratios"]}
    assert ratios["first_principles, body_rate, rk4"]["ratio"] == 3.0
    assert ratios["first_principles, body_rate, rk4"]["same_integrator"] is True
    assert ratios["first_principles, rotor_vel, rk4"]["ratio"] == 2.5
    assert ratios["first_principles, body_rate, euler"]["ratio"] == 0.75
    assert ratios["first_principles, body_rate, euler"]["same_integrator"] is False
    assert physics["against_fastest"] == {"label": "first_principles, body_rate, euler", "ratio": 0.75}


def test_what_was_not_measured_leaves_no_ratio() -> None:
    group = result(cases.physics("cpu", 64, 10), {"ctbr": [1.0]})
    assert group["ratios"] == []
    assert group["against_fastest"] is None
    assert "| tether (torch) | ctbr | rk4 |" in report.table(group)


def test_the_report_reads_as_tables(physics: dict[str, Any]) -> None:
    sweep = [result(cases.throughput("cpu", count, 10), {"ctbr": [1.0]}) for count in (1, 4)]
    missing = [{"peer": "zeppelin", "reason": "too light"}]
    sweep[0]["rows"][0]["warnings"] = ["running eagerly"]
    machine = {"cpu": "abacus", "cores": 2, "cores_used": 1, "load_average_at_start": 0.5}
    text = report.text({"machine": machine, "groups": [physics, *sweep], "missing": missing})
    assert "abacus, 1 of 2 cores" in text
    assert "| crazyflow | first_principles, body_rate, euler | euler | 5.12 k | 0.75 × (ctbr, rk4) |" in text
    assert "| environments | tether ctbr |" in text
    assert "- ctbr: running eagerly" in text
    assert "- zeppelin: too light" in text


def test_human_numbers_have_three_digits() -> None:
    assert [report.human(value) for value in (4.2e9, 1.2345e6, 98.76e3, 12.0)] == ["4.2 G", "1.23 M", "98.8 k", "12"]


def test_a_missing_environment_is_one_line_with_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--venv", str(tmp_path), "--only", "physics"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "crazyflow" in error
    assert "make peers" in error


def test_wrong_numbers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "0"]) == 2
    assert "--seconds must be positive" in capsys.readouterr().err


def test_every_peer_has_a_worker_and_pinned_requirements() -> None:
    for peer in cases.PEERS:
        assert (TREE / "benchmarks" / "peers" / "workers" / f"run_{peer}.py").exists()
        lines = (TREE / "benchmarks" / "peers" / f"requirements-{peer}.txt").read_text().splitlines()
        assert lines
        assert all("==" in line and "+" not in line for line in lines)


def test_our_own_worker_answers_in_the_protocol_and_survives_a_bad_case() -> None:
    case = cases.physics("cpu", 2, 1).members[-1].case
    with Worker(cases.OURS, interpreter(cases.OURS, Path()), "cpu") as worker:
        with pytest.raises(CaseError, match="zeppelin"):
            worker.ask(do="build", name="bad", case=case | {"robot": "zeppelin"})
        built = worker.ask(do="build", name="good", case=case)
        assert {"num_envs", "substeps", "threads", "versions", "engine", "integrator"} <= built.keys()
        assert worker.ask(do="measure", name="good", seconds=0.01)["calls_per_second"] > 0.0
        assert worker.ask(do="drop") == {}


def test_a_worker_that_dies_says_why() -> None:
    with Worker("crazyflow", Path(sys.executable), "cpu") as worker, pytest.raises(CaseError, match=r"No module named 'crazyflow'"):
        worker.ask(do="build", name="a", case={})


def test_a_report_is_read_back_and_drawn(tmp_path: Path, physics: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    sweep = [result(cases.throughput("cpu", count, 10), {"ctbr": [1.0], "so_rpy, attitude, euler": [2.0]}) for count in (1, 4)]
    machine = {"cpu": "abacus", "cores": 2, "cores_used": 2, "load_average_at_start": 0.0}
    file, picture = tmp_path / "peers.json", tmp_path / "sweep.png"
    file.write_text(json.dumps({"machine": machine, "device": "cpu", "groups": [physics, *sweep], "missing": []}))
    assert main(["--read", str(file), "--plot", str(picture)]) == 0
    assert picture.stat().st_size > 10_000
    assert "Physics steps/s over environments" in capsys.readouterr().out


def test_a_plot_needs_a_sweep(tmp_path: Path, physics: dict[str, Any]) -> None:
    from benchmarks.peers.plot import draw

    with pytest.raises(TetherError, match="throughput"):
        draw({"groups": [physics]}, tmp_path / "a.png")
