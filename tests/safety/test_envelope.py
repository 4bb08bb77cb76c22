"""The envelope against closed forms, and against a policy file that asks for more than the robot allows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robots.description import Limits, Robot
from robots.errors import TetherError
from safety.envelope import Envelope, Violation, tighten, tilt_rad
from tests.deploy.fakes import GOAL, LEG, ODOMETRY, QUADROTOR, THRUST, contract_of, odometry

AXES = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: math.hypot(*axis) > 0.1)


def rotated(axis: tuple[float, ...], angle: float) -> np.ndarray:
    """Unit quaternion (w, x, y, z) of a turn by ``angle`` about ``axis``."""
    unit = np.array(axis) / math.hypot(*axis)
    return np.array([math.cos(angle / 2), *(math.sin(angle / 2) * unit)])


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product."""
    w, v = a[0] * b[0] - a[1:] @ b[1:], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])
    return np.array([w, *v])


@given(angle=st.floats(0, math.pi), heading=st.floats(-math.pi, math.pi), direction=st.floats(-math.pi, math.pi))
def test_tilt_is_the_angle_of_a_turn_about_a_level_axis_whatever_the_heading(angle: float, heading: float, direction: float) -> None:
    tilted = product(rotated((math.cos(direction), math.sin(direction), 0), angle), rotated((0, 0, 1), heading))
    assert tilt_rad(tilted.tolist()) == pytest.approx(angle, abs=1e-7)
    assert tilt_rad([*tilted[1:], tilted[0]], w=3) == pytest.approx(angle, abs=1e-7)
    assert tilt_rad((-tilted).tolist()) == pytest.approx(angle, abs=1e-7)


@given(axis=AXES, angle=st.floats(-7, 7))
def test_tilt_is_the_angle_between_the_rotated_z_axis_and_the_vertical(axis: tuple[float, ...], angle: float) -> None:
    q = rotated(axis, angle)
    conjugate = q * [1, -1, -1, -1]
    z = product(product(q, np.array([0.0, 0, 0, 1])), conjugate)[1:]
    assert tilt_rad(q.tolist()) == pytest.approx(math.acos(max(-1.0, min(1.0, z[2]))), abs=1e-6)


@pytest.mark.parametrize("q", [[0, 0, 0, 0], [2, 0, 0, 0], [math.nan, 0, 0, 1], [math.inf, 0, 0, 0], [0.9, 0, 0, 0]])
def test_what_is_no_orientation_has_no_tilt(q: list[float]) -> None:
    assert math.isnan(tilt_rad(q))


def state(envelope: Envelope, **changes: np.ndarray) -> tuple[int, int]:
    """Judge hovering 1 m from the goal, with ``changes``."""
    return envelope.state(odometry(**changes), {GOAL.name: np.array([1.0, 2.0, 4.0])})


JUST_INSIDE = {
    "orientation_base_in_world": rotated((1, 2, 0), 0.999),
    "linear_velocity_base_in_world": np.array([3.0, 0.0, -3.999]),
    "angular_velocity_base_in_base": np.array([10.0, -10.0, 10.0]),
    "position_base_in_world": np.array([1.0, 2.0, 0.001]),
}
JUST_OUTSIDE = {
    "orientation_base_in_world": (rotated((1, 2, 0), 1.001), Violation.TILT),
    "linear_velocity_base_in_world": (np.array([3.0, 0.0, -4.001]), Violation.SPEED),
    "angular_velocity_base_in_base": (np.array([0.0, -10.001, 0.0]), Violation.BODY_RATE),
    "position_base_in_world": (np.array([1.0, 2.0, -0.001]), Violation.DISTANCE),
}


def test_just_inside_every_limit_is_inside() -> None:
    assert state(Envelope(contract_of(), QUADROTOR), **JUST_INSIDE) == (0, 0)


@pytest.mark.parametrize("sensor", JUST_OUTSIDE)
def test_just_outside_is_outside_and_trips_after_n(sensor: str) -> None:
    values, violation = JUST_OUTSIDE[sensor]
    envelope = Envelope(contract_of(), QUADROTOR, trip_after=4)
    assert [state(envelope, **{sensor: values}) for _ in range(5)] == [(violation, 0)] * 3 + [(violation, violation)] * 2
    envelope.reset()
    assert state(envelope, **{sensor: values}) == (violation, 0)


@pytest.mark.parametrize("sensor", JUST_OUTSIDE)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_is_not_one_is_outside(sensor: str, bad: float) -> None:
    values = odometry()[sensor].copy()
    values[0] = bad
    assert state(Envelope(contract_of(), QUADROTOR), **{sensor: values})[0]


def test_limits_without_a_sensor_are_named() -> None:
    assert Envelope(contract_of(), QUADROTOR).unchecked == ()
    assert Envelope(contract_of(LEG), LEG).unchecked == ("tilt_rad", "speed_m_s", "body_rate_rad_s", "distance_m")
    assert Envelope(contract_of(commands=()), QUADROTOR).unchecked == ("distance_m",)
    assert Envelope(contract_of(sensors=ODOMETRY[2:]), QUADROTOR).unchecked == ("tilt_rad", "distance_m")


