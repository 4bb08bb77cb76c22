"""Laws in memory fly as their files do, and replicas as if alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.policy import Policy
from robustness.disturbance import amendment, disturbances
from robustness.laws import fly_laws
from robustness.rollouts import Where, fly_cells
from tasks.hover import Hover
from training.export import export_law
from training.learned_law import LearnedLaw


def test_replicas_fly_as_alone_and_as_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, path = Hover(), tmp_path / "law.onnx"
    law = LearnedLaw(task, replicas=[3, 4])
    export_law(law.replica(0), path, provenance={})  # which flies longer
    monkeypatch.setattr(Hover, "episode_s", 0.3)
    cells = [amendment(task, ((disturbances(task)["force"], value),)) for value in (0.0, 0.05)]
    both = fly_laws(law, "full", cells, 5)
    for index in range(2):
        alone = fly_laws(law.replica(index), "full", cells, 5)[0]
        np.testing.assert_allclose(both[index].returns, alone.returns, rtol=1e-5)
    assert not np.allclose(both[0].returns, both[1].returns, rtol=1e-5)
    filed = fly_cells(Where(Policy.load(path), task, "full"), cells, 5)
    np.testing.assert_allclose(both[0].returns, filed.returns, rtol=1e-3)
