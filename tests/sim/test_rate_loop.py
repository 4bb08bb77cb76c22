"""The inner loop: its mixer's priorities, the inverse thrust curve, and rates followed in flight."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robots.crazyflie import FAMILY, crazyflie
from robots.description import GRAVITY, Quadrotor
from sim.rate_loop import RateLoop, mix, rate_loop, rotor_speeds
from tests.sim.flights import everywhere, simulator, state

every_preset = pytest.mark.parametrize("robot", FAMILY, ids=lambda robot: robot.name)


def loop(robot: Quadrotor = crazyflie) -> RateLoop:
    return rate_loop(robot, 0.005, torch.device("cpu"), torch.float64)


def mixed(robot: Quadrotor, acceleration: list[float], collective: float) -> np.ndarray:
    column = torch.tensor(acceleration, dtype=torch.float64).unsqueeze(1)
    return mix(loop(robot), column, torch.tensor([[collective]], dtype=torch.float64))[:, 0].numpy()


def torques(robot: Quadrotor, thrust: np.ndarray) -> np.ndarray:
    """Torque of rotor thrusts, by the cross product."""
    arms = np.cross([rotor.position_m for rotor in robot.rotors], [0.0, 0.0, 1.0])
    reaction = [[0.0, 0.0, rotor.spin * robot.torque_per_thrust_m] for rotor in robot.rotors]
    return thrust @ (arms + reaction)


def asked(robot: Quadrotor, acceleration: list[float]) -> np.ndarray:
    return np.array(acceleration) * robot.rate_gain_1_s * robot.inertia_kg_m2


@every_preset
def test_gives_what_is_asked_where_nothing_saturates(robot: Quadrotor) -> None:
    wanted, hover = [0.5, -0.3, 0.2], robot.mass_kg * GRAVITY / 4
    thrust = mixed(robot, wanted, hover)
    np.testing.assert_allclose(torques(robot, thrust), asked(robot, wanted), rtol=1e-9)
    assert thrust.sum() == pytest.approx(4 * hover)


@every_preset
@given(
    acceleration=st.tuples(*[st.floats(-500.0, 500.0)] * 3),
    share=st.floats(0.0, 1.0),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_thrusts_stay_in_range_and_roll_and_pitch_keep_their_direction(
    robot: Quadrotor, acceleration: tuple[float, float, float], share: float
) -> None:
    thrust = mixed(robot, list(acceleration), share * robot.thrust_max_n)
    assert thrust.min() >= robot.thrust_min_n - 1e-9
    assert thrust.max() <= robot.thrust_max_n + 1e-9
    got, wanted = torques(robot, thrust), asked(robot, list(acceleration))
    assert abs(got[0] * wanted[1] - got[1] * wanted[0]) <= 1e-9 * np.linalg.norm(wanted[:2]) * np.linalg.norm(got[:2]) + 1e-18
    assert got[:2] @ wanted[:2] >= 0.0
    assert got[2] * wanted[2] >= -1e-12


@pytest.mark.parametrize("collective", [0.0, crazyflie.thrust_max_n])
def test_attitude_comes_before_thrust(collective: float) -> None:
    """With thrust commanded to either end there is no room left, and thrust gives way."""
    wanted = [3.0, 2.0, 0.0]
    thrust = mixed(crazyflie, wanted, collective)
    np.testing.assert_allclose(torques(crazyflie, thrust), asked(crazyflie, wanted), rtol=1e-9, atol=1e-15)
    assert abs(thrust.mean() - collective) > 1e-3


def test_yaw_comes_last() -> None:
    wanted, collective = [3.0, 0.0, 50.0], crazyflie.mass_kg * GRAVITY / 4
    thrust = mixed(crazyflie, wanted, collective)
    got = torques(crazyflie, thrust)
    np.testing.assert_allclose(got[:2], asked(crazyflie, wanted)[:2], rtol=1e-9, atol=1e-15)
    assert thrust.mean() == pytest.approx(collective)
    assert 0.0 < got[2] < asked(crazyflie, wanted)[2]


@every_preset
def test_inverse_thrust_curve(robot: Quadrotor) -> None:
    c0, c1, c2 = robot.thrust_curve_n
    thrust = torch.linspace(robot.thrust_min_n + 0.01 * robot.thrust_max_n, robot.thrust_max_n, 50, dtype=torch.float64)
    u = rotor_speeds(loop(robot), thrust)
    np.testing.assert_allclose(c0 + c1 * u + c2 * u * u, thrust, rtol=1e-9)
    assert float(u.min()) > 0.0
    assert float(u.max()) == pytest.approx(1.0)


@every_preset
def test_inverse_thrust_curve_at_rest(robot: Quadrotor) -> None:
    """No thrust is the smallest speed that gives none, or standstill, with a finite slope."""
    thrust = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    u = rotor_speeds(loop(robot), thrust)
    c0, c1, c2 = robot.thrust_curve_n
    rest = float(u.detach())
    assert c0 + c1 * rest + c2 * rest**2 == pytest.approx(max(c0, 0.0), abs=1e-9)
    u.sum().backward()
    assert thrust.grad is not None
    assert thrust.grad.isfinite().all()


def response(robot: Quadrotor, rates: list[float], seconds: float, parameters: dict[str, Tensor] | None = None) -> np.ndarray:
    """Body rates ``[steps, 3]`` after a step in commanded rates from hover."""
    sim = simulator(robot)
    sim.randomize(torch.ones(1, dtype=torch.bool), parameters or {})
    everywhere(sim, position_base_in_world=[0, 0, 100])
    flown = []
    for _ in range(round(seconds / sim.control_dt)):
        sim.step(torch.tensor([[robot.mass_kg * GRAVITY, *rates]], dtype=torch.float64))
        flown.append(state(sim, "angular_velocity_base_in_base"))
    return np.array(flown)


@every_preset
@pytest.mark.parametrize("axis", range(3))
def test_a_rate_is_reached_soon_and_without_ringing(robot: Quadrotor, axis: int) -> None:
    rates = [0.0, 0.0, 0.0]
    rates[axis] = 1.0
    flown = response(robot, rates, 2.0)
    reached = np.argmax(flown[:, axis] > 0.9) * 0.01
    assert 0.0 < reached < 0.6
    assert flown[:, axis].max() < 1.5
    np.testing.assert_allclose(flown[-1], rates, atol=0.05)
    np.testing.assert_allclose(np.delete(flown, axis, 1), 0.0, atol=0.05)


def test_the_integral_removes_what_an_offset_centre_of_mass_does() -> None:
    offset = {"centre_of_mass": torch.tensor([[0.003, -0.003, 0.0]], dtype=torch.float64)}
    flown = response(crazyflie, [0.0, 0.0, 0.0], 2.0, offset)
    assert np.abs(flown).max() > 0.5
    np.testing.assert_allclose(flown[-1], 0.0, atol=0.02)


def test_the_integral_is_bounded() -> None:
    """Held upright by torque it cannot overcome, it stops at its limit instead of winding up."""
    sim = simulator(crazyflie)
    everywhere(sim, position_base_in_world=[0, 0, 100])
    sim.apply_wrench(torch.zeros(1, 3), torch.tensor([[0.01, 0.0, 0.0]]))
    for _ in range(50):
        sim.step(torch.tensor([[crazyflie.mass_kg * GRAVITY, 0.0, 0.0, 0.0]], dtype=torch.float64))
    assert np.abs(state(sim, "rate_integral")).max() == pytest.approx(crazyflie.rate_integral_limit_rad_s)
