"""A flight through the runtime, tick by tick: who is in control, what is sent, what the policy is given."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from deploy.runtime import IllegalTransition, Runtime, State
from robots.errors import TetherError
from robots.signals import Command
from tests.deploy.fakes import BATTERY, GOAL, LEG, ODOMETRY, QUADROTOR, VELOCITY, FakePolicy, Flight, contract_of, odometry


def test_nothing_is_sent_before_activation() -> None:
    flight = Flight()
    for _ in range(5):
        tick = flight.tick()
        assert (tick.state, tick.actuation, tick.request_failsafe) == (State.IDLE, None, False)
    assert not flight.policy.seen


def test_activation_without_the_dead_man_switch_does_not_start() -> None:
    flight = Flight()
    flight.enabled = False
    flight.flying(5)
    tick = flight.tick()
    assert (tick.state, tick.actuation) == (State.READY, None)
    assert "not_ready" in tick.warnings
    flight.enabled = True
    assert flight.tick().state is State.POLICY


def test_a_tick_answers_with_the_policy_and_the_stamp_of_its_observation() -> None:
    flight = Flight().flying()
    tick = flight.tick()
    assert tick.state is State.POLICY
    assert tick.stamp_ns == flight.stamp_ns
    assert tick.actuation is not None
    np.testing.assert_array_equal(tick.actuation["collective_thrust"], np.float32([0.3]))
    np.testing.assert_array_equal(tick.actuation["body_rates"], np.zeros(3, np.float32))
    assert tick.timing.receipt_s == flight.time_s
    assert tick.timing.period_s == pytest.approx(0.01)


def test_the_policy_sees_exactly_what_was_read() -> None:
    flight = Flight().flying()
    position = np.array([1.1, 2.2, 3.3])
    flight.tick(position_base_in_world=position)
    sensors, _, _ = flight.policy.seen[-1]
    np.testing.assert_array_equal(sensors["position_base_in_world"], position.astype(np.float32)[None])
    assert all(array.dtype == np.float32 and array.shape[0] == 1 for array in sensors.values())


def test_memory_starts_at_zero_is_carried_and_starts_again() -> None:
    flight = Flight().flying(4)
    assert [memory[0, 0] for _, _, memory in flight.policy.seen] == [0, 1, 2, 3]
    flight.runtime.deactivate()
    flight.tick()
    flight.flying(2)
    assert [memory[0, 0] for _, _, memory in flight.policy.seen[4:]] == [0, 1]


def test_a_goal_defaults_to_where_the_robot_is_when_the_policy_starts() -> None:
    flight = Flight().flying(1)
    for _ in range(3):
        flight.tick(position_base_in_world=np.array([1.5, 2.0, 3.0]))
    for _, command, _ in flight.policy.seen:
        np.testing.assert_array_equal(command["goal_position_in_world"], np.float32([[1, 2, 3]]))


def test_a_goal_from_before_activation_is_not_one_for_after_it() -> None:
    flight = Flight()
    flight.tick()
    assert not flight.runtime.on_command(GOAL.name, [1.0, 2.0, 4.0], flight.time_s)
    assert "command_refused" in flight.tick().warnings
    flight.flying()
    np.testing.assert_array_equal(flight.policy.seen[-1][1][GOAL.name], np.float32([[1, 2, 3]]))


def test_a_goal_is_held_however_old() -> None:
    flight = Flight().flying()
    assert flight.runtime.on_command(GOAL.name, [1.0, 2.0, 4.0], flight.time_s)
    for _ in range(200):
        flight.tick()
    np.testing.assert_array_equal(flight.policy.seen[-1][1][GOAL.name], np.float32([[1, 2, 4]]))


def test_a_velocity_command_is_zeroed_when_it_grows_old() -> None:
    flight = Flight(FakePolicy(contract_of(commands=(VELOCITY,)))).flying()
    assert flight.runtime.on_command(VELOCITY.name, [1.0, -1.0], flight.time_s)
    flight.tick()
    np.testing.assert_array_equal(flight.policy.seen[-1][1][VELOCITY.name], np.float32([[1, -1]]))
    for _ in range(47):
        flight.tick()
    assert not flight.tick().warnings  # 0.49 s old
    flight.tick()
    assert "command_stale" in flight.tick().warnings  # 0.51 s old
    np.testing.assert_array_equal(flight.policy.seen[-1][1][VELOCITY.name], np.zeros((1, 2), np.float32))


def test_a_command_beyond_its_bounds_is_taken_as_far_as_they_go_and_said() -> None:
    bounded = dataclasses.replace(VELOCITY, lower=(-0.5, -0.5), upper=(1.0, 1.0))
    flight = Flight(FakePolicy(contract_of(commands=(bounded,)))).flying()
    assert flight.runtime.on_command(VELOCITY.name, [1e6, -0.75], flight.time_s)
    assert "command_bounded" in flight.tick().warnings
    np.testing.assert_array_equal(flight.policy.seen[-1][1][VELOCITY.name], np.float32([[1.0, -0.5]]))
    assert flight.runtime.on_command(VELOCITY.name, [1.0, -0.5], flight.time_s)
    assert not flight.tick().warnings
    assert flight.runtime.diagnostics()["commands_bounded"] == "1"


@pytest.mark.parametrize("value", [[np.nan, 0, 0], [np.inf, 0, 0], [1.0, 2.0], "here", None, [1, 2, 9.0], [[1, 2], [3]], [1e300, 0, 0]])
def test_a_command_that_is_wrong_or_beyond_the_geofence_is_refused_and_the_last_one_stays(value: object) -> None:
    flight = Flight().flying()
    assert flight.runtime.on_command(GOAL.name, [1.0, 2.0, 4.0], flight.time_s)
    assert not flight.runtime.on_command(GOAL.name, value, flight.time_s)
    assert "command_refused" in flight.tick().warnings
    np.testing.assert_array_equal(flight.policy.seen[-1][1][GOAL.name], np.float32([[1, 2, 4]]))
    assert flight.runtime.diagnostics()["commands_refused"] == "1"


def test_a_goal_from_before_the_first_position_is_judged_once_there_is_one() -> None:
    for height, expected, refused in ((5.0, 5.0, "0"), (9.0, 3.0, "1")):
        flight = Flight()
        flight.runtime.activate()
        assert flight.runtime.on_command(GOAL.name, [1.0, 2.0, height], flight.time_s)
        assert ("command_refused" in flight.tick().warnings) == (refused == "1")
        np.testing.assert_array_equal(flight.policy.seen[-1][1][GOAL.name], np.float32([[1, 2, expected]]))
        assert flight.runtime.diagnostics()["commands_refused"] == refused


def test_an_unknown_command_is_refused() -> None:
    assert not Flight().flying().runtime.on_command("gaol", [0, 0, 0], 100.0)


def test_deactivation_in_flight_hands_over_to_the_failsafe_until_the_policy_flies_again() -> None:
    flight = Flight().flying()
    flight.runtime.deactivate()
    tick = flight.tick()
    assert (tick.state, tick.actuation, tick.request_failsafe) == (State.IDLE, None, True)
    flight.runtime.activate()
    assert not flight.tick().request_failsafe


def test_estop_is_latched_until_reset() -> None:
    flight = Flight().flying()
    flight.runtime.estop("button")
    told = flight.runtime.watch(flight.time_s)
    assert told is not None
    assert (told.state, told.actuation, told.request_failsafe, told.trips) == (State.ESTOP, None, True, ("estop",))
    for _ in range(20):
        tick = flight.tick()
        assert (tick.state, tick.actuation, tick.request_failsafe) == (State.ESTOP, None, True)
    for act in (flight.runtime.activate, flight.runtime.deactivate):
        with pytest.raises(IllegalTransition, match="legal here: estop, reset"):
            act()
    assert flight.runtime.diagnostics()["reason"] == "button"
    flight.runtime.reset()
    assert flight.tick().state is State.IDLE
    assert flight.flying().runtime.state is State.POLICY


def test_hold_keeps_the_policy_flying_where_it_was_and_activate_gives_it_back() -> None:
    flight = Flight().flying()
    flight.runtime.on_command(GOAL.name, [1.0, 2.0, 4.0], flight.time_s)
    flight.enabled = False
    for _ in range(40):
        tick = flight.tick(position_base_in_world=np.array([1.0, 2.5, 3.0]))
    assert tick.state is State.HOLD
    assert tick.actuation is not None
    np.testing.assert_array_equal(flight.policy.seen[-1][1][GOAL.name], np.float32([[1, 2.5, 3]]))
    flight.enabled = True
    assert flight.tick().state is State.HOLD  # holding the switch again is not enough: the operator must ask
    flight.runtime.activate()
    assert flight.tick().state is State.POLICY
    np.testing.assert_array_equal(flight.policy.seen[-1][1][GOAL.name], np.float32([[1, 2, 4]]))


def test_hold_ends_in_the_failsafe() -> None:
    flight = Flight().flying()
    flight.enabled = False
    ticks = [flight.tick() for _ in range(600)]
    trips = [(number, tick.state, tick.trips) for number, tick in enumerate(ticks) if tick.trips]
    assert [item[1:] for item in trips] == [(State.HOLD, ("dead_man",)), (State.DAMPING, ("hold_timeout",))]
    assert trips[0][0] in (29, 30)  # 0.3 s after the last enable
    assert trips[1][0] - trips[0][0] in (500, 501)
    tick = ticks[-1]
    assert (tick.state, tick.actuation, tick.request_failsafe) == (State.DAMPING, None, True)


def test_the_final_command_is_the_robots_own() -> None:
    final = Flight().runtime.final_command()
    assert final["collective_thrust"] == np.float32(0.3)
    np.testing.assert_array_equal(final["body_rates"], np.zeros(3))


def test_sources_other_than_the_clock_are_used_at_their_latest() -> None:
    flight = Flight(FakePolicy(contract_of(sensors=(*ODOMETRY, BATTERY), max_age_s={"battery": 1.0})))
    flight.flying()
    assert flight.runtime.state is State.READY  # it has never seen the battery
    assert flight.runtime.on_sensors("battery", {"battery_voltage": 3.7}, 7, flight.time_s) is None
    assert flight.tick().state is State.POLICY
    assert flight.policy.seen[-1][0]["battery_voltage"] == np.float32([[3.7]])


def test_an_unknown_source_is_none_of_our_business() -> None:
    assert Flight().flying().runtime.on_sensors("camera", {"image": np.zeros(3)}, 1, 100.0) is None


def test_a_policy_for_another_robot_is_refused() -> None:
    with pytest.raises(TetherError, match="export it for this robot"):
        Runtime(FakePolicy(contract_of(actuation=QUADROTOR.actuation("ctbr")[:1])), robot=QUADROTOR)
    with pytest.raises(TetherError, match="unknown actuation of test_leg 'ctbr'"):
        Runtime(FakePolicy(), robot=LEG)


def test_a_command_that_nothing_can_default_is_refused() -> None:
    heading = Command("heading", ("yaw",), "rad")
    with pytest.raises(TetherError, match="'heading' has no default"):
        Runtime(FakePolicy(contract_of(commands=(heading,))), robot=QUADROTOR)


def test_a_looser_policy_file_is_held_to_the_robots_limits_and_says_so() -> None:
    flight = Flight(FakePolicy(contract_of(limits=contract_of().limits.__class__(3.0, 99.0, 1.0, 2.0))))
    refused = flight.runtime.diagnostics()["limits_refused"]
    assert "tilt_rad: the policy file asks for 3, test_quadrotor allows 1" in refused
    assert "speed_m_s" in refused
    assert "body_rate" not in refused
    limits = flight.runtime.envelope.tightened.limits
    assert (limits.tilt_rad, limits.speed_m_s, limits.body_rate_rad_s, limits.distance_m) == (1.0, 5.0, 1.0, 2.0)


def test_what_is_sent_is_a_copy() -> None:
    flight = Flight().flying()
    first = flight.tick().actuation
    assert first is not None
    first["collective_thrust"][:] = 99.0
    second = flight.tick().actuation
    assert second is not None
    assert second["collective_thrust"] == np.float32(0.3)


def test_diagnostics_are_text() -> None:
    flight = Flight().flying()
    flight.tick(orientation_base_in_world=np.array([np.nan, 0, 0, 0]))
    found = flight.runtime.diagnostics()
    assert all(isinstance(value, str) for value in found.values())
    assert (found["state"], found["failsafe"], found["last_trip"]) == ("DAMPING", "true", "non_finite_input")
    assert found["trip.non_finite_input"] == "1"


def test_watch_tells_of_silence_once_and_then_keeps_telling_a_stopped_robot() -> None:
    flight = Flight().flying()
    assert flight.watch(0.049) is None
    tick = flight.watch(0.002)
    assert tick is not None
    assert (tick.state, tick.trips, tick.actuation, tick.request_failsafe) == (State.DAMPING, ("stale_clock",), None, True)
    again = flight.watch(0.01)
    assert again is not None
    assert (again.trips, again.request_failsafe) == ((), True)


def test_watch_before_anything_arrived_is_quiet() -> None:
    flight = Flight()
    flight.runtime.activate()
    assert flight.runtime.watch(1e6) is None


def test_readings_are_not_kept_by_reference() -> None:
    flight = Flight().flying()
    values = odometry()
    flight.tick(**values)
    before = flight.policy.seen[-1][0]["position_base_in_world"].copy()
    values["position_base_in_world"][:] = 77.0
    np.testing.assert_array_equal(flight.policy.seen[-1][0]["position_base_in_world"], before)
