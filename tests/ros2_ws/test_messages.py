"""Messages and signals: frames, orders and names, checked against implementations that share nothing with ours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pinocchio
import pytest
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import JointState

from robots.crazyflie import crazyflie
from robots.errors import TetherError
from tether_ros import messages, outputs
from tether_sim.messages import ActuationDecoder, fill_odometry, quaternion_from_rotation_vector, rotation_matrix

CTBR = crazyflie.actuation("ctbr")


def random_readings(generator: np.random.Generator) -> dict[str, Any]:
    quaternion = generator.normal(size=4)
    return {
        "position_base_in_world": generator.normal(size=3),
        "orientation_base_in_world": quaternion / np.linalg.norm(quaternion),
        "linear_velocity_base_in_world": generator.normal(size=3),
        "angular_velocity_base_in_base": generator.normal(size=3),
    }


def over_the_wire(message: Any) -> Any:
    return deserialize_message(serialize_message(message), type(message))


@pytest.mark.parametrize("seed", range(20))
def test_odometry_carries_readings_there_and_back(seed: int) -> None:
    readings, message = random_readings(np.random.default_rng(seed)), Odometry()
    fill_odometry(message, readings, 1_700_000_000_123_456_789)
    received = over_the_wire(message)
    assert messages.stamp_ns(received.header.stamp) == 1_700_000_000_123_456_789
    decoded = messages.sensors_from_odometry(received)
    assert decoded.keys() == readings.keys()
    for name, value in readings.items():
        np.testing.assert_allclose(decoded[name], value, atol=1e-12, err_msg=name)


def test_the_twist_on_the_wire_is_in_the_body_frame() -> None:
    """REP-105: yawed left by 90° and moving along world y is moving forward."""
    message = Odometry()
    readings = random_readings(np.random.default_rng(0)) | {
        "orientation_base_in_world": np.array([math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)]),
        "linear_velocity_base_in_world": np.array([0.0, 2.0, 0.0]),
    }
    fill_odometry(message, readings, 0)
    linear, q = message.twist.twist.linear, message.pose.pose.orientation
    assert (linear.x, linear.y, linear.z) == pytest.approx((2.0, 0.0, 0.0), abs=1e-12)
    assert (q.x, q.y, q.z, q.w) == pytest.approx((0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)))


@pytest.mark.parametrize("seed", range(10))
def test_rotations_agree_with_pinocchio(seed: int) -> None:
    generator = np.random.default_rng(seed)
    vector, rotated = generator.normal(size=3), generator.normal(size=3)
    quaternion = quaternion_from_rotation_vector(vector.tolist())
    expected = pinocchio.exp3(vector)
    np.testing.assert_allclose(rotation_matrix(quaternion), expected, atol=1e-12)
    w, x, y, z = (3.0 * quaternion).tolist()
    assert messages.rotate(w, x, y, z, rotated.tolist()) == pytest.approx(tuple(expected @ rotated), abs=1e-12)


def test_a_quaternion_that_is_no_rotation_gives_nan_and_is_passed_on() -> None:
    message = Odometry()
    message.pose.pose.orientation.w = 0.0
    message.twist.twist.linear.x = 1.0
    readings = messages.sensors_from_odometry(message)
    assert np.isnan(readings["linear_velocity_base_in_world"]).all()
    np.testing.assert_array_equal(readings["orientation_base_in_world"], np.zeros(4))


def test_actuation_is_named_stamped_and_zero_in_the_other_fields() -> None:
    actuation = {"collective_thrust": np.array([[0.25]], np.float32), "body_rates": np.array([[1.0, -2.0, 3.0]], np.float32)}
    message = over_the_wire(outputs.JointStateEncoder(CTBR)(actuation, 5_000_000_007))
    assert list(message.name) == ["collective_thrust", "roll_rate", "pitch_rate", "yaw_rate"]
    assert list(message.effort) == [0.25, 0.0, 0.0, 0.0]
    assert list(message.velocity) == [0.0, 1.0, -2.0, 3.0]
    assert list(message.position) == [0.0] * 4
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)
    np.testing.assert_array_equal(ActuationDecoder(CTBR)(message), [0.25, 1.0, -2.0, 3.0])


def test_another_implementation_of_cdr_reads_the_command() -> None:
    actuation = {"rotor_thrusts": np.array([0.01, 0.02, 0.03, 0.04])}
    message = outputs.JointStateEncoder(crazyflie.actuation("rotor_thrusts"))(actuation, 1)
    store = get_typestore(Stores.ROS2_JAZZY)
    read: Any = store.deserialize_cdr(serialize_message(message), "sensor_msgs/msg/JointState")
    assert read.name == ["rotor_1", "rotor_2", "rotor_3", "rotor_4"]
    np.testing.assert_array_equal(read.effort, actuation["rotor_thrusts"])


def test_the_robot_finds_channels_by_name_and_clamps_them() -> None:
    message = JointState(
        name=["yaw_rate", "extra", "collective_thrust", "pitch_rate", "roll_rate"],
        effort=[9.0, 9.0, 1e3, 9.0, 9.0],
        velocity=[-0.5, 9.0, 9.0, 2.0, 1.0],
    )
    np.testing.assert_allclose(ActuationDecoder(CTBR)(message), [CTBR[0].upper[0], 1.0, 2.0, -0.5])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_number_that_is_not_finite_leaves_or_is_taken(bad: float) -> None:
    actuation = {"collective_thrust": np.array([0.3]), "body_rates": np.array([0.0, bad, 0.0])}
    with pytest.raises(TetherError, match="body_rates must be 3 finite numbers"):
        outputs.JointStateEncoder(CTBR)(actuation, 0)
    names = [channel for signal in CTBR for channel in signal.channels]
    with pytest.raises(TetherError, match="not finite"):
        ActuationDecoder(CTBR)(JointState(name=names, effort=[bad, 0.0, 0.0, 0.0], velocity=[0.0] * 4))


def test_a_command_without_a_channel_is_refused_by_name() -> None:
    with pytest.raises(TetherError, match="no velocity for roll_rate; it names collective_thrust"):
        ActuationDecoder(CTBR)(JointState(name=["collective_thrust"], effort=[0.3]))
    with pytest.raises(TetherError, match="no effort for collective_thrust"):
        ActuationDecoder(CTBR)(JointState(name=["collective_thrust"]))


def test_goals_and_channels_that_share_a_name() -> None:
    pose = PoseStamped()
    pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = 1.0, -2.0, 0.5
    np.testing.assert_array_equal(messages.goal_from_pose(over_the_wire(pose)), [1.0, -2.0, 0.5])
    with pytest.raises(TetherError, match="different names"):
        outputs.JointStateEncoder((CTBR[0], CTBR[0]))
