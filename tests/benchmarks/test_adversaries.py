"""The comparison of adversaries: its grid, its flights and its table."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks import adversaries_report
from benchmarks.adversaries import TASKS, VARIANTS, Examiner, arguments, examined, grid
from cli.config import override
from tasks.pendulum import SwingUp
from training.batched import Batch
from training.config import changed, preset
from training.learned_law import LearnedLaw


def test_the_grid_has_every_corner_once() -> None:
    cells = grid(3)
    assert len(cells.unique(dim=0)) == len(cells) == 27
    assert cells.abs().amax() == 1.0


def test_cells_are_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pendulum without a torque falls by gravity alone: more of it, worse. Every replica flies the same episodes."""
    monkeypatch.setattr(SwingUp, "episode_s", 1.0)
    config = preset("pendulum")
    law = LearnedLaw(SwingUp(), replicas=2)
    with torch.no_grad():
        for parameter in law.actor.parameters():
            parameter.zero_()
    cells = torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]).expand(2, -1, -1)
    flown = Examiner(config, 2, 2, 8, seed=1)(law, cells)
    assert (flown.returns[:, 0] > flown.returns[:, 1]).all()
    assert torch.equal(flown.returns[0], flown.returns[1])


def test_worst_cells_are_flown_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SwingUp, "episode_s", 0.5)
    config = changed(preset("pendulum"), {"num_envs": 4, "iterations": 1, "ppo": {"horizon": 4, "minibatches": 1}}, "test")
    batch = Batch(config, [1, 2])
    found = examined(config, batch.law, arguments().parse_args(["--episodes", "2", "--fresh", "3"]))
    assert found["labels"] == ["gravity", "torque", "push"]
    assert all(mean > worst for mean, worst in zip(found["mean"]["return"], found["searched"]["return"], strict=True))
    assert all(worst != searched for worst, searched in zip(found["worst"]["return"], found["searched"]["return"], strict=True))
    assert {abs(value) for cell in found["worst_cells"]["return"] for value in cell} <= {0.0, 1.0}


def test_every_variant_is_one_of_every_task() -> None:
    for task, (algorithm, settings) in TASKS.items():
        for variant in VARIANTS.values():
            override(preset(task, algorithm), [*settings, *variant])


def test_the_table_has_a_row_for_each_opponent() -> None:
    figures = {"return": [-4.0, -3.0, -2.0, -1.0], "success": [0.0, 0.5, 0.5, 1.0]}
    common: dict[str, Any] = {"task": "pendulum", "seeds": [1, 2, 3, 4], "env_steps": 1000, "labels": ["gravity"], "processor_time_s": 9.0}
    results = [common | {"variant": name, "worst": figures, "mean": figures, "middle": figures} for name in ("random", "rarl")]
    text = adversaries_report.text(results)
    assert "pendulum: 4 seeds, 1 k control steps each, over gravity" in text
    assert text.count("-2.5 (-4.0 – -1.0) | 50.0% (0.0% – 100.0%)") == 6
    assert "- rarl − random, of the same seed, worst return: 0.0 (0.0 – 0.0)" in text
    assert "random − random" not in text
    assert "return worst -2.5" in adversaries_report.one_line(results[0])
