"""The robot's side of the wire: sensor readings to Odometry, Imu and JointState; JointState to actuation and gains.

The policy's side is `tether_ros.messages`; the two are written apart, so that the round trip tests both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import Imu, JointState, PointCloud2, PointField

from robots.errors import TetherError
from robots.signals import Actuation

Vector = NDArray[np.float64]

SECOND_NS = 1_000_000_000


def rotation_matrix(quaternion: Vector) -> Vector:
    """R ``[3, 3]``, body to world, of a quaternion (w, x, y, z) of any length but zero."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation_vector(vector: Sequence[float]) -> Vector:
    """Quaternion (w, x, y, z) of a rotation vector [rad]."""
    axis = np.asarray(vector, dtype=float)
    half = 0.5 * float(np.linalg.norm(axis))
    return np.concatenate([[np.cos(half)], 0.5 * axis * np.sinc(half / np.pi)])


def stamp_ns(message: Any) -> int:
    """When a message says it was made, in nanoseconds."""
    return int(message.header.stamp.sec) * SECOND_NS + int(message.header.stamp.nanosec)


def fill_odometry(message: Odometry, sensors: Mapping[str, Vector], stamp_ns: int) -> None:
    """Write readings into ``message``: pose in the world, twist in the body frame (REP-105), quaternion as (x, y, z, w)."""
    _set_stamp(message, stamp_ns)
    orientation = sensors["orientation_base_in_world"]
    velocity = rotation_matrix(orientation).T @ sensors["linear_velocity_base_in_world"]
    pose, twist = message.pose.pose, message.twist.twist
    pose.position.x, pose.position.y, pose.position.z = sensors["position_base_in_world"].tolist()
    pose.orientation.w, pose.orientation.x, pose.orientation.y, pose.orientation.z = orientation.tolist()
    twist.linear.x, twist.linear.y, twist.linear.z = velocity.tolist()
    twist.angular.x, twist.angular.y, twist.angular.z = sensors["angular_velocity_base_in_base"].tolist()


def obstacle_cloud(frame: str) -> PointCloud2:
    """An empty cloud of obstacles in ``frame``."""
    fields = [PointField(name=name, offset=4 * k, datatype=PointField.FLOAT32, count=1) for k, name in enumerate(("x", "y", "z", "radius"))]
    message = PointCloud2(height=1, fields=fields, point_step=16, is_dense=True)
    message.header.frame_id = frame
    return message


def fill_obstacles(message: PointCloud2, reading: Vector, range_m: float, stamp_ns: int) -> None:
    """Write the obstacles of a reading, four numbers each, that are within ``range_m`` into ``message``."""
    _set_stamp(message, stamp_ns)
    slots = reading.reshape(-1, 4)
    seen = slots[np.linalg.norm(slots[:, :3], axis=1) - slots[:, 3] <= range_m]
    message.width = len(seen)
    message.row_step = message.width * message.point_step
    message.data = seen.astype("<f4").tobytes()


def fill_imu(message: Imu, sensors: Mapping[str, Vector], stamp_ns: int) -> None:
    """Write attitude, as (x, y, z, w), and body rates; there is no accelerometer, which a covariance of −1 says (REP 145)."""
    _set_stamp(message, stamp_ns)
    q, rates = message.orientation, message.angular_velocity
    q.w, q.x, q.y, q.z = sensors["orientation_base_in_world"].tolist()
    rates.x, rates.y, rates.z = sensors["angular_velocity_base_in_base"].tolist()
    message.linear_acceleration_covariance[0] = -1.0


def fill_joint_state(message: JointState, sensors: Mapping[str, Vector], stamp_ns: int) -> None:
    """Write positions, velocities and torques of the joints that ``message`` names already."""
    _set_stamp(message, stamp_ns)
    message.position = sensors["joint_position"].tolist()
    message.velocity = sensors["joint_velocity"].tolist()
    message.effort = sensors["joint_torque"].tolist()


def _set_stamp(message: Any, stamp_ns: int) -> None:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, SECOND_NS)


class ActuationDecoder:
    """JointState to one vector in the robot's channel order, found by name."""

    def __init__(self, signals: Sequence[Actuation]) -> None:
        self._channels = [(channel, signal.field) for signal in signals for channel in signal.channels]
        self._lower = np.array([bound for signal in signals for bound in signal.lower or (-np.inf,) * signal.size])
        self._upper = np.array([bound for signal in signals for bound in signal.upper or (np.inf,) * signal.size])

    @property
    def size(self) -> int:
        """Number of channels."""
        return len(self._channels)

    def __call__(self, message: JointState) -> Vector:
        """The commanded vector, clamped to the robot's hard limits.

        Raises:
            TetherError: for a missing channel, an array shorter than the names, or a value that is not finite.
        """
        vector = np.array([_value(message, field, channel) for channel, field in self._channels])
        if not np.isfinite(vector).all():
            raise TetherError(f"the command is not finite: {vector.tolist()}")
        return np.clip(vector, self._lower, self._upper)


class Gains(NamedTuple):
    """Of the joints' own position loops, one a joint: ``kp`` [N·m/rad], ``kd`` [N·m·s/rad]."""

    kp: Vector
    kd: Vector

    def equal(self, other: Gains) -> bool:
        """Whether they are the same gains."""
        return np.array_equal(self.kp, other.kp) and np.array_equal(self.kd, other.kd)


class GainsDecoder:
    """JointState (position = kp, velocity = kd) to gains in the robot's joint order, found by name."""

    def __init__(self, joints: Sequence[str]) -> None:
        self._joints = tuple(joints)

    def __call__(self, message: JointState) -> Gains:
        """Raises `TetherError` for a missing joint, or a gain that is negative or not finite."""
        kp, kd = (np.array([_value(message, field, joint) for joint in self._joints]) for field in ("position", "velocity"))
        if not ((kp >= 0.0) & (kd >= 0.0) & np.isfinite(kp + kd)).all():
            raise TetherError(f"gains must be finite and not negative: kp {kp.tolist()}, kd {kd.tolist()}")
        return Gains(kp, kd)


def _value(message: JointState, field: str, channel: str) -> float:
    """Of ``channel`` in one of the arrays."""
    column = getattr(message, field)
    if channel not in message.name or message.name.index(channel) >= len(column):
        raise TetherError(f"the command has no {field} for {channel}; it names {', '.join(message.name) or 'nothing'}")
    return float(column[message.name.index(channel)])
