"""A ROS domain of one's own, and a small crew around the policy node: a robot that only says and hears."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from tether_ros import qos
from tether_ros.messages import set_stamp

POLICY = Path(__file__).resolve().parents[2] / "policies" / "hover_geometric.onnx"
PATIENCE_S = 30.0  # a deadline for what must happen, not a measure of how fast it does


@contextmanager
def ros_domain() -> Iterator[None]:
    """ROS on this machine only, in a domain that no other test run holds; child processes inherit it."""
    with _free_domain() as number:
        previous = dict(os.environ)
        os.environ.update(ROS_DOMAIN_ID=str(number), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
        try:
            rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
            yield
        finally:
            rclpy.try_shutdown()
            os.environ.clear()
            os.environ.update(previous)


@contextmanager
def _free_domain() -> Iterator[int]:
    for number in range(1, 102):
        with (Path(tempfile.gettempdir()) / f"ros_domain_{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield number
            return
    raise RuntimeError("every ROS domain is taken")


class Crew:
    """Spins nodes of this process together until something happened."""

    def __init__(self, *nodes: Node) -> None:
        self.executor = SingleThreadedExecutor()
        for node in nodes:
            self.executor.add_node(node)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Spin until ``condition``, and fail the test saying ``what`` did not happen."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen"
            self.executor.spin_once(0.02)

    def call(self, client: Any, request: Any) -> Any:
        """The answer of a service."""
        self.until(client.service_is_ready, f"discovery of {client.srv_name}")
        future = client.call_async(request)
        self.until(future.done, f"an answer of {client.srv_name}")
        return future.result()


class Robot(Node):
    """Says where it is and keeps what it is told.

    Attributes:
        commands: every actuation message, oldest first.
        failsafe: every failsafe request, oldest first.
    """

    def __init__(self) -> None:
        super().__init__("robot")
        self.commands: list[JointState] = []
        self.failsafe: list[bool] = []
        self.stamp_ns = 1_000_000_000
        self.odometry = self.create_publisher(Odometry, "odometry", qos.STATE)
        self.enable = self.create_publisher(Bool, "policy_node/enable", qos.COMMAND)
        self.create_subscription(JointState, "actuation", self.commands.append, qos.actuation(1.0))
        self.create_subscription(Bool, "failsafe", lambda message: self.failsafe.append(message.data), qos.LATCHED)

    def say(self, *, x: float = 0.0, frame: str = "odom", period_ns: int = 10_000_000) -> int:
        """Send the next odometry, one period later; its stamp."""
        message = Odometry()
        self.stamp_ns += period_ns
        set_stamp(message.header.stamp, self.stamp_ns)
        message.header.frame_id = frame
        message.pose.pose.position.x = x
        message.pose.pose.position.z = 1.0
        message.pose.pose.orientation.w = 1.0
        self.odometry.publish(message)
        return self.stamp_ns
