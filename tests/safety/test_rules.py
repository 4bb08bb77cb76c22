"""Rules over logs against a plain loop, and every way in which a log could pass for want of evidence."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robots.errors import TetherError
from safety.envelope import tilt_rad
from safety.rules import Rule, built_in, elapsed_s, judge, samples
from tests.deploy.fakes import LEG, ODOMETRY, QUADROTOR, contract_of

PERIOD_S = 0.01


def columns(steps: int = 600, **changes: Any) -> dict[str, np.ndarray]:
    """A log of hovering at the goal, at 100 Hz, with ``changes``; dots in column names are written ``__``."""
    found = {name: np.zeros(steps) for name in ("tick", "stamp_s", "stamp_ns", "state", "trips")}
    stamps = np.arange(steps) * 10_000_000 + 7_995_000_000
    found["tick"] = np.arange(steps, dtype=float)
    found["stamp_s"], found["stamp_ns"] = stamps // 10**9 * 1.0, stamps % 10**9 * 1.0
    found["sent"] = found["policy_ran"] = np.ones(steps)
    for sensor in ODOMETRY:
        for channel in sensor.channels:
            found[f"sensor.{sensor.name}.{channel}"] = np.full(steps, 1.0 if channel == "w" else 0.0)
    for channel in "xyz":
        found[f"command.goal_position_in_world.{channel}"] = np.zeros(steps)
    for signal in contract_of().actuation:
        for channel in signal.channels:
            found[f"actuation.{signal.name}.{channel}"] = np.zeros(steps)
    return {**found, **{name.replace("__", "."): np.asarray(value, dtype=float) for name, value in changes.items()}}


SPEED_X = "sensor__linear_velocity_base_in_world__x"


def at(row: int, value: float, steps: int = 600) -> np.ndarray:
    """Zeros, but for ``value`` at ``row``."""
    found = np.zeros(steps)
    found[row] = value
    return found


def test_a_satisfied_rule_says_how_close_it_was() -> None:
    found = judge(Rule(name="v", signal="speed", upper=(5.0,)), columns(**{SPEED_X: at(300, -4.0)}), PERIOD_S)
    assert (found.verdict, found.first_row, found.worst_row, found.worst, found.count) == ("satisfied", None, 300, 4.0, 0)
    assert found.worst_s == pytest.approx(3.0)
    assert found.robustness[300] == 1.0
    assert found.robustness[299] == 5.0


def test_a_violated_rule_says_when_first_where_worst_and_which_channel() -> None:
    rates = np.zeros(600)
    rates[200], rates[250] = 10.5, -12.0
    data = columns(sensor__angular_velocity_base_in_base__y=rates)
    found = judge(Rule(name="w", signal="sensor.angular_velocity_base_in_base", upper=(10.0,), absolute=True), data, PERIOD_S)
    assert (found.verdict, found.first_row, found.worst_row, found.count) == ("violated", 200, 250, 2)
    assert (found.first_s, found.channel) == (pytest.approx(2.0), "sensor.angular_velocity_base_in_base.y")
    assert found.robustness[250] == -2.0


NUMBERS = st.floats(-3, 3) | st.sampled_from([math.nan, math.inf, -math.inf])


@settings(max_examples=300, deadline=None)
@given(
    data=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12),
    lower=st.none() | st.floats(-2, 0),
    upper=st.none() | st.floats(0, 2),
    absolute=st.booleans(),
    window=st.tuples(st.sampled_from([0.0, 0.02, 0.05, 1.0]), st.sampled_from([math.inf, 0.06, 2.0])),
    applies=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_against_a_plain_loop(
    data: list[tuple[float, float]],
    lower: float | None,
    upper: float | None,
    absolute: bool,
    window: tuple[float, float],
    applies: list[bool],
) -> None:
    steps = len(data)
    log = columns(steps, policy_ran=np.ones(steps), sent=np.array(applies[:steps], dtype=float))
    log["x.a"], log["x.b"] = np.array(data).T
    bounds = {"lower": () if lower is None else (lower,), "upper": () if upper is None else (upper,)}
    rule = Rule(name="x", signal="x", absolute=absolute, from_s=window[0], to_s=window[1], when="sent", **bounds)
    found = judge(rule, log, PERIOD_S)

    violated, doubtful, judged = [], False, 0
    for row, pair in enumerate(data):
        time_s = row * 0.01
        if not applies[row] or time_s < window[0] - 1e-9 or time_s > window[1] + 1e-9:
            assert math.isnan(found.robustness[row])
            continue
        judged += 1
        values = [abs(value) if absolute else value for value in pair]
        if any(math.isnan(value) for value in values):
            doubtful = True
            assert math.isnan(found.robustness[row])
            continue
        margins = [math.inf]
        for value in values:
            margins += [max(upper, float(np.float32(upper))) - value] if upper is not None else []
            margins += [value - min(lower, float(np.float32(lower)))] if lower is not None else []
        assert found.robustness[row] == min(margins)
        if min(margins) < 0:
            violated.append(row)
    if violated:
        assert (found.verdict, found.first_row, found.count) == ("violated", violated[0], len(violated))
    elif doubtful or not judged:
        assert found.verdict == "not judged"
        assert found.reason


# Want of evidence


@pytest.mark.parametrize("row", [0, 17, 599])
def test_a_nan_is_never_a_pass(row: int) -> None:
    found = judge(Rule(name="v", signal="speed", upper=(5.0,)), columns(**{SPEED_X: at(row, math.nan)}), PERIOD_S)
    assert (found.verdict, found.reason) == ("not judged", "1 samples are not finite")


def test_a_nan_does_not_hide_a_violation() -> None:
    values = at(17, math.nan)
    values[300] = 9.0
    assert judge(Rule(name="v", signal="speed", upper=(5.0,)), columns(**{SPEED_X: values}), PERIOD_S).verdict == "violated"


@pytest.mark.parametrize("bad", [math.inf, -math.inf])
def test_an_infinity_is_a_violation(bad: float) -> None:
    assert judge(Rule(name="v", signal="speed", upper=(5.0,)), columns(**{SPEED_X: at(9, bad)}), PERIOD_S).verdict == "violated"


def test_an_empty_log_is_not_judged() -> None:
    for rule in built_in(contract_of()):
        found = judge(rule, columns(0), PERIOD_S)
        assert (found.verdict, found.reason) == ("not judged", "the log has no rows it applies to")


def test_a_policy_that_never_ran_is_not_judged() -> None:
    found = judge(Rule(name="v", signal="speed", upper=(5.0,)), columns(policy_ran=np.zeros(600)), PERIOD_S)
    assert (found.verdict, found.reason) == ("not judged", "the log has no rows it applies to")


def test_a_window_that_the_log_does_not_reach_is_not_judged() -> None:
    found = judge(Rule(name="v", signal="speed", upper=(5.0,), from_s=7.0), columns(), PERIOD_S)
    assert (found.verdict, found.reason) == ("not judged", "the log holds nothing from 7 s on")


def test_a_window_that_the_log_does_not_fill_is_not_judged() -> None:
    rule = Rule(name="v", signal="speed", upper=(5.0,), from_s=1.0, to_s=7.0)
    assert "the log ends at 5.99 s, before 7 s" in judge(rule, columns(), PERIOD_S).reason
    assert judge(dataclasses.replace(rule, to_s=5.995), columns(), PERIOD_S).verdict == "satisfied"


def test_missing_time_is_not_judged() -> None:
    whole = columns()
    for missing, verdict in ((3, "satisfied"), (50, "not judged")):
        cut = {name: np.delete(values, slice(200, 200 + missing)) for name, values in whole.items()}
        found = judge(Rule(name="v", signal="speed", upper=(5.0,)), cut, PERIOD_S)
        assert found.verdict == verdict
    assert found.reason == "0.51 s are missing"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_stamp_that_is_not_finite_is_not_judged(bad: float) -> None:
    log = columns()
    log["stamp_s"] = log["stamp_s"].copy()
    log["stamp_s"][40] = bad
    found = judge(Rule(name="v", signal="speed", upper=(5.0,)), log, PERIOD_S)
    assert found.verdict == "not judged"


def test_a_damaged_flag_does_not_excuse_its_row() -> None:
    ran = np.ones(600)
    ran[300] = math.nan
    found = judge(Rule(name="v", signal="speed", upper=(5.0,)), columns(policy_ran=ran, **{SPEED_X: at(300, 9.0)}), PERIOD_S)
    assert found.verdict == "violated"


# Time, rates, derived signals


def test_windows_begin_again_with_every_flight() -> None:
    ran = np.ones(600)
    ran[300:310] = 0
    log = columns(policy_ran=ran, **{SPEED_X: at(320, 9.0)})
    np.testing.assert_allclose(elapsed_s(log)[[0, 299, 310, 599]], [0, 2.99, 0, 2.89], atol=1e-9)
    assert judge(Rule(name="v", signal="speed", upper=(5.0,), from_s=0.5), log, PERIOD_S).verdict == "satisfied"
    assert judge(Rule(name="v", signal="speed", upper=(5.0,), from_s=0.05), log, PERIOD_S).verdict == "violated"


def test_rates_are_changes_per_second_within_a_flight() -> None:
    values = np.zeros(600)
    values[100:] = 0.05
    ran = np.ones(600)
    ran[400:410] = 0
    values[405:] = 0.5  # between flights
    log = columns(policy_ran=ran, actuation__collective_thrust__collective_thrust=values)
    found = judge(Rule(name="r", signal="actuation.collective_thrust", upper=(4.0,), absolute=True, rate=True), log, PERIOD_S)
    assert (found.verdict, found.first_row, found.count) == ("violated", 100, 1)
    assert found.worst == pytest.approx(5.0, rel=1e-4)
    assert judge(dataclasses.replace(found.rule, upper=(5.1,)), log, PERIOD_S).verdict == "satisfied"


def test_what_the_envelope_clamped_satisfies_the_rules() -> None:
    step = np.float32(2.0 * PERIOD_S)
    sent = np.minimum(np.cumsum(np.full(600, step, dtype=np.float32), dtype=np.float32), np.float32(0.6)).astype(float)
    log = columns(actuation__collective_thrust__collective_thrust=sent)
    limits = dataclasses.replace(QUADROTOR.limits, action_rate={"collective_thrust": 2.0})
    robot = dataclasses.replace(QUADROTOR, limits=limits)
    verdicts = {rule.name: judge(rule, log, PERIOD_S).verdict for rule in built_in(contract_of(robot), robot)}
    assert verdicts["rate of collective_thrust"] == "satisfied"
    assert verdicts["range of collective_thrust"] == "satisfied"


def test_tilt_is_the_envelopes() -> None:
    generator = np.random.default_rng(0)
    quaternions = generator.normal(size=(100, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    quaternions[3] = 0.0
    log = columns(100, **{f"sensor__orientation_base_in_world__{axis}": quaternions[:, i] for i, axis in enumerate("wxyz")})
    expected = [tilt_rad(q.tolist()) for q in quaternions]
    np.testing.assert_allclose(samples(log, "tilt").values[:, 0], expected)
    assert np.isnan(expected[3])


def test_distance_is_to_the_commanded_goal() -> None:
    log = columns(command__goal_position_in_world__z=np.full(600, 3.0), sensor__position_base_in_world__x=np.full(600, 4.0))
    np.testing.assert_allclose(samples(log, "distance").values, 5.0)


def test_vectors_of_a_robot_in_a_plane_have_the_axes_it_has() -> None:
    log = {f"sensor.position_base_in_world.{axis}": np.array([value]) for axis, value in (("x", 3.0), ("z", 0.0))}
    log |= {f"command.goal_position_in_world.{axis}": np.array([value]) for axis, value in (("x", 0.0), ("z", 4.0))}
    log |= {f"sensor.linear_velocity_base_in_world.{axis}": np.array([value]) for axis, value in (("x", 5.0), ("z", 12.0))}
    assert samples(log, "distance").values.tolist() == [[5.0]]
    assert samples(log, "speed").values.tolist() == [[13.0]]


def test_an_unknown_signal_names_what_there_is() -> None:
    with pytest.raises(TetherError, match=r"no signal 'speeed'; it has tilt, speed, body_rate, distance, .*sensor.position_base_in_world"):
        judge(Rule(name="v", signal="speeed", upper=(1.0,)), columns(), PERIOD_S)
    without = {name: values for name, values in columns().items() if "velocity" not in name}
    with pytest.raises(TetherError, match=r"speed needs sensor.linear_velocity_base_in_world, which the log does not have"):
        judge(Rule(name="v", signal="speed", upper=(1.0,)), without, PERIOD_S)


def test_bounds_for_the_wrong_number_of_channels_are_an_error() -> None:
    with pytest.raises(TetherError, match="2 bounds for 3 channels"):
        judge(Rule(name="v", signal="actuation.body_rates", upper=(1.0, 2.0)), columns(), PERIOD_S)


def test_built_in_rules_cover_the_contract() -> None:
    names = [rule.name for rule in built_in(contract_of(), QUADROTOR)]
    assert names == [
        "tilt",
        "speed",
        "body rate",
        "distance",
        "range of angular_velocity_base_in_base",
        "range of collective_thrust",
        "range of body_rates",
    ]
    assert [rule.name for rule in built_in(contract_of(LEG), LEG)] == ["range of joint_positions"]
    assert all(judge(rule, columns(), PERIOD_S).verdict == "satisfied" for rule in built_in(contract_of(), QUADROTOR))


def test_built_in_rules_hold_the_robots_limits_where_a_file_asks_for_more() -> None:
    loose = contract_of(limits=dataclasses.replace(QUADROTOR.limits, speed_m_s=99.0))
    assert next(rule for rule in built_in(loose, QUADROTOR) if rule.name == "speed").upper == (5.0,)
    assert next(rule for rule in built_in(loose) if rule.name == "speed").upper == (99.0,)
