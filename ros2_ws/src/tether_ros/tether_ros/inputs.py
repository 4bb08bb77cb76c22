"""What the node listens to, by contract: message type, decoder and frames of every sensor source and command topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from geometry_msgs.msg import PoseStamped, Twist, TwistStamped, Vector3Stamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu, JointState, PointCloud2

from robots.contract import Contract
from robots.errors import TetherError, unknown
from robots.signals import Command, Sensor
from tether_ros import messages
from tether_ros.messages import Readings

PLAIN, STAMPED = CMD_VEL = ("twist", "twist_stamped")
GOALS: dict[str, tuple[str, Any, Callable[[Any], Any]]] = {
    "goal_position_in_world": ("goal_pose", PoseStamped, messages.goal_from_pose),
    "goal_velocity_in_world": ("goal_velocity", Vector3Stamped, messages.vector),
    "goal_acceleration_in_world": ("goal_acceleration", Vector3Stamped, messages.vector),
}
"""Topic, message type and decoder by command name."""

VELOCITIES = {"linear_velocity_command": "linear", "yaw_rate_command": "angular"}
"""Part of the Twist on `cmd_vel` by command name."""

RISK_LEVEL = "risk_level"  # the command that is no message but a parameter of the node


class Frames(NamedTuple):
    """What messages must say they are in: the world's frame, the base's, and the IMU's, whose axes must be the base's."""

    world: str
    base: str
    imu: str


class Input(NamedTuple):
    """One topic.

    Attributes:
        kind: message type.
        decode: message → values by signal name; raises `TetherError` for one that cannot be used.
        frames: that its header may name; empty where it has no header, or its frame means nothing.
        example: a message that decodes, to warm up with.
    """

    kind: Any
    decode: Callable[[Any], Readings]
    frames: tuple[str, ...]
    example: Any

    def check(self, message: Any) -> None:
        """Raise `TetherError` for a message in another frame."""
        if self.frames and message.header.frame_id not in self.frames:
            raise TetherError(f"it is in frame {message.header.frame_id!r}, not {' or '.join(map(repr, self.frames))}")


def sources(contract: Contract, frames: Frames) -> dict[str, Input]:
    """Inputs by sensor source, which is the topic's name.

    The clock comes last: of messages that wait together those created first are taken first, and a step wants the newest of the others.

    Raises:
        TetherError: for a source, or a sensor of one, that no message carries, naming those that some does.
    """
    if contract.quaternion_order != "wxyz":
        raise TetherError(f"the policy wants quaternions as {contract.quaternion_order}; this node gives wxyz: export the policy again")
    names = dict.fromkeys(sensor.source for sensor in contract.sensors)
    ordered = [name for name in names if name != contract.clock] + [contract.clock]
    return {name: _source(name, [sensor for sensor in contract.sensors if sensor.source == name], frames) for name in ordered}


def _source(name: str, sensors: Sequence[Sensor], frames: Frames) -> Input:
    makers = {"odometry": _odometry, "imu": _imu, "joint_state": _joint_state, "obstacles": _obstacles}
    if name not in makers:
        raise unknown("sensor source", name, list(makers))
    found = makers[name](sensors, frames)
    carried = found.decode(found.example)
    for sensor in sensors:
        if sensor.name not in carried:
            raise unknown(f"sensor of source {name}", sensor.name, list(carried))
    return found


def _odometry(sensors: Sequence[Sensor], frames: Frames) -> Input:
    return Input(Odometry, messages.sensors_from_odometry, (frames.world,), Odometry())


def _imu(sensors: Sequence[Sensor], frames: Frames) -> Input:
    return Input(Imu, messages.sensors_from_imu, (frames.imu,), Imu())


def _joint_state(sensors: Sequence[Sensor], frames: Frames) -> Input:
    for sensor in sensors:
        if sensor.name not in messages.JOINT_FIELDS:
            raise unknown("sensor of source joint_state", sensor.name, list(messages.JOINT_FIELDS))
    names = list(dict.fromkeys(joint for sensor in sensors for joint in sensor.channels))
    zeros = [0.0] * len(names)
    example = JointState(name=names, position=zeros, velocity=zeros, effort=zeros)
    return Input(JointState, messages.JointReader(sensors), (), example)


def _obstacles(sensors: Sequence[Sensor], frames: Frames) -> Input:
    return Input(PointCloud2, messages.ObstacleReader(sensors[0]), (frames.base,), messages.no_obstacles())


def commands(contract: Contract, frames: Frames, cmd_vel: str) -> dict[str, Input]:
    """Inputs by topic; one message may carry several commands.

    Args:
        contract: the commands.
        frames: goals are in the world's, stamped velocities in the base's, or in none, as teleoperation sends them.
        cmd_vel: type of the messages on that topic, `PLAIN` or `STAMPED`; a topic has one.

    Raises:
        TetherError: for a command that no message carries, naming those that some does.
    """
    found = {}
    parts = []
    for command in contract.commands:
        if command.name in VELOCITIES:
            parts.append((VELOCITIES[command.name], _with_axes(command)))
        elif command.name in GOALS:
            topic, kind, read = GOALS[command.name]
            found[topic] = Input(kind, partial(_named, command.name, read), (frames.world,), kind())
        elif command.name != RISK_LEVEL:
            raise unknown("command", command.name, [*GOALS, *VELOCITIES, RISK_LEVEL])
    if parts:
        found["cmd_vel"] = _velocity(parts, frames, cmd_vel)
    return found


def _velocity(parts: Sequence[tuple[str, Command]], frames: Frames, cmd_vel: str) -> Input:
    if cmd_vel == PLAIN:
        return Input(Twist, lambda message: messages.velocities_from_twist(message, parts), (), Twist())
    return Input(TwistStamped, lambda message: messages.velocities_from_twist(message.twist, parts), ("", frames.base), TwistStamped())


def _with_axes(command: Command) -> Command:
    for channel in command.channels:
        if channel not in ("x", "y", "z"):
            raise unknown(f"axis of {command.name}", channel, ["x", "y", "z"])
    return command


def _named(name: str, read: Callable[[Any], messages.Vector], message: Any) -> Readings:
    return {name: read(message)}
