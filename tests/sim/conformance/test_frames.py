"""Frames and quaternions: rates in the base's frame, velocities of the base's origin in the world, (w, x, y, z) from body to world."""

from __future__ import annotations

import numpy as np
import torch

from sim.simulator import Simulator
from tasks.rotation import multiply
from tests.sim.conformance.subject import (
    DEGREE,
    ENVS,
    HIGH_M,
    ORIENTATION,
    POSITION,
    RATE,
    TURNS,
    VELOCITY,
    assert_near,
    by_foot,
    coast,
    fallen,
    look,
    promise,
    safe,
    seen,
    spread,
    start,
    still,
    together,
)

TUMBLES = [[2.0, -3.0, 2.5], [-3.0, 1.0, 3.0], [1.0, 3.0, -3.5], [-2.0, -2.0, -2.0], [0.0, 0.0, 3.5]]  # rad/s
TILTED = [[0.8, 0.4, -0.4, 0.2], [0.5, -0.5, 0.5, 0.5], [0.1, 0.9, 0.3, 0.3]]


def _turned(sim: Simulator) -> np.ndarray:
    """Where the turn of each environment takes the body's axes, ``[ENVS, axis, world]``."""
    axes = np.stack(list(TURNS.values()))
    return axes[np.arange(ENVS) % len(axes)]


def test_quarter_turns_are_read_back_and_turn_the_feet(walker: Simulator) -> None:
    """Feet are at R r from the base, and move at R (ω × r)."""
    start(walker)
    arms = by_foot(seen(walker), "foot_position_in_world") - [0.0, 0.0, HIGH_M]
    rate = np.array([1.0, 2.0, 3.0])
    start(walker, **{ORIENTATION: list(TURNS), RATE: rate})
    now = seen(walker)
    turns = spread(walker, list(TURNS)).cpu().numpy()
    np.testing.assert_allclose(together(now[ORIENTATION].numpy(), turns), turns, atol=1e-6)
    places, speeds = (by_foot(now, f"foot_{what}_in_world") for what in ("position", "velocity"))
    np.testing.assert_allclose(places - [0.0, 0.0, HIGH_M], np.einsum("eaw,efa->efw", _turned(walker), arms), atol=1e-4)
    np.testing.assert_allclose(speeds, np.einsum("eaw,efa->efw", _turned(walker), np.cross(rate, arms)), atol=1e-3)


def test_thrust_is_along_the_bodys_z_axis(flyer: Simulator) -> None:
    still(flyer)
    start(flyer, **{ORIENTATION: list(TURNS)})
    for _ in range(5):
        flyer.step(safe(flyer) * 1.5)
    _, falling = fallen(0.0, 5 * flyer.control_dt)
    pushed = look(flyer, VELOCITY) - falling
    length = np.linalg.norm(pushed, axis=1, keepdims=True)
    assert (length > 0.5).all()
    np.testing.assert_allclose(pushed / length, _turned(flyer)[:, 2], atol=1e-2)


def test_turning_is_the_integral_of_the_rate_in_the_base(sim: Simulator) -> None:
    """q ⊗ exp(½ ω dt) over a tumble, by the mean of the rates before and after each step; in the world's frame it would go elsewhere."""
    start(sim, **{ORIENTATION: TILTED, RATE: TUMBLES} | still(sim))
    turned = torch.nn.functional.normalize(spread(sim, TILTED).cpu().double())
    elsewhere, before = turned, seen(sim)[RATE].double()
    for _ in range(15):
        sim.step(coast(sim, TUMBLES))
        now = seen(sim)[RATE].double()
        step = _exponential(0.5 * (before + now) * sim.control_dt)
        turned, elsewhere, before = multiply(turned, step), multiply(step, elsewhere), now
    found = seen(sim)[ORIENTATION].double()
    np.testing.assert_allclose(found.norm(dim=1), 1.0, atol=1e-5)
    assert _between(found, turned).max() < 1.0 * DEGREE
    assert _between(found, elsewhere).max() > 10.0 * DEGREE


def _exponential(turn: torch.Tensor) -> torch.Tensor:
    """The quaternion of a rotation vector, ``[n, 4]``."""
    angle = turn.norm(dim=1, keepdim=True)
    return torch.cat([(angle / 2).cos(), turn * torch.sinc(angle / (2 * torch.pi)) / 2], dim=1)


def _between(left: torch.Tensor, right: torch.Tensor) -> np.ndarray:
    """Angle between orientations [rad], ``[n]``."""
    return (2.0 * (left * right).sum(1).abs().clamp(max=1.0).arccos()).numpy()


def test_moving_is_the_integral_of_the_velocity_of_the_bases_origin(sim: Simulator) -> None:
    """By the mean of the velocities before and after each step, to half a sub-step of their change; a centre of mass would go elsewhere."""
    start(sim, **{ORIENTATION: TILTED, RATE: TUMBLES, VELOCITY: [1.0, -2.0, 0.5]} | still(sim))
    where, first = look(sim, POSITION).astype(float), look(sim, VELOCITY)
    before = first
    for _ in range(15):
        sim.step(coast(sim, TUMBLES))
        now = look(sim, VELOCITY)
        where, before = where + 0.5 * (before + now) * sim.control_dt, now
    slack = 0.5 * np.abs(before - first).max() * sim.physics_dt
    np.testing.assert_allclose(look(sim, POSITION), where, atol=slack + 2e-3)


def test_free_fall_is_that_of_the_closed_form(sim: Simulator) -> None:
    """v = v₀ + g t, whichever side is up, and p to half a sub-step of the way; nothing begins to turn."""
    thrown = [[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [-3.0, 0.0, 2.0]]
    start(sim, **{ORIENTATION: list(TURNS), VELOCITY: thrown} | still(sim))
    steps = round(0.3 / sim.control_dt)
    for _ in range(steps):
        sim.step(coast(sim))
    way, velocity = fallen(spread(sim, thrown).cpu().numpy(), steps * sim.control_dt)
    assert_near(look(sim, VELOCITY), velocity, 0.1 * promise(sim).motion)
    np.testing.assert_allclose(look(sim, POSITION) - [0.0, 0.0, HIGH_M], way, atol=0.5 * 3.0 * sim.physics_dt + 2e-3)
    np.testing.assert_allclose(look(sim, RATE), 0.0, atol=2e-3)
