"""A ROS domain of one's own, and a small crew around the policy node: a robot that only says and hears."""

from __future__ import annotations

import fcntl
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import rclpy
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Bool

from robots.errors import TetherError
from robots.go2 import NAMES, go2
from tether_ros import qos
from tether_ros.messages import set_stamp, stamp_ns
from tether_ros.node import PolicyNode
from tether_ros.operator_node import Unanswered

POLICIES = Path(__file__).resolve().parents[2] / "policies"
POLICY, GO2 = POLICIES / "hover_geometric.onnx", POLICIES / "go2_velocity.onnx"
PATIENCE_S = 30.0  # a deadline for what must happen, not a measure of how fast it does

ATTEMPTS = 3  # where a robot may take over for a silence that is this machine's


def undisturbed(mission: Callable[[], dict[str, Any]], attempts: int = ATTEMPTS) -> dict[str, Any]:
    """What ``mission`` gives; it may try again where a busy machine was silent, so that the robot took over, or lost an answer.

    Both sides did right then; that they do is tested where no machine has a say.
    """
    for _ in range(attempts - 1):
        try:
            return mission()
        except TetherError as error:
            if "is the machine too busy?" not in str(error) and not isinstance(error.__cause__, Unanswered):
                raise
    return mission()


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

    policy: ClassVar = POLICY

    def __init__(self) -> None:
        super().__init__("robot")
        self.commands: list[JointState] = []
        self.failsafe: list[bool] = []
        self.stamp_ns = 1_000_000_000
        self.odometry = self.create_publisher(Odometry, "odometry", qos.STATE)
        self.enable = self.create_publisher(Bool, "policy_node/enable", qos.COMMAND)
        self.create_subscription(JointState, "actuation", self.commands.append, qos.actuation(1.0))
        self.create_subscription(Bool, "failsafe", lambda message: self.failsafe.append(message.data), qos.LATCHED)

    def heard(self) -> bool:
        """Whether the policy node listens to it."""
        return self.odometry.get_subscription_count() > 0

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


class Walker(Node):
    """Stands there with noisy joints, says so in an order of its own with a joint too many, and keeps what it is told.

    Attributes:
        kind: of the actuation messages.
        commands, gains: every message, oldest first; failsafe: every request.
        imu_frame: what its IMU says it is in.
    """

    policy: ClassVar = GO2
    kind: ClassVar[Any] = JointState

    def __init__(self) -> None:
        super().__init__("robot")
        self.commands: list[Any] = []
        self.gains: list[JointState] = []
        self.failsafe: list[bool] = []
        self.stamp_ns = 1_000_000_000
        self.imu_frame = "base_link"
        self.imu = self.create_publisher(Imu, "imu", qos.STATE)
        self.joints = self.create_publisher(JointState, "joint_state", qos.STATE)
        self.enable = self.create_publisher(Bool, "policy_node/enable", qos.COMMAND)
        self.create_subscription(self.kind, "actuation", self.commands.append, qos.actuation(1.0))
        self.create_subscription(JointState, "policy_node/gains", self.gains.append, qos.actuation(1.0))
        self.create_subscription(Bool, "failsafe", lambda message: self.failsafe.append(message.data), qos.LATCHED)

    def heard(self) -> bool:
        """Whether the policy node listens to it."""
        return bool(self.imu.get_subscription_count() and self.joints.get_subscription_count())

    def say(self, *, without: str = "", offset: float = 0.0, roll: float = 0.0) -> int:
        """Send the next readings, one period later; their stamp."""
        self.stamp_ns += 20_000_000
        imu, joints = Imu(), JointState(name=["tail", *(name for name in reversed(NAMES) if name != without)])
        for message in (imu, joints):
            set_stamp(message.header.stamp, self.stamp_ns)
        imu.header.frame_id = self.imu_frame
        imu.orientation.w, imu.orientation.x = math.cos(roll / 2), math.sin(roll / 2)
        place = dict(zip(NAMES, go2.stand))
        joints.position = [place.get(name, 9.0) + offset for name in joints.name]
        joints.velocity = [0.0] * len(joints.name)
        self.imu.publish(imu)
        self.joints.publish(joints)
        return self.stamp_ns


CONFIGURED, REFUSED = "inactive", "unconfigured"
# Here time passes as the machine likes, not as a robot's does; guards on timing are tested where they are under test.
UNHURRIED = {
    "guards.dead_man_s": 1e6,
    "guards.clock_trip_periods": math.inf,
    "guards.clock_warn_periods": math.inf,
    "guards.missed_in_row": 2**31 - 1,
    "guards.missed_fraction": math.inf,
}


class Cockpit(Crew):
    """A policy node and its robot, spun together."""

    def __init__(self, robot: type[Any], /, **options: Any) -> None:
        values = {"policy": str(robot.policy), **UNHURRIED, **{name.replace("__", "."): value for name, value in options.items()}}
        self.node = PolicyNode([Parameter(name, value=value) for name, value in values.items()])
        self.robot = robot()
        super().__init__(self.node, self.robot)

    @property
    def lifecycle(self) -> str:
        return str(self.node._state_machine.current_state[1])

    @property
    def state(self) -> str:
        return self.runtime.state.name

    @property
    def runtime(self) -> Any:
        assert self.node._pilot is not None
        return self.node._pilot._runtime

    @property
    def last_answered_ns(self) -> int:
        return max(stamp_ns(message.header.stamp) for message in self.robot.commands)

    def activate(self) -> None:
        self.node.trigger_configure()
        assert self.lifecycle == CONFIGURED
        self.until(self.robot.heard, "discovery of the robot's topics")
        self.until(lambda: self.robot.count_publishers("actuation") > 0, "discovery of the actuation topic")
        self.node.trigger_activate()
        assert self.lifecycle == "active"

    def fly(self, answers: int = 3) -> None:
        """Activate, hold the dead-man switch, and be answered by the policy."""
        self.activate()
        self.robot.enable.publish(Bool(data=True))
        self.until(lambda: bool(self.robot.say()) and self.state == "POLICY", "control by the policy")
        goal = len(self.robot.commands) + answers
        self.until(lambda: bool(self.robot.say()) and len(self.robot.commands) >= goal, "an answer")

    @classmethod
    @contextmanager
    def hangar(cls, robot: type[Any]) -> Iterator[Callable[..., Cockpit]]:
        """Makes cockpits of ``robot``, and closes them."""
        made: list[Cockpit] = []

        def make(**options: Any) -> Cockpit:
            made.append(cls(robot, **options))
            return made[-1]

        try:
            yield make
        finally:
            for one in made:
                one.close()

    def close(self) -> None:
        self.node.stop()
        for node in (self.node, self.robot):
            self.executor.remove_node(node)
            node.destroy_node()
