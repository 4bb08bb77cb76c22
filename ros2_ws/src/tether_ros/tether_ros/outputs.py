"""What the robot is sent, in one of three forms.

| output | message | damping |
|---|---|---|
| `joint_state` | sensor_msgs/JointState on `actuation`; for positions an equally stamped one on `~/gains` | kp = 0 |
| `position_array` | std_msgs/Float64MultiArray, for ros2_control's forward and group position controllers | unsupported |
| `joint_trajectory` | trajectory_msgs/JointTrajectory of one point, for ros2_control's joint trajectory controller | unsupported |

The last two carry positions alone: a robot behind them cannot be told to give way and needs a failsafe of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from rclpy.duration import Duration
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from deploy.runtime.gains import Gains
from robots.contract import Contract
from robots.errors import TetherError
from robots.signals import Actuation
from tether_ros.messages import NANOSECONDS, set_stamp

JOINT_STATE, POSITION_ARRAY, JOINT_TRAJECTORY = FORMS = ("joint_state", "position_array", "joint_trajectory")

Values = Mapping[str, NDArray[Any]]
Encoder = Callable[[Values, int], Any]
"""Actuation (``[size]`` or ``[1, size]`` by name) and the stamp of the observation it answers → message; raises `TetherError` for a value
that is not finite: such a message must never leave."""


def encoder(form: str, contract: Contract, order: Sequence[str]) -> tuple[Any, Encoder]:
    """Message type and encoder of an output; ``order`` names the joints of a `position_array`, empty for contract order."""
    if form == JOINT_STATE:
        return JointState, JointStateEncoder(contract.actuation)
    if form == POSITION_ARRAY:
        return Float64MultiArray, PositionArrayEncoder(contract.actuation, order)
    return JointTrajectory, TrajectoryEncoder(contract.actuation, contract.period_s)


class JointStateEncoder:
    """Every channel of every signal, in contract order: the value in the channel's own field, 0 elsewhere."""

    def __init__(self, signals: Sequence[Actuation]) -> None:
        self.names = _names(signals)
        self._signals = tuple(signals)

    def __call__(self, actuation: Values, nanoseconds: int) -> JointState:
        fields: dict[str, list[float]] = {"position": [], "velocity": [], "effort": []}
        for signal in self._signals:
            values = _finite(signal, actuation)
            for field, column in fields.items():
                column.extend(values if field == signal.field else (0.0,) * signal.size)
        message = JointState(name=self.names, **fields)
        set_stamp(message.header.stamp, nanoseconds)
        return message


class PositionArrayEncoder:
    """Positions without names, in the order the controller was configured with."""

    def __init__(self, signals: Sequence[Actuation], order: Sequence[str]) -> None:
        self._signals = _positions(signals, POSITION_ARRAY)
        names = _names(signals)
        if sorted(order or names) != sorted(names):
            raise TetherError(f"output_joints are {', '.join(order)}; name each of the policy's joints once: {', '.join(names)}")
        self._index = [names.index(joint) for joint in order or names]

    def __call__(self, actuation: Values, nanoseconds: int) -> Float64MultiArray:
        values = [value for signal in self._signals for value in _finite(signal, actuation)]
        return Float64MultiArray(data=[values[index] for index in self._index])


class TrajectoryEncoder:
    """One point, to be reached a control period after the observation, on the clock that stamped it."""

    def __init__(self, signals: Sequence[Actuation], period_s: float) -> None:
        self._signals = _positions(signals, JOINT_TRAJECTORY)
        self._names = _names(signals)
        self._after = Duration(nanoseconds=round(period_s * NANOSECONDS)).to_msg()

    def __call__(self, actuation: Values, nanoseconds: int) -> JointTrajectory:
        positions = [value for signal in self._signals for value in _finite(signal, actuation)]
        point = JointTrajectoryPoint(positions=positions, time_from_start=self._after)
        message = JointTrajectory(joint_names=self._names, points=[point])
        set_stamp(message.header.stamp, nanoseconds)
        return message


def gains_message(joints: Sequence[str], gains: Gains, nanoseconds: int) -> JointState:
    """Gains of joint positions as a JointState: position = kp [N·m/rad], velocity = kd [N·m·s/rad]."""
    message = JointState(name=list(joints), position=gains.kp, velocity=gains.kd)
    set_stamp(message.header.stamp, nanoseconds)
    return message


def require_failsafe(form: str, stated: bool) -> None:
    """Raise `TetherError` unless the robot behind a position-only output is said to have a failsafe of its own."""
    if form != JOINT_STATE and not stated:
        raise TetherError(
            f"output {form} sends positions alone and cannot make the joints give way (damping: unsupported); make sure that the robot "
            "itself lets go when commands stop or `failsafe` is true, and say so by robot_failsafe:=true, or use output:=joint_state"
        )


def _names(signals: Sequence[Actuation]) -> list[str]:
    names = [channel for signal in signals for channel in signal.channels]
    if len(set(names)) != len(names):
        raise TetherError(f"actuation channels must have different names to share a message: {', '.join(names)}")
    return names


def _positions(signals: Sequence[Actuation], form: str) -> tuple[Actuation, ...]:
    for signal in signals:
        if signal.field != "position":
            raise TetherError(f"output {form} carries positions; {signal.name} goes into {signal.field}: use output:=joint_state")
    return tuple(signals)


def _finite(signal: Actuation, actuation: Values) -> list[float]:
    values: list[float] = actuation[signal.name].reshape(-1).tolist()
    if len(values) != signal.size or not all(map(math.isfinite, values)):
        raise TetherError(f"actuation {signal.name} must be {signal.size} finite numbers, is {values}")
    return values
