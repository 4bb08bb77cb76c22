"""The ground: it carries, it slows, it lifts a little from close by, and it is not there from above its reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robots.crazyflie import FAMILY, crazyflie
from robots.description import GRAVITY, Quadrotor
from sim.ground import EFFECT, EFFECT_FLOOR_M, PROPELLER_RADIUS_M, REACH_M, STIFFNESS_1_S2, contact, ground_effect
from sim.quadrotor import QuadrotorSimulator
from tests.sim.flights import everywhere, simulator, state

HUBS = torch.tensor([rotor.position_m for rotor in crazyflie.rotors], dtype=torch.float64).t().unsqueeze(-1)
LEVEL = torch.eye(3, dtype=torch.float64).unsqueeze(-1)


def effect(heights: list[float], matrix: torch.Tensor = LEVEL) -> np.ndarray:
    position = torch.zeros(3, len(heights), dtype=torch.float64)
    position[2] = torch.tensor(heights)
    return ground_effect(position, matrix.expand(3, 3, len(heights)), HUBS).numpy()


def test_ground_effect_follows_the_published_law_between_floor_and_reach() -> None:
    heights = np.array([0.1, 0.15, 0.2])
    law = EFFECT * (PROPELLER_RADIUS_M / (4 * heights)) ** 2
    np.testing.assert_allclose(effect(list(heights)), [law] * 4, rtol=0.1)


def test_ground_effect_is_smooth_bounded_and_gone_above_its_reach() -> None:
    heights = list(np.linspace(0.0, REACH_M, 400))
    extra = effect(heights)[0]
    assert (np.diff(extra) <= 0.0).all()
    assert extra[0] <= EFFECT * (PROPELLER_RADIUS_M / (4 * EFFECT_FLOOR_M)) ** 2 + 1e-12
    assert (effect([REACH_M, REACH_M + 0.001, 50.0]) == 0.0).all()
    upside_down = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)).unsqueeze(-1)
    assert (effect([0.1], upside_down) == 0.0).all()


def test_contact_never_pulls_and_is_nothing_in_the_air() -> None:
    position, mass = torch.tensor([[0.0], [0.0], [0.01]], dtype=torch.float64), torch.full((1, 1), 0.028, dtype=torch.float64)
    leaving, still = torch.tensor([[0.0], [0.0], [5.0]], dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)
    for velocity in (leaving, still):
        force, _ = contact(position, velocity, still, LEVEL, HUBS, 0.02, mass)
        assert force[2] >= 0.0
    force, torque = contact(position + 1.0, still, still, LEVEL, HUBS, 0.02, mass)
    assert not force.any()
    assert not torque.any()


@pytest.mark.parametrize("robot", FAMILY, ids=lambda robot: robot.name)
def test_a_dropped_robot_comes_to_rest_on_its_feet(robot: Quadrotor) -> None:
    sim = QuadrotorSimulator(robot, 1, actuation_mode="rotor_thrusts")
    everywhere(sim, position_base_in_world=[0, 0, 0.5], linear_velocity_base_in_world=[0.3, 0, 0], rotor_speeds=[0, 0, 0, 0])
    lowest = 1.0
    for _ in range(400):
        sim.step(torch.zeros(1, 4))
        lowest = min(lowest, state(sim, "position_base_in_world")[2])
    assert lowest > -0.05
    expected = robot.contact_radius_m - (GRAVITY - 4 * robot.thrust_min_n / robot.mass_kg) / STIFFNESS_1_S2
    assert state(sim, "position_base_in_world")[2] == pytest.approx(expected, abs=5e-4)
    np.testing.assert_allclose(state(sim, "linear_velocity_base_in_world"), 0.0, atol=0.01)
    np.testing.assert_allclose(np.abs(state(sim, "orientation_base_in_world")[0]), 1.0, atol=1e-3)
    assert state(sim, "ground_contact")[0] == 1.0


def test_crashes_at_any_attitude_come_to_rest() -> None:
    sim = QuadrotorSimulator(crazyflie, 64)
    random = torch.Generator().manual_seed(0)
    start = {
        "position_base_in_world": torch.rand(64, 3, generator=random),
        "orientation_base_in_world": torch.randn(64, 4, generator=random),
        "linear_velocity_base_in_world": 6.0 * torch.randn(64, 3, generator=random),
        "angular_velocity_base_in_base": 10.0 * torch.randn(64, 3, generator=random),
    }
    sim.reset(torch.ones(64, dtype=torch.bool), start)
    for _ in range(400):
        sim.step(torch.tensor([[0.0, 0.0, 0.0, 0.0]]).expand(64, -1))
    for value in sim.privileged().values():
        assert value.isfinite().all()
    assert (sim.signals()["position_base_in_world"][:, 2] > -0.05).all()
    assert (sim.signals()["linear_velocity_base_in_world"].norm(dim=1) < 0.1).all()


def test_contact_is_reported_only_where_it_is() -> None:
    sim = QuadrotorSimulator(crazyflie, 3)
    heights = torch.tensor([[0.0, 0.0, 0.019], [0.0, 0.0, 0.03], [0.0, 0.0, 6.0]])
    sim.reset(torch.ones(3, dtype=torch.bool), {"position_base_in_world": heights})
    contacts = sim.privileged()["ground_contact"]
    assert contacts.dtype == torch.bool
    assert contacts.flatten().tolist() == [True, False, False]


def test_skipping_the_ground_high_up_changes_nothing() -> None:
    """The engine leaves the ground out while everyone is high; with one robot low it is in for all, and the others must not notice."""
    high = simulator(crazyflie)
    both = simulator(crazyflie, num_envs=2)
    both.reset(torch.ones(2, dtype=torch.bool), {"position_base_in_world": torch.tensor([[0.0, 0.0, 5.0], [0.0, 0.0, 0.3]])})
    everywhere(high, position_base_in_world=[0, 0, 5])
    for _ in range(20):
        high.step(torch.tensor([[0.25, 0.3, -0.2, 0.1]], dtype=torch.float64))
        both.step(torch.tensor([[0.25, 0.3, -0.2, 0.1]], dtype=torch.float64).expand(2, -1))
    for name, value in high.privileged().items():
        np.testing.assert_allclose(value[0], both.privileged()[name][0], rtol=1e-12, atol=1e-12)


def test_a_crash_stays_finite_and_comes_to_rest() -> None:
    """Falls at 14 m/s, in any attitude, tumbling: faster than the envelope allows."""
    flights, generator = 256, torch.Generator().manual_seed(0)
    sim = QuadrotorSimulator(crazyflie, flights, actuation_mode="rotor_thrusts")
    start = {
        "position_base_in_world": torch.tensor([[0.0, 0.0, 0.3]]).repeat(flights, 1),
        "orientation_base_in_world": torch.randn(flights, 4, generator=generator),
        "linear_velocity_base_in_world": torch.tensor([[2.0, 0.0, -14.0]]).repeat(flights, 1),
        "angular_velocity_base_in_base": 5.0 * torch.randn(flights, 3, generator=generator),
    }
    sim.reset(torch.ones(flights, dtype=torch.bool), start)
    for _ in range(300):
        sim.step(torch.zeros(flights, 4))
    heights = sim.signals()["position_base_in_world"][:, 2]
    assert heights.isfinite().all()
    assert heights.max() < 0.1
