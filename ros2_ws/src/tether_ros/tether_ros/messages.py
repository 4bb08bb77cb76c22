"""Between ROS messages and named signals. Every other module speaks signals; frames and orders change here and nowhere else.

nav_msgs/Odometry carries the pose in the world frame and the twist in the body frame (REP 105), sensor_msgs/Imu the attitude and body rates
(REP 145); quaternions are (x, y, z, w) on the wire and (w, x, y, z) inside. sensor_msgs/JointState names its joints: their order is the
sender's business. Obstacles come as a sensor_msgs/PointCloud2 in the base frame with the fields x, y, z and radius, in any order and
number: from the base to a ball's centre or the nearest point of a pillar's axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, Twist, Vector3Stamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import Imu, JointState, PointCloud2, PointField

from robots.errors import TetherError
from robots.signals import FAR_M, Command, Sensor

Vector = NDArray[np.float64]
Readings = dict[str, Vector]

NANOSECONDS = 1_000_000_000
JOINT_FIELDS = {"joint_position": "position", "joint_velocity": "velocity", "joint_effort": "effort"}
"""Field of sensor_msgs/JointState by sensor name."""


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


def sensors_from_imu(message: Imu) -> Readings:
    """The readings of source ``imu``: quaternion (w, x, y, z), body rates [rad/s]; NaN for what the message says it does not measure.

    sensor_msgs/Imu says so by a covariance that begins with −1.
    """
    q, rates = message.orientation, message.angular_velocity
    orientation, angular = np.array((q.w, q.x, q.y, q.z)), np.array((rates.x, rates.y, rates.z))
    return {
        "orientation_base_in_world": orientation if message.orientation_covariance[0] != -1.0 else np.full(4, math.nan),
        "angular_velocity_base_in_base": angular if message.angular_velocity_covariance[0] != -1.0 else np.full(3, math.nan),
    }


class JointReader:
    """The readings of source ``joint_state``, each joint found by its name; joints nobody asked for are left out.

    Args:
        sensors: whose channels are joints and whose name says which field they lie in, see `JOINT_FIELDS`.
    """

    def __init__(self, sensors: Sequence[Sensor]) -> None:
        self._sensors = tuple(sensors)
        self._names: list[str] | None = None
        self._columns: list[tuple[str, str, NDArray[np.intp]]] = []

    def __call__(self, message: JointState) -> Readings:
        """Positions [rad], velocities [rad/s], efforts [N·m] in the sensors' order.

        Raises:
            TetherError: for a joint that is missing or named twice, or a field without a value a name.
        """
        if message.name != self._names:
            self._learn(list(message.name))
        readings = {}
        for sensor, field, index in self._columns:
            values = np.array(getattr(message, field))
            if len(values) != len(message.name):
                raise TetherError(f"joint_state has {len(message.name)} names and {len(values)} values in {field}; send one a joint")
            readings[sensor] = values[index]
        return readings

    def _learn(self, names: list[str]) -> None:
        """Where each joint is; robots send one order, so this happens once."""
        self._names = None
        wanted = dict.fromkeys(joint for sensor in self._sensors for joint in sensor.channels)
        if missing := [joint for joint in wanted if joint not in names]:
            raise TetherError(f"joint_state lacks {', '.join(missing)}; it names {', '.join(names) or 'nothing'}")
        if twice := [joint for joint in wanted if names.count(joint) > 1]:
            raise TetherError(f"joint_state names {', '.join(twice)} more than once")
        place = {name: number for number, name in enumerate(names)}
        self._columns = [
            (s.name, JOINT_FIELDS[s.name], np.array([place[joint] for joint in s.channels], dtype=np.intp)) for s in self._sensors
        ]
        self._names = names


OBSTACLE_FIELDS = ("x", "y", "z", "radius")
FLOATS = {PointField.FLOAT32: "f4", PointField.FLOAT64: "f8"}


class ObstacleReader:
    """The readings of source ``obstacles``: the nearest surfaces first, as many as the sensor has channels for.

    Args:
        sensor: with four channels an obstacle.
    """

    def __init__(self, sensor: Sensor) -> None:
        self._name, self._slots = sensor.name, sensor.size // len(OBSTACLE_FIELDS)

    def __call__(self, message: PointCloud2) -> Readings:
        """Offset and radius [m] a slot.

        Raises:
            TetherError: for a cloud without one of the fields, or with data that its own layout does not fit.
        """
        points = np.array(_points(message), dtype=np.float64).reshape(-1, len(OBSTACLE_FIELDS))
        gap = np.linalg.norm(points[:, :3], axis=1) - points[:, 3]
        if not np.isfinite(gap).all():
            raise TetherError("an obstacle is not finite; leave out what is not seen")
        nearest = points[np.argsort(gap, kind="stable")[: self._slots]]
        reading = np.tile([FAR_M, 0.0, 0.0, 0.0], (self._slots, 1))
        reading[: len(nearest)] = nearest
        return {self._name: reading.ravel()}


def _points(message: PointCloud2) -> list[tuple[float, ...]]:
    """(x, y, z, radius) of every point."""
    layout = {field.name: field for field in message.fields if field.datatype in FLOATS and field.count == 1}
    if missing := [name for name in OBSTACLE_FIELDS if name not in layout]:
        found = ", ".join(field.name for field in message.fields) or "none"
        raise TetherError(f"obstacles lack the field {', '.join(missing)} as one float; the cloud has: {found}")
    count = message.width * message.height
    if len(message.data) != count * message.point_step or message.row_step != message.width * message.point_step:
        raise TetherError(
            f"obstacles have {len(message.data)} bytes for {count} points of {message.point_step}; send the rows without gaps"
        )
    order = ">" if message.is_bigendian else "<"
    chosen = [layout[name] for name in OBSTACLE_FIELDS]
    try:
        kind = np.dtype(
            {
                "names": list(OBSTACLE_FIELDS),
                "formats": [order + FLOATS[field.datatype] for field in chosen],
                "offsets": [field.offset for field in chosen],
                "itemsize": message.point_step,
            }
        )
        points: list[tuple[float, ...]] = np.frombuffer(bytes(message.data), dtype=kind).tolist()
    except ValueError as error:
        raise TetherError(f"the layout of obstacles is impossible: {error}") from error
    return points


def no_obstacles() -> PointCloud2:
    """A cloud without a point, with the fields that `ObstacleReader` wants."""
    fields = [PointField(name=name, offset=4 * number, datatype=PointField.FLOAT32, count=1) for number, name in enumerate(OBSTACLE_FIELDS)]
    return PointCloud2(height=1, fields=fields, point_step=4 * len(OBSTACLE_FIELDS))


def goal_from_pose(message: PoseStamped) -> Vector:
    """A goal position [m] in the message's frame."""
    position = message.pose.position
    return np.array((position.x, position.y, position.z))


def vector(message: Vector3Stamped) -> Vector:
    """A vector in the message's frame."""
    return np.array((message.vector.x, message.vector.y, message.vector.z))


def velocities_from_twist(message: Twist, parts: Sequence[tuple[str, Command]]) -> dict[str, Vector]:
    """Velocity commands in the base frame, by command name: the channels each has of ``parts``, ``linear`` [m/s] or ``angular`` [rad/s].

    A Twist is one command: with a number that is none anywhere in it nothing of it counts, and everything is NaN for the guards to refuse.
    """
    found = {c.name: np.array([getattr(getattr(message, part), channel) for channel in c.channels]) for part, c in parts}
    if all(np.isfinite(values).all() for values in found.values()):
        return found
    return {name: np.full_like(values, math.nan) for name, values in found.items()}
