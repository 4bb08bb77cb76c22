"""The operator of a robot that is sent to places: goals, or a goal that moves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from geometry_msgs.msg import PoseStamped, Vector3Stamped
from nav_msgs.msg import Odometry

from tether_ros import qos
from tether_ros.figure_eight import LAP_S, Motion, Vector
from tether_ros.operator_node import Operator

Point = Vector


class GoalOperator(Operator):
    """See `Operator`.

    Args:
        target, watch: see `Operator`.
        world_frame: frame of the goals.

    Attributes:
        position: of the robot [m], as last measured.
    """

    def __init__(self, target: str = "policy_node", world_frame: str = "odom", watch: Sequence[Callable[[], None]] = ()) -> None:
        super().__init__(target, watch)
        self.position: Point | None = None
        self._frame = world_frame
        self._goal = self.node.create_publisher(PoseStamped, "goal_pose", qos.COMMAND)
        self._motion = [self.node.create_publisher(Vector3Stamped, f"goal_{what}", qos.COMMAND) for what in ("velocity", "acceleration")]
        self.node.create_subscription(Odometry, "odometry", self._on_odometry, qos.STATE)

    def prepare(self) -> None:
        """Know where the robot is."""
        self.wait(lambda: self.position is not None, self.patience_s, "an odometry message")

    def goal(self, position: Point) -> None:
        """Ask for a goal position [m]."""
        message = PoseStamped()
        message.header.frame_id = self._frame
        message.header.stamp = self.node.get_clock().now().to_msg()
        message.pose.position.x, message.pose.position.y, message.pose.position.z = map(float, position)
        message.pose.orientation.w = 1.0
        self._goal.publish(message)

    def ask(self, motion: Motion) -> None:
        """Ask for a goal that moves."""
        self.goal(motion.position)
        for publisher, values in zip(self._motion, (motion.velocity, motion.acceleration)):
            message = Vector3Stamped()
            message.header.frame_id = self._frame
            message.header.stamp = self.node.get_clock().now().to_msg()
            message.vector.x, message.vector.y, message.vector.z = map(float, values)
            publisher.publish(message)

    def fly(self, goals: Sequence[Point], dwell_s: float) -> list[float]:
        """Send each goal, stay ``dwell_s`` with it; distances [m] to each at the end of its dwell. Raises if the policy loses control."""
        distances = []
        for goal in goals:
            self.goal(goal)
            self.dwell(dwell_s)
            self.in_control()
            distances.append(self.distance(goal))
        return distances

    def follow(self, reference: Callable[[float], Motion], duration_s: float, rate_hz: float) -> float:
        """Stream a reference, a function of time [s]; RMS distance [m] to it after the first lap, or throughout a shorter flight.

        Raises `TetherError` if the policy loses control.
        """
        begin, squares = time.monotonic(), []
        while (now := time.monotonic() - begin) < duration_s:
            motion = reference(now)
            self.ask(motion)
            if now >= LAP_S or duration_s <= LAP_S:
                squares.append(self.distance(motion.position) ** 2)
            self.in_control()
            self.dwell((math.floor(now * rate_hz) + 1) / rate_hz - now)
        return math.sqrt(sum(squares) / len(squares))

    def distance(self, goal: Point) -> float:
        """From the robot to ``goal`` [m]."""
        return math.dist(self.position, goal) if self.position else math.inf

    def _on_odometry(self, message: Odometry) -> None:
        position = message.pose.pose.position
        self.position = (position.x, position.y, position.z)
