"""What the ground carries, and what touches it."""

from __future__ import annotations

import numpy as np
import torch

from robots.description import GRAVITY, Quadrotor
from sim.simulator import Simulator
from tests.sim.conformance.subject import (
    ENVS,
    ORIENTATION,
    POSITION,
    VELOCITY,
    by_foot,
    everyone,
    foot_radius,
    give,
    legs,
    look,
    only,
    promise,
    safe,
    seen,
    spread,
    start,
)

FOLDED, RAISED = [0.0, 1.4, -2.7] * 4, [0.0, 3.0, -1.0] * 4


def _stand(sim: Simulator, steps: int) -> dict[str, np.ndarray]:
    for _ in range(steps):
        sim.step(safe(sim))
    return {name: value.numpy() for name, value in seen(sim).items()}


def test_standing_feet_carry_the_weight_and_nothing_else_touches(walker: Simulator) -> None:
    """To 1 %, and to 2 % sideways; also of a heavier base, and of a payload; a centre of mass further forward loads the front feet more."""
    robot = legs(walker)
    nominal = walker.parameters()["base_mass"][0, 0].item()
    give(walker, "base_mass", [nominal, nominal + 3.0, nominal, nominal])
    give(walker, "payload_mass", [0.0, 0.0, 2.0, 0.0])
    give(walker, "base_centre_of_mass_offset", [[0.0] * 3, [0.0] * 3, [0.0] * 3, [0.05, 0.0, 0.0]])
    walker.reset(everyone(walker), {})
    now = _stand(walker, 125)
    forces, feet = (now[f"foot_{what}_in_world"].reshape(ENVS, -1, 3) for what in ("force", "position"))
    weight = GRAVITY * (robot.mass_kg + np.array([0.0, 3.0, 2.0, 0.0]))[np.arange(ENVS) % 4]
    np.testing.assert_allclose(forces.sum(1)[:, 2] / weight, 1.0, atol=0.01)
    np.testing.assert_allclose(forces.sum(1)[:, :2] / weight[:, None], 0.0, atol=0.02)
    assert now["foot_contact"].all()
    assert not any(now[f"{part}_contact"].any() for part in robot.parts)
    np.testing.assert_allclose(feet[..., 2], foot_radius(walker), atol=3e-3)
    for name in ("foot_velocity_in_world", VELOCITY):
        np.testing.assert_allclose(now[name], 0.0, atol=0.05, err_msg=name)
    pressure = (forces[..., 2] * (feet[..., 0] - now[POSITION][:, None, 0])).sum(1) / forces[..., 2].sum(1)
    moved = 0.05 * nominal / robot.mass_kg
    np.testing.assert_allclose(pressure[3::4] - pressure[0::4], moved, atol=0.3 * moved)


def test_lying_robots_touch_with_what_they_lie_on(walker: Simulator) -> None:
    """On the belly with legs in the air, on the back with folded legs, and, falling, with nothing."""
    robot, joints = legs(walker), spread(walker, [RAISED, FOLDED, FOLDED])
    places = [[0.0, 0.0, 0.08], [0.0, 0.0, 0.1], [0.0, 0.0, 50.0]]
    turns = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    start(walker, **{POSITION: places, ORIENTATION: turns}, joint_position=[RAISED, FOLDED, FOLDED])
    for _ in range(40):
        walker.step(joints)
    now = seen(walker)
    belly, back, air = (slice(k, None, 3) for k in range(3))
    assert now["base_contact"][belly].any(1).all()
    assert now["base_contact"][back].any(1).all()
    assert not now["foot_contact"][belly].any()
    assert not now["foot_contact"][back].any()
    for name in ("foot_contact", *(f"{part}_contact" for part in robot.parts)):
        assert not now[name][air].any(), name
    assert not now["foot_force_in_world"][air].any()
    assert not now["diverged"].any()


def test_friction_bounds_what_feet_hold(walker: Simulator) -> None:
    """Thrown sideways, feet give μ times their load and no more."""
    give(walker, "friction", [0.8, 0.3])
    walker.reset(everyone(walker), {})
    _stand(walker, 20)
    walker.push(spread(walker, [0.0, 1.5, 0.0]))
    largest = np.zeros(ENVS)
    for _ in range(5):
        walker.step(safe(walker))
        force = by_foot(seen(walker), "foot_force_in_world")
        sideways, load = np.linalg.norm(force[..., :2], axis=2), force[..., 2]
        largest = np.maximum(largest, np.where(load > 5.0, sideways / np.maximum(load, 5.0), 0.0).max(1))
    mu = np.array([0.8, 0.3])[np.arange(ENVS) % 2]
    assert (largest < mu * (1.0 + promise(walker).grip)).all()
    assert (largest > 0.7 * mu).all()


def test_a_quadrotor_knows_when_it_is_on_the_ground_and_rests_there(flyer: Simulator) -> None:
    assert isinstance(flyer.robot, Quadrotor)
    down = only(flyer, *range(0, ENVS, 2))
    radius = flyer.robot.contact_radius_m
    flyer.reset(down, {POSITION: spread(flyer, [0.0, 0.0, radius]), "rotor_speeds": spread(flyer, [0.0] * 4)})
    for _ in range(50):
        flyer.step(safe(flyer) * ~down[:, None])
    now, landed = seen(flyer), down.cpu()
    assert torch.equal(now["ground_contact"][:, 0], landed)
    height = look(flyer, POSITION)[landed, 2]
    np.testing.assert_allclose(height, radius, atol=5e-3)
    np.testing.assert_allclose(look(flyer, VELOCITY)[landed], 0.0, atol=0.1)
