"""A legged robot behind the message boundary: joint states and IMU out, joint positions with gains in, damping as failsafe.

`ground_truth` is for judges: no policy may listen to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nav_msgs.msg import Odometry
from sensor_msgs.msg import Imu, JointState

from robots.description import LeggedRobot, Robot
from robots.errors import TetherError
from tether_ros import qos
from tether_ros.parameters import Declaration
from tether_sim.legs import Legs
from tether_sim.machine import Seat
from tether_sim.messages import ActuationDecoder, Gains, GainsDecoder, Vector, fill_imu, fill_joint_state, fill_odometry, stamp_ns

START = ("lying", "standing")
PARAMETERS = (
    Declaration("actuation_mode", "joint_position", "how it is actuated", choices=("joint_position",)),
    Declaration("rate_hz", 50.0, "control rate [Hz]", 10.0, 200.0),
    Declaration("start", "lying", "how it is held until the first command", choices=START),
    Declaration("joint_noise_rad", 0.01, "standard deviation of measured joint positions [rad]", 0.0, 0.1),
    Declaration("joint_velocity_noise_rad_s", 0.5, "standard deviation of measured joint velocities [rad/s]", 0.0, 5.0),
    Declaration("gyro_noise_rad_s", 0.05, "standard deviation of the measured body rates [rad/s]", 0.0, 1.0),
    Declaration("attitude_noise_rad", 0.01, "standard deviation of the measured attitude, per axis [rad]", 0.0, 0.1),
)


class Walker:
    """See `tether_sim.machine.Machine`."""

    def __init__(self, robot: Robot, options: Mapping[str, Any], seat: Seat) -> None:
        if not isinstance(robot, LeggedRobot):
            raise TetherError(f"{robot.name} has no legs")
        self._lying, self._seat = options["start"] == "lying", seat
        self._decode = ActuationDecoder(robot.actuation(options["actuation_mode"]))
        self._names = [joint.name for joint in robot.joints]
        self._decode_gains = GainsDecoder(self._names)
        self._legs = Legs(robot, options["rate_hz"], noise(robot, options), options["seed"])
        self._targets: tuple[int, Vector] | None = None
        self._gains: tuple[int, Gains] | None = None
        self._command: tuple[Vector, Gains] | None = None
        self._imu, self._joints, self._truth = Imu(), JointState(name=self._names), Odometry()
        self._imu.header.frame_id = options["base_frame"]
        self._truth.header.frame_id, self._truth.child_frame_id = options["world_frame"], options["base_frame"]
        self._connect()
        self.restart()

    def _connect(self) -> None:
        node = self._seat.node
        self._publish_imu = node.create_publisher(Imu, "imu", qos.STATE).publish
        self._publish_joints = node.create_publisher(JointState, "joint_state", qos.STATE).publish
        self._publish_truth = node.create_publisher(Odometry, "ground_truth", qos.STATE).publish
        profile = qos.actuation(self._seat.silence_s)
        node.create_subscription(JointState, "actuation", self._taking(self._on_actuation), profile)
        node.create_subscription(JointState, "policy_node/gains", self._taking(self._on_gains), profile)

    def restart(self) -> None:
        self._targets = self._gains = self._command = None
        self._legs.place(self._lying)

    def obey(self) -> None:
        assert self._command is not None, "only a command ends being held"
        self._legs.step(*self._command)

    def fall_back(self) -> None:
        self._legs.damp()

    def rest(self) -> None:
        self._legs.damp()

    @property
    def resting(self) -> bool:
        return self._legs.resting

    def publish(self, stamp_ns: int) -> None:
        """The clock of a policy, ``joint_state``, comes last."""
        readings, truth = self._legs.read(), self._legs.truth()
        fill_imu(self._imu, readings, stamp_ns)
        fill_joint_state(self._joints, readings | truth, stamp_ns)
        fill_odometry(self._truth, truth, stamp_ns)
        self._publish_imu(self._imu)
        self._publish_joints(self._joints)
        self._publish_truth(self._truth)

    def _taking(self, take: Callable[[JointState], None]) -> Callable[[JointState], None]:
        def callback(message: JointState) -> None:
            try:
                take(message)
            except TetherError as error:
                self._seat.node.get_logger().error(f"command ignored: {error}", throttle_duration_sec=1.0)
                return
            self._combine()

        return callback

    def _on_actuation(self, message: JointState) -> None:
        self._targets = stamp_ns(message), self._decode(message)

    def _on_gains(self, message: JointState) -> None:
        new = self._decode_gains(message)
        old = self._gains[1] if self._gains is not None else new
        # Equal gains stay the same object, which costs the engine nothing.
        self._gains = stamp_ns(message), old if old.equal(new) else new

    def _combine(self) -> None:
        """Positions and gains make a command once both have come with one stamp, in whichever order."""
        if self._targets is not None and self._gains is not None and self._targets[0] == self._gains[0]:
            self._command = self._targets[1], self._gains[1]
            self._seat.on_command()


def noise(robot: LeggedRobot, options: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Standard deviations by sensor name."""
    joints = len(robot.joints)
    return {
        "orientation_base_in_world": (options["attitude_noise_rad"],) * 3,
        "angular_velocity_base_in_base": (options["gyro_noise_rad_s"],) * 3,
        "joint_position": (options["joint_noise_rad"],) * joints,
        "joint_velocity": (options["joint_velocity_noise_rad_s"],) * joints,
    }