def test_actuation_of_the_wrong_width_or_not_finite_is_named_at_once() -> None:
    envelope, into = Envelope(contract_of(), QUADROTOR), np.zeros(4, np.float32)
    thrust, rates = np.array([[0.3]], np.float32), np.zeros((1, 3), np.float32)
    assert envelope.take({"collective_thrust": thrust, "body_rates": rates + 2}, into) == 0
    np.testing.assert_array_equal(into, np.float32([0.3, 2, 2, 2]))
    assert envelope.take({"collective_thrust": thrust}, into) == Violation.WRONG_WIDTH
    assert envelope.take({"collective_thrust": thrust, "body_rates": thrust}, into) == Violation.WRONG_WIDTH
    for bad in (np.nan, np.inf, -np.inf):
        assert envelope.take({"collective_thrust": thrust * np.float32(bad), "body_rates": rates}, into) == Violation.NON_FINITE


def rate_limited() -> tuple[Robot, Envelope]:
    """At 100 Hz: 0.02 N and 5 rad/s a tick; yaw is not limited."""
    rates = {"collective_thrust": 2.0, "roll_rate": 500.0, "pitch_rate": 500.0}
    robot = dataclasses.replace(QUADROTOR, limits=dataclasses.replace(QUADROTOR.limits, action_rate=rates))
    return robot, Envelope(contract_of(robot), robot)


def test_action_rate_is_clamped_against_what_was_sent() -> None:
    _, envelope = rate_limited()
    first = np.float32([0.3, 0, 0, 0])
    assert not envelope.clamp(first)  # nothing was sent before it
    envelope.sent(first)
    values = np.float32([0.5, 9, -9, 9])
    assert envelope.clamp(values)
    np.testing.assert_allclose(values, [0.32, 5, -5, 9], rtol=1e-6)
    assert envelope.clamped == 3
    envelope.sent(values)
    again = np.float32([0.5, 9, -9, 9])
    envelope.clamp(again)
    np.testing.assert_allclose(again, [0.34, 9, -9, 9], rtol=1e-6)


@settings(max_examples=200)
@given(st.lists(st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 4), min_size=1, max_size=20))
def test_whatever_is_asked_what_is_sent_keeps_both_limits(asked: list[tuple[float, ...]]) -> None:
    _, envelope = rate_limited()
    lower, upper = np.float32([0, -10, -10, -10]), np.float32([0.6, 10, 10, 10])
    step = np.array([0.02, 5.0, 5.0, np.inf])
    before = None
    for values in asked:
        sent = np.array(values, dtype=np.float32)
        envelope.clamp(sent)
        assert ((sent >= lower) & (sent <= upper)).all()
        if before is not None:
            assert (np.abs(sent.astype(float) - before) <= step * (1 + 1e-6) + 1e-6).all()
        envelope.sent(sent)
        before = sent.astype(float)


def test_a_value_at_a_limit_is_not_clamped() -> None:
    envelope = Envelope(contract_of(), QUADROTOR)
    assert not envelope.clamp(np.float32([0.6, 10, -10, 10]))
    assert envelope.clamped == 0


def test_a_policy_file_may_only_tighten() -> None:
    rates = {"collective_thrust": 1.0, "yaw_rate": 7.0}
    robot = dataclasses.replace(QUADROTOR, limits=Limits(1.0, 5.0, 10.0, 4.0, {"collective_thrust": 2.0, "roll_rate": 500.0}))
    wide = dataclasses.replace(THRUST, lower=(-0.5,), upper=(0.5,))
    contract = contract_of(
        robot, limits=Limits(0.5, 50.0, 10.0, math.nan, {**rates, "roll_rate": 900.0}), actuation=(wide, contract_of().actuation[1])
    )
    found = tighten(contract, robot)
    assert (found.limits.tilt_rad, found.limits.speed_m_s, found.limits.body_rate_rad_s, found.limits.distance_m) == (0.5, 5.0, 10.0, 4.0)
    assert found.limits.action_rate == {"collective_thrust": 1.0, "roll_rate": 500.0, "yaw_rate": 7.0}
    np.testing.assert_array_equal(found.lower, [0, -10, -10, -10])
    np.testing.assert_array_equal(found.upper, [0.5, 10, 10, 10])
    text = "\n".join(found.refused)
    assert len(found.refused) == 4
    for part in (
        "speed_m_s: the policy file asks for 50, test_quadrotor allows 5",
        "distance_m",
        "action_rate of roll_rate",
        "lower limit of",
    ):
        assert part in text


def test_actuation_without_limits_of_its_own_takes_the_robots() -> None:
    bare = dataclasses.replace(THRUST, lower=(), upper=())
    found = tighten(contract_of(actuation=(bare, contract_of().actuation[1])), QUADROTOR)
    assert (found.lower[0], found.upper[0]) == (0.0, 0.6)


def test_another_robots_channels_are_refused() -> None:
    other = dataclasses.replace(THRUST, channels=("thrust",))
    with pytest.raises(TetherError, match="export it for this robot"):
        tighten(contract_of(actuation=(other, contract_of().actuation[1])), QUADROTOR)
