"""The quadrotor engine against solutions on paper, at the step that training uses."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from robots.crazyflie import FAMILY, crazyflie, crazyflie_l2f
from robots.description import GRAVITY, Quadrotor
from sim.quadrotor import QuadrotorSimulator
from tests.sim.flights import everywhere, simulator, state

VACUUM = dataclasses.replace(crazyflie, body_drag_n_s_m=(0.0, 0.0, 0.0), rotor_inertia_kg_m2=0.0)


def fly(sim: QuadrotorSimulator, seconds: float, actuation: list[float]) -> None:
    held = torch.tensor([actuation], dtype=sim.dtype).expand(sim.num_envs, -1)
    for _ in range(round(seconds / sim.control_dt)):
        sim.step(held)


def test_free_fall() -> None:
    sim = simulator(VACUUM, "rotor_thrusts")
    everywhere(sim, position_base_in_world=[0, 0, 50], linear_velocity_base_in_world=[1, -2, 3], rotor_speeds=[0, 0, 0, 0])
    fly(sim, 1.0, [0.0] * 4)
    np.testing.assert_allclose(state(sim, "position_base_in_world"), [1.0, -2.0, 53.0 - GRAVITY / 2], atol=1e-9)
    np.testing.assert_allclose(state(sim, "linear_velocity_base_in_world"), [1.0, -2.0, 3.0 - GRAVITY], atol=1e-9)


def test_fall_with_linear_drag_approaches_terminal_speed() -> None:
    robot = dataclasses.replace(VACUUM, body_drag_n_s_m=(0.05, 0.05, 0.05))
    sim = simulator(robot, "rotor_thrusts")
    everywhere(sim, position_base_in_world=[0, 0, 50], rotor_speeds=[0, 0, 0, 0])
    fly(sim, 1.0, [0.0] * 4)
    tau = robot.mass_kg / 0.05
    np.testing.assert_allclose(state(sim, "linear_velocity_base_in_world")[2], -GRAVITY * tau * (1.0 - math.exp(-1.0 / tau)), rtol=1e-7)


def test_drag_is_relative_to_the_wind() -> None:
    """Without weight (the rotors carry it) a robot drifts to the wind's speed as 1 − e^(−t d/m)."""
    robot = dataclasses.replace(VACUUM, body_drag_n_s_m=(0.05, 0.05, 0.05))
    sim = simulator(robot, "rotor_thrusts")
    sim.randomize(torch.ones(1, dtype=torch.bool), {"wind": torch.tensor([[3.0, -1.0, 0.0]])})
    everywhere(sim, position_base_in_world=[0, 0, 50])
    fly(sim, 1.0, [robot.mass_kg * GRAVITY / 4] * 4)
    approach = 1.0 - math.exp(-0.05 / robot.mass_kg)
    np.testing.assert_allclose(state(sim, "linear_velocity_base_in_world"), [3.0 * approach, -approach, 0.0], atol=1e-6)


def test_rotor_drag_grows_with_summed_rotor_speed() -> None:
    robot = dataclasses.replace(VACUUM, rotor_drag_kg=(2e-6, 2e-6, 2e-6))
    sim = simulator(robot, "rotor_thrusts")
    everywhere(sim, position_base_in_world=[0, 0, 50], linear_velocity_base_in_world=[2, 0, 0])
    fly(sim, 0.5, [robot.mass_kg * GRAVITY / 4] * 4)
    hover = 4 * robot.rotor_speed_max_rad_s * math.sqrt(1.0 / robot.thrust_to_weight)
    np.testing.assert_allclose(
        state(sim, "linear_velocity_base_in_world")[0], 2.0 * math.exp(-0.5 * 2e-6 * hover / robot.mass_kg), rtol=1e-6
    )


@pytest.mark.parametrize("axis", range(3))
def test_spin_about_a_principal_axis(axis: int) -> None:
    """Constant rate: the attitude is the rotation by ω t, to RK4's (ω dt)⁴ ω t / 1920."""
    sim = simulator(VACUUM, "rotor_thrusts")
    rate = [0.0, 0.0, 0.0]
    rate[axis] = 10.0
    everywhere(sim, position_base_in_world=[0, 0, 50], angular_velocity_base_in_base=rate, rotor_speeds=[0, 0, 0, 0])
    fly(sim, 1.0, [0.0] * 4)
    expected = np.zeros(4)
    expected[0], expected[1 + axis] = math.cos(5.0), math.sin(5.0)
    np.testing.assert_allclose(state(sim, "orientation_base_in_world"), expected, atol=1e-6)
    np.testing.assert_allclose(state(sim, "angular_velocity_base_in_base"), rate, atol=1e-12)


def test_tumbling_keeps_energy_and_angular_momentum() -> None:
    sim = simulator(VACUUM, "rotor_thrusts")
    everywhere(sim, position_base_in_world=[0, 0, 50], angular_velocity_base_in_base=[8, 0.5, 6], rotor_speeds=[0, 0, 0, 0])
    inertia = np.array(VACUUM.inertia_kg_m2)

    def conserved() -> np.ndarray:
        w, x, y, z = state(sim, "orientation_base_in_world")
        rate = state(sim, "angular_velocity_base_in_base")
        matrix = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        return np.array([0.5 * rate @ (inertia * rate), *matrix @ (inertia * rate)])

    start = conserved()
    fly(sim, 2.0, [0.0] * 4)
    np.testing.assert_allclose(conserved(), start, rtol=1e-6, atol=1e-6 * start[1:].max())


