"""The policy node, in this process, between an operator and a robot that only says where it is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from deploy.record import read_log
from deploy.runtime import State
from robots.crazyflie import crazyflie
from robots.errors import TetherError
from tasks.hover import Hover
from tasks.risk_level import RATE_1_S, with_risk_level
from tests.ros2_ws.helpers import CONFIGURED, POLICY, REFUSED, Cockpit, Robot
from tether_ros import qos
from tether_ros.messages import stamp_ns
from training.export import export_law
from training.learned_law import ActorConfig, LearnedLaw


def test_every_answer_carries_the_stamp_of_its_observation_and_is_recorded(cockpit: Any, tmp_path: Path) -> None:
    log = tmp_path / "flight.mcap"
    one = cockpit(log=str(log))
    one.fly(answers=5)
    assert one.robot.failsafe[-1:] in ([], [False])
    stamps = [stamp_ns(message.header.stamp) for message in one.robot.commands]
    assert stamps == sorted(set(stamps))
    assert one.robot.stamp_ns - stamps[-1] <= 50_000_000
    names = [channel for signal in crazyflie.actuation("ctbr") for channel in signal.channels]
    assert all(list(message.name) == names for message in one.robot.commands)
    one.node.stop()
    recorded = read_log(log)
    assert not recorded.truncated
    assert not recorded.problems
    assert set(stamps) <= set(recorded.stamps_ns.tolist())


def test_deactivating_sends_the_safe_command_and_requests_the_failsafe(cockpit: Any) -> None:
    one = cockpit()
    one.fly()
    one.node.trigger_deactivate()
    one.until(lambda: one.robot.failsafe[-1:] == [True], "the failsafe request")
    one.until(lambda: list(one.robot.commands[-1].velocity) == [0.0] * 4, "the safe command")
    assert one.robot.commands[-1].effort[0] == pytest.approx(crazyflie.actuation("ctbr")[0].safe[0], rel=1e-6)
    assert (one.lifecycle, one.state) == ("inactive", "IDLE")
    one.fly()
    one.until(lambda: one.robot.failsafe[-1] is False, "the end of the failsafe request")


def test_deactivating_before_the_policy_had_control_leaves_the_robot_alone(cockpit: Any) -> None:
    one = cockpit()
    one.activate()
    one.until(lambda: bool(one.robot.say()) and one.runtime.journal.ticks > 3, "steps without an enable")
    assert one.state == "READY"
    one.node.trigger_deactivate()
    one.until(lambda: one.robot.failsafe == [False], "the failsafe topic")
    assert one.robot.commands == []


def test_an_emergency_stop_is_latched(cockpit: Any) -> None:
    one = cockpit()
    one.fly()
    clients = {name: one.robot.create_client(Trigger, f"policy_node/{name}") for name in ("estop", "reset")}
    answer = one.call(clients["estop"], Trigger.Request())
    assert answer.success
    assert "latched" in answer.message
    one.until(lambda: one.robot.failsafe[-1:] == [True], "the failsafe request")
    sent = len(one.robot.commands)
    seen = one.runtime.journal.ticks
    one.until(lambda: bool(one.robot.say()) and one.runtime.journal.ticks > seen + 5, "steps after the stop")
    assert one.state == "ESTOP"
    one.node.trigger_deactivate()
    one.node.trigger_activate()
    assert one.lifecycle == "inactive", "a latched stop outlives a deactivation"
    assert all(list(message.velocity) == [0.0] * 4 for message in one.robot.commands[sent:]), "nothing but the safe command"
    assert one.call(clients["reset"], Trigger.Request()).success
    one.fly()


def test_letting_go_of_the_dead_man_switch_takes_control_from_the_policy(cockpit: Any) -> None:
    one = cockpit(guards__hold_s=0.2)
    one.fly()
    one.robot.enable.publish(Bool(data=False))
    one.until(lambda: bool(one.robot.say()) and one.state != "POLICY", "leaving POLICY")
    one.until(lambda: bool(one.robot.say()) and one.state == "DAMPING", "the end of the hold")
    one.until(lambda: one.robot.failsafe[-1:] == [True], "the failsafe request")


def test_a_dead_man_switch_that_falls_silent_takes_control_from_the_policy(cockpit: Any) -> None:
    one = cockpit(guards__dead_man_s=0.3)
    one.fly()
    one.until(lambda: bool(one.robot.say()) and one.state != "POLICY", "leaving POLICY")
    assert one.runtime.journal.last_trip == "dead_man"


def test_reset_gives_control_back_after_a_hold(cockpit: Any) -> None:
    one = cockpit()
    one.fly()
    one.robot.enable.publish(Bool(data=False))
    one.until(lambda: bool(one.robot.say()) and one.state == "HOLD", "the hold")
    one.robot.enable.publish(Bool(data=True))
    client = one.robot.create_client(Trigger, "policy_node/reset")
    assert one.call(client, Trigger.Request()).message == "POLICY"


def test_silence_of_the_robot_requests_the_failsafe_and_ends_the_commands(cockpit: Any) -> None:
    one = cockpit(guards__clock_trip_periods=5.0)
    one.activate()
    one.robot.enable.publish(Bool(data=True))
    one.until(lambda: bool(one.robot.say()) and len(one.robot.commands) > 0, "an answer")
    one.until(lambda: one.robot.failsafe[-1:] == [True], "the failsafe request")
    assert one.state == "DAMPING"
    assert one.runtime.journal.last_trip == "stale_clock"
    last, seen = one.robot.stamp_ns, one.runtime.journal.ticks
    one.until(lambda: bool(one.robot.say()) and one.runtime.journal.ticks > seen + 5, "steps after the trip")
    assert one.last_answered_ns <= last


def test_an_observation_that_is_not_a_number_never_becomes_a_command(cockpit: Any) -> None:
    one = cockpit()
    one.fly()
    last = one.robot.stamp_ns
    one.until(lambda: bool(one.robot.say(x=math.nan)) and one.state == "DAMPING", "the trip")
    assert one.runtime.journal.last_trip == "non_finite_input"
    one.until(lambda: one.robot.failsafe[-1:] == [True], "the failsafe request")
    seen = one.runtime.journal.ticks
    one.until(lambda: bool(one.robot.say(x=math.nan)) and one.runtime.journal.ticks > seen + 5, "steps after the trip")
    for message in one.robot.commands:
        assert all(map(math.isfinite, (*message.position, *message.velocity, *message.effort)))
    assert one.last_answered_ns <= last


def test_a_second_publisher_of_commands_is_refused(cockpit: Any) -> None:
    one = cockpit()
    one.node.trigger_configure()
    rival = Node("rival")
    publisher = rival.create_publisher(JointState, "actuation", qos.actuation(0.01))
    one.executor.add_node(rival)
    one.until(lambda: one.node.count_publishers("actuation") == 2, "discovery of the rival")
    one.node.trigger_activate()
    assert one.lifecycle == "inactive"
    rival.destroy_publisher(publisher)
    one.until(lambda: one.node.count_publishers("actuation") == 1, "the rival leaving")
    one.node.trigger_activate()
    assert one.lifecycle == "active"
    one.executor.remove_node(rival)
    rival.destroy_node()


def test_odometry_and_goals_in_another_frame_are_ignored(cockpit: Any) -> None:
    one = cockpit()
    goals = one.robot.create_publisher(PoseStamped, "goal_pose", qos.COMMAND)
    one.fly()
    one.until(lambda: goals.get_subscription_count() > 0, "discovery of the goal topic")

    def goal(frame: str, x: float) -> None:
        message = PoseStamped()
        message.header.frame_id = frame
        message.pose.position.x, message.pose.position.z = x, 1.0
        goals.publish(message)

    goal("map", 3.0)
    goal("odom", 2.0)
    command = one.runtime._commands
    one.until(lambda: bool(one.robot.say()) and command.flat[0] != 0.0, "the goal")
    assert command.flat[0] == 2.0
    seen = one.runtime.journal.ticks
    for _ in range(5):
        one.robot.say(frame="map")
        one.executor.spin_once(0.02)
    assert one.runtime.journal.ticks <= seen + 1  # one of our own may have been under way


def test_diagnostics_tell_state_trips_latency_digest_and_recording(cockpit: Any, tmp_path: Path) -> None:
    one = cockpit(log=str(tmp_path / "flight.mcap"))
    heard: list[DiagnosticArray] = []
    one.robot.create_subscription(DiagnosticArray, "/diagnostics", heard.append, qos.COMMAND)
    one.fly()
    one.until(lambda: any(message.status[0].message == "POLICY" for message in heard), "diagnostics")
    values = {pair.key: pair.value for pair in heard[-1].status[0].values}
    assert values["state"] == "POLICY"
    assert len(values["policy_digest"]) == 64
    assert values["recorder"] == "ok"
    assert values["log"].endswith("flight.mcap")
    assert float(values["step_p50_us"]) <= float(values["step_p99_us"])
    assert {"last_trip", "missed", "clamped"} <= values.keys()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"policy": ""}, "parameter policy is empty"),
        ({"policy": "nowhere.onnx"}, "nowhere.onnx"),
        ({"robot": "unicorn"}, "unknown robot 'unicorn'; choose one of:"),
        ({"log": "/nowhere/flight.mcap"}, "/nowhere/flight.mcap"),
    ],
)
def test_configure_fails_with_one_line_and_stays_unconfigured(
    cockpit: Any, options: dict[str, Any], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    one = cockpit(**options)
    one.node.trigger_configure()
    assert one.lifecycle == REFUSED
    lines = [line for line in capfd.readouterr().err.splitlines() if "cannot configure" in line]
    assert len(lines) == 1
    assert reason in lines[0]
    answer = one.call(one.robot.create_client(Trigger, "policy_node/estop"), Trigger.Request())
    assert (answer.success, answer.message) == (False, "not configured; configure the node first")


def test_a_changed_file_is_refused_and_another_can_be_set(cockpit: Any, tmp_path: Path) -> None:
    data = bytearray(POLICY.read_bytes())
    data[len(data) // 2] ^= 1
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(data)
    one = cockpit(policy=str(changed))
    one.node.trigger_configure()
    assert one.lifecycle == REFUSED
    (result,) = one.node.set_parameters([Parameter("policy", value=str(POLICY))])
    assert result.successful
    one.node.trigger_configure()
    assert one.lifecycle == CONFIGURED
    (result,) = one.node.set_parameters([Parameter("policy", value="other.onnx")])
    assert not result.successful
    assert "clean up first" in result.reason
    one.node.trigger_cleanup()
    (result,) = one.node.set_parameters([Parameter("provider", value="abacus")])
    assert "choose one of: cpu, cuda, auto" in result.reason


def test_risk_level_is_set_in_flight_and_nothing_else_is(cockpit: Any, tmp_path: Path) -> None:
    log, task = tmp_path / "flight.mcap", with_risk_level(Hover)()
    policy = export_law(LearnedLaw(task, ActorConfig(hidden=(8,))), tmp_path / "hover.onnx", provenance={"command": "a test"})
    one = cockpit(policy=str(policy), log=str(log), risk_level=0.25)
    one.fly()
    (result,) = one.node.set_parameters([Parameter("risk_level", value=1.0)])
    assert result.successful, result.reason
    later = len(one.robot.commands) + 20
    one.until(lambda: bool(one.robot.say()) and len(one.robot.commands) >= later, "answers after the change")
    (result,) = one.node.set_parameters([Parameter("risk_level", value=1.5)])
    assert "out of range" in result.reason
    result = one.node.set_parameters_atomically([Parameter("risk_level", value=0.5), Parameter("log", value="")])
    assert "clean up first" in result.reason
    one.node.stop()
    recorded = read_log(log)
    flown = recorded.columns["state"] == State.POLICY
    asked, seen = recorded.block("command.risk_level")[flown, 0], recorded.block("observation")[flown, -1]
    assert set(np.unique(asked).tolist()) == {0.25, 1.0}
    assert seen[0] == pytest.approx(0.25)
    assert (np.diff(seen) >= -1e-6).all()
    assert np.diff(seen).max() <= RATE_1_S / 100.0 + 1e-6


def test_a_policy_that_takes_no_risk_level_says_so(cockpit: Any) -> None:
    one = cockpit()
    one.activate()
    (result,) = one.node.set_parameters([Parameter("risk_level", value=0.5)])
    assert "takes no risk level" in result.reason
    other = cockpit(risk_level=0.5)
    other.node.trigger_configure()
    assert other.lifecycle == REFUSED


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"polcy": "x"}, "unknown parameter 'polcy'; known: .*policy"),
        ({"provider": "abacus"}, "provider is 'abacus'; choose one of: cpu, cuda, auto"),
        ({"require_enable": "yes"}, "require_enable is 'yes'; it must be of type bool"),
        ({"guards__hold_s": -1.0}, "guards.hold_s is -1.0; it must be between 0 and inf"),
        ({"guards__hold_s": 0.0}, "hold_s is 0.0; it must be a number above 0"),
        ({"guards__envelope_ticks": 1.5}, "envelope_ticks is 1.5; it must be of type integer"),
    ],
)
def test_bad_parameters_name_what_would_do(domain: None, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(TetherError, match=reason):
        Cockpit(Robot, **options)
