"""A bench without physics: what an episode is worth is worked out from how it began."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.policy import Policy
from robots.crazyflie import crazyflie
from robustness import rollouts
from robustness.rollouts import Outcome, Where
from tasks.quadrotor_flight import POSITION
from training.environment import Amend
from training.evaluate import task_of

SHIPPED = Path(__file__).parents[2] / "policies"


@pytest.fixture(scope="session")
def policies() -> list[Policy]:
    """Two for hover."""
    return [Policy.load(SHIPPED / name) for name in ("hover.onnx", "hover_geometric.onnx")]


@pytest.fixture
def where(policies: list[Policy]) -> Where:
    return Where(policies[0], task_of(policies[0]), "nominal")


def worth(where: Where, cells: Sequence[Amend], episodes: int, seed: int) -> Outcome:
    """Returns 100 − 50 (m/m₀ − 1) − 10 + 10 (f − 0.7 Hz)² + 1000 N⁻¹ mean force along x + luck; success where that is above 90."""
    rows = []
    for amend in cells:
        generator = torch.Generator()
        generator.manual_seed(seed)
        start = amend(where.task.sample(where.task.suite(where.suite), episodes, generator), generator)
        each = 100.0 - 50.0 * (start.parameters["mass"][:, 0] / crazyflie.mass_kg - 1.0) + 0.1 * start.state[POSITION][:, 0]
        if start.wave is not None:
            each = each + 10.0 * (start.wave.frequency_hz[:, 0] - 0.7).square() - 10.0
        if start.force_knots_n is not None:
            each = each + 1000.0 * start.force_knots_n[:, :, 0].mean(1)
        rows.append(each.double().numpy())
    if where.bar is not None:
        where.bar.update(len(cells) * episodes)
    returns = np.stack(rows)
    return Outcome(returns, returns > 90.0, returns < 70.0, 100.0 - returns)


@pytest.fixture
def worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """`worth` in place of simulation."""
    monkeypatch.setattr(rollouts, "_fly", worth)
