"""The battery against solutions on paper and Bitcraze's stand, and what it does to a flight."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from robots.crazyflie import BATTERY, crazyflie, crazyflie_bare, crazyflie_brushless
from robots.description import GRAVITY, Battery, Quadrotor
from robots.errors import TetherError
from sim.battery import Supply, ceiling, drawn, supplied, supply, voltage
from sim.quadrotor import QuadrotorSimulator
from tests.sim.flights import everywhere, simulator, state

DT = 0.005
HOVER = crazyflie.mass_kg * GRAVITY / 4
EVERYONE = torch.ones(1, dtype=torch.bool)


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def nominal(battery: Battery = BATTERY, speed_max: float = 1.0) -> Supply:
    """With rotor speeds in rad/s unless ``speed_max`` says otherwise."""
    return supply(battery, speed_max, DT, column(1.0))


def powered(
    charge: float = 1.0, mode: str = "rotor_thrusts", num_envs: int = 1, robot: Quadrotor = crazyflie, resistance_scale: float = 1.0
) -> QuadrotorSimulator:
    sim = simulator(robot, mode, num_envs)
    given = {"battery_charge": charge, "battery_resistance_scale": resistance_scale}
    parameters = {name: torch.full((num_envs, 1), value, dtype=torch.float64) for name, value in given.items()}
    sim.randomize(torch.ones(num_envs, dtype=torch.bool), parameters)
    return sim


# rpm, duty, V, A: Bitcraze, PWM to Thrust, 2015, from the duty of hover up
STAND = np.array(
    [
        [15924, 0.5000, 3.71, 1.83],
        [17174, 0.5625, 3.67, 2.11],
        [18179, 0.6250, 3.65, 2.39],
        [19397, 0.6875, 3.62, 2.71],
        [20539, 0.7500, 3.56, 3.06],
        [21692, 0.8125, 3.48, 3.46],
        [22598, 0.8750, 3.40, 3.88],
        [23882, 0.9375, 3.30, 4.44],
    ]
)


def test_power_and_reach_are_those_measured_on_the_stand() -> None:
    speed, (_, duty, volts, amps) = torch.tensor(STAND[:, 0] * 2.0 * np.pi / 60.0), STAND.T
    b = nominal()
    np.testing.assert_allclose(drawn(b, speed.expand(4, -1))[0], volts * amps, rtol=0.021)
    np.testing.assert_allclose(ceiling(b, torch.tensor(duty * volts).unsqueeze(0))[0], speed, rtol=0.03)


def test_voltage_falls_on_the_stand_by_what_the_current_drops() -> None:
    """From 1.83 to 4.44 A by 0.41 V, of which the charge used in seven steps of 4 s explains a part."""
    b, speed = nominal(), torch.tensor(STAND[[0, -1], 0] * 2.0 * np.pi / 60.0)
    used = 4.0 * STAND[:-1, 3].sum() / (3600.0 * BATTERY.capacity_ah)
    volts = voltage(b, torch.tensor([[0.8, 0.8 - used]]), drawn(b, speed.expand(4, -1)))[0]
    assert float(volts[0] - volts[1]) == pytest.approx(3.71 - 3.30, abs=0.04)


def test_voltage_and_current_satisfy_ohm_and_the_load() -> None:
    b, charge, power = nominal(), column(0.6), column(9.0)
    volts = voltage(b, charge, power)
    base, rise, drop = BATTERY.open_circuit_v
    source = base + rise * 0.6 - drop * np.exp(-0.6 / BATTERY.empty_share)
    assert float(volts) == pytest.approx(source - BATTERY.resistance_ohm * 9.0 / float(volts), rel=1e-12)


def test_voltage_under_a_constant_load_is_the_solution() -> None:
    """With E = e₀ + e₁ z, constant power gives V²/2 − R P ln V = const − e₁ P t/Q, from V = E − R P/V and ż = −P/(Q V)."""
    linear = dataclasses.replace(BATTERY, open_circuit_v=(3.746, 0.373, 0.0))
    b, speed, charge = nominal(linear), column(1800.0, 1800.0, 1800.0, 1800.0), column(1.0)
    power = drawn(b, speed)

    def invariant(charge: Tensor) -> float:
        volts = float(voltage(b, charge, power))
        return volts**2 / 2.0 - BATTERY.resistance_ohm * float(power) * np.log(volts)

    before, seconds = invariant(charge), 60.0
    for _ in range(round(seconds / DT)):
        _, charge = supplied(b, charge, speed, speed)
    used = 0.373 * float(power) * seconds / (3600.0 * BATTERY.capacity_ah)
    assert before - invariant(charge) == pytest.approx(used, rel=1e-4)
    assert 0.7 < float(charge) < 0.9


def test_a_winding_without_resistance_reaches_speed_in_proportion_to_voltage() -> None:
    b = nominal(dataclasses.replace(BATTERY, rotor_voltage=(1e-3, 0.0)))
    np.testing.assert_allclose(ceiling(b, column(3.0, 1.5)), column(3000.0, 1500.0))


@pytest.mark.parametrize("charge", [0.0, 1e-4, 0.5, 1.0])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_everything_is_finite_whatever_is_asked(charge: float, scale: float) -> None:
    """An overloaded pack, an empty one and a rotor at rest, with gradients."""
    leaves = [column(charge), column(scale), column(0.0, 1.0, 1.0, 1.0), column(0.0, 0.5, 1.0, 1.0)]
    for leaf in leaves:
        leaf.requires_grad_()
    b = supply(BATTERY, crazyflie.rotor_speed_max_rad_s, DT, leaves[1])
    command, after = supplied(b, leaves[0], leaves[2], leaves[3])
    assert 0.0 <= after.item() <= charge
    assert bool((command >= 0.0).all())
    (command.sum() + after.sum()).backward()
    assert all(leaf.grad is not None and bool(leaf.grad.isfinite().all()) for leaf in leaves)


def test_gradients() -> None:
    def both(charge: Tensor, scale: Tensor, speed: Tensor, command: Tensor) -> tuple[Tensor, Tensor]:
        return supplied(supply(BATTERY, crazyflie.rotor_speed_max_rad_s, 1.0, scale), charge, speed, command)

    leaves = [column(0.3), column(1.2), column(0.6, 0.7, 0.8, 0.9), column(0.99, 0.5, 0.99, 0.2)]
    assert torch.autograd.gradcheck(both, [leaf.requires_grad_() for leaf in leaves], eps=1e-6, atol=1e-8, rtol=1e-6)


# --- in the engine ---


def hardest(sim: QuadrotorSimulator, seconds: float) -> None:
    for _ in range(round(seconds / sim.control_dt)):
        sim.step(torch.full((sim.num_envs, 4), sim.robot.thrust_max_n))


def test_the_thrust_ceiling_falls_with_charge() -> None:
    """Held at full thrust, rotors settle where the voltage under that load just reaches; Förster's u = 1 is beyond any charge."""
    reached = []
    for charge in (1.0, 0.6, 0.2, 0.0):
        sim = powered(charge, robot=crazyflie_bare)
        everywhere(sim, position_base_in_world=[0, 0, 100])
        hardest(sim, 1.0)
        u, volts = state(sim, "rotor_speeds")[0], state(sim, "battery_voltage")[0]
        limit = ceiling(nominal(speed_max=crazyflie_bare.rotor_speed_max_rad_s), column(volts))
        assert u == pytest.approx(float(limit), abs=1e-3)
        reached.append(u)
    assert reached[0] < 0.9
    assert all(after < before - 0.01 for before, after in pairwise(reached))


