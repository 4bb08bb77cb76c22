"""Every parameter changes what it names, only where it is asked to, and goes back; names and values that are none are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from robots import registry
from robots.description import LeggedRobot, Quadrotor
from robots.errors import TetherError
from sim.simulator import Simulator
from tests.sim import flights, walkers
from tests.sim.conformance.subject import (
    ENVS,
    HIGH_M,
    POSITION,
    RATE,
    VELOCITY,
    assert_near,
    assert_same,
    coast,
    everyone,
    give,
    look,
    only,
    promise,
    run,
    safe,
    spread,
    start,
    still,
    varied,
)

TASKS = {"crazyflie": "hover", "go2": "go2_velocity"}
UNPHYSICAL = {
    "go2": {"base_mass": 0.0, "payload_mass": -1.0, "friction": -1.0, "strength_scale": 0.0, "action_delay": 0.05, "kp_scale": np.nan},
    "crazyflie": {"mass": 0.0, "inertia": -1.0, "motor_time_scale": 0.0, "action_delay": 0.03, "battery_charge": 1.1},
}
EFFECT = {"go2": 0.5 * np.pi / 180, "crazyflie": 1e-3}  # rad and m; m/s and rad/s: what a change is seen by at least


def _changes(sim: Simulator) -> dict[str, list[float]]:
    """Another value of every parameter."""
    changes = walkers.CHANGES if isinstance(sim.robot, LeggedRobot) else flights.CHANGES
    return {name: list(np.broadcast_to(changes[name], value.shape[1])) for name, value in sim.parameters().items()}


def _exercise(sim: Simulator) -> Tensor:
    """A flight, or steps on the ground and a push, that feel every parameter; what was seen after each step, ``[steps, ENVS, any]``."""
    commands = varied(sim)[:, :1].expand(-1, ENVS, -1).clone()
    if isinstance(sim.robot, LeggedRobot):
        sim.reset(everyone(sim), {})
        steps = run(sim, commands)
        sim.push(spread(sim, [0.3, 0.8, 0.0]))
        return torch.cat([steps, run(sim, commands[:7])])[..., 13:25]
    commands[..., 0] = 1.6 * safe(sim)[0, 0]  # only hard flight feels a battery
    start(sim, **{VELOCITY: [1.0, 0.0, 0.0]})
    return run(sim, commands)[..., 7:13]


def test_names_are_documented_and_enough_for_the_tasks(sim: Simulator) -> None:
    task = registry.load(registry.TASKS, TASKS[sim.robot.name])()
    drawn = task.sample(task.training_suite, 4, torch.Generator().manual_seed(0)).parameters
    documented = walkers.CHANGES if isinstance(sim.robot, LeggedRobot) else flights.CHANGES
    assert set(drawn) <= set(sim.parameters()) <= set(documented)
    for name, value in sim.parameters().items():
        assert (value.dtype, value.device.type, len(value)) == (torch.float32, sim.device.type, ENVS), name
        assert value.shape[1] in (np.size(documented[name]), len(getattr(sim.robot, "joints", ()))), name


def test_every_parameter_changes_the_motion_only_where_it_is_masked_and_goes_back(sim: Simulator) -> None:
    """Environment i has another value of parameter i; the last ones have none."""
    nominal, before, changes = sim.parameters(), _exercise(sim), _changes(sim)
    assert len(changes) < ENVS
    for env, (name, value) in enumerate(changes.items()):
        sim.randomize(only(sim, env), {name: spread(sim, value)})
    for env, (name, value) in enumerate(changes.items()):
        expected = nominal[name].clone()
        expected[env] = torch.tensor(value)
        np.testing.assert_allclose(sim.parameters()[name].cpu(), expected.cpu(), rtol=1e-6, atol=1e-9, err_msg=name)
    after = _exercise(sim)
    effects = dict(zip(changes, (after - before).abs().amax((0, 2)).tolist(), strict=False))
    assert all(effect > EFFECT[sim.robot.name] for effect in effects.values()), effects
    assert_same(after[:, len(changes) :], before[:, len(changes) :], promise(sim).restored)
    sim.randomize(everyone(sim), nominal)
    assert_same(_exercise(sim), before, promise(sim).restored)


def test_reset_leaves_parameters_alone(sim: Simulator) -> None:
    give(sim, "action_delay", [0.01])
    sim.reset(everyone(sim), {})
    np.testing.assert_allclose(sim.parameters()["action_delay"].cpu(), 0.01)


def test_begin_is_randomize_and_reset(sim: Simulator) -> None:
    mask, late = only(sim, *range(0, ENVS, 2)), {"action_delay": spread(sim, [0.02])}
    high = {POSITION: spread(sim, [0.0, 0.0, HIGH_M])}
    start(sim)
    sim.begin(mask, high, late)
    first = run(sim, varied(sim))
    give(sim, "action_delay", [0.0])
    start(sim)
    sim.randomize(mask, late)
    sim.reset(mask, high)
    assert_same(run(sim, varied(sim)), first, max(promise(sim).repeats, 1e-5))


def test_masses_and_air_of_a_quadrotor_are_those_of_closed_forms(flyer: Simulator) -> None:
    """Rotors at rest: Δv = (f/m + g) t, ω̇ = τ/J, and speeds that decay towards the wind's by e^(−t d/m)."""
    assert isinstance(flyer.robot, Quadrotor)
    mass, drag, seconds = np.array([0.028, 0.04, 0.028, 0.028]), np.array([0.0, 0.0, 0.05, 0.05]), 20 * flyer.control_dt
    wind = np.array([[0.0] * 3, [0.0] * 3, [0.0] * 3, [2.0, -1.0, 0.0]])
    force, inertia = np.array([0.1, -0.2, 0.1]), np.array([3e-5, 2e-5, 5e-5])
    begin = {"rotor_speeds": [0.0] * 4, VELOCITY: [1.0, 2.0, 3.0]}
    for name, values in {"mass": mass, "drag": drag, "wind": wind}.items():
        give(flyer, name, list(values))
    flyer.apply_wrench(spread(flyer, force), spread(flyer, [0.0] * 3))
    start(flyer, **begin)
    run(flyer, coast(flyer), 20)
    mass, drag = mass[:, None], np.maximum(drag, 1e-9)[:, None]
    limit = wind + (force + mass * [0.0, 0.0, -9.81]) / drag
    expected = limit + (np.array(begin[VELOCITY]) - limit) * np.exp(-seconds * drag / mass)
    assert_near(look(flyer, VELOCITY)[:4], expected, promise(flyer).motion)
    give(flyer, "inertia", [inertia])
    flyer.apply_wrench(spread(flyer, [0.0] * 3), spread(flyer, inertia * [40.0, -50.0, 30.0]))
    start(flyer, **begin)
    flyer.step(coast(flyer))
    assert_near(look(flyer, RATE), [np.array([40.0, -50.0, 30.0]) * flyer.control_dt] * ENVS, 2.0 * promise(flyer).motion)


