"""One configured policy and the topics of its contract: messages in, `deploy.runtime` decides, messages out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String

from deploy.policy.policy import Policy
from deploy.record.writer import Recorder
from deploy.runtime import Event, Runtime, State, Tick
from deploy.runtime.state_machine import TABLE
from robots import registry
from robots.errors import TetherError
from tether_ros import diagnostics, messages, options, qos

WARM_UP_STEPS = 20
ACTUATION_DEADLINE_PERIODS = 2  # what the command topic offers
WATCH_AFTER_PERIODS = 2.5  # silence is first looked for this long after an arrival: late enough to cost nothing while messages flow
PREHEAT_LEAD_S = 0.003  # before an observation is due; longer than a preheating step takes
PREHEAT_PERIOD_S = 0.004  # a policy with a shorter period keeps itself warm
NEVER_S = 1e6
FAREWELL = Duration(seconds=0.2)  # how long a closing pilot waits until its last words are acknowledged


class Pilot:
    """Owns the policy, the runtime, the log and the topics; everything runs in the node's one thread.

    Raises:
        TetherError: from the constructor, for whatever keeps this policy from flying on this node; one line.
    """

    def __init__(self, node: LifecycleNode, values: Mapping[str, Any]) -> None:
        self._node = node
        self._frame: str = values["world_frame"]
        self._entities: list[tuple[Callable[[Any], Any], Any]] = []
        if not values["policy"]:
            raise TetherError("parameter policy is empty; give a policy file, for example -p policy:=policies/hover.onnx")
        policy = Policy.load(values["policy"], provider=values["provider"])
        self._contract = policy.contract
        self._encode = messages.ActuationEncoder(self._contract.actuation)
        self._sources = {sensor.source: messages.source(sensor.source) for sensor in self._contract.sensors}
        self._commands = {command.name: messages.command(command.name) for command in self._contract.commands}
        robot = registry.robot(values["robot"] or self._contract.robot)
        config = options.guards(values)
        self._preheater = Preheater(policy, self._encode)
        self._preheater.run(WARM_UP_STEPS)
        self._recorder = Recorder(values["log"], policy, robot=robot, config=config) if values["log"] else None
        try:
            self._runtime = Runtime(policy, robot=robot, recorder=self._recorder, config=config)
        except TetherError:
            self._close_log()
            raise
        self._always_enabled = not values["require_enable"]
        self._notes = {"policy": str(policy.path), "policy_digest": policy.digest, "log": values["log"] or "off"}
        self._active = False
        self._requested: bool | None = None
        self._announced = ""
        self._stamp_ns = 0
        self._communicate()

    def activate(self) -> None:
        """Arm the runtime; raises `TetherError` if another node publishes on the command topic, or the runtime refuses."""
        rivals = self._rivals()
        if rivals:
            raise TetherError(f"{', '.join(rivals)} publishes on {self._actuation.topic_name} already; stop it, one node commands a robot")
        self._runtime.activate()
        if self._always_enabled:
            self._runtime.enable(time.monotonic())
        self._active = True
        self._watch(WATCH_AFTER_PERIODS)
        self._announce()

    def deactivate(self) -> None:
        """Disarm. A robot that was under control is sent the final safe command and its failsafe is requested: it is in someone's hands."""
        if not self._active:
            return
        self._active = False
        self._rest()
        if self._runtime.state in (State.POLICY, State.HOLD) or not self._runtime.behaviour.silent:
            self._actuation.publish(self._encode(self._runtime.final_command(), self._stamp_ns))
        if (self._runtime.state, Event.DEACTIVATE) in TABLE:  # an e-stop stays latched
            self._runtime.deactivate()
        self._request_failsafe(self._runtime.failsafe)
        self._announce()

    def close(self) -> None:
        """Deactivate, wait until the last messages are out, close the log, and leave every topic."""
        was_active = self._active
        self.deactivate()
        if was_active:
            self._actuation.wait_for_all_acked(FAREWELL)
            self._failsafe.wait_for_all_acked(FAREWELL)
        self._close_log()
        for destroy, entity in self._entities:
            destroy(entity)

    def enable(self, held: bool) -> None:
        """The dead-man switch is held, or was let go."""
        if held:
            self._runtime.enable(time.monotonic())
        elif not self._always_enabled:
            self._runtime.release()

    def estop(self) -> str:
        """Latch the emergency stop; returns what to tell the caller."""
        self._runtime.estop("~/estop")
        self._act(self._runtime.watch(time.monotonic()))
        self._announce()
        return f"{self._runtime.state.name}, latched; call ~/reset to release"

    def reset(self) -> str:
        """Give control back to the policy after HOLD, or release a latched stop; returns what to tell the caller."""
        if self._runtime.state is State.HOLD:
            self._runtime.activate()
        else:
            self._runtime.reset()
        self._announce()
        return self._runtime.state.name if self._runtime.state is State.POLICY else "IDLE; deactivate and activate to fly again"

    def diagnostics(self) -> DiagnosticStatus:
        """The present health, for /diagnostics."""
        return diagnostics.status(self._node.get_fully_qualified_name(), self._runtime, self._notes, self._rivals())

    def _communicate(self) -> None:
        node, contract = self._node, self._contract
        deadline_s = ACTUATION_DEADLINE_PERIODS * contract.period_s
        self._actuation = self._own(node.create_publisher(JointState, "actuation", qos.actuation(deadline_s)), node.destroy_publisher)
        self._failsafe = self._own(node.create_publisher(Bool, "failsafe", qos.LATCHED), node.destroy_publisher)
        self._state = self._own(node.create_publisher(String, "~/state", qos.LATCHED), node.destroy_publisher)
        for name, (kind, decode) in self._sources.items():
            self._own(node.create_subscription(kind, name, self._on_sensors(name, decode), qos.STATE), node.destroy_subscription)
        for name, (topic, kind, read) in self._commands.items():
            self._own(node.create_subscription(kind, topic, self._on_command(name, read), qos.COMMAND), node.destroy_subscription)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._watchdog = self._own(node.create_timer(contract.period_s, self._on_silence, clock=steady), node.destroy_timer)
        after_s = contract.period_s - PREHEAT_LEAD_S if contract.period_s >= PREHEAT_PERIOD_S else NEVER_S
        self._preheat = self._own(node.create_timer(after_s, self._on_preheat, clock=steady), node.destroy_timer)
        self._rest()
        self._announce()

    def _rest(self) -> None:
        self._watchdog.cancel()
        self._preheat.cancel()

    def _close_log(self) -> None:
        if self._recorder is not None:
            self._recorder.close()

    def _own(self, entity: Any, destroy: Callable[[Any], Any]) -> Any:
        self._entities.append((destroy, entity))
        return entity

    def _on_sensors(self, source: str, decode: Callable[[Any], messages.Readings]) -> Callable[[Any], None]:
        def callback(message: Any) -> None:
            receipt_s = time.monotonic()
            if not self._active or not self._same_frame(message, source):
                return
            stamp_ns = messages.stamp_ns(message.header.stamp)
            self._act(self._runtime.on_sensors(source, decode(message), stamp_ns, receipt_s))
            if source == self._contract.clock:
                self._stamp_ns = stamp_ns
                self._watch(WATCH_AFTER_PERIODS)
                self._preheat.reset()

        return callback

    def _on_command(self, name: str, decode: Callable[[Any], np.ndarray]) -> Callable[[Any], None]:
        def callback(message: Any) -> None:
            if self._same_frame(message, name):
                self._runtime.on_command(name, decode(message), time.monotonic())

        return callback

    def _on_preheat(self) -> None:
        self._preheat.cancel()
        self._preheater.run(1)

    def _on_silence(self) -> None:
        if self._active:
            self._watch(1.0)
            self._act(self._runtime.watch(time.monotonic()))

    def _watch(self, periods: float) -> None:
        """Look for silence after ``periods`` control periods, and every one from then on."""
        period_ns = round(periods * self._contract.period_s * 1e9)
        if self._watchdog.timer_period_ns != period_ns:
            self._watchdog.timer_period_ns = period_ns
        self._watchdog.reset()

    def _act(self, tick: Tick | None) -> None:
        if tick is None:
            return
        if tick.actuation is not None:
            self._actuation.publish(self._encode(tick.actuation, tick.stamp_ns))
        self._request_failsafe(tick.request_failsafe)
        self._announce()

    def _request_failsafe(self, wanted: bool) -> None:
        if wanted is not self._requested:
            self._requested = wanted
            self._failsafe.publish(Bool(data=wanted))

    def _announce(self) -> None:
        state = self._runtime.state.name
        if state != self._announced:
            self._announced = state
            self._state.publish(String(data=state))
            reason = self._runtime.journal.last_trip if self._runtime.state in (State.HOLD, State.DAMPING, State.ESTOP) else ""
            self._node.get_logger().info(f"{state}: {reason}" if reason else state)

    def _rivals(self) -> list[str]:
        """Other publishers of the command topic, by node name."""
        own = self._node.get_fully_qualified_name()
        infos = self._node.get_publishers_info_by_topic(self._actuation.topic_name)
        names = [f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos]
        if own in names:
            names.remove(own)  # once: a second node of our own name is a rival too
        return names

    def _same_frame(self, message: Any, what: str) -> bool:
        frame = message.header.frame_id
        if frame == self._frame:
            return True
        self._node.get_logger().error(f"{what} is in frame {frame!r}, not {self._frame!r}; it is ignored", throttle_duration_sec=1.0)
        return False


class Preheater:
    """Runs recorded steps whose results nobody uses: the first real step is then as fast as the rest.

    A core that idled for most of a period has lost the code and weights from its caches, and a step takes up to three times as long; one
    unused step shortly before an observation is due brings them back.
    """

    def __init__(self, policy: Policy, encode: messages.ActuationEncoder) -> None:
        self._policy, self._encode = policy, encode
        self._inputs, self._memory = policy.recorded_step()
        self._message = Odometry()

    def run(self, steps: int) -> None:
        """Decode, step and encode ``steps`` times."""
        for _ in range(steps):
            messages.sensors_from_odometry(self._message)
            serialize_message(self._encode(self._policy.step(self._inputs, self._inputs, self._memory).actuation, 0))
