"""The quadrotor engine against MuJoCo's RK4 at 0.25 ms: within 1 mm after 1 s of random thrust, at the step training uses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from benchmarks.integrator import engine_flight, random_thrusts, reference_flight, starts
from robots.crazyflie import FAMILY, crazyflie
from robots.description import Quadrotor
from sim.quadrotor import QuadrotorSimulator

SEEDS = 3
GATE_M = 1e-3


@pytest.mark.parametrize("robot", FAMILY, ids=lambda robot: robot.name)
def test_random_thrust_for_a_second(robot: Quadrotor) -> None:
    thrusts = np.stack([random_thrusts(robot, seed) for seed in range(SEEDS)])
    speed, velocity, rate = starts(SEEDS)
    reference = np.stack([reference_flight(robot, *flight) for flight in zip(thrusts, speed, velocity, rate, strict=True)], axis=1)
    default = QuadrotorSimulator(robot, 1).physics_dt
    for physics_dt in {default, 0.01}:
        flown = engine_flight(robot, thrusts, speed, velocity, rate, physics_dt)
        assert np.linalg.norm(reference[-1] - reference[0], axis=1).min() > 0.5, "flights that go nowhere prove nothing"
        assert np.linalg.norm(flown - reference, axis=2).max() < 0.2 * GATE_M, f"at {physics_dt} s"


def test_error_falls_with_the_fourth_power_of_the_step() -> None:
    """In double precision, and with steps long enough to see it."""
    thrusts = np.full((1, 100, 4), crazyflie.thrust_max_n * 0.5) * np.array([1.0, 1.02, 1.01, 0.99])
    speed, velocity, rate = (start[:1] for start in starts(1))
    reference = engine_flight(crazyflie, thrusts, speed, velocity, 3.0 * rate, 0.01 / 16, torch.float64)
    errors = [
        np.abs(engine_flight(crazyflie, thrusts, speed, velocity, 3.0 * rate, 0.01 / n, torch.float64)[-1] - reference[-1]).max()
        for n in (1, 2)
    ]
    assert 12.0 < errors[0] / errors[1] < 20.0


def test_offset_centre_of_mass_and_external_wrench() -> None:
    robot = dataclasses.replace(crazyflie, body_drag_n_s_m=(0.0, 0.0, 0.0))
    offset, force = (0.002, -0.0015, 0.001), (0.02, -0.03, 0.01)
    thrusts = random_thrusts(robot, 3)[:50]
    speed, velocity, rate = (start[0] for start in starts(1))
    reference = reference_flight(robot, thrusts, speed, velocity, rate, offset, (*force, 0.0, 0.0, 0.0))
    sim = QuadrotorSimulator(robot, 1, actuation_mode="rotor_thrusts", dtype=torch.float64)
    everyone = torch.ones(1, dtype=torch.bool)
    sim.randomize(everyone, {"centre_of_mass": torch.tensor([offset], dtype=torch.float64)})
    sim.apply_wrench(torch.tensor([force], dtype=torch.float64), torch.zeros(1, 3))
    start = {
        "position_base_in_world": torch.tensor([[0.0, 0.0, 10.0]]),
        "rotor_speeds": torch.as_tensor(speed)[None],
        "linear_velocity_base_in_world": torch.as_tensor(velocity)[None],
        "angular_velocity_base_in_base": torch.as_tensor(rate)[None],
    }
    sim.reset(everyone, start)
    for thrust in thrusts:
        sim.step(torch.as_tensor(thrust)[None])
    flown = sim.signals()["position_base_in_world"][0].numpy() - [0.0, 0.0, 10.0]
    np.testing.assert_allclose(flown, reference[-1], atol=1e-4)
