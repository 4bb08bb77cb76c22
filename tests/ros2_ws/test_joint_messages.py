"""Messages of robots with joints: who is found by which name, what is refused, and what leaves in which form."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pinocchio
import pytest
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Imu, JointState

from deploy.policy import Policy
from deploy.runtime.gains import Gains
from robots.contract import Contract
from robots.crazyflie import crazyflie
from robots.errors import TetherError
from robots.go2 import NAMES, go2
from robots.signals import Command
from tests.ros2_ws.helpers import GO2, POLICY
from tether_ros import inputs, messages, outputs
from tether_ros.inputs import PLAIN, STAMPED, Frames
from tether_sim.messages import ActuationDecoder, GainsDecoder, fill_imu, fill_joint_state, quaternion_from_rotation_vector

FRAMES = Frames("odom", "base_link", "imu_link")
JOINT_SENSORS = tuple(sensor for sensor in go2.sensors if sensor.source == "joint_state")
TARGETS = go2.actuation("joint_position")
WALK, TURN = "linear_velocity_command", "yaw_rate_command"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Policy.load(GO2).contract


def over_the_wire(message: Any) -> Any:
    return deserialize_message(serialize_message(message), type(message))


def joint_state(names: list[str], positions: list[float], velocities: list[float]) -> JointState:
    return JointState(name=names, position=positions, velocity=velocities)


# --- in ---


@pytest.mark.parametrize("seed", range(10))
def test_joints_are_found_by_name_whatever_the_order_and_whoever_else_is_there(seed: int) -> None:
    generator = np.random.default_rng(seed)
    reader = messages.JointReader(JOINT_SENSORS)
    for _ in range(3):  # the order may even change under way
        names = [*NAMES, "arm", "tail"]
        generator.shuffle(names)
        position, velocity = generator.normal(size=14), generator.normal(size=14)
        readings = reader(over_the_wire(joint_state(names, position.tolist(), velocity.tolist())))
        for place, name in enumerate(NAMES):
            assert readings["joint_position"][place] == position[names.index(name)]
            assert readings["joint_velocity"][place] == velocity[names.index(name)]


def test_readings_of_the_simulated_robot_arrive_as_they_were() -> None:
    generator, message = np.random.default_rng(0), JointState(name=list(NAMES))
    sent = {name: generator.normal(size=12) for name in ("joint_position", "joint_velocity", "joint_torque")}
    fill_joint_state(message, sent, 1_700_000_000_123_456_789)
    received = over_the_wire(message)
    assert messages.stamp_ns(received.header.stamp) == 1_700_000_000_123_456_789
    readings = messages.JointReader(JOINT_SENSORS)(received)
    for name in ("joint_position", "joint_velocity"):
        np.testing.assert_array_equal(readings[name], sent[name])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (joint_state(list(NAMES[1:]), [0.0] * 11, [0.0] * 11), "lacks FR_hip_joint; it names FR_thigh_joint"),
        (joint_state([], [], []), "it names nothing"),
        (joint_state([*NAMES, NAMES[0]], [0.0] * 13, [0.0] * 13), "names FR_hip_joint more than once"),
        (joint_state(list(NAMES), [0.0] * 12, []), "12 names and 0 values in velocity"),
        (joint_state(list(NAMES), [0.0] * 11, [0.0] * 12), "12 names and 11 values in position"),
    ],
)
def test_a_joint_state_that_cannot_be_used_says_why(message: JointState, reason: str) -> None:
    reader = messages.JointReader(JOINT_SENSORS)
    for _ in range(2):  # and not only the first time
        with pytest.raises(TetherError, match=reason):
            reader(message)
    good = joint_state(list(NAMES), [1.0] * 12, [2.0] * 12)
    np.testing.assert_array_equal(reader(good)["joint_velocity"], [2.0] * 12)


def test_a_number_that_is_none_is_passed_on_to_the_guards() -> None:
    readings = messages.JointReader(JOINT_SENSORS)(joint_state(list(NAMES), [math.nan] * 12, [math.inf] * 12))
    assert np.isnan(readings["joint_position"]).all()
    assert np.isinf(readings["joint_velocity"]).all()


@pytest.mark.parametrize("seed", range(5))
def test_an_imu_carries_a_rotation_there_and_back(seed: int) -> None:
    """Against Pinocchio: what leaves is (x, y, z, w), what arrives is (w, x, y, z), and both are body to world."""
    generator, message = np.random.default_rng(seed), Imu()
    vector, rates = generator.normal(size=3), generator.normal(size=3)
    quaternion = quaternion_from_rotation_vector(vector.tolist())
    fill_imu(message, {"orientation_base_in_world": quaternion, "angular_velocity_base_in_base": rates}, 5)
    received = over_the_wire(message)
    q = received.orientation
    np.testing.assert_allclose(pinocchio.Quaternion(np.array([q.x, q.y, q.z, q.w])).matrix(), pinocchio.exp3(vector), atol=1e-12)
    readings = messages.sensors_from_imu(received)
    np.testing.assert_allclose(readings["orientation_base_in_world"], quaternion)
    np.testing.assert_array_equal(readings["angular_velocity_base_in_base"], rates)
    assert received.linear_acceleration_covariance[0] == -1.0, "there is no accelerometer"


def test_what_an_imu_says_it_does_not_measure_is_no_number() -> None:
    message = Imu()
    message.orientation.w = 1.0
    message.orientation_covariance[0] = -1.0
    readings = messages.sensors_from_imu(message)
    assert np.isnan(readings["orientation_base_in_world"]).all()
    assert np.isfinite(readings["angular_velocity_base_in_base"]).all()
    message.angular_velocity_covariance[0] = -1.0
    assert np.isnan(messages.sensors_from_imu(message)["angular_velocity_base_in_base"]).all()


def test_the_clock_is_heard_after_the_sources_that_its_step_uses(contract: Contract) -> None:
    assert list(inputs.sources(contract, FRAMES)) == ["imu", "joint_state"]
    assert list(inputs.sources(dataclasses.replace(contract, clock="imu"), FRAMES)) == ["joint_state", "imu"]


def test_frames_are_checked_where_they_mean_something(contract: Contract) -> None:
    sources = inputs.sources(contract, FRAMES)
    imu, stamped, goal = Imu(), TwistStamped(), PoseStamped()
    with pytest.raises(TetherError, match="in frame '', not 'imu_link'"):
        sources["imu"].check(imu)
    imu.header.frame_id = "imu_link"
    sources["imu"].check(imu)
    sources["joint_state"].check(JointState())
    (velocity,) = inputs.commands(contract, FRAMES, STAMPED).values()
    velocity.check(stamped)
    stamped.header.frame_id = "base_link"
    velocity.check(stamped)
    stamped.header.frame_id = "map"
    with pytest.raises(TetherError, match="in frame 'map', not '' or 'base_link'"):
        velocity.check(stamped)
    (plain,) = inputs.commands(contract, FRAMES, PLAIN).values()
    plain.check(Twist())
    flown = Policy.load(POLICY).contract
    with pytest.raises(TetherError, match="not 'odom'"):
        inputs.commands(flown, FRAMES, PLAIN)["goal_pose"].check(goal)
    with pytest.raises(TetherError, match="not 'odom'"):
        inputs.sources(flown, FRAMES)["odometry"].check(Odometry())


@pytest.mark.parametrize("form", [PLAIN, STAMPED])
def test_one_twist_is_every_velocity_command(contract: Contract, form: str) -> None:
    topics = inputs.commands(contract, FRAMES, form)
    assert list(topics) == ["cmd_vel"]
    twist = Twist()
    twist.linear.x, twist.linear.y, twist.linear.z = 0.5, -0.25, 9.0
    twist.angular.x, twist.angular.z = 9.0, 0.75
    message = twist if form == PLAIN else TwistStamped(twist=twist)
    values = topics["cmd_vel"].decode(over_the_wire(message))
    assert {name: value.tolist() for name, value in values.items()} == {WALK: [0.5, -0.25], TURN: [0.75]}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_twist_with_a_number_that_is_none_is_none_at_all(contract: Contract, bad: float) -> None:
    twist = Twist()
    twist.linear.x, twist.angular.z = 0.5, bad
    values = inputs.commands(contract, FRAMES, PLAIN)["cmd_vel"].decode(twist)
    assert all(np.isnan(value).all() for value in values.values())


def test_what_no_message_carries_is_refused_by_name(contract: Contract) -> None:
    def with_sensor(**changes: Any) -> Contract:
        return dataclasses.replace(contract, sensors=(dataclasses.replace(contract.sensors[0], **changes), *contract.sensors[1:]))

    with pytest.raises(TetherError, match="unknown sensor source 'lidar'; choose one of: imu, joint_state, obstacles, odometry"):
        inputs.sources(with_sensor(source="lidar"), FRAMES)
    with pytest.raises(
        TetherError, match="unknown sensor of source imu 'gravity'; choose one of: angular_velocity_base_in_base, orientation"
    ):
        inputs.sources(with_sensor(name="gravity"), FRAMES)
    with pytest.raises(TetherError, match="unknown sensor of source joint_state 'gravity'; choose one of: joint_effort, joint_position"):
        inputs.sources(with_sensor(name="gravity", source="joint_state"), FRAMES)
    with pytest.raises(TetherError, match="quaternions as xyzw"):
        inputs.sources(dataclasses.replace(contract, quaternion_order="xyzw"), FRAMES)
    odd = Command(WALK, ("forward",), "m/s", "base", default=(0.0,))
    with pytest.raises(TetherError, match="unknown axis of linear_velocity_command 'forward'; choose one of: x, y, z"):
        inputs.commands(dataclasses.replace(contract, commands=(odd,)), FRAMES, PLAIN)
    with pytest.raises(TetherError, match=r"unknown command 'height'; choose one of: .*goal_position_in_world.*yaw_rate_command"):
        inputs.commands(dataclasses.replace(contract, commands=(dataclasses.replace(odd, name="height"),)), FRAMES, PLAIN)


# --- out ---


def targets(seed: int = 0) -> dict[str, np.ndarray]:
    return {"joint_position_target": np.random.default_rng(seed).uniform(-0.5, 0.5, (1, 12)).astype(np.float32)}


def test_joint_targets_are_named_stamped_and_found_again() -> None:
    sent = targets()
    message = over_the_wire(outputs.JointStateEncoder(TARGETS)(sent, 5_000_000_007))
    assert list(message.name) == list(NAMES)
    assert list(message.velocity) == list(message.effort) == [0.0] * 12
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)
    clamped = np.clip(sent["joint_position_target"][0], TARGETS[0].lower, TARGETS[0].upper)
    np.testing.assert_allclose(ActuationDecoder(TARGETS)(message), clamped)


def test_gains_travel_as_positions_and_velocities_of_the_same_joints() -> None:
    kp, kd = tuple(float(value) for value in range(12)), tuple(0.5 * value for value in range(12))
    message = over_the_wire(outputs.gains_message(NAMES, Gains(kp, kd), 5_000_000_007))
    assert (list(message.name), list(message.position), list(message.velocity)) == (list(NAMES), list(kp), list(kd))
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)
    found = GainsDecoder(tuple(reversed(NAMES)))(message)
    np.testing.assert_array_equal(found.kp, kp[::-1])
    np.testing.assert_array_equal(found.kd, kd[::-1])


@pytest.mark.parametrize(("kp", "kd"), [(math.nan, 0.5), (25.0, math.inf), (-1.0, 0.5), (25.0, -0.5)])
def test_the_robot_refuses_gains_that_are_none(kp: float, kd: float) -> None:
    with pytest.raises(TetherError, match="gains must be finite and not negative"):
        GainsDecoder(NAMES[:1])(JointState(name=list(NAMES[:1]), position=[kp], velocity=[kd]))
    with pytest.raises(TetherError, match="no velocity for FR_hip_joint"):
        GainsDecoder(NAMES[:1])(JointState(name=list(NAMES[:1]), position=[25.0]))


def test_an_array_has_the_controllers_order(contract: Contract) -> None:
    order, sent = list(reversed(NAMES)), targets()
    kind, encode = outputs.encoder(outputs.POSITION_ARRAY, contract, order)
    message = over_the_wire(encode(sent, 1))
    assert isinstance(message, kind)
    assert list(message.data) == sent["joint_position_target"][0, ::-1].tolist()
    _, encode = outputs.encoder(outputs.POSITION_ARRAY, contract, [])
    assert list(encode(sent, 1).data) == sent["joint_position_target"][0].tolist()
    for wrong in (order[1:], [*order, "tail"], [*order[1:], order[1]]):
        with pytest.raises(TetherError, match=r"output_joints are .* name each of the policy's joints once: FR_hip_joint"):
            outputs.encoder(outputs.POSITION_ARRAY, contract, wrong)


def test_a_trajectory_is_one_point_a_control_period_ahead(contract: Contract) -> None:
    sent = targets()
    kind, encode = outputs.encoder(outputs.JOINT_TRAJECTORY, contract, [])
    message = over_the_wire(encode(sent, 5_000_000_007))
    assert isinstance(message, kind)
    assert list(message.joint_names) == list(NAMES)
    (point,) = message.points
    assert list(point.positions) == sent["joint_position_target"][0].tolist()
    assert (point.time_from_start.sec, point.time_from_start.nanosec) == (0, 20_000_000)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)


@pytest.mark.parametrize("form", outputs.FORMS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_no_form_lets_a_number_out_that_is_none(contract: Contract, form: str, bad: float) -> None:
    sent = targets()
    sent["joint_position_target"][0, 7] = bad
    with pytest.raises(TetherError, match="joint_position_target must be 12 finite numbers"):
        outputs.encoder(form, contract, [])[1](sent, 0)


@pytest.mark.parametrize("form", [outputs.POSITION_ARRAY, outputs.JOINT_TRAJECTORY])
def test_positions_alone_carry_no_thrust_and_need_a_failsafe(contract: Contract, form: str) -> None:
    thrust = dataclasses.replace(contract, actuation=crazyflie.actuation("ctbr"))
    with pytest.raises(TetherError, match=f"output {form} carries positions; collective_thrust goes into effort"):
        outputs.encoder(form, thrust, [])
    with pytest.raises(TetherError, match=r"damping: unsupported.*robot_failsafe:=true, or use output:=joint_state"):
        outputs.require_failsafe(form, False)
    outputs.require_failsafe(form, True)
    outputs.require_failsafe(outputs.JOINT_STATE, False)
