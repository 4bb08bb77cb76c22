"""Replicas of a law in memory fly as if alone."""

from __future__ import annotations

import numpy as np
import pytest

from robustness.disturbance import amendment, disturbances
from robustness.laws import fly_laws
from tasks.hover import Hover
from training.learned_law import LearnedLaw


def test_replicas_fly_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hover, "episode_s", 0.3)
    task = Hover()
    law = LearnedLaw(task, replicas=[3, 4])
    cells = [amendment(task, ((disturbances(task)["force"], value),)) for value in (0.0, 0.05)]
    both = fly_laws(law, "full", cells, 5)
    for index in range(2):
        alone = fly_laws(law.replica(index), "full", cells, 5)[0]
        np.testing.assert_allclose(both[index].returns, alone.returns, rtol=1e-5)
    assert not np.allclose(both[0].returns, both[1].returns, rtol=1e-5)
