"""The policy node: sensors and commands in, actuation out, everything decided by `deploy.runtime`.

| name | type | what |
|---|---|---|
| the contract's sources: `odometry` | nav_msgs/Odometry in | the arrival of the one that is the clock is a step |
| `joint_state`, `imu` | sensor_msgs/JointState, Imu in | joints are found by name |
| `obstacles` | sensor_msgs/PointCloud2 in | points of the base frame with x, y, z, radius; the nearest count |
| the contract's commands: `risk_level` | a parameter, that may be set in flight | how averse to risk, 0…1 |
| `goal_pose` | geometry_msgs/PoseStamped in | in the frame of the odometry |
| `goal_velocity`, `goal_acceleration` | geometry_msgs/Vector3Stamped in | likewise, for a policy that follows a moving goal |
| `cmd_vel` | geometry_msgs/Twist or TwistStamped in | for a policy that walks |
| `actuation` | by parameter `output`, see `tether_ros.outputs` | stamped with the observation it answers, where the type has a stamp |
| `~/gains` | sensor_msgs/JointState out | of joint positions, with their stamp |
| `failsafe` | std_msgs/Bool out, latched | true asks the robot for its own failsafe |
| `~/state` | std_msgs/String out, latched | state of the runtime |
| `~/enable` | std_msgs/Bool in | the dead-man; must keep coming |
| `~/estop`, `~/reset` | std_srvs/Trigger | latch and release the emergency stop |
| `/diagnostics` | diagnostic_msgs/DiagnosticArray out, 1 Hz | state, trips, latency, misses, digest, recording |
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from robots.errors import TetherError
from tether_ros import inputs, options, process, qos
from tether_ros.parameters import declare, refuse
from tether_ros.pilot import Pilot

SUCCESS = TransitionCallbackReturn.SUCCESS


class PolicyNode(LifecycleNode):
    """The life cycle around a `Pilot`: configure loads and checks, activate refuses if another node commands the robot. One thread.

    Args:
        overrides: parameters, in addition to those of the command line.

    Raises:
        TetherError: for a parameter that is unknown or out of range.
    """

    def __init__(self, overrides: Sequence[Parameter] = ()) -> None:
        super().__init__("policy_node", parameter_overrides=list(overrides), automatically_declare_parameters_from_overrides=True)
        self._values = declare(self, options.DECLARATIONS)
        options.guards(self._values)
        process.prioritise(self._values["realtime_priority"])
        self.add_on_set_parameters_callback(self._on_parameters)
        self._pilot: Pilot | None = None
        self._publish_diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.COMMAND).publish
        self.create_subscription(Bool, "~/enable", self._on_enable, qos.COMMAND)
        self.create_service(Trigger, "~/estop", self._on_estop)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_timer(1.0, self._on_diagnostics, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        """Load, check and warm up the policy, open the log, open the topics of its contract."""
        return self._attempt("configure", self._configure)

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        """Arm the runtime; control begins with fresh sensors and a fresh enable."""
        return self._attempt("activate", lambda: self._configured.activate())

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        """Hand the robot to its own failsafe."""
        return self._attempt("deactivate", lambda: self._configured.deactivate())

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        """Close the log and forget the policy."""
        self.stop()
        return SUCCESS

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        """As on a stop signal; the process stays."""
        self.stop()
        return SUCCESS

    def stop(self) -> None:
        """Send the final safe command and the failsafe request if in control, then close the log."""
        pilot, self._pilot = self._pilot, None
        if pilot is not None:
            pilot.close()

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        """After an unexpected exception in a transition: let go of everything, back to unconfigured."""
        self.stop()
        return SUCCESS

    def _configure(self) -> None:
        self._pilot = Pilot(self, self._values)
        # What lives now lives until shutdown; the collector need not walk it during a step.
        gc.collect()
        gc.freeze()

    @property
    def _configured(self) -> Pilot:
        if self._pilot is None:
            raise TetherError("not configured; configure the node first")
        return self._pilot

    def _attempt(self, transition: str, action: Callable[[], Any]) -> TransitionCallbackReturn:
        """What the user can put right is a refusal in one line; anything else an error, which rclpy alone would swallow."""
        try:
            action()
        except TetherError as error:
            self.get_logger().error(f"cannot {transition}: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(f"cannot {transition}: {traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return SUCCESS

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        changed = {parameter.name: parameter.value for parameter in parameters if parameter.name in self._values}
        if self._pilot is not None and changed.keys() - {*options.LIVE}:
            return SetParametersResult(successful=False, reason="parameters are read by configure; clean up first")
        try:
            refuse(options.DECLARATIONS, changed)
            options.guards(self._values | changed)
            if self._pilot is not None and changed:
                self._pilot.ask_risk_level(changed[inputs.RISK_LEVEL])
        except TetherError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._values |= changed
        return SetParametersResult(successful=True)

    def _on_enable(self, message: Bool) -> None:
        if self._pilot is not None:
            self._pilot.enable(message.data)

    def _on_estop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, "estop")

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, "reset")

    def _answer(self, response: Trigger.Response, request: str) -> Trigger.Response:
        try:
            response.message = self._configured.estop() if request == "estop" else self._configured.reset()
            response.success = True
        except TetherError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_diagnostics(self) -> None:
        if self._pilot is not None:
            message = DiagnosticArray(status=[self._pilot.diagnostics()])
            message.header.stamp = self.get_clock().now().to_msg()
            self._publish_diagnostics(message)
