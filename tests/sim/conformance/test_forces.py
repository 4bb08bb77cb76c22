"""Wrenches and pushes against Newton and Euler, falling freely."""

from __future__ import annotations

from typing import Any

import numpy as np

from robots.description import Quadrotor
from sim.simulator import Simulator
from tests.sim.conformance.subject import (
    DEGREE,
    ENVS,
    ORIENTATION,
    POSITION,
    RATE,
    TURNS,
    VELOCITY,
    assert_near,
    coast,
    fallen,
    legs,
    look,
    momenta,
    only,
    promise,
    safe,
    seen,
    spread,
    start,
    still,
)

PULLS = np.array([[5.0, 0.0, 0.0], [0.0, -5.0, 0.0], [0.0, 0.0, 5.0], [3.0, 3.0, -3.0], [0.0, 0.0, 0.0]])  # m/s²
AXES = np.eye(3)


def _velocity(sim: Simulator) -> np.ndarray:
    """Of the centre of mass."""
    return look(sim, VELOCITY) if isinstance(sim.robot, Quadrotor) else momenta(sim)[0]


def _coast(sim: Simulator, steps: int, rate: Any = (0.0, 0.0, 0.0)) -> None:
    for _ in range(steps):
        sim.step(coast(sim, rate))


def test_a_force_in_the_world_accelerates_the_centre_of_mass(sim: Simulator) -> None:
    """Δv = (F/m + g) t, however the robot is turned, held until set again, through a reset."""
    start(sim, **{ORIENTATION: list(TURNS)} | still(sim))
    pull = spread(sim, PULLS).cpu().numpy()
    sim.apply_wrench(spread(sim, sim.robot.mass_kg * PULLS), spread(sim, [0.0] * 3))
    start(sim, **{ORIENTATION: list(TURNS)} | still(sim))
    for steps in (2, 4):
        _coast(sim, 2)
        seconds = steps * sim.control_dt
        assert_near(_velocity(sim), fallen(pull * seconds, seconds)[1], promise(sim).motion)
    sim.apply_wrench(spread(sim, [0.0] * 3), spread(sim, [0.0] * 3))
    before = _velocity(sim)
    _coast(sim, 2)
    assert_near(_velocity(sim) - before, [fallen(0.0, 2 * sim.control_dt)[1]] * ENVS, promise(sim).motion)


def test_a_torque_turns_a_quadrotor_about_the_axis_of_its_body(flyer: Simulator) -> None:
    """Δω = τ/J t, however the robot is turned; rotors are at rest and follow too late to matter."""
    assert isinstance(flyer.robot, Quadrotor)
    asked, turns = 50.0 * np.concatenate([AXES, -AXES]), list(TURNS)
    start(flyer, **{ORIENTATION: turns} | still(flyer))
    flyer.apply_wrench(spread(flyer, [0.0] * 3), spread(flyer, asked * flyer.robot.inertia_kg_m2))
    _coast(flyer, 1)
    expected = spread(flyer, asked * flyer.control_dt).cpu().numpy()
    assert_near(look(flyer, RATE), expected, 2.0 * promise(flyer).motion)


def test_a_torque_gives_legs_angular_momentum_about_the_axis_of_their_base(walker: Simulator) -> None:
    """L = R τ t about the centre of mass, and the base begins to turn that way."""
    turns, torque = list(TURNS.values()), np.concatenate([AXES, -AXES])
    start(walker, **{ORIENTATION: list(TURNS)})
    walker.apply_wrench(spread(walker, [0.0] * 3), spread(walker, torque))
    _coast(walker, 2)
    asked = spread(walker, torque).cpu().numpy()
    expected = np.einsum("eaw,ea->ew", np.stack(turns)[np.arange(ENVS) % len(turns)], asked) * 2 * walker.control_dt
    assert_near(momenta(walker)[1], expected, 2.0 * promise(walker).motion)
    assert ((look(walker, RATE) * asked).sum(1) > 3.0 * DEGREE).all()


def test_a_push_changes_the_velocity_at_once_and_only_where_it_is(sim: Simulator) -> None:
    start(sim, **{ORIENTATION: list(TURNS)})
    sim.step(safe(sim))
    before, there = seen(sim), only(sim, 0, 1, 2, 3).cpu().numpy()
    sim.push(spread(sim, [0.3, -0.2, 0.1]) * only(sim, 0, 1, 2, 3)[:, None])
    after = seen(sim)
    change = (after[VELOCITY] - before[VELOCITY]).numpy()
    np.testing.assert_allclose(change, there[:, None] * [[0.3, -0.2, 0.1]], atol=1e-5)
    for name in (POSITION, ORIENTATION, RATE):
        np.testing.assert_allclose(after[name], before[name], atol=1e-6, err_msg=name)
    sim.step(safe(sim))
    moved = (look(sim, POSITION) - after[POSITION].numpy()) / sim.control_dt
    np.testing.assert_allclose(moved, 0.5 * (look(sim, VELOCITY) + after[VELOCITY].numpy()), atol=0.05)


def test_pushed_legs_slide_away_with_the_push(walker: Simulator) -> None:
    """On the ground."""
    robot = legs(walker)
    walker.push(spread(walker, [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]]))
    first = look(walker, POSITION)
    walker.step(safe(walker))
    moved = look(walker, POSITION) - first
    assert (moved[0::3, 0] > 4e-3).all(), robot.name
    assert (moved[1::3, 1] > 4e-3).all(), robot.name
    assert np.abs(moved[2::3]).max() < 3e-3
