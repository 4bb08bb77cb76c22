"""The bench of attitudes to risk: its arithmetic on results made up by hand, and one variant from training to report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import risk, risk_report

SMALL = ("num_envs=8", "ppo.horizon=4", "ppo.minibatches=1", "ppo.epochs=1")


def asked(*arguments: str) -> argparse.Namespace:
    return risk.parser().parse_intermixed_args(arguments)


def flown(tails: list[float]) -> dict[str, list[float]]:
    return {"success": [0.5, 0.7], "return_tail": tails}


def test_the_tail_is_the_mean_of_the_lowest_tenth() -> None:
    assert risk.tail_mean(torch.arange(30.0).flip(0)) == pytest.approx(1.0)
    assert risk.tail_mean(torch.tensor([3.0, 1.0, 2.0])) == pytest.approx(1.0), "of few, the lowest"


def test_the_rank_correlation_is_one_where_tails_rise_and_less_where_two_change_places() -> None:
    rising = {str(level): flown([value, value]) for level, value in zip(risk.LEVELS, (1.0, 2.0, 4.0, 5.0, 9.0), strict=True)}
    swapped = {str(level): flown([value, value]) for level, value in zip(risk.LEVELS, (2.0, 1.0, 4.0, 5.0, 9.0), strict=True)}
    assert risk_report.correlation(rising) == pytest.approx(1.0)
    assert risk_report.correlation(swapped) == pytest.approx(0.9)


@pytest.mark.parametrize("task", risk.TASKS)
def test_every_variant_has_a_file_of_its_own(task: str, tmp_path: Path) -> None:
    variants = risk.TASKS[task].variants
    assert len({risk.file_of(tmp_path, variant) for variant in variants}) == len(variants)


def test_results_of_more_seeds_are_put_behind_those_there_are() -> None:
    first = {"variant": "CVaR", "seeds": [0], "suites": {"full": {"success": [0.5]}}}
    more = {"variant": "CVaR", "seeds": [1, 2], "suites": {"full": {"success": [0.6, 0.7]}}}
    assert risk.together(first, more) == {"variant": "CVaR", "seeds": [0, 1, 2], "suites": {"full": {"success": [0.5, 0.6, 0.7]}}}


def test_seeds_that_are_there_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[list[int]] = []
    monkeypatch.setattr(risk, "measure", lambda variant, options, seeds: measured.append(seeds) or {"seeds": seeds})
    for seeds, again in (("2", False), ("4", False), ("4", False), ("3", True)):
        options = asked("--task", "go2_gorge", "--seeds", seeds, *(["--again"] if again else []))
        risk.complete("neutral", options, tmp_path / "neutral.json")
    assert measured == [[0], [1], [2], [3], [0], [1], [2]], "a symmetric actor is trained alone"
    measured.clear()
    risk.complete("neutral", asked("--seeds", "4"), tmp_path / "flat.json")
    assert measured == [[0, 1, 2, 3]]


def test_a_walk_is_trained_and_flown() -> None:
    found = risk.measure("Mean-CVaR", asked("--task", "go2_gorge", "--episodes", "2", *SMALL, "iterations=1"), [3])
    assert found["command"].startswith("tether train go2_gorge --seed 0 ")
    assert list(found["suites"]) == ["nominal", "full", "load", "pushes", "unseen"]
    assert set(found["suites"]["load"]) == {"success", "crashes", "return", "return_tail", "edge_m"}
    assert "Mean-CVaR: 1 seeds, 2 episodes each" in risk_report.text([found])


def test_a_branch_ends_where_the_whole_training_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    risks = {"neutral": {"neutral_for": 2}, "CVaR": {"measure": "cvar", "level": 0.1, "neutral_for": 2}}
    monkeypatch.setitem(risk.TASKS, "go2_gorge", risk.TASKS["go2_gorge"]._replace(variants=risks))
    monkeypatch.setattr(risk, "fly", lambda law, *_: {"weights": [sum(each.double().sum().item() for each in law.parameters())]})
    options = asked("--task", "go2_gorge", "--episodes", "2", "--stems", str(tmp_path), *SMALL, "iterations=4")
    whole = risk.measure("CVaR", options, [3])
    (stem,) = tmp_path.iterdir()
    written = stem.stat().st_mtime_ns
    assert risk.measure("CVaR", options, [3])["suites"] == whole["suites"]
    assert risk.measure("neutral", options, [3])["suites"] != whole["suites"]
    assert stem.stat().st_mtime_ns == written, "the others branched off"
    risk.measure(
        "neutral",
        asked("--task", "go2_gorge", "--episodes", "2", "--stems", str(tmp_path), *SMALL, "iterations=2", "ppo.discount=0.9"),
        [3],
    )
    assert len(list(tmp_path.iterdir())) == 2, "another training has another beginning"


def test_a_variant_by_level_is_trained_flown_at_every_level_and_reported() -> None:
    options = asked("--episodes", "3", "iterations=2", "num_envs=8", "shac.horizon=4")
    found = risk.measure("CVaR by level", options, [0, 1])
    assert found["env_steps"] == 2 * 8 * 4
    assert list(found["levels"]) == [str(level) for level in risk.LEVELS]
    assert "risk.command=True" in found["command"]
    assert all(len(values) == 2 for each in found["suites"].values() for values in each.values())
    text = risk_report.text([found])
    assert text.startswith("CVaR by level: 2 seeds, 3 episodes each")
    assert "levels: rank correlation" in text


def test_a_picture_has_a_panel_a_task_and_one_for_who_takes_a_level(tmp_path: Path) -> None:
    def found(variant: str, *suites: str) -> dict[str, Any]:
        values = {"success": [0.5, 0.7, 0.9], "return_tail": [1.0, 2.0, 3.0], "height_m": [0.2, 0.3, 0.4]}
        levels = {str(level): values for level in risk.LEVELS}
        return {"variant": variant, "seeds": [0, 1, 2], "suites": dict.fromkeys(suites, values), "levels": levels, "levels_full": levels}

    def fixed(variant: str) -> dict[str, Any]:
        return {name: value for name, value in found(variant, "full", "unseen").items() if not name.startswith("levels")}

    widths = []
    one = {"skim": [fixed("neutral"), fixed("CVaR")]}
    two = {"skim": [fixed("CVaR"), found("by level", "full")], "gorge": [fixed("CVaR")]}
    for tasks in (one, two):
        risk_report.draw(tasks, tmp_path / "risk.png")
        widths.append(int.from_bytes((tmp_path / "risk.png").read_bytes()[16:20], "big"))
    assert widths[1] == 3 * widths[0]
