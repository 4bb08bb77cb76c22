"""Averages over the episodes that training flies."""

from __future__ import annotations

import pytest
import torch

from tests.training.point import Reach
from training.episodes import EpisodeStatistics


def fly(statistics: EpisodeStatistics, ages: list[int], rewards: list[float], errors: list[float], ended: str = "..") -> None:
    age = torch.tensor(ages)
    statistics.record(age, torch.tensor(rewards), torch.tensor(errors))
    terminated, truncated = (torch.tensor([mark == end for mark in ended]) for end in "xt")
    if ended.strip("."):
        statistics.finish(age, terminated, truncated)


def test_only_episodes_seen_from_their_start_count() -> None:
    statistics = EpisodeStatistics(Reach(), 2, 3, torch.device("cpu"), memory=1e9)
    assert statistics.averages() == {"return": None, "success": None, "episode_steps": None}
    fly(statistics, [2, 1], [5.0, 5.0], [9.0, 9.0], "t.")  # both were staggered
    assert statistics.averages()["return"] is None
    fly(statistics, [0, 2], [1.0, 1.0], [9.0, 9.0], ".t")
    fly(statistics, [1, 0], [2.0, 1.0], [9.0, 9.0], "..")
    fly(statistics, [2, 1], [3.0, 4.0], [0.05, 9.0], "tx")
    found = statistics.averages()
    assert found == pytest.approx({"return": (6 + 5) / 2, "success": 0.5, "episode_steps": 2.5})


def test_a_crash_near_the_goal_is_no_success() -> None:
    statistics = EpisodeStatistics(Reach(), 1, 1, torch.device("cpu"))
    statistics.whole[:] = True
    fly(statistics, [0], [0.0], [0.0], "x")
    assert statistics.averages()["success"] == 0.0
    fly(statistics, [0], [0.0], [0.0], "t")
    assert statistics.averages()["success"] == pytest.approx(0.5, abs=0.01)


def test_old_episodes_fade() -> None:
    statistics = EpisodeStatistics(Reach(), 1, 1, torch.device("cpu"), memory=10.0)
    statistics.whole[:] = True
    for index in range(200):
        fly(statistics, [0], [0.0 if index < 100 else 1.0], [0.0], "t")
    assert statistics.averages()["return"] == pytest.approx(1.0, abs=1e-3)
