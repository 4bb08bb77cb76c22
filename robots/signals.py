"""Named vectors that cross a seam: what a robot senses, what a user commands, what a robot receives.

Everything that later has to agree on order, unit and frame (simulator, ONNX inputs, ROS messages, logs) reads it from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

JointField = Literal["position", "velocity", "effort"]

FAR_M = 10.0  # what a sensor of obstacles has no obstacle for reads (FAR_M, 0, 0, 0): offset and radius


@dataclass(frozen=True)
class Signal:
    """A named vector with one name per element.

    Attributes:
        name: for example ``position_base_in_world``; frames are part of the name.
        channels: one name per element, in order.
        unit: SI unit of every element, for example ``m``.
        frame: frame the elements are expressed in, for example ``world``.
        lower, upper: for an actuation the hard limits, for a sensor the range outside which a reading is implausible, for a command
            what it is brought within; empty when there is none.
    """

    name: str
    channels: tuple[str, ...]
    unit: str
    frame: str = ""
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for bound in (self.lower, self.upper):
            if bound and len(bound) != len(self.channels):
                raise ValueError(f"{self.name}: {len(bound)} bounds for {len(self.channels)} channels")

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.channels)


@dataclass(frozen=True)
class Sensor(Signal):
    """A signal the robot can measure.

    Attributes:
        source: the message it arrives in (``odometry``, ``imu``, ``joint_state``); signals of one source share a stamp.
    """

    source: str = ""


@dataclass(frozen=True)
class Command(Signal):
    """What the user asks of the task.

    Attributes:
        default: value before the first command arrives; empty for "where the robot is when the policy is activated".
        stale_after_s: age after which ``on_stale`` applies.
        on_stale: ``hold`` keeps the last value (a goal stays a goal), ``zero`` commands zeros (a velocity does not).
    """

    default: tuple[float, ...] = ()
    stale_after_s: float = 0.5
    on_stale: Literal["hold", "zero"] = "zero"


@dataclass(frozen=True)
class Actuation(Signal):
    """What the robot receives.

    Attributes:
        field: the ``sensor_msgs/JointState`` field that carries these channels.
        safe: the value of the final safe command.
    """

    field: JointField = "effort"
    safe: tuple[float, ...] = ()