def test_a_worn_pack_reaches_less_where_a_new_one_reaches_everything() -> None:
    reached = []
    for scale in (1.0, 1.5, 2.0):
        sim = powered(0.5, resistance_scale=scale)
        everywhere(sim, position_base_in_world=[0, 0, 100])
        hardest(sim, 0.5)
        reached.append(state(sim, "rotor_speeds")[0])
    assert reached[0] == pytest.approx(1.0, abs=1e-4)
    assert reached[2] < reached[1] - 0.01 < 0.98


def test_a_battery_that_is_not_pushed_changes_nothing() -> None:
    ideal, sim = simulator(crazyflie, "rotor_thrusts"), powered(0.9)
    for each in (ideal, sim):
        everywhere(each, position_base_in_world=[0, 0, 5])
        for _ in range(20):
            each.step(HOVER * torch.tensor([[1.2, 0.8, 1.1, 1.0]]))
    for name, value in ideal.privileged().items():
        assert torch.equal(value, sim.privileged()[name])


def test_without_a_battery_nothing_of_it_is_there() -> None:
    sim = simulator(crazyflie)
    sim.step(torch.zeros(1, 4))
    assert {"state_of_charge", "battery_voltage"}.isdisjoint(sim.privileged())
    assert sim.state_dict()["state"].shape == (20, 1)


