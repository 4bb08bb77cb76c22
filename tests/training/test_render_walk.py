"""Pictures of a walk: that they are drawn, and that what they show is what was recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from robots.go2 import go2
from training.render_walk import COMMANDS, STATE, Skeleton, Walk, WalkRecorder, draw_walk


def walk(steps: int = 120) -> Walk:
    """Two robots that drive sideways, turned by a quarter, while asked to go forward."""
    recorder = WalkRecorder()
    widths = dict(zip(STATE, (3, 4, 3, 3, 12, 4)))
    for step in range(steps):
        state = {name: torch.zeros(2, width) for name, width in widths.items()}
        state["orientation_base_in_world"][:] = torch.tensor([0.5**0.5, 0.0, 0.0, 0.5**0.5])
        state["position_base_in_world"][:] = torch.tensor([0.0, 0.01 * step, 0.3])
        state["linear_velocity_base_in_world"][:, 1] = 0.5
        state["joint_position"][:] = torch.tensor(go2.stand)
        state["foot_contact"][:, step // 10 % 2 :: 2] = 1.0
        command = {COMMANDS[0]: torch.tensor([[0.1, 0.0], [0.5, 0.0]]), COMMANDS[1]: torch.zeros(2, 1)}
        recorder(state, command, {})
    return recorder.walk(go2, 0.02)


def test_speed_is_in_the_bases_frame() -> None:
    recorded = walk(3)
    np.testing.assert_allclose(recorded.speed[1, 0], [0.5, 0.0, 0.0], atol=1e-6)
    assert recorded.liveliest == 1


def test_legs_are_where_the_model_has_them() -> None:
    legs = Skeleton(go2).legs(np.array([1.0, 2.0, 0.3]), np.array([1.0, 0.0, 0.0, 0.0]), np.array(go2.stand))
    assert legs.shape == (4, 4, 3)
    np.testing.assert_allclose(np.linalg.norm(np.diff(legs[:, 1:], axis=1), axis=2), 0.213, atol=1e-9)
    assert legs[0, 0, 1] < 2.0 < legs[1, 0, 1]


def test_still_and_animation_are_written(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    with image.open(draw_walk(walk(), tmp_path / "still.png", title="A walk")) as still:
        assert still.width > 1500
        assert len(set(still.convert("L").resize((40, 40)).tobytes())) > 20
    with image.open(draw_walk(walk(10), tmp_path / "moving.gif", title="A walk")) as moving:
        assert moving.n_frames >= 3
