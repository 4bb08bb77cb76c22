"""A quadrotor behind the message boundary: odometry out, collective thrust and body rates or rotor thrusts in, a landing as failsafe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState

from robots.description import Quadrotor, Robot
from robots.errors import TetherError
from tether_ros import qos
from tether_ros.parameters import Declaration
from tether_sim.autopilot import DescendAndLand
from tether_sim.machine import Seat
from tether_sim.messages import ActuationDecoder, Vector, fill_odometry
from tether_sim.vehicle import Vehicle

PARAMETERS = (
    Declaration("actuation_mode", "ctbr", "how it is actuated, one of the robot's modes"),
    Declaration("rate_hz", 100.0, "control rate [Hz]", 10.0, 1000.0),
    Declaration("start_position_m", [0.0, 0.0, 1.5], "where it is held until the first command [m]"),
    Declaration("start_rotation_rad", [0.0, 0.0, 0.0], "its attitude then, a rotation vector from level [rad]"),
    Declaration("start_velocity_m_s", [0.0, 0.0, 0.0], "its velocity when released [m/s]"),
    Declaration("position_noise_m", 0.002, "standard deviation of the measured position [m]", 0.0, 0.1),
    Declaration("velocity_noise_m_s", 0.01, "standard deviation of the measured velocity [m/s]", 0.0, 1.0),
    Declaration("gyro_noise_rad_s", 0.001, "standard deviation of the measured body rates [rad/s]", 0.0, 1.0),
    Declaration("attitude_noise_rad", 0.002, "standard deviation of the measured attitude, per axis [rad]", 0.0, 0.1),
)


class Flyer:
    """See `tether_sim.machine.Machine`."""

    def __init__(self, robot: Robot, options: Mapping[str, Any], seat: Seat) -> None:
        if not isinstance(robot, Quadrotor):
            raise TetherError(f"{robot.name} is no quadrotor")
        mode = options["actuation_mode"]
        self._options, self._seat = options, seat
        self._decode = ActuationDecoder(robot.actuation(mode))
        self._failsafe = DescendAndLand(robot, mode)
        self._vehicle = Vehicle(robot, mode, options["rate_hz"], noise(options), options["seed"])
        self._still = np.zeros(self._decode.size)
        self._command: Vector = self._still
        self._odometry = Odometry()
        self._odometry.header.frame_id, self._odometry.child_frame_id = options["world_frame"], options["base_frame"]
        self._publish = seat.node.create_publisher(Odometry, "odometry", qos.STATE).publish
        seat.node.create_subscription(JointState, "actuation", self._on_actuation, qos.actuation(seat.silence_s))
        self.restart()

    def restart(self) -> None:
        option = self._options
        self._vehicle.place(option["start_position_m"], option["start_rotation_rad"], option["start_velocity_m_s"])
        self._readings = self._vehicle.read()

    def obey(self) -> None:
        self._vehicle.step(self._command)

    def fall_back(self) -> None:
        self._vehicle.step(self._failsafe(self._readings))

    def rest(self) -> None:
        self._vehicle.step(self._still)

    @property
    def resting(self) -> bool:
        return self._vehicle.resting

    def publish(self, stamp_ns: int) -> None:
        self._readings = self._vehicle.read()
        fill_odometry(self._odometry, self._readings, stamp_ns)
        self._publish(self._odometry)

    def _on_actuation(self, message: JointState) -> None:
        try:
            self._command = self._decode(message)
        except TetherError as error:
            self._seat.node.get_logger().error(f"command ignored: {error}", throttle_duration_sec=1.0)
            return
        self._seat.on_command()


def noise(options: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Standard deviations by sensor name."""
    return {
        "position_base_in_world": (options["position_noise_m"],) * 3,
        "orientation_base_in_world": (options["attitude_noise_rad"],) * 3,
        "linear_velocity_base_in_world": (options["velocity_noise_m_s"],) * 3,
        "angular_velocity_base_in_base": (options["gyro_noise_rad_s"],) * 3,
    }
