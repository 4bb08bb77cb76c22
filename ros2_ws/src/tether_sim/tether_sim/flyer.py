"""A quadrotor behind the message boundary: odometry out, collective thrust and body rates or rotor thrusts in, a landing as failsafe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState, PointCloud2

from robots.description import Quadrotor, Robot
from robots.errors import TetherError
from sim.obstacles import OBSTACLES, RANGE_M
from tether_ros import qos
from tether_ros.parameters import Declaration
from tether_sim.autopilot import DescendAndLand
from tether_sim.machine import Seat
from tether_sim.messages import ActuationDecoder, Vector, fill_obstacles, fill_odometry, obstacle_cloud
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
    Declaration("obstacle_noise_m", 0.005, "standard deviation of every number of a sensed obstacle [m]", 0.0, 0.1),
    Declaration("obstacles", [""], "around it, each `ball X Y Z RADIUS` or `pillar X Y RADIUS` [m], for a robot that senses them"),
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
        senses = any(sensor.name == OBSTACLES for sensor in robot.sensors)
        obstacles = [obstacle(text) for text in options["obstacles"] if text]
        if obstacles and not senses:
            raise TetherError(f"{robot.name} senses no obstacles; leave the parameter obstacles out, or choose a robot that does")
        deviations = noise(options) if senses else {name: value for name, value in noise(options).items() if name != OBSTACLES}
        self._vehicle = Vehicle(robot, mode, options["rate_hz"], deviations, options["seed"], obstacles)
        self._still = np.zeros(self._decode.size)
        self._command: Vector = self._still
        self._odometry = Odometry()
        self._odometry.header.frame_id, self._odometry.child_frame_id = options["world_frame"], options["base_frame"]
        self._publish = seat.node.create_publisher(Odometry, "odometry", qos.STATE).publish
        self._cloud = obstacle_cloud(options["base_frame"]) if senses else None
        self._publish_cloud = seat.node.create_publisher(PointCloud2, "obstacles", qos.STATE).publish if senses else None
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
        if self._cloud is not None and self._publish_cloud is not None:  # first, for the odometry is the policy's clock
            fill_obstacles(self._cloud, self._readings[OBSTACLES], RANGE_M, stamp_ns)
            self._publish_cloud(self._cloud)
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
        OBSTACLES: (options["obstacle_noise_m"],),
    }


def obstacle(text: str) -> tuple[float, ...]:
    """A row as in `sim.obstacles` of ``ball X Y Z RADIUS`` or ``pillar X Y RADIUS``.

    Raises:
        TetherError: for anything else.
    """
    kind, *words = text.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if kind == "ball" and len(numbers) == 4:
        return (*numbers, 0.0)
    if kind == "pillar" and len(numbers) == 3:
        x, y, radius = numbers
        return (x, y, 0.0, radius, 1.0)
    raise TetherError(f"obstacle {text!r} is neither `ball X Y Z RADIUS` nor `pillar X Y RADIUS`, in metres")
