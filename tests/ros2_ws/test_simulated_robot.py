"""The simulated robot's own judgement: when it takes over, and that it then lands, whatever state it is in."""

from __future__ import annotations

import numpy as np
import pytest

from robots.crazyflie import crazyflie
from robots.errors import TetherError
from tether_sim.autopilot import DESCENT_M_S, DescendAndLand
from tether_sim.messages import rotation_matrix
from tether_sim.modes import SILENCE_PERIODS, Mode, Supervisor
from tether_sim.vehicle import Vehicle

RATE_HZ = 100.0
NO_NOISE: dict[str, tuple[float, ...]] = {}


def commanded() -> Supervisor:
    supervisor = Supervisor()
    supervisor.on_command()
    return supervisor


def test_it_is_held_until_the_first_command() -> None:
    supervisor = Supervisor()
    for _ in range(100):
        supervisor.on_period()
    supervisor.on_failsafe_request()
    assert supervisor.mode is Mode.HELD
    supervisor.on_command()
    assert supervisor.mode is Mode.COMMANDED


def test_silence_ends_in_the_failsafe_within_five_periods_of_the_last_command() -> None:
    """A command arrives inside a period: the fifth period that begins after it ends no later than five periods after it."""
    supervisor = commanded()
    for _ in range(SILENCE_PERIODS - 1):
        supervisor.on_period()
        assert supervisor.mode is Mode.COMMANDED
    supervisor.on_period()
    assert supervisor.mode is Mode.FAILSAFE
    assert supervisor.silent == SILENCE_PERIODS == 5
    assert supervisor.reason == "no command for 5 control periods"


def test_commands_keep_it_going_and_do_not_end_a_failsafe() -> None:
    supervisor = commanded()
    for _ in range(20):
        supervisor.on_period()
        supervisor.on_command()
    assert supervisor.mode is Mode.COMMANDED
    supervisor.on_failsafe_request()
    supervisor.on_command()
    assert supervisor.mode is Mode.FAILSAFE
    supervisor.on_rest()
    assert supervisor.mode is Mode.RESTING
    supervisor.reset()
    assert supervisor.mode is Mode.HELD


def test_periods_that_went_on_with_an_old_command_are_counted_but_not_those_of_the_end() -> None:
    supervisor = commanded()
    for silent in (1, 1, 3, 2):
        for _ in range(silent):
            supervisor.on_period()
        supervisor.on_command()
    assert supervisor.unanswered == 3
    for _ in range(SILENCE_PERIODS):
        supervisor.on_period()
    assert (supervisor.mode, supervisor.unanswered) == (Mode.FAILSAFE, 3)


def test_touching_the_ground_under_command_is_no_landing() -> None:
    supervisor = commanded()
    supervisor.on_rest()
    assert supervisor.mode is Mode.COMMANDED


@pytest.mark.parametrize("mode", ["ctbr", "rotor_thrusts"])
@pytest.mark.parametrize("rotation", [(0.0, 0.0, 0.0), (1.3, 0.0, 0.5), (0.0, -1.5, 2.0)])
def test_the_failsafe_levels_sinks_slowly_and_lands(mode: str, rotation: tuple[float, float, float]) -> None:
    vehicle, failsafe = Vehicle(crazyflie, mode, RATE_HZ, NO_NOISE, 0), DescendAndLand(crazyflie, mode)
    vehicle.place((0.0, 0.0, 3.0), rotation, (2.0, -1.0, 0.0))
    for step in range(1500):
        readings = vehicle.read()
        if vehicle.resting:
            break
        vehicle.step(failsafe(readings))
        if step > 200:
            assert rotation_matrix(readings["orientation_base_in_world"])[2, 2] > np.cos(0.3), "level"
            assert readings["linear_velocity_base_in_world"][2] > -2.0 * DESCENT_M_S, "sinks slowly"
    else:
        pytest.fail("it never landed")


@pytest.mark.parametrize("height_m", [0.1, 0.27, 0.5])
def test_the_failsafe_lands_from_low_heights_through_the_air_that_it_presses_on_the_ground(height_m: float) -> None:
    vehicle, failsafe = Vehicle(crazyflie, "ctbr", RATE_HZ, NO_NOISE, 0), DescendAndLand(crazyflie, "ctbr")
    vehicle.place((0.0, 0.0, height_m), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    for _ in range(300):
        vehicle.step(failsafe(vehicle.read()))
        if vehicle.resting:
            return
    pytest.fail("it never landed")


def test_noise_is_what_was_asked_for_and_repeats_with_its_seed() -> None:
    noise = {"position_base_in_world": (0.01,) * 3}

    def readings(seed: int) -> np.ndarray:
        vehicle = Vehicle(crazyflie, "ctbr", RATE_HZ, noise, seed)
        vehicle.place((0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        return np.array([vehicle.read()["position_base_in_world"] for _ in range(300)])

    first = readings(1)
    np.testing.assert_allclose(first.std(axis=0), 0.01, rtol=0.2)
    np.testing.assert_array_equal(first, readings(1))
    assert not np.array_equal(first, readings(2))


def test_an_unknown_way_of_actuating_has_no_failsafe() -> None:
    with pytest.raises(TetherError, match="choose one of: ctbr, rotor_thrusts"):
        DescendAndLand(crazyflie, "wings")
