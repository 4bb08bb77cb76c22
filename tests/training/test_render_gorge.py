"""Pictures of a gorge: who is lost where, and that they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robots.go2 import go2
from training.render_gorge import TOUCHING, draw_gorge, tracks
from training.render_walk import COMMANDS, STATE, Walk

STEPS = 120


def walk() -> Walk:
    """One to the right of the gorge, unharmed; over the edge at step 50; on its thigh at 60, and over the edge later; on its side at 70."""
    signals = {name: np.zeros((STEPS, 4, width)) for name, width in zip(STATE, (3, 4, 3, 3, 12, 4), strict=True)}
    signals |= {TOUCHING[0]: np.zeros((STEPS, 4, 1)), TOUCHING[1]: np.zeros((STEPS, 4, 4)), COMMANDS[0]: np.zeros((STEPS, 4, 2))}
    position = signals["position_base_in_world"]
    position[..., 0] = 3.0 + 0.01 * np.arange(STEPS)[:, None]
    position[..., 1] = [-0.9, 0.7, 0.7, 0.7]
    position[50:, 1, 1], position[80:, 2, 1], position[..., 2] = 0.39, 0.0, 0.3
    signals[TOUCHING[1]][60:, 2, 3] = 1.0
    signals["orientation_base_in_world"][..., 0] = 1.0
    signals["orientation_base_in_world"][70:, 3] = [0.5**0.5, 0.5**0.5, 0.0, 0.0]
    signals["joint_position"][:] = go2.stand
    return Walk(go2, 0.02, signals)


def test_the_lost_are_those_that_the_task_ends() -> None:
    found = tracks(walk())
    assert found.lasts.tolist() == [STEPS, 50, 60, 70]
    assert found.over.tolist() == [False, True, False, False]
    assert found.kept.tolist() == [True, False, False, False]
    np.testing.assert_allclose(found.edge[0], [0.5, 0.3, 0.3, 0.3])
    np.testing.assert_allclose(found.ahead[-1], 1.19)
    assert np.isnan(found.walking(found.edge)).sum(0).tolist() == [0, 70, 60, 50]


@pytest.mark.parametrize("kept", [slice(None), slice(1, 2)], ids=["some walk on", "all are lost"])
def test_still_and_animation_are_written(tmp_path: Path, kept: slice) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    whole = walk()
    some = Walk(go2, 0.02, {name: values[:, kept] for name, values in whole.signals.items()})
    with image.open(draw_gorge(some, tmp_path / "still.png", title="A gorge")) as still:
        assert still.width > 1500
        assert len(set(still.convert("L").resize((40, 40)).tobytes())) > 20
    short = Walk(go2, 0.02, {name: values[:60:6] for name, values in some.signals.items()})
    with image.open(draw_gorge(short, tmp_path / "moving.gif", title="A gorge")) as moving:
        assert moving.n_frames >= 3
