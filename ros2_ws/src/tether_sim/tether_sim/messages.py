"""The robot's side of the wire: sensor readings to Odometry, JointState to actuation.

The policy's side is `tether_ros.messages`; the two are written apart, so that the round trip tests both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from robots.errors import TetherError
from robots.signals import Actuation

Vector = NDArray[np.float64]


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


def fill_odometry(message: Odometry, sensors: Mapping[str, Vector], stamp_ns: int) -> None:
    """Write readings into ``message``: pose in the world, twist in the body frame (REP-105), quaternion as (x, y, z, w)."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    orientation = sensors["orientation_base_in_world"]
    velocity = rotation_matrix(orientation).T @ sensors["linear_velocity_base_in_world"]
    pose, twist = message.pose.pose, message.twist.twist
    pose.position.x, pose.position.y, pose.position.z = sensors["position_base_in_world"].tolist()
    pose.orientation.w, pose.orientation.x, pose.orientation.y, pose.orientation.z = orientation.tolist()
    twist.linear.x, twist.linear.y, twist.linear.z = velocity.tolist()
    twist.angular.x, twist.angular.y, twist.angular.z = sensors["angular_velocity_base_in_base"].tolist()


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
        index = {name: position for position, name in enumerate(message.name)}
        values = []
        for channel, field in self._channels:
            column = getattr(message, field)
            if channel not in index or index[channel] >= len(column):
                raise TetherError(f"the command has no {field} for {channel}; it names {', '.join(message.name) or 'nothing'}")
            values.append(column[index[channel]])
        vector = np.array(values)
        if not np.isfinite(vector).all():
            raise TetherError(f"the command is not finite: {values}")
        return np.clip(vector, self._lower, self._upper)
