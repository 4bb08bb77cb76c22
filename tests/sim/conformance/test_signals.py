"""What can be read: names, shapes, types, bounds, and that it stays what it was."""

from __future__ import annotations

import torch

from sim.simulator import Simulator
from tests.sim.conformance.subject import ENVS, legs, run, safe, seen, varied


def test_signals_are_those_of_the_robot_and_within_their_bounds(sim: Simulator) -> None:
    run(sim, varied(sim)[:5])
    signals, known = sim.signals(), sim.privileged()
    assert set(signals) == {sensor.name for sensor in sim.robot.sensors}
    for sensor in sim.robot.sensors:
        value = signals[sensor.name]
        assert (value.shape, value.dtype, value.device.type) == ((ENVS, sensor.size), torch.float32, sim.device.type), sensor.name
        low, high = (torch.tensor(side, device=value.device) for side in (sensor.lower, sensor.upper))
        assert ((value >= low) & (value <= high)).all(), sensor.name
        assert torch.equal(value, known[sensor.name])


def test_what_only_simulation_knows_about_legs(walker: Simulator) -> None:
    robot = legs(walker)
    feet, joints = len(robot.feet), len(robot.joints)
    widths = {f"foot_{what}_in_world": 3 * feet for what in ("force", "position", "velocity")} | {"joint_torque": joints}
    flags = {"foot_contact": feet, "diverged": 1} | {f"{part}_contact": len(names) for part, names in robot.parts.items()}
    _expect(walker, widths, flags)


def test_what_only_simulation_knows_about_rotors(flyer: Simulator) -> None:
    _expect(flyer, {"rotor_speeds": 4, "linear_acceleration_base_in_world": 3}, {"ground_contact": 1})


def _expect(sim: Simulator, widths: dict[str, int], flags: dict[str, int]) -> None:
    state = {"position_base_in_world": 3, "linear_velocity_base_in_world": 3}
    now = sim.privileged()
    for name, width in (widths | flags | state).items():
        kind = torch.bool if name in flags else torch.float32
        assert (now[name].shape, now[name].dtype, now[name].device.type) == ((ENVS, width), kind, sim.device.type), name


def test_what_was_read_stays_what_it_was(sim: Simulator) -> None:
    """Roll-outs keep what they are given."""
    kept, copies = sim.privileged(), seen(sim)
    run(sim, varied(sim)[:3])
    assert all(torch.equal(value.cpu(), copies[name]) for name, value in kept.items())


def test_interpreting_raw_readings_gives_the_privileged_ones(sim: Simulator) -> None:
    sim.step(safe(sim))
    known, interpreted = sim.privileged(), sim.interpret(sim.raw())
    assert set(known) == set(interpreted)
    assert all(torch.equal(value, interpreted[name]) for name, value in known.items())
