"""Isaac Lab beyond what every engine does: ground that is not flat, and learning on it. ``make test-isaac``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.main import main
from robots.go2 import go2
from sim.isaac.legged import IsaacLeggedSimulator
from sim.legged.model import Terrain

pytestmark = [pytest.mark.isaac, pytest.mark.timeout(1800)]  # kernels of height fields compile for minutes

SMALL = ("num_envs=512", "iterations=46", "threads=1", "check_every=0")


def test_terrain_holds_the_robot_up() -> None:
    """A step in x and a smaller one in y: the four quarters are as high as the terrain says."""
    x, y = np.meshgrid(np.linspace(-4.0, 4.0, 81), np.linspace(-4.0, 4.0, 81))
    sim = IsaacLeggedSimulator(go2, 4, terrain=Terrain(-0.1 + 0.5 * (x > 0.0) + 0.2 * (y > 0.0), (8.0, 8.0)))
    places = torch.tensor([[-2.0, -2.0, 0.24], [2.0, -2.0, 0.74], [-2.0, 2.0, 0.44], [2.0, 2.0, 0.94]])
    sim.reset(torch.ones(4, dtype=torch.bool), {"position_base_in_world": places})
    for _ in range(100):
        sim.step(torch.tensor([go2.stand]).expand(4, -1))
    seen = sim.privileged()
    assert seen["foot_contact"].all()
    np.testing.assert_allclose(seen["position_base_in_world"][:, 2] - 0.26, [-0.1, 0.4, 0.1, 0.6], atol=0.02)


def test_a_short_training_improves_the_return(tmp_path: Path) -> None:
    """Three quarters of a million steps of hovering: the last iterations' mean return over the first ones', by three standard errors."""
    assert main(["train", "hover", "--sim", "isaac", "--seed", "1", "--run-dir", str(tmp_path / "run"), *SMALL]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    returns = np.array([line["return"] for line in lines if line["return"] is not None])
    first, last = returns[:5], returns[-5:]
    assert last.mean() - first.mean() > 3.0 * np.hypot(first.std(ddof=1), last.std(ddof=1)) / np.sqrt(5.0)
