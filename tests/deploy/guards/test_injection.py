"""Every guard, by injecting into a good flight what it guards against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deploy.guards import GuardConfig
from deploy.policy import PolicyOutput
from deploy.runtime import Behaviour, State, Tick
from tests.deploy.fakes import BATTERY, LEG, ODOMETRY, QUADROTOR, FakePolicy, Flight, contract_of, odometry

POSITION, ORIENTATION = "position_base_in_world", "orientation_base_in_world"
VELOCITY, RATE = "linear_velocity_base_in_world", "angular_velocity_base_in_base"


def stopped(tick: Tick | None, *trips: str) -> None:
    """A quadrotor that has been handed to its autopilot, for these reasons."""
    assert tick is not None
    assert tick.trips == trips
    assert (tick.state, tick.actuation, tick.request_failsafe) == (State.DAMPING, None, True)


# Readings


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("sensor", [POSITION, ORIENTATION, VELOCITY, RATE])
def test_one_number_that_is_not_finite_trips_at_once_and_never_reaches_the_policy(sensor: str, bad: float) -> None:
    flight = Flight().flying()
    values = odometry()[sensor].copy()
    values[-1] = bad
    steps = len(flight.policy.seen)
    stopped(flight.tick(**{sensor: values}), "non_finite_input")
    assert len(flight.policy.seen) == steps


@pytest.mark.parametrize(
    "values", [np.zeros(2), np.zeros(4), [], 1.0, None, "up", [[1, 2], [3]], {"x": 1}, [1, "two", 3]], ids=lambda value: repr(value)[:20]
)
def test_a_reading_of_the_wrong_width_or_kind_trips_at_once(values: Any) -> None:
    stopped(Flight().flying().tick(**{POSITION: values}), "bad_input")


def test_a_missing_signal_trips_at_once() -> None:
    flight = Flight().flying()
    readings = odometry()
    del readings[VELOCITY]
    flight.stamp_ns += 10_000_000
    stopped(flight.runtime.on_sensors("odometry", readings, flight.stamp_ns, flight.time_s + 0.01), "bad_input")


def test_a_stamp_that_is_no_number_trips_at_once() -> None:
    flight = Flight().flying()
    for stamp in (None, float("nan"), float("inf"), "now"):
        flight = Flight().flying()
        stopped(flight.runtime.on_sensors("odometry", odometry(), stamp, flight.time_s + 0.01), "bad_input")  # type: ignore[arg-type]


def test_more_signals_than_the_policy_needs_are_no_fault() -> None:
    assert Flight().flying().tick(temperature=20.0).state is State.POLICY


@pytest.mark.parametrize("step_ns", [0, -1, -10_000_000, -(10**12)])
def test_readings_that_are_not_newer_are_discarded_and_a_stream_of_them_is_silence(step_ns: int) -> None:
    flight = Flight().flying()
    steps, stamp = len(flight.policy.seen), flight.stamp_ns
    for _ in range(5):
        flight.time_s += 0.0099
        flight.runtime.enable(flight.time_s)
        assert flight.runtime.on_sensors("odometry", odometry(), stamp + step_ns, flight.time_s) is None
    assert len(flight.policy.seen) == steps
    flight.time_s += 0.01
    stopped(flight.runtime.on_sensors("odometry", odometry(), stamp + step_ns, flight.time_s), "stale_clock")
    assert flight.runtime.diagnostics()["out_of_order"] == "6"


def test_one_duplicate_is_a_warning() -> None:
    flight = Flight().flying()
    assert flight.runtime.on_sensors("odometry", odometry(), flight.stamp_ns, flight.time_s) is None
    tick = flight.tick()
    assert (tick.state, tick.warnings) == (State.POLICY, ("out_of_order",))


# Ages


def test_the_clock_two_periods_late_is_a_warning_five_a_trip() -> None:
    flight = Flight().flying()
    assert "late_clock" not in flight.tick(dt_s=0.0199).warnings
    flight = Flight().flying()
    tick = flight.tick(dt_s=0.0201)
    assert (tick.state, "late_clock" in tick.warnings) == (State.POLICY, True)
    assert Flight().flying().tick(dt_s=0.0499).state is State.POLICY
    stopped(Flight().flying().tick(dt_s=0.0501), "stale_clock")


def test_silence_is_noticed_without_any_reading() -> None:
    flight = Flight().flying()
    assert flight.watch(0.0499) is None
    stopped(flight.watch(0.0002), "stale_clock")


def test_another_source_older_than_the_contract_allows_trips() -> None:
    flight = Flight(FakePolicy(contract_of(sensors=(*ODOMETRY, BATTERY), max_age_s={"battery": 0.1})))
    flight.runtime.on_sensors("battery", {"battery_voltage": 3.7}, 1, flight.time_s)
    flight.flying(3)
    for _ in range(6):
        assert flight.tick().state is State.POLICY
    stopped(flight.tick(dt_s=0.0101), "stale_sensor")


def test_another_source_of_which_the_contract_says_nothing_trips_as_the_clock_would() -> None:
    flight = Flight(FakePolicy(contract_of(sensors=(*ODOMETRY, BATTERY))))
    flight.runtime.on_sensors("battery", {"battery_voltage": 3.7}, 1, flight.time_s)
    flight.flying(3)
    assert flight.tick().state is State.POLICY
    stopped(flight.tick(dt_s=0.0101), "stale_sensor")


def test_a_bad_reading_of_another_source_trips_when_it_arrives() -> None:
    flight = Flight(FakePolicy(contract_of(sensors=(*ODOMETRY, BATTERY))))
    flight.runtime.on_sensors("battery", {"battery_voltage": 3.7}, 1, flight.time_s)
    flight.flying(3)
    stopped(flight.runtime.on_sensors("battery", {"battery_voltage": np.nan}, 2, flight.time_s), "non_finite_input")


# Deadlines


@pytest.mark.parametrize("dt_s", [0.0125, 0.0079])
def test_three_periods_in_a_row_more_than_a_fifth_off_trip(dt_s: float) -> None:
    flight = Flight().flying()
    assert "missed" in flight.tick(dt_s=dt_s).warnings
    assert flight.tick(dt_s=dt_s).state is State.POLICY
    stopped(flight.tick(dt_s=dt_s), "deadline")


def test_periods_within_a_fifth_are_met() -> None:
    flight = Flight().flying()
    for number in range(200):
        assert not flight.tick(dt_s=0.0118 if number % 2 else 0.0082).warnings


def test_misses_spread_over_a_second_trip_and_over_longer_do_not() -> None:
    def trips(spacing: int) -> bool:
        flight = Flight().flying()
        ticks = [flight.tick(dt_s=0.015 if number % spacing == 0 else 0.01) for number in range(400)]
        return ticks[-1].state is not State.POLICY

    assert trips(40)
    assert not trips(60)


def test_answers_that_take_longer_than_a_period_are_missed_deadlines() -> None:
    policy = FakePolicy()
    flight = Flight(policy)
    answer = policy.answer

    def slow(step: int) -> Any:
        flight.time_s += 0.0105
        return answer(step)

    flight.flying()
    policy.answer = slow
    states = []
    for _ in range(4):
        begin = flight.time_s
        states.append(flight.tick().state)
        flight.time_s = begin + 0.01  # the next reading was on its way all the while
    assert states == [State.POLICY] * 3 + [State.DAMPING]
    assert flight.runtime.diagnostics()["last_trip"] == "deadline"


# The policy


def nan_in(field: str) -> Callable[[PolicyOutput], Any]:
    """Put a NaN into one output."""

    def change(output: PolicyOutput) -> PolicyOutput:
        if field in output.actuation:
            return output._replace(actuation={**output.actuation, field: np.full_like(output.actuation[field], np.nan)})
        return output._replace(**{field: np.full_like(getattr(output, field), np.nan)})

    return change


@pytest.mark.parametrize(
    "field", ["collective_thrust", "body_rates", "memory", "observation", "safe_distance", "intervention", "feasible", "risk"]
)
def test_a_policy_output_that_is_not_finite_trips_at_once(field: str) -> None:
    flight = Flight().flying()
    flight.policy.change = nan_in(field)
    stopped(flight.tick(), "non_finite_output")


BAD_OUTPUTS: dict[str, Callable[[PolicyOutput], Any]] = {
    "wide actuation": lambda out: out._replace(actuation={**out.actuation, "body_rates": np.zeros((1, 4), np.float32)}),
    "two rows": lambda out: out._replace(actuation={**out.actuation, "body_rates": np.zeros((2, 3), np.float32)}),
    "missing actuation": lambda out: out._replace(actuation={"body_rates": out.actuation["body_rates"]}),
    "wide memory": lambda out: out._replace(memory=np.zeros((1, 3), np.float32)),
    "wide observation": lambda out: out._replace(observation=np.zeros((1, 9), np.float32)),
    "wide risk": lambda out: out._replace(risk=np.zeros((1, 2), np.float32)),
}


@pytest.mark.parametrize("change", BAD_OUTPUTS.values(), ids=BAD_OUTPUTS)
def test_a_policy_output_of_the_wrong_width_or_name_trips_at_once(change: Callable[[PolicyOutput], Any]) -> None:
    flight = Flight().flying()
    flight.policy.change = change
    stopped(flight.tick(), "bad_output")


@pytest.mark.parametrize("answer", [lambda out: 1 / 0, lambda out: None, lambda out: out._replace(memory="gone")])
def test_a_policy_that_fails_trips_and_says_how(answer: Callable[[PolicyOutput], Any]) -> None:
    flight = Flight().flying()
    flight.policy.change = answer
    stopped(flight.tick(), "policy_error")
    assert "Error" in flight.runtime.diagnostics()["policy_error"]


def test_hard_limits_are_clamped_and_counted() -> None:
    policy = FakePolicy(answer=lambda step: {"collective_thrust": [9.0], "body_rates": [-99.0, 5.0, 11.0]})
    tick = Flight(policy).flying().tick()
    assert (tick.state, tick.warnings) == (State.POLICY, ("clamped",))
    assert tick.actuation is not None
    np.testing.assert_array_equal(tick.actuation["collective_thrust"], np.float32([0.6]))
    np.testing.assert_array_equal(tick.actuation["body_rates"], np.float32([-10, 5, 10]))


# The envelope

OUTSIDE = {
    "tilt": {ORIENTATION: np.array([np.cos(0.51), np.sin(0.51), 0, 0])},
    "speed": {VELOCITY: np.array([3.0, 4.1, 0.0])},
    "body_rate": {RATE: np.array([0.0, -10.1, 0.0])},
    "distance": {POSITION: np.array([1.0, 2.0, 7.1])},
    "implausible": {ORIENTATION: np.array([1.2, 0, 0, 0])},
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_the_envelope_for_three_ticks_trips(name: str) -> None:
    flight = Flight().flying()
    for _ in range(2):
        tick = flight.tick(**OUTSIDE[name])
        assert (tick.state, tick.warnings) == (State.POLICY, ("outside_envelope",))
    stopped(flight.tick(**OUTSIDE[name]), name)


@pytest.mark.parametrize("name", OUTSIDE)
def test_ticks_outside_count_only_in_a_row(name: str) -> None:
    flight = Flight().flying()
    for _ in range(5):
        for _ in range(2):
            flight.tick(**OUTSIDE[name])
        assert flight.tick().state is State.POLICY


def test_a_reading_outside_the_sensors_range_is_implausible() -> None:
    flight = Flight().flying()
    for _ in range(3):
        tick = flight.tick(**{RATE: np.array([0.0, 0.0, 61.0])})
    stopped(tick, "body_rate", "implausible")


def test_the_policy_does_not_start_outside_the_envelope() -> None:
    flight = Flight()
    flight.runtime.activate()
    for _ in range(5):
        tick = flight.tick(**OUTSIDE["tilt"])
        assert (tick.state, tick.actuation, tick.warnings) == (State.READY, None, ("not_ready",))
    assert flight.tick().state is State.POLICY


# The dead-man switch


def test_the_dead_man_switch_leaves_the_policy_after_0_3_s() -> None:
    flight = Flight().flying()
    flight.runtime.release()
    flight.enabled = False
    tick = flight.tick()
    assert (tick.state, tick.trips) == (State.HOLD, ("dead_man",))


def test_without_hold_the_dead_man_switch_damps() -> None:
    flight = Flight(behaviour=Behaviour(silent=True)).flying()
    flight.runtime.release()
    flight.enabled = False
    stopped(flight.tick(), "dead_man")


@pytest.mark.parametrize("receipt_s", [float("nan"), float("inf")])
def test_enable_without_a_time_is_no_enable(receipt_s: float) -> None:
    flight = Flight()
    flight.enabled = False
    flight.runtime.enable(receipt_s)
    flight.flying()
    assert flight.runtime.state is State.READY


def test_hold_needs_fresh_state() -> None:
    flight = Flight().flying()
    flight.runtime.release()
    flight.enabled = False
    assert flight.tick().state is State.HOLD
    stopped(flight.watch(0.051), "stale_clock")


# Off


def test_timing_guards_can_be_turned_off() -> None:
    off = GuardConfig(clock_trip_periods=np.inf, missed_fraction=np.inf, missed_in_row=10**9, dead_man_s=np.inf)
    flight = Flight(config=off).flying()
    flight.enabled = False
    for _ in range(50):
        assert flight.tick(dt_s=0.5).state is State.POLICY


def test_no_time_from_the_future_makes_old_data_young() -> None:
    """A receipt far ahead would freeze every age at 0, and an ``enable`` from there would hold the dead-man switch for ever."""
    flight = Flight().flying()
    flight.runtime.enable(1e9)
    flight.stamp_ns += 10_000_000
    flight.runtime.on_sensors("odometry", odometry(), flight.stamp_ns, 1e9)
    flight.enabled = False
    states = [flight.tick().state for _ in range(32)]
    assert states[-1] is State.HOLD
    stopped(flight.watch(0.06), "stale_clock")


def test_a_joint_robot_is_damped_every_tick_and_in_silence() -> None:
    flight = Flight(FakePolicy(contract_of(LEG)), LEG, behaviour=Behaviour())
    time_s, stamp = 100.0, 0
    flight.runtime.activate()

    def tick(angles: Any) -> Tick | None:
        nonlocal time_s, stamp
        time_s, stamp = time_s + 0.01, stamp + 10_000_000
        flight.runtime.enable(time_s)
        return flight.runtime.on_sensors("joint_state", {"joint_angles": angles}, stamp, time_s)

    for _ in range(3):
        tick([0.1, 0.2])
    assert flight.runtime.state is State.POLICY
    for angles in ([np.nan, 0.0], [0.1, 0.2], [0.1, np.inf]):
        found = tick(angles)
        assert found is not None
        assert (found.state, found.request_failsafe) == (State.DAMPING, False)
        assert found.actuation is not None
        np.testing.assert_array_equal(found.actuation["joint_positions"], np.zeros(2))
    silent = flight.watch(time_s + 0.5 - flight.time_s)
    assert silent is not None
    assert silent.actuation is not None


def test_the_runtime_needs_no_hold_for_a_robot_it_does_not_know() -> None:
    assert Behaviour.of(LEG) == Behaviour()
    assert Behaviour.of(QUADROTOR).silent
    assert Behaviour.of(QUADROTOR).holds
