"""The simulated robot's node.

| name | type | what |
|---|---|---|
| `odometry` | nav_msgs/Odometry out | the newest readings, every control period |
| `actuation` | sensor_msgs/JointState in | the newest command, held for the period |
| `failsafe` | std_msgs/Bool in | true asks for the failsafe |
| `~/mode` | diagnostic_msgs/DiagnosticStatus out, latched | mode (message) and when, why, after how many silent periods |
| `~/restart` | std_srvs/Trigger | back to the start pose, held |
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from robots import registry
from robots.errors import TetherError
from tether_ros import process, qos
from tether_ros.parameters import REALTIME_PRIORITY, Declaration, declare
from tether_sim.autopilot import DescendAndLand
from tether_sim.messages import ActuationDecoder, Vector, fill_odometry
from tether_sim.modes import SILENCE_PERIODS, Mode, Supervisor
from tether_sim.vehicle import Vehicle

PARAMETERS = (
    Declaration("robot", "crazyflie", "registered robot"),
    Declaration("actuation_mode", "ctbr", "how it is actuated, one of the robot's modes"),
    Declaration("rate_hz", 100.0, "control rate [Hz]", 10.0, 1000.0),
    Declaration("start_position_m", [0.0, 0.0, 1.5], "where it is held until the first command [m]"),
    Declaration("start_rotation_rad", [0.0, 0.0, 0.0], "its attitude then, a rotation vector from level [rad]"),
    Declaration("start_velocity_m_s", [0.0, 0.0, 0.0], "its velocity when released [m/s]"),
    Declaration("position_noise_m", 0.002, "standard deviation of the measured position [m]", 0.0, 0.1),
    Declaration("velocity_noise_m_s", 0.01, "standard deviation of the measured velocity [m/s]", 0.0, 1.0),
    Declaration("gyro_noise_rad_s", 0.001, "standard deviation of the measured body rates [rad/s]", 0.0, 1.0),
    Declaration("attitude_noise_rad", 0.002, "standard deviation of the measured attitude, per axis [rad]", 0.0, 0.1),
    Declaration("seed", 0, "of the noise", 0, 2**31 - 1),
    REALTIME_PRIORITY,
    Declaration("world_frame", "odom", "frame of the pose"),
    Declaration("base_frame", "base_link", "frame of the twist"),
)

CATCH_UP_PERIODS = 5
"""A loop that was kept waiting steps at most this many periods at once, so that simulated time keeps up with real time."""

LEVEL = {
    Mode.HELD: DiagnosticStatus.OK,
    Mode.FLYING: DiagnosticStatus.OK,
    Mode.FAILSAFE: DiagnosticStatus.WARN,
    Mode.LANDED: DiagnosticStatus.WARN,
}


class SimulatedRobot(Node):
    """Steps the vehicle in real time; commands that arrive between two periods act over the whole of the period between them."""

    def __init__(self, overrides: Sequence[Parameter] = ()) -> None:
        super().__init__("simulated_robot", parameter_overrides=list(overrides), automatically_declare_parameters_from_overrides=True)
        self._options = declare(self, PARAMETERS)
        process.prioritise(self._options["realtime_priority"])
        robot = registry.robot(self._options["robot"])
        mode = self._options["actuation_mode"]
        self._decode = ActuationDecoder(robot.actuation(mode))
        self._failsafe = DescendAndLand(robot, mode)
        self._vehicle = Vehicle(robot, mode, self._options["rate_hz"], self._noise(), self._options["seed"])
        self._supervisor = Supervisor()
        self._period_ns = round(1e9 / self._options["rate_hz"])
        self._command: Vector = np.zeros(self._decode.size)
        self._command_s = 0.0
        self._late = 0
        self._communicate()
        self._restart()
        self._due_ns = time.monotonic_ns() + self._period_ns
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        self.create_timer(self._period_ns * 1e-9, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def stop(self) -> None:
        """Nothing to say at the end: whoever commands this robot is told by silence."""

    def _noise(self) -> dict[str, tuple[float, ...]]:
        option = self._options
        return {
            "position_base_in_world": (option["position_noise_m"],) * 3,
            "orientation_base_in_world": (option["attitude_noise_rad"],) * 3,
            "linear_velocity_base_in_world": (option["velocity_noise_m_s"],) * 3,
            "angular_velocity_base_in_base": (option["gyro_noise_rad_s"],) * 3,
        }

    def _communicate(self) -> None:
        self._odometry = Odometry()
        self._odometry.header.frame_id = self._options["world_frame"]
        self._odometry.child_frame_id = self._options["base_frame"]
        self._publish_mode = self.create_publisher(DiagnosticStatus, "~/mode", qos.HISTORY).publish
        self._publish_odometry = self.create_publisher(Odometry, "odometry", qos.STATE).publish
        deadline_s = SILENCE_PERIODS * self._period_ns * 1e-9
        self.create_subscription(JointState, "actuation", self._on_actuation, qos.actuation(deadline_s))
        self.create_subscription(Bool, "failsafe", self._on_failsafe, qos.LATCHED)
        self.create_service(Trigger, "~/restart", self._on_restart)

    def _restart(self) -> None:
        option = self._options
        self._vehicle.place(option["start_position_m"], option["start_rotation_rad"], option["start_velocity_m_s"])
        self._readings = self._vehicle.read()
        self._supervisor.reset()
        self._announce()

    def _on_restart(self, request: Any, response: Any) -> Any:
        self._restart()
        response.success, response.message = True, "held at the start pose"
        return response

    def _on_actuation(self, message: JointState) -> None:
        try:
            self._command = self._decode(message)
        except TetherError as error:
            self.get_logger().error(f"command ignored: {error}", throttle_duration_sec=1.0)
            return
        self._command_s = time.monotonic()
        self._change(self._supervisor.on_command)

    def _on_failsafe(self, message: Bool) -> None:
        if message.data:
            self._change(self._supervisor.on_failsafe_request)

    def _on_timer(self) -> None:
        due = 1 + (time.monotonic_ns() - self._due_ns) // self._period_ns
        self._due_ns += due * self._period_ns
        self._late += due - 1
        self._change(self._supervisor.on_period)
        for _ in range(min(due, CATCH_UP_PERIODS)):
            self._step()
        self._readings = self._vehicle.read()
        # The state is that of the scheduled instant, however late the scheduler was; so is the stamp.
        fill_odometry(self._odometry, self._readings, self._epoch_ns + self._due_ns - self._period_ns)
        self._publish_odometry(self._odometry)

    def _step(self) -> None:
        mode = self._supervisor.mode
        if mode is Mode.FLYING:
            self._vehicle.step(self._command)
        elif mode is Mode.FAILSAFE:
            self._vehicle.step(self._failsafe(self._readings))
            if self._vehicle.resting:
                self._change(self._supervisor.on_landed)
        elif mode is Mode.LANDED:
            self._vehicle.step(np.zeros(self._decode.size))

    def _change(self, event: Any) -> None:
        before = self._supervisor.mode
        event()
        if self._supervisor.mode is not before:
            self._announce()

    def _announce(self) -> None:
        supervisor = self._supervisor
        now_s = time.monotonic()
        values = {
            "reason": supervisor.reason,
            "steady_s": f"{now_s:.9f}",
            "command_steady_s": f"{self._command_s:.9f}",
            "silent_periods": str(supervisor.silent),
            "late_periods": str(self._late),
        }
        self._publish_mode(
            DiagnosticStatus(
                level=LEVEL[supervisor.mode],
                name=self.get_fully_qualified_name(),
                message=supervisor.mode.value,
                values=[KeyValue(key=key, value=value) for key, value in values.items()],
            )
        )
        self.get_logger().info(f"{supervisor.mode.value}: {supervisor.reason}")
