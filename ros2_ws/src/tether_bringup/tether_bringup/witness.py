"""Follows what the simulated robot says about itself."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

from tether_ros import qos


class Witness:
    """The simulated robot's modes, in order.

    Attributes:
        modes: every mode entered, oldest first.
        events: the values that came with each, for example ``reason`` and ``silent_periods``.
    """

    def __init__(self, node: Node, target: str = "simulated_robot") -> None:
        self.modes: list[str] = []
        self.events: list[dict[str, str]] = []
        node.create_subscription(DiagnosticStatus, f"{target}/mode", self._on_mode, qos.HISTORY)

    @property
    def mode(self) -> str:
        """The present mode; empty before the first message."""
        return self.modes[-1] if self.modes else ""

    def _on_mode(self, message: DiagnosticStatus) -> None:
        self.modes.append(message.message)
        self.events.append({pair.key: pair.value for pair in message.values})