def test_hover_takes_the_charge_it_should() -> None:
    """Flying time: the 7 minutes that Bitcraze quotes for the Crazyflie 2.1, within a fifth."""
    sim = powered(1.0)
    everywhere(sim, position_base_in_world=[0, 0, 5])
    for _ in range(100):
        sim.step(torch.full((1, 4), HOVER))
    used = 1.0 - state(sim, "state_of_charge")[0]
    power, volts = (
        BATTERY.idle_power_w + 4 * BATTERY.rotor_power_w_s2 * 2382.0**2 / crazyflie.thrust_to_weight,
        state(sim, "battery_voltage"),
    )
    assert used == pytest.approx(power / volts[0] / (3600.0 * BATTERY.capacity_ah), rel=1e-3)
    assert 1.0 / used == pytest.approx(7 * 60.0, rel=0.2)


def test_single_precision_counts_charge() -> None:
    double, single = powered(0.9), QuadrotorSimulator(crazyflie, 1, actuation_mode="rotor_thrusts")
    single.randomize(EVERYONE, {"battery_charge": torch.full((1, 1), 0.9)})
    for sim in (double, single):
        everywhere(sim, position_base_in_world=[0, 0, 5])
        for _ in range(200):
            sim.step(torch.full((1, 4), HOVER))
    used = [0.9 - state(sim, "state_of_charge")[0] for sim in (double, single)]
    assert used[0] == pytest.approx(used[1], rel=0.01)


def test_reset_recharges_where_masked_and_resistance_alone_does_not() -> None:
    sim = powered(0.5, num_envs=2)
    hardest(sim, 0.2)
    left = sim.privileged()["state_of_charge"].clone()
    assert bool((left < 0.5).all())
    sim.randomize(torch.tensor([True, False]), {"battery_resistance_scale": torch.full((2, 1), 1.3)})
    assert torch.equal(sim.privileged()["state_of_charge"], left)
    sim.reset(torch.tensor([True, False]), {})
    assert sim.privileged()["state_of_charge"].flatten().tolist() == [0.5, float(left[1])]
    sim.randomize(torch.tensor([False, True]), {"battery_charge": torch.full((2, 1), 0.75)})
    assert sim.privileged()["state_of_charge"].flatten().tolist() == [0.5, 0.75]


def test_charge_is_saved_and_continues_bit_for_bit() -> None:
    sim, other = powered(0.4), simulator(crazyflie, "rotor_thrusts")
    hardest(sim, 0.1)
    other.load_state_dict(sim.state_dict())
    for each in (sim, other):
        hardest(each, 0.1)
    for name, value in sim.privileged().items():
        assert torch.equal(value, other.privileged()[name])


@pytest.mark.parametrize("mode", ["ctbr", "rotor_thrusts"])
def test_a_delay_per_environment_shifts_a_flight_on_a_battery(mode: str) -> None:
    """Whole sub-steps late, everything happens as much later, charge included; and each environment is as late as its own delay."""
    delays = [0.0, 0.005, 0.01, 0.02]
    sim = powered(0.1, mode, len(delays), resistance_scale=2.0)
    sim.randomize(torch.ones(4, dtype=torch.bool), {"action_delay": torch.tensor(delays).unsqueeze(1)})
    everywhere(sim, position_base_in_world=[0, 0, 50])
    actuation = [4 * crazyflie.thrust_max_n, 0.0, 0.0, 0.0] if mode == "ctbr" else [crazyflie.thrust_max_n] * 4
    speeds, charges = [], []
    for _ in range(30):
        sim.step(torch.tensor([actuation]).expand(4, -1))
        speeds.append(sim.privileged()["rotor_speeds"][:, 0])
        charges.append(sim.privileged()["state_of_charge"][:, 0])
    speed = torch.stack(speeds)
    np.testing.assert_allclose(speed[1:, 2], speed[:-1, 0], atol=1e-4)  # but for the charge that hovering took meanwhile
    np.testing.assert_allclose(speed[2:, 3], speed[:-2, 0], atol=1e-4)
    assert bool((speed[5, :-1] > speed[5, 1:]).all())
    assert bool((speed[-1] < 0.97).all())  # the battery's bound, not the command
    assert bool((torch.stack(charges)[-1].diff() > 0.0).all())


def test_a_robot_without_a_battery_refuses_its_parameters() -> None:
    sim = simulator(crazyflie_brushless)
    with pytest.raises(TetherError, match="describes no battery"):
        sim.randomize(EVERYONE, {"battery_charge": torch.ones(1, 1)})
    with pytest.raises(TetherError, match="describes no battery"):
        sim.load_state_dict(powered().state_dict())
    sim.step(torch.zeros(1, 4))
