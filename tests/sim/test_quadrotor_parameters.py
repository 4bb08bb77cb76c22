"""Each parameter changes what it names, only where it is masked, and goes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from robots.crazyflie import crazyflie
from robots.description import GRAVITY
from sim.quadrotor import QuadrotorSimulator
from sim.quadrotor_constants import PARAMETER_WIDTHS
from tests.sim.flights import CHANGES, everywhere

MASK = torch.tensor([True, False])
HOVER = crazyflie.mass_kg * GRAVITY / 4


def given(name: str) -> dict[str, Tensor]:
    return {name: torch.tensor([CHANGES[name]], dtype=torch.float64).expand(2, -1)}


def flight(sim: QuadrotorSimulator, seconds: float = 0.1, thrust: float = HOVER) -> np.ndarray:
    """Velocity and body rate ``[2, 6]`` after an asymmetric step in thrust, away from hover, moving forwards."""
    everywhere(sim, position_base_in_world=[0, 0, 20], linear_velocity_base_in_world=[1, 0, 0])
    for _ in range(round(seconds / sim.control_dt)):
        sim.step(thrust * torch.tensor([[1.2, 1.1, 1.05, 1.0]], dtype=torch.float64).expand(2, -1))
    signals = sim.signals()
    return torch.cat((signals["linear_velocity_base_in_world"], signals["angular_velocity_base_in_base"]), dim=1).numpy()


def engine() -> QuadrotorSimulator:
    return QuadrotorSimulator(crazyflie, 2, actuation_mode="rotor_thrusts", dtype=torch.float64)


def test_every_parameter_is_tested() -> None:
    assert set(CHANGES) == set(PARAMETER_WIDTHS) == set(engine().parameters())


@pytest.mark.parametrize("name", CHANGES)
def test_changes_the_flight_only_where_masked_and_goes_back(name: str) -> None:
    sim, thrust = engine(), HOVER * (1.5 if name.startswith("battery") else 1.0)  # only hard flight feels a battery
    nominal, before = sim.parameters(), flight(sim, thrust=thrust)
    sim.randomize(MASK, given(name))
    assert sim.parameters()[name][0].tolist() == CHANGES[name]
    assert torch.equal(sim.parameters()[name][1], nominal[name][1])
    for other, value in sim.parameters().items():
        assert other == name or torch.equal(value, nominal[other])
    after = flight(sim, thrust=thrust)
    assert np.abs(after[0] - before[0]).max() > 1e-3
    np.testing.assert_allclose(after[1], before[1], atol=1e-12)
    sim.randomize(MASK, {name: nominal[name]})
    np.testing.assert_allclose(flight(sim, thrust=thrust), before, atol=1e-12)


def acceleration(sim: QuadrotorSimulator) -> tuple[np.ndarray, np.ndarray]:
    """Mean linear and angular acceleration over 1 ms at thrusts that differ between rotors, motors already there; ``[2, 3]`` each."""
    thrust = HOVER * torch.tensor([1.2, 1.1, 1.05, 1.0], dtype=torch.float64)
    everywhere(sim, position_base_in_world=[0, 0, 20], rotor_speeds=(thrust / crazyflie.thrust_max_n).sqrt().tolist())
    sim.step(thrust.expand(2, -1))
    signals = sim.signals()
    return signals["linear_velocity_base_in_world"].numpy() / 1e-3, signals["angular_velocity_base_in_base"].numpy() / 1e-3


def short_step() -> QuadrotorSimulator:
    return QuadrotorSimulator(crazyflie, 2, actuation_mode="rotor_thrusts", control_dt=1e-3, physics_dt=1e-3, dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.85, 1.15])
def test_mass_and_thrust_scale_the_specific_force(scale: float) -> None:
    for parameters, factor in (
        ({"mass": torch.full((2, 1), crazyflie.mass_kg * scale)}, 1.0 / scale),
        ({"thrust_scale": torch.full((2, 1), scale)}, scale),
        ({"thrust_scale": torch.full((2, 4), scale)}, scale),
    ):
        sim = short_step()
        sim.randomize(MASK, parameters)
        linear, _ = acceleration(sim)
        np.testing.assert_allclose((linear[0, 2] + GRAVITY) / (linear[1, 2] + GRAVITY), factor, rtol=1e-4)


@pytest.mark.parametrize("scale", [0.85, 1.15])
def test_inertia_divides_and_torque_scale_multiplies_angular_acceleration(scale: float) -> None:
    sim = short_step()
    sim.randomize(MASK, {"inertia": scale * torch.tensor([crazyflie.inertia_kg_m2]).expand(2, -1)})
    _, angular = acceleration(sim)
    np.testing.assert_allclose(angular[0] * scale, angular[1], rtol=1e-3)
    sim = short_step()
    sim.randomize(MASK, {"torque_scale": torch.full((2, 1), scale)})
    _, angular = acceleration(sim)
    np.testing.assert_allclose(angular[0], angular[1] * [1.0, 1.0, scale], rtol=1e-3)


def test_centre_of_mass_turns_lift_into_torque() -> None:
    """τ = −c × F ẑ."""
    sim = short_step()
    sim.randomize(MASK, {"centre_of_mass": torch.tensor([[0.003, -0.002, 0.0]]).expand(2, -1)})
    _, angular = acceleration(sim)
    total = HOVER * 4.35
    torque = (angular[0] - angular[1]) * np.array(crazyflie.inertia_kg_m2)
    np.testing.assert_allclose(torque, [0.002 * total, 0.003 * total, 0.0], rtol=1e-3, atol=1e-9)


def test_one_rotor_can_be_weak() -> None:
    sim = short_step()
    sim.randomize(MASK, {"thrust_scale": torch.tensor([[1.0, 1.0, 0.85, 1.0]]).expand(2, -1)})
    linear, angular = acceleration(sim)
    missing = 0.15 * 1.05 * HOVER
    np.testing.assert_allclose(linear[1, 2] - linear[0, 2], missing / crazyflie.mass_kg, rtol=1e-3)
    x, y, _ = crazyflie.rotors[2].position_m
    np.testing.assert_allclose((angular[1] - angular[0])[:2] * crazyflie.inertia_kg_m2[:2], [y * missing, -x * missing], rtol=2e-3)


def test_motor_time_scale_stretches_the_response() -> None:
    sim = engine()
    sim.randomize(MASK, {"motor_time_scale": torch.full((2, 1), 1.5)})
    everywhere(sim, position_base_in_world=[0, 0, 20], rotor_speeds=[0.2] * 4)
    for _ in range(3):
        sim.step(torch.full((2, 4), crazyflie.thrust_max_n * 0.64, dtype=torch.float64))
    left = (0.8 - sim.privileged()["rotor_speeds"][:, 0]) / 0.6
    np.testing.assert_allclose(left, np.exp(-0.03 / (crazyflie.motor_rise_s * np.array([1.5, 1.0]))), rtol=1e-9)
