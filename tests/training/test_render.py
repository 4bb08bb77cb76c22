"""Pictures: that they are drawn, and that what cannot be drawn is refused before the flight."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from robots.errors import TetherError
from tasks.rotation import rotation_matrix
from training import scene
from training.render import Flight, FlightRecorder, check_output, draw


def spiral(steps: int = 30, episodes: int = 3) -> Flight:
    """Robots spiralling in to their goal while they level out."""
    time = np.linspace(0.0, 3.0, steps)[:, None]
    angle, radius = 2.0 * time + np.arange(episodes), np.exp(-time) * np.ones(episodes)
    offset = np.stack([radius * np.cos(angle), radius * np.sin(angle), radius], axis=-1)
    tilt = radius
    orientation = np.stack([np.cos(tilt / 2), np.sin(tilt / 2), 0 * tilt, 0 * tilt], axis=-1)
    return Flight(0.1, offset, orientation, {"thrust": 0.3 + 0 * offset[..., :1]}, (("thrust [N]", "thrust", 0.0, 0.6),))


def test_rotation_is_the_tasks() -> None:
    quaternion = torch.nn.functional.normalize(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)))
    np.testing.assert_allclose(scene.rotation(quaternion.numpy()), rotation_matrix(quaternion).numpy(), atol=1e-6)


def test_distance_and_tilt_are_those_of_the_flight() -> None:
    flight = spiral()
    np.testing.assert_allclose(flight.distance[:, 0], np.sqrt(2.0) * np.exp(-flight.time * 3.0 / 2.9), rtol=1e-6)
    np.testing.assert_allclose(flight.tilt[:, 0], np.exp(-flight.time * 3.0 / 2.9), rtol=1e-6)


def test_still_and_animation_are_written(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    with image.open(draw(spiral(), tmp_path / "still.png", title="A spiral", tolerance_m=0.1)) as still:
        assert still.width > 1500
        assert len(set(still.convert("L").resize((40, 40)).tobytes())) > 20  # something is on it
    with image.open(draw(spiral(6), tmp_path / "moving.gif", title="A spiral")) as moving:
        assert moving.n_frames == 6


def test_flights_that_blow_up_are_drawn_around(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    flight = spiral()
    flight.offset[10:, 0] = np.nan
    assert draw(flight, tmp_path / "still.png", title="One is lost").stat().st_size > 10_000


def test_a_task_without_a_goal_position_is_refused() -> None:
    with pytest.raises(TetherError, match="goal position"):
        FlightRecorder()({}, {}, {})


def test_what_cannot_be_drawn_is_refused_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TetherError, match=r"\.png, \.gif"):
        check_output(tmp_path / "flight.mp4")
    with pytest.raises(TetherError, match="no directory"):
        check_output(tmp_path / "nowhere" / "flight.png")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TetherError, match=r"matplotlib.*pip install"):
        check_output(tmp_path / "flight.png")
