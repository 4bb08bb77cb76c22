"""What every registered robot must be, whoever wrote it."""

from __future__ import annotations

import math

import pytest

from robots import registry
from robots.description import EquationRobot, Robot
from robots.errors import TetherError

NAMES = registry.names(registry.ROBOTS)
every_robot = pytest.mark.parametrize("name", NAMES)


def test_the_family_is_registered() -> None:
    assert {"crazyflie", "crazyflie_l2f", "crazyflie_brushless", "crazyflie_bare"} <= set(NAMES)


@every_robot
def test_is_a_described_robot_under_its_own_name(name: str) -> None:
    robot = registry.robot(name)
    assert isinstance(robot, Robot)
    assert robot.name == name
    assert robot.source, "say where the numbers come from"
    assert isinstance(robot, EquationRobot) if robot.model is None else robot.model.is_file()
    assert robot.mass_kg > 0.0


@every_robot
def test_sensors_have_distinct_names_channels_units_and_a_source(name: str) -> None:
    sensors = registry.robot(name).sensors
    assert len({sensor.name for sensor in sensors}) == len(sensors) > 0
    for sensor in sensors:
        assert len(set(sensor.channels)) == sensor.size > 0
        assert sensor.unit
        assert sensor.source
        assert all(low < high for low, high in zip(sensor.lower, sensor.upper, strict=True))


@every_robot
def test_actuation_modes_have_bounds_and_a_safe_value_inside(name: str) -> None:
    robot = registry.robot(name)
    assert robot.actuations
    for mode in robot.actuations:
        channels = [channel for signal in robot.actuation(mode) for channel in signal.channels]
        assert len(set(channels)) == len(channels), "channel names are keys of one message"
        for signal in robot.actuation(mode):
            assert len(signal.lower) == len(signal.upper) == len(signal.safe) == signal.size
            assert all(low <= safe <= high for low, safe, high in zip(signal.lower, signal.safe, signal.upper, strict=True))


@every_robot
def test_limits_are_positive_and_name_real_channels(name: str) -> None:
    robot = registry.robot(name)
    limits = robot.limits
    assert 0.0 < limits.tilt_rad < math.pi
    assert min(limits.speed_m_s, limits.body_rate_rad_s, limits.distance_m) > 0.0
    channels = {channel for mode in robot.actuations for signal in robot.actuation(mode) for channel in signal.channels}
    assert set(limits.action_rate) <= channels


@every_robot
def test_unknown_names_are_refused_with_the_valid_ones(name: str) -> None:
    robot = registry.robot(name)
    with pytest.raises(TetherError, match=robot.sensors[0].name):
        robot.sensor("smell")
    with pytest.raises(TetherError, match=next(iter(robot.actuations))):
        robot.actuation("telepathy")
