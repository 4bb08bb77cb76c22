"""The policy node of a quadruped, in this process, between an operator and a robot that only says how it stands."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pytest
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from deploy.record import read_log
from robots.go2 import DAMPING, NAMES, go2
from tests.ros2_ws.helpers import REFUSED, Cockpit, Walker
from tether_ros import qos

(TARGET,) = go2.actuation("joint_position")
KP, KD = [25.0] * 12, [0.5] * 12


class ArrayWalker(Walker):
    """A Walker whose controller takes positions without names."""

    kind: ClassVar[Any] = Float64MultiArray


class TrajectoryWalker(Walker):
    """A Walker whose controller takes trajectories."""

    kind: ClassVar[Any] = JointTrajectory


@pytest.fixture
def arrays(domain: None) -> Any:
    """Makes cockpits of a Go2 behind a position controller, and closes them."""
    with Cockpit.hangar(ArrayWalker) as make:
        yield make


def within_limits(message: JointState) -> bool:
    position = np.array(message.position)
    low, high = np.float32(TARGET.lower), np.float32(TARGET.upper)
    return list(message.name) == list(NAMES) and bool(((position >= low) & (position <= high)).all())


def gains_of(one: Cockpit, message: JointState) -> list[JointState]:
    return [gains for gains in one.robot.gains if gains.header.stamp == message.header.stamp]


def test_it_stands_up_takes_commands_and_gives_way_when_it_trips(kennel: Any, tmp_path: Any) -> None:
    log = tmp_path / "walk.mcap"
    one = kennel(log=str(log))
    velocity = one.robot.create_publisher(Twist, "cmd_vel", qos.COMMAND)
    one.fly()
    # Every answer is a position with the equally stamped gains of the policy.
    one.until(lambda: bool(one.robot.say()) and bool(gains_of(one, one.robot.commands[-1])), "gains")
    assert all(within_limits(message) for message in one.robot.commands)
    assert all((list(g.position), list(g.velocity), list(g.name)) == (KP, KD, list(NAMES)) for g in one.robot.gains)
    # One Twist is both commands, within the contract's bounds.
    one.until(lambda: velocity.get_subscription_count() > 0, "discovery of cmd_vel")
    asked = Twist()
    asked.linear.x, asked.linear.y, asked.angular.z = 9.0, -0.25, 0.5
    velocity.publish(asked)
    command = one.runtime._commands
    one.until(lambda: bool(one.robot.say()) and command.flat[2] == 0.5, "the command")
    np.testing.assert_allclose(command.flat, [2.0, -0.25, 0.5])
    assert one.runtime.diagnostics()["commands_bounded"] == "1"
    # It grows old and is nothing any more.
    one.until(lambda: bool(one.robot.say()) and not command.flat.any(), "the end of the command")
    # A Twist that is none is refused as a whole.
    asked.linear.x, asked.angular.z = 0.5, math.nan
    velocity.publish(asked)
    one.until(lambda: bool(one.robot.say()) and one.runtime.diagnostics()["commands_refused"] == "2", "the refusal")
    assert not command.flat.any()
    # Fallen over: the robot gives way.
    one.until(lambda: bool(one.robot.say(roll=2.0)) and one.state == "DAMPING", "the trip")
    assert one.runtime.journal.last_trip == "tilt"
    one.until(lambda: bool(one.robot.say()) and list(one.robot.gains[-1].position) == [0.0] * 12, "damping")
    assert list(one.robot.gains[-1].velocity) == [DAMPING] * 12
    sent = len(one.robot.commands)
    one.until(lambda: bool(one.robot.say()) and len(one.robot.commands) > sent + 3, "answers while it gives way")
    assert all(list(gains.position) == [0.0] * 12 for gains in one.robot.gains[-3:])
    assert all(within_limits(message) for message in one.robot.commands)
    assert one.robot.failsafe[-1:] in ([], [False]), "a robot that can be told to give way needs no failsafe"
    one.node.stop()
    assert not read_log(log).problems


def test_stopping_makes_the_robot_give_way_and_an_emergency_stop_does_at_once(kennel: Any) -> None:
    one = kennel()
    one.fly()
    client = one.robot.create_client(Trigger, "policy_node/estop")
    assert one.call(client, Trigger.Request()).success
    one.until(lambda: list(one.robot.gains[-1].position) == [0.0] * 12, "damping without a further observation")
    assert one.state == "ESTOP"
    before = len(one.robot.commands)
    one.node.stop()
    one.until(lambda: len(one.robot.commands) > before, "the last word")
    assert list(one.robot.gains[-1].position) == [0.0] * 12
    np.testing.assert_allclose(one.robot.commands[-1].position, go2.stand, rtol=1e-6)


def test_readings_that_lack_a_joint_or_are_in_another_frame_are_not_used(kennel: Any, capfd: pytest.CaptureFixture[str]) -> None:
    one = kennel()
    one.activate()
    one.robot.imu_frame = "head"
    one.until(lambda: bool(one.robot.say()) and one.runtime.journal.ticks > 3, "ticks")
    assert one.robot.commands == [], "no joint moves before the attitude is known"
    one.robot.imu_frame = "base_link"
    one.until(lambda: bool(one.robot.say()) and one.robot.commands != [], "standing up")
    taken = one.runtime._intake.clock.stamp_ns
    last = one.robot.stamp_ns
    for _ in range(10):
        one.robot.say(without="FL_calf_joint")
        one.executor.spin_once(0.02)
    assert one.runtime._intake.clock.stamp_ns in (taken, last)
    errors = capfd.readouterr().err
    assert "imu is ignored: it is in frame 'head', not 'base_link'" in errors
    assert "joint_state is ignored: joint_state lacks FL_calf_joint; it names tail, RL_calf_joint" in errors


def test_an_imu_that_falls_silent_is_noticed_though_the_joints_go_on(kennel: Any) -> None:
    one = kennel(guards__clock_trip_periods=50.0)
    one.activate()
    one.until(lambda: bool(one.robot.say()) and one.robot.commands != [], "standing up")
    one.robot.imu_frame = "nowhere"
    one.until(lambda: bool(one.robot.say()) and one.state == "DAMPING", "the trip")
    assert one.runtime.journal.last_trip == "stale_sensor"


def test_positions_alone_need_a_failsafe_and_are_followed_by_nothing_but_its_request(
    arrays: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    refused = arrays(output="position_array")
    refused.node.trigger_configure()
    assert refused.lifecycle == REFUSED
    assert "damping: unsupported" in capfd.readouterr().err
    refused.node.stop()
    one = arrays(output="position_array", robot_failsafe=True, output_joints=list(reversed(NAMES)))
    one.fly()
    np.testing.assert_allclose(one.robot.commands[0].data, go2.stand[::-1], atol=0.01)
    assert one.robot.count_publishers("policy_node/gains") == 0
    one.until(lambda: bool(one.robot.say(roll=2.0)) and one.robot.failsafe[-1:] == [True], "the request of the failsafe")
    assert one.state == "DAMPING"
    sent, seen = len(one.robot.commands), one.runtime.journal.ticks
    one.until(lambda: bool(one.robot.say()) and one.runtime.journal.ticks > seen + 5, "steps after the trip")
    one.node.stop()
    for _ in range(5):
        one.executor.spin_once(0.02)
    assert len(one.robot.commands) <= sent + 1, "one may have been under way"


def test_whatever_arrives_what_leaves_is_finite_and_within_limits(kennel: Any) -> None:
    one = kennel(cmd_vel="twist_stamped")
    velocity = one.robot.create_publisher(TwistStamped, "cmd_vel", qos.COMMAND)
    one.activate()
    one.robot.enable.publish(Bool(data=True))
    generator = np.random.default_rng(0)
    odd = (0.0, 1.0, -1.0, 1e3, 1e300, math.nan, math.inf, -math.inf)
    callbacks = {sub.topic_name.rsplit("/", 1)[-1]: sub.callback for sub in one.node.subscriptions}

    def some(size: int) -> list[float]:
        wild = generator.random() < 0.3
        return [float(generator.choice(odd)) if wild and generator.random() < 0.3 else float(generator.normal()) for _ in range(size)]

    for number in range(400):
        imu, joints, twist = Imu(), JointState(name=list(NAMES)), TwistStamped()
        for message in (imu, joints):
            message.header.stamp.sec = int(generator.integers(0, 2**31)) if generator.random() < 0.05 else 10
            message.header.stamp.nanosec = number * 1_000_000
        imu.header.frame_id = "base_link"
        q = imu.orientation
        q.w, q.x, q.y, q.z = some(4) if generator.random() < 0.2 else (1.0, 0.0, 0.0, 0.0)
        joints.position, joints.velocity = some(12), some(12)
        twist.twist.linear.x, twist.twist.linear.y, twist.twist.angular.z = some(3)
        for topic, message in (("imu", imu), ("cmd_vel", twist), ("joint_state", joints)):
            callbacks[topic](message)
        if one.state == "DAMPING":
            one.node._pilot.reset()
            one.runtime.activate()
        one.executor.spin_once(0.0)
    one.until(lambda: bool(one.robot.say()) and one.robot.commands != [], "an answer")
    assert velocity.topic_name == "/cmd_vel"
    assert len({serialize_message(message) for message in one.robot.commands}) > 20
    assert all(within_limits(message) for message in one.robot.commands)
    assert all(list(gains.position) in (KP, [0.0] * 12) for gains in one.robot.gains)


def test_a_trajectory_controller_is_sent_a_point_an_observation(domain: None) -> None:
    with Cockpit.hangar(TrajectoryWalker) as make:
        one = make(output="joint_trajectory", robot_failsafe=True)
        one.activate()
        one.until(lambda: bool(one.robot.say()) and len(one.robot.commands) > 2, "trajectories")
        assert all(len(message.points) == 1 and list(message.joint_names) == list(NAMES) for message in one.robot.commands)
        assert one.last_answered_ns <= one.robot.stamp_ns
