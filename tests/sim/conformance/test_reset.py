"""Beginning, and beginning again: only who was asked, with what was given, and leaving nothing behind."""

from __future__ import annotations

import numpy as np
import torch

from robots.description import GRAVITY, Quadrotor
from sim.simulator import Simulator
from tests.sim.conformance.subject import (
    BASE,
    ENVS,
    JOINTS,
    ORIENTATION,
    POSITION,
    RATE,
    ROTORS,
    VELOCITY,
    assert_same,
    by_foot,
    everyone,
    everything,
    foot_radius,
    give,
    legs,
    look,
    motion,
    only,
    promise,
    run,
    seen,
    spread,
    start,
    together,
    varied,
)


def test_reset_changes_only_masked_environments_and_only_to_what_was_given(sim: Simulator) -> None:
    fresh = motion(sim)
    run(sim, varied(sim)[:5])
    before, mask = everything(sim), torch.arange(ENVS) % 3 == 0
    sim.reset(mask.to(sim.device), {VELOCITY: spread(sim, [1.0, 2.0, 3.0])})
    assert torch.equal(everything(sim)[~mask], before[~mask])
    np.testing.assert_allclose(look(sim, VELOCITY)[mask], [[1.0, 2.0, 3.0]] * int(mask.sum()), atol=1e-6)
    sim.reset(mask.to(sim.device), {})
    np.testing.assert_allclose(motion(sim)[mask], fresh[mask], atol=1e-6)


def test_rest_is_level_and_still(sim: Simulator) -> None:
    run(sim, varied(sim)[:3])
    sim.reset(everyone(sim), {})
    now = seen(sim)
    np.testing.assert_allclose(now[ORIENTATION], [[1.0, 0.0, 0.0, 0.0]] * ENVS, atol=1e-6)
    np.testing.assert_allclose(now[POSITION][:, :2], 0.0, atol=1e-6)
    for name in (VELOCITY, RATE, *({"joint_velocity"} & set(now))):
        np.testing.assert_allclose(now[name], 0.0, atol=1e-6, err_msg=name)


def test_legs_rest_on_the_ground_as_they_stand(walker: Simulator) -> None:
    now = seen(walker)
    np.testing.assert_allclose(now["joint_position"], [legs(walker).stand] * ENVS, atol=1e-5)
    heights = by_foot(now, "foot_position_in_world")[..., 2]
    np.testing.assert_allclose(heights.min(1), foot_radius(walker), atol=1e-3)


def test_rotors_rest_at_hover_a_metre_up(flyer: Simulator) -> None:
    assert isinstance(flyer.robot, Quadrotor)
    np.testing.assert_allclose(look(flyer, POSITION)[:, 2], 1.0, atol=1e-6)
    c0, c1, c2 = flyer.robot.thrust_curve_n
    speed = look(flyer, "rotor_speeds")
    np.testing.assert_allclose((c0 + c1 * speed + c2 * speed**2).sum(1), flyer.robot.mass_kg * GRAVITY, rtol=1e-4)


def test_a_given_state_is_read_back_by_name(sim: Simulator) -> None:
    """All that can be given, at once."""
    random = np.random.default_rng(0)
    now = seen(sim)
    state = {name: random.normal(size=now[name].shape) for name in (*BASE, *JOINTS, *ROTORS) if name in now}
    state[POSITION][:, 2] += 20.0
    state[ORIENTATION] /= np.linalg.norm(state[ORIENTATION], axis=1, keepdims=True)
    if "joint_position" in state:
        low, high = (np.array([getattr(joint, side) for joint in legs(sim).joints]) for side in ("lower", "upper"))
        state["joint_position"] = low + (high - low) * random.uniform(0.1, 0.9, size=state["joint_position"].shape)
    if "rotor_speeds" in state:
        state["rotor_speeds"] = random.uniform(0.1, 0.9, size=state["rotor_speeds"].shape)
        state["rate_integral"] *= 0.01
    start(sim, **state)
    now = seen(sim)
    for name, value in state.items():
        found = now[name].numpy()
        np.testing.assert_allclose(together(found, value) if name == ORIENTATION else found, value, atol=2e-5, err_msg=name)


def test_the_same_start_and_commands_give_the_same_again(sim: Simulator) -> None:
    """Whatever was before: nothing of it is on its way, warm, or remembered. Legs are on the ground."""
    give(sim, "action_delay", [0.015])
    commands = varied(sim)
    sim.reset(everyone(sim), {})
    first = run(sim, commands)
    run(sim, varied(sim, seed=1))
    sim.reset(everyone(sim), {})
    assert_same(run(sim, commands), first, promise(sim).repeats)


def test_environments_do_not_influence_each_other(sim: Simulator) -> None:
    """One is elsewhere, on the ground, late, pushed, and told something else; nobody else feels it."""
    commands, others = varied(sim), torch.arange(ENVS) != 3
    start(sim)
    first = run(sim, commands)
    sim.randomize(only(sim, 3), {"action_delay": spread(sim, [0.02])})
    start(sim)
    sim.reset(only(sim, 3), {POSITION: spread(sim, [0.0, 0.0, 0.05])})
    sim.push(spread(sim, [0.0, 0.0, 0.0]) + only(sim, 3)[:, None] * spread(sim, [1.0, 2.0, 0.0]))
    commands[:, 3] = commands[:, 3].flip(0)
    second = run(sim, commands)
    assert_same(second[:, others], first[:, others], promise(sim).repeats)
    assert (second[:, 3] - first[:, 3]).abs().amax() > 0.1
