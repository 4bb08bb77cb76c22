"""The bench of attitudes to risk: its arithmetic on results made up by hand, and one variant from training to report."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from benchmarks import risk, seeded


def flown(tails: list[float]) -> dict[str, list[float]]:
    return {"success": [0.5, 0.7], "return_tail": tails}


def test_the_tail_is_the_mean_of_the_lowest_tenth() -> None:
    assert risk.tail_mean(torch.arange(30.0).flip(0)) == pytest.approx(1.0)
    assert risk.tail_mean(torch.tensor([3.0, 1.0, 2.0])) == pytest.approx(1.0), "of few, the lowest"


def test_the_rank_correlation_is_one_where_tails_rise_and_less_where_two_change_places() -> None:
    rising = {str(level): flown([value, value]) for level, value in zip(risk.LEVELS, (1.0, 2.0, 4.0, 5.0, 9.0), strict=True)}
    swapped = {str(level): flown([value, value]) for level, value in zip(risk.LEVELS, (2.0, 1.0, 4.0, 5.0, 9.0), strict=True)}
    assert risk.correlation(rising) == pytest.approx(1.0)
    assert risk.correlation(swapped) == pytest.approx(0.9)


def test_every_variant_has_a_file_of_its_own(tmp_path: Path) -> None:
    assert len({risk.file_of(tmp_path, variant) for variant in risk.VARIANTS}) == len(risk.VARIANTS)


def test_a_variant_by_level_is_trained_flown_at_every_level_and_reported() -> None:
    parser = argparse.ArgumentParser()
    seeded.arguments(parser, Path(), episodes=3, of="", seeds=2)
    options = parser.parse_args(["iterations=2", "num_envs=8", "shac.horizon=4"])
    found = risk.measure("CVaR by level", options)
    assert found["env_steps"] == 2 * 8 * 4
    assert list(found["levels"]) == [str(level) for level in risk.LEVELS]
    assert "risk.command=True" in found["command"]
    assert all(len(values) == 2 for each in found["suites"].values() for values in each.values())
    text = risk.report([found])
    assert text.startswith("CVaR by level: 2 seeds, 3 episodes each")
    assert "levels: rank correlation" in text
