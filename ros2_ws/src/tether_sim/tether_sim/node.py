"""The simulated robot's node: real time, modes and silence; what is simulated, and its own topics, are the business of its `Machine`.

| name | type | what |
|---|---|---|
| `odometry` | nav_msgs/Odometry out | quadrotors: the newest readings, every control period |
| `obstacles` | sensor_msgs/PointCloud2 out | a quadrotor's that senses them: likewise, before the odometry |
| `imu`, `joint_state` | sensor_msgs/Imu, JointState out | legged robots: likewise |
| `ground_truth` | nav_msgs/Odometry out | legged robots: without noise, for judges alone |
| `actuation` | sensor_msgs/JointState in | the newest command, held for the period |
| `policy_node/gains` | sensor_msgs/JointState in | legged robots: gains of the equally stamped command |
| `failsafe` | std_msgs/Bool in | true asks for the failsafe |
| `~/mode` | diagnostic_msgs/DiagnosticStatus out, latched | mode (message) and when, why, after how many silent periods |
| `~/restart` | std_srvs/Trigger | back to the start, held |
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from robots import registry
from tether_ros import process, qos
from tether_ros.parameters import REALTIME_PRIORITY, Declaration, declare
from tether_sim.kinds import kind
from tether_sim.machine import Seat
from tether_sim.modes import SILENCE_PERIODS, Mode, Supervisor

PARAMETERS = (
    Declaration("robot", "crazyflie", "registered robot"),
    Declaration("seed", 0, "of the noise", 0, 2**31 - 1),
    REALTIME_PRIORITY,
    Declaration("world_frame", "odom", "frame of poses"),
    Declaration("base_frame", "base_link", "frame of twists and of the IMU"),
)
"""Of every simulated robot; those of its kind come on top."""

CATCH_UP_PERIODS = 5
"""A loop that was kept waiting steps at most this many periods at once, so that simulated time keeps up with real time."""

LEVEL = {
    Mode.HELD: DiagnosticStatus.OK,
    Mode.COMMANDED: DiagnosticStatus.OK,
    Mode.FAILSAFE: DiagnosticStatus.WARN,
    Mode.RESTING: DiagnosticStatus.WARN,
}


class SimulatedRobot(Node):
    """Steps a machine in real time; commands that arrive between two periods act over the whole of the period between them."""

    def __init__(self, overrides: Sequence[Parameter] = ()) -> None:
        super().__init__("simulated_robot", parameter_overrides=list(overrides), automatically_declare_parameters_from_overrides=True)
        robot = registry.robot(self.get_parameter_or("robot", Parameter("robot", value=PARAMETERS[0].default)).value)
        found = kind(robot)
        self._options = declare(self, (*PARAMETERS, *found.parameters))
        process.prioritise(self._options["realtime_priority"])
        self._supervisor = Supervisor()
        self._period_ns = round(1e9 / self._options["rate_hz"])
        self._command_s = 0.0
        self._late = 0
        self._machine = found.make(robot, self._options, Seat(self, self._on_command, SILENCE_PERIODS * self._period_ns * 1e-9))
        self._publish_mode = self.create_publisher(DiagnosticStatus, "~/mode", qos.HISTORY).publish
        self.create_subscription(Bool, "failsafe", self._on_failsafe, qos.LATCHED)
        self.create_service(Trigger, "~/restart", self._on_restart)
        self._announce()
        self._due_ns = time.monotonic_ns() + self._period_ns
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        self.create_timer(self._period_ns * 1e-9, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def stop(self) -> None:
        """Nothing to say at the end: whoever commands this robot is told by silence."""

    def _on_restart(self, request: Any, response: Any) -> Any:
        self._machine.restart()
        self._supervisor.reset()
        self._announce()
        response.success, response.message = True, "held at the start"
        return response

    def _on_command(self) -> None:
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
        # The state is that of the scheduled instant, however late the scheduler was; so is the stamp.
        self._machine.publish(self._epoch_ns + self._due_ns - self._period_ns)

    def _step(self) -> None:
        mode = self._supervisor.mode
        if mode is Mode.COMMANDED:
            self._machine.obey()
        elif mode is Mode.FAILSAFE:
            self._machine.fall_back()
            if self._machine.resting:
                self._change(self._supervisor.on_rest)
        elif mode is Mode.RESTING:
            self._machine.rest()

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
            "unanswered_periods": str(supervisor.unanswered),
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
