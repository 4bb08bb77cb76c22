"""The operator of a robot that is told how fast to go."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from geometry_msgs.msg import Twist
from rclpy.clock import Clock, ClockType

from tether_ros import qos
from tether_ros.operator_node import Operator

COMMAND_HZ = 20.0  # well within the age at which a velocity counts as stale
CHECK_S = 0.2


class Velocity(NamedTuple):
    """Forward and to the left [m/s], and turning to the left [rad/s], in the base frame."""

    forward: float = 0.0
    left: float = 0.0
    yaw: float = 0.0


class WalkOperator(Operator):
    """See `Operator`. Repeats the present velocity, which a robot forgets when it grows old.

    Attributes:
        asked: the present velocity; None before the first.
        since_s: when it was first asked for, monotonic clock [s].
    """

    def __init__(self, target: str = "policy_node", watch: Sequence[Callable[[], None]] = ()) -> None:
        super().__init__(target, watch)
        self.asked: Velocity | None = None
        self.since_s = 0.0
        self._velocity = self.node.create_publisher(Twist, "cmd_vel", qos.COMMAND)
        self.node.create_timer(1.0 / COMMAND_HZ, self._repeat, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def ask(self, velocity: Velocity) -> None:
        """Ask for a velocity from now on."""
        self.asked, self.since_s = velocity, time.monotonic()
        self._repeat()

    def walk(self, velocities: Sequence[Velocity], each_s: float) -> None:
        """Ask for one velocity after the other. Raises `TetherError` if the policy loses control."""
        for velocity in velocities:
            self.ask(velocity)
            while (left := self.since_s + each_s - time.monotonic()) > 0:
                self.dwell(min(left, CHECK_S))
                self.in_control()

    def _repeat(self) -> None:
        if self.asked is not None:
            message = Twist()
            message.linear.x, message.linear.y, message.angular.z = map(float, self.asked)
            self._velocity.publish(message)