def test_rotors_and_centre_of_mass_of_a_quadrotor_are_those_of_closed_forms(flyer: Simulator) -> None:
    """One step at hover: lift scales, −c × F turns; and rotors approach their command by e^(−t/τ)."""
    robot = flyer.robot
    assert isinstance(robot, Quadrotor)
    still(flyer)
    give(flyer, "thrust_scale", [1.0, 0.85, 1.0, 1.0])
    give(flyer, "centre_of_mass", [[0.0] * 3, [0.0] * 3, [0.003, -0.002, 0.0], [0.0] * 3])
    give(flyer, "motor_time_scale", [1.0, 1.0, 1.0, 1.5])
    start(flyer)
    flyer.step(safe(flyer))
    lift, turn = robot.mass_kg * 9.81, look(flyer, RATE) * robot.inertia_kg_m2 / flyer.control_dt
    fallen = look(flyer, VELOCITY)[:4, 2] / flyer.control_dt
    np.testing.assert_allclose(fallen[[0, 1, 3]], [0.0, -0.15 * 9.81, 0.0], atol=0.05)
    np.testing.assert_allclose(turn[2], [0.002 * lift, 0.003 * lift, 0.0], atol=0.05 * 0.003 * lift)
    start(flyer, rotor_speeds=[0.3] * 4)
    run(flyer, safe(flyer), 3)
    hover = (1.0 / robot.thrust_to_weight) ** 0.5
    left = (hover - look(flyer, "rotor_speeds")[[0, 3], 0]) / (hover - 0.3)
    np.testing.assert_allclose(left, np.exp(-3 * flyer.control_dt / (robot.motor_rise_s * np.array([1.0, 1.5]))), rtol=0.01)


def test_a_delay_costs_a_quadrotor_the_speed_of_that_time(flyer: Simulator) -> None:
    """Long after a step in thrust the speed missing is a · delay, to 0.5 ms; and nothing happens before a command arrives."""
    late = np.array([0.0, 0.005, 0.01, 0.015, 0.02])
    still(flyer)
    give(flyer, "action_delay", late)
    start(flyer)
    flyer.step(1.5 * safe(flyer))
    begun = look(flyer, VELOCITY)[:5, 2]
    assert (begun[:2] > 1e-3).all()
    np.testing.assert_allclose(begun[2:], 0.0, atol=1e-4)
    run(flyer, 1.5 * safe(flyer), 39)
    climb = look(flyer, VELOCITY)[:5, 2]
    np.testing.assert_allclose((climb[0] - climb) / (0.5 * 9.81), late, atol=5e-4)


def test_one_column_serves_all_joints_or_rotors(sim: Simulator) -> None:
    name = "kp_scale" if isinstance(sim.robot, LeggedRobot) else "thrust_scale"
    sim.randomize(everyone(sim), {name: spread(sim, [[0.9], [1.1]])})
    value = sim.parameters()[name].cpu()
    np.testing.assert_allclose(value[:2], [[0.9] * value.shape[1], [1.1] * value.shape[1]], rtol=1e-6)


def test_an_unknown_parameter_is_refused_with_the_valid_ones(sim: Simulator) -> None:
    with pytest.raises(TetherError, match="action_delay") as refused:
        sim.randomize(everyone(sim), {"slipperiness": spread(sim, [0.1])})
    assert all(name in str(refused.value) for name in ("slipperiness", *sim.parameters()))


def test_unphysical_values_are_refused_and_leave_the_old_ones(sim: Simulator) -> None:
    before = {name: value.clone() for name, value in sim.parameters().items()}
    for name, value in UNPHYSICAL[sim.robot.name].items():
        if name in before:
            bad = before[name].clone()
            bad[1] = value
            with pytest.raises(TetherError, match=rf"{name}.*environments \[1\]"):
                sim.randomize(everyone(sim), {"action_delay": spread(sim, [0.01])} | {name: bad})
    for name, value in sim.parameters().items():
        assert torch.equal(value, before[name]), name
    with pytest.raises(TetherError, match="action_delay"):
        sim.randomize(everyone(sim), {"action_delay": torch.zeros(ENVS, 7, device=sim.device)})
