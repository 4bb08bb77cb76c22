"""Quality of service by what a topic is for."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

STATE = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Sensor data: only the newest is worth anything."""

COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""What a user asks for: goals, the dead-man."""

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Modes and failsafe requests: whoever joins late learns the present one."""

HISTORY = QoSProfile(depth=16, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""What happened: whoever joins late learns the last few."""


def actuation(deadline_s: float) -> QoSProfile:
    """What a robot receives: the newest only, offered (or requested) at least every ``deadline_s``.

    Reliable, because the controllers of ros2_control subscribe reliably and would not match a best-effort publisher.
    """
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, deadline=Duration(seconds=deadline_s))
