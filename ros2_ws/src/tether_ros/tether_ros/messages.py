"""Between ROS messages and named signals. Every other module speaks signals; frames and orders change here and nowhere else.

nav_msgs/Odometry carries the pose in the world frame and the twist in the body frame (REP-105); quaternions are (x, y, z, w) on the wire
and (w, x, y, z) inside. sensor_msgs/JointState carries actuation: one name per channel, the value in the channel's field, 0 elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, Vector3Stamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from robots.errors import TetherError, unknown
from robots.signals import Actuation

Readings = dict[str, NDArray[np.float64]]

NANOSECONDS = 1_000_000_000


def stamp_ns(stamp: Any) -> int:
    """A builtin_interfaces/Time in nanoseconds."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def set_stamp(stamp: Any, nanoseconds: int) -> None:
    """Write nanoseconds into a builtin_interfaces/Time."""
    stamp.sec, stamp.nanosec = divmod(nanoseconds, NANOSECONDS)


def rotate(w: float, x: float, y: float, z: float, vector: Sequence[float]) -> tuple[float, float, float]:
    """R(q)·v for a quaternion of any length but zero, which gives NaN so that the guards see it.

    R(q)·v = v + 2/|q|²·(w·(u × v) + u × (u × v)), u = (x, y, z).
    """
    a, b, c = vector
    square = w * w + x * x + y * y + z * z
    scale = 2.0 / square if square > 0.0 else math.nan
    s, t, r = y * c - z * b, z * a - x * c, x * b - y * a
    return (a + scale * (w * s + y * r - z * t), b + scale * (w * t + z * s - x * r), c + scale * (w * r + x * t - y * s))


def sensors_from_odometry(message: Odometry) -> Readings:
    """The readings of source ``odometry``: position [m], quaternion (w, x, y, z), velocity in the world [m/s], body rates [rad/s].

    The quaternion is passed on as it came, so that a guard can see one that is not a rotation.
    """
    position, q = message.pose.pose.position, message.pose.pose.orientation
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    return {
        "position_base_in_world": np.array((position.x, position.y, position.z)),
        "orientation_base_in_world": np.array((q.w, q.x, q.y, q.z)),
        "linear_velocity_base_in_world": np.array(rotate(q.w, q.x, q.y, q.z, (linear.x, linear.y, linear.z))),
        "angular_velocity_base_in_base": np.array((angular.x, angular.y, angular.z)),
    }


def goal_from_pose(message: PoseStamped) -> NDArray[np.float64]:
    """A goal position [m] in the message's frame."""
    position = message.pose.position
    return np.array((position.x, position.y, position.z))


def vector(message: Vector3Stamped) -> NDArray[np.float64]:
    """A vector in the message's frame."""
    return np.array((message.vector.x, message.vector.y, message.vector.z))


SOURCES: dict[str, tuple[Any, Callable[[Any], Readings]]] = {"odometry": (Odometry, sensors_from_odometry)}
"""Message type and decoder by sensor source; the source is the topic's name."""

COMMANDS: dict[str, tuple[str, Any, Callable[[Any], NDArray[np.float64]]]] = {
    "goal_position_in_world": ("goal_pose", PoseStamped, goal_from_pose),
    "goal_velocity_in_world": ("goal_velocity", Vector3Stamped, vector),
    "goal_acceleration_in_world": ("goal_acceleration", Vector3Stamped, vector),
}
"""Topic, message type and decoder by command name."""


def source(name: str) -> tuple[Any, Callable[[Any], Readings]]:
    """The entry of `SOURCES`; raises `TetherError` naming the sources this node can read."""
    if name not in SOURCES:
        raise unknown("sensor source", name, list(SOURCES))
    return SOURCES[name]


def command(name: str) -> tuple[str, Any, Callable[[Any], NDArray[np.float64]]]:
    """The entry of `COMMANDS`; raises `TetherError` naming the commands this node can receive."""
    if name not in COMMANDS:
        raise unknown("command", name, list(COMMANDS))
    return COMMANDS[name]


class ActuationEncoder:
    """Actuation signals to JointState: every channel of every signal, in contract order."""

    def __init__(self, signals: Sequence[Actuation]) -> None:
        self.names = [channel for signal in signals for channel in signal.channels]
        if len(set(self.names)) != len(self.names):
            raise TetherError(f"actuation channels must have different names to share a JointState: {', '.join(self.names)}")
        self._signals = tuple(signals)

    def __call__(self, actuation: Mapping[str, NDArray[Any]], nanoseconds: int) -> JointState:
        """The message for ``actuation`` (``[size]`` or ``[1, size]`` by name), stamped with the observation it answers.

        Raises:
            TetherError: for a value that is not finite; such a message must never leave.
        """
        fields: dict[str, list[float]] = {"position": [], "velocity": [], "effort": []}
        for signal in self._signals:
            values = actuation[signal.name].reshape(-1).tolist()
            if len(values) != signal.size or not all(map(math.isfinite, values)):
                raise TetherError(f"actuation {signal.name} must be {signal.size} finite numbers, is {values}")
            for field, column in fields.items():
                column.extend(values if field == signal.field else (0.0,) * signal.size)
        message = JointState(name=self.names, **fields)
        set_stamp(message.header.stamp, nanoseconds)
        return message
