"""The seam between the simulated robot's node and what it simulates: one file a kind of robot stands behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from rclpy.node import Node

from robots.description import Robot

DEFAULT_WORLD, DEFAULT_BASE = "odom", "base_link"


class Machine(Protocol):
    """A robot with its own topics. It is stepped in real time by whoever owns it, one control period at a time."""

    def restart(self) -> None:
        """Back to the start, still."""

    def obey(self) -> None:
        """Step under the newest command."""

    def fall_back(self) -> None:
        """Step under the robot's own failsafe."""

    def rest(self) -> None:
        """Step with nothing left to do."""

    @property
    def resting(self) -> bool:
        """Whether it lies on the ground and hardly moves."""

    def publish(self, stamp_ns: int) -> None:
        """Measure, and say what was measured."""


class Seat(NamedTuple):
    """What a machine is given by its node.

    Attributes:
        node: to publish and subscribe with.
        on_command: to be called when a valid command has arrived.
        silence_s: how long commands may be absent.
    """

    node: Node
    on_command: Callable[[], None]
    silence_s: float


class MakeMachine(Protocol):
    """Builds a machine from the values of its kind's parameters; raises `TetherError` for a robot or a value that will not do."""

    def __call__(self, robot: Robot, options: Mapping[str, Any], seat: Seat) -> Machine: ...