@pytest.mark.parametrize("robot", FAMILY, ids=lambda robot: robot.name)
@pytest.mark.parametrize("mode", ["ctbr", "rotor_thrusts"])
def test_hover_trim_stands_still(robot: Quadrotor, mode: str) -> None:
    """The safe actuation of a quadrotor is hover: after 2 s it has not moved."""
    sim = simulator(robot, mode)
    everywhere(sim, position_base_in_world=[1, 2, 30])
    fly(sim, 2.0, [value for signal in robot.actuation(mode) for value in signal.safe])
    np.testing.assert_allclose(state(sim, "position_base_in_world"), [1, 2, 30], atol=1e-9)
    np.testing.assert_allclose(state(sim, "linear_acceleration_base_in_world"), 0.0, atol=1e-9)


def test_hover_trim_in_single_precision() -> None:
    sim = QuadrotorSimulator(crazyflie, 1)
    everywhere(sim, position_base_in_world=[0, 0, 6])
    fly(sim, 2.0, [crazyflie.mass_kg * GRAVITY, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(state(sim, "position_base_in_world"), [0, 0, 6], atol=1e-4)


def test_motors_rise_and_fall_exponentially_each_at_its_own_pace() -> None:
    sim = simulator(crazyflie_l2f, "rotor_thrusts")
    c0, c1, c2 = crazyflie_l2f.thrust_curve_n
    low, high, seconds = 0.3, 0.9, 0.05
    everywhere(sim, position_base_in_world=[0, 0, 50], rotor_speeds=[low, high, low, high])
    command = [c0 + c1 * u + c2 * u * u for u in (high, low, high, low)]
    fly(sim, seconds, command)
    rising = high - (high - low) * math.exp(-seconds / crazyflie_l2f.motor_rise_s)
    falling = low + (high - low) * math.exp(-seconds / crazyflie_l2f.motor_fall_s)
    np.testing.assert_allclose(state(sim, "rotor_speeds"), [rising, falling, rising, falling], rtol=1e-12)


def test_rotor_momentum_reacts_on_yaw() -> None:
    """Speeding up a pair of rotors conserves angular momentum about z: J Δω = J_r Σ s ΔΩ, when they make no torque (κ ≈ 0)."""
    robot = dataclasses.replace(crazyflie, torque_per_thrust_m=1e-9)
    sim = simulator(robot, "rotor_thrusts")
    everywhere(sim, position_base_in_world=[0, 0, 50], rotor_speeds=[0.5] * 4)
    high, low = robot.thrust_curve_n[2] * 0.49, robot.thrust_curve_n[2] * 0.25
    fly(sim, 0.5, [low, high, low, high])
    after = state(sim, "rotor_speeds")
    spin = np.array([rotor.spin for rotor in robot.rotors])
    change = robot.rotor_inertia_kg_m2 * robot.rotor_speed_max_rad_s * (spin * (after - 0.5)).sum()
    np.testing.assert_allclose(state(sim, "angular_velocity_base_in_base")[2], change / robot.inertia_kg_m2[2], rtol=1e-5)


def test_external_wrench_accelerates_as_newton_and_euler_say() -> None:
    sim = simulator(VACUUM, "rotor_thrusts")
    everywhere(sim, position_base_in_world=[0, 0, 50], rotor_speeds=[0, 0, 0, 0])
    force, torque = torch.tensor([[0.1, 0.2, 0.3]]), torch.tensor([[0.0, 2e-5, 0.0]])
    sim.apply_wrench(force, torque)
    fly(sim, 0.5, [0.0] * 4)
    gravity = np.array([0.0, 0.0, -GRAVITY])
    np.testing.assert_allclose(state(sim, "linear_velocity_base_in_world"), 0.5 * (force.numpy()[0] / VACUUM.mass_kg + gravity), rtol=1e-6)
    np.testing.assert_allclose(state(sim, "angular_velocity_base_in_base"), [0.0, 0.5 * 2e-5 / VACUUM.inertia_kg_m2[1], 0.0], rtol=1e-6)


def test_base_moves_about_an_offset_centre_of_mass() -> None:
    """Spinning freely about z, a base 3 mm from the centre of mass circles it."""
    sim = simulator(VACUUM, "rotor_thrusts")
    sim.randomize(torch.ones(1, dtype=torch.bool), {"centre_of_mass": torch.tensor([[0.003, 0.0, 0.0]], dtype=torch.float64)})
    spin = 2.0 * math.pi
    everywhere(sim, position_base_in_world=[0, 0, 50], angular_velocity_base_in_base=[0, 0, spin], rotor_speeds=[0, 0, 0, 0])
    np.testing.assert_allclose(state(sim, "position_base_in_world"), [0, 0, 50], atol=1e-12)
    np.testing.assert_allclose(state(sim, "linear_velocity_base_in_world"), 0.0, atol=1e-12)
    fly(sim, 0.5, [0.0] * 4)  # the centre of mass moves at ω c; half a turn later the base is on its other side, moving at 2 ω c
    drift = spin * 0.003 * 0.5
    np.testing.assert_allclose(state(sim, "position_base_in_world"), [0.006, drift, 50 - GRAVITY / 8], atol=1e-7)
    np.testing.assert_allclose(state(sim, "linear_velocity_base_in_world"), [0.0, 2 * spin * 0.003, -GRAVITY / 2], atol=1e-6)


def test_quaternions_stay_unit_over_a_long_tumble() -> None:
    sim = QuadrotorSimulator(crazyflie, 1, actuation_mode="rotor_thrusts")
    everywhere(sim, position_base_in_world=[0, 0, 500], angular_velocity_base_in_base=[20, 15, 10], rotor_speeds=[0, 0, 0, 0])
    fly(sim, 5.0, [0.0] * 4)
    assert abs(np.linalg.norm(state(sim, "orientation_base_in_world")) - 1.0) < 1e-6
