"""One configured policy and the topics of its contract: messages in, `deploy.runtime` decides, messages out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Bool, String

from deploy.policy.policy import Policy
from deploy.record.writer import Recorder
from deploy.runtime import Event, Runtime, State, Tick
from deploy.runtime.state_machine import FLYING, TABLE
from robots import registry
from robots.behaviour import Behaviour
from robots.errors import TetherError
from tether_ros import diagnostics, inputs, messages, options, outputs, qos
from tether_ros.inputs import Input
from tether_ros.preheater import Preheater
from tether_ros.sender import FAREWELL, Sender

WARM_UP_STEPS = 20
WATCH_AFTER_PERIODS = 2.5  # silence is first looked for this long after an arrival: late enough to cost nothing while messages flow
PREHEAT_LEAD_S = 0.003  # before an observation is due; longer than a preheating step takes
PREHEAT_PERIOD_S = 0.004  # a policy with a shorter period keeps itself warm
NEVER_S = 1e6
COMPLAIN_EVERY_S = 1.0


class Pilot:
    """Owns the policy, the runtime, the log and the topics; everything runs in the node's one thread.

    Raises:
        TetherError: from the constructor, for whatever keeps this policy from flying on this node; one line.
    """

    def __init__(self, node: LifecycleNode, values: Mapping[str, Any]) -> None:
        self._node = node
        self._entities: list[tuple[Callable[[Any], Any], Any]] = []
        if not values["policy"]:
            raise TetherError("parameter policy is empty; give a policy file, for example -p policy:=policies/hover.onnx")
        policy = Policy.load(values["policy"], provider=values["provider"])
        self._contract = policy.contract
        frames = options.frames(values)
        self._sources = inputs.sources(self._contract, frames)
        self._commands = inputs.commands(self._contract, frames, values["cmd_vel"])
        self._risk_level = values[inputs.RISK_LEVEL]
        self._check_risk_level(self._risk_level)
        outputs.require_failsafe(values["output"], values["robot_failsafe"])
        self._runtime, self._recorder = _runtime(policy, values)
        try:
            self._sender = Sender(node, self._contract, self._runtime.gains, values["output"], options.joints(values))
        except Exception:
            self._close_log()
            raise
        self._preheater = Preheater(policy, self._sources.values(), self._sender.encode)
        self._preheater.run(WARM_UP_STEPS)
        self._always_enabled = not values["require_enable"]
        self._notes = {"policy": str(policy.path), "policy_digest": policy.digest, "log": values["log"] or "off"}
        self._active = False
        self._requested: bool | None = None
        self._announced = ""
        self._stamp_ns = 0
        self._complained_s: dict[str, float] = {}
        self._communicate()

    def activate(self) -> None:
        """Arm the runtime; raises `TetherError` if another node publishes on the command topic, or the runtime refuses."""
        rivals = self._rivals()
        if rivals:
            raise TetherError(f"{', '.join(rivals)} publishes on {self._sender.topic} already; stop it, one node commands a robot")
        self._runtime.activate()
        self.ask_risk_level(self._risk_level)  # an activation forgets what was asked before
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
        if self._sender.damps and (self._runtime.state in FLYING or not self._runtime.behaviour.silent):
            self._sender.send(self._runtime.final_command(), State.IDLE, self._stamp_ns)
        if (self._runtime.state, Event.DEACTIVATE) in TABLE:  # an e-stop stays latched
            self._runtime.deactivate()
        self._request_failsafe(self._runtime.failsafe)
        self._announce()

    def close(self) -> None:
        """Deactivate, wait until the last messages are out, close the log, and leave every topic."""
        was_active = self._active
        self.deactivate()
        if was_active:
            self._sender.flush()
            self._failsafe.wait_for_all_acked(FAREWELL)
        self._close_log()
        self._sender.close()
        for destroy, entity in self._entities:
            destroy(entity)

    def enable(self, held: bool) -> None:
        """The dead-man switch is held, or was let go."""
        if held:
            self._runtime.enable(time.monotonic())
        elif not self._always_enabled:
            self._runtime.release()

    def ask_risk_level(self, level: float) -> None:
        """Ask the policy for this level of risk from now on; raises `TetherError` if it takes none."""
        self._check_risk_level(level)
        self._risk_level = level
        if any(command.name == inputs.RISK_LEVEL for command in self._contract.commands):
            self._runtime.on_command(inputs.RISK_LEVEL, [level], time.monotonic())

    def _check_risk_level(self, level: float) -> None:
        if level and all(command.name != inputs.RISK_LEVEL for command in self._contract.commands):
            raise TetherError("this policy takes no risk level; leave the parameter risk_level at 0, or train with risk.command=True")

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
        self._failsafe = self._own(node.create_publisher(Bool, "failsafe", qos.LATCHED), node.destroy_publisher)
        self._state = self._own(node.create_publisher(String, "~/state", qos.LATCHED), node.destroy_publisher)
        for name, source in self._sources.items():
            self._own(node.create_subscription(source.kind, name, self._on_sensors(name, source), qos.STATE), node.destroy_subscription)
        for topic, command in self._commands.items():
            callback = self._on_command(topic, command)
            self._own(node.create_subscription(command.kind, topic, callback, qos.COMMAND), node.destroy_subscription)
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

    def _on_sensors(self, name: str, source: Input) -> Callable[[Any], None]:
        def callback(message: Any) -> None:
            receipt_s = time.monotonic()
            readings = self._decoded(message, name, source) if self._active else None
            if readings is None:
                return
            stamp_ns = messages.stamp_ns(message.header.stamp)
            self._act(self._runtime.on_sensors(name, readings, stamp_ns, receipt_s))
            if name == self._contract.clock:
                self._stamp_ns = stamp_ns
                self._watch(WATCH_AFTER_PERIODS)
                self._preheat.reset()

        return callback

    def _on_command(self, topic: str, command: Input) -> Callable[[Any], None]:
        def callback(message: Any) -> None:
            receipt_s = time.monotonic()
            for name, value in (self._decoded(message, topic, command) or {}).items():
                self._runtime.on_command(name, value, receipt_s)

        return callback

    def _decoded(self, message: Any, what: str, source: Input) -> messages.Readings | None:
        """Values by signal name; None, and a word in the log, for a message that cannot be used."""
        try:
            source.check(message)
            return source.decode(message)
        except TetherError as error:
            self._complain(what, f"{what} is ignored: {error}")
            return None

    def _complain(self, topic: str, text: str) -> None:
        """Log an error, at most one a second and topic; the logger's own throttle knows lines of code, not topics."""
        now_s = time.monotonic()
        if now_s - self._complained_s.get(topic, -COMPLAIN_EVERY_S) >= COMPLAIN_EVERY_S:
            self._complained_s[topic] = now_s
            self._node.get_logger().error(text)

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
            self._sender.send(tick.actuation, tick.state, tick.stamp_ns)
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
        infos = self._node.get_publishers_info_by_topic(self._sender.topic)
        names = [f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos]
        if own in names:
            names.remove(own)  # once: a second node of our own name is a rival too
        return names


def _runtime(policy: Policy, values: Mapping[str, Any]) -> tuple[Runtime, Recorder | None]:
    """The runtime and its log. A robot that cannot be told to give way is told nothing instead, and asked for its own failsafe."""
    robot, config = registry.robot(values["robot"] or policy.contract.robot), options.guards(values)
    behaviour = Behaviour.of(robot)
    if values["output"] != outputs.JOINT_STATE:
        behaviour = dataclasses.replace(behaviour, silent=True)
    recorder = Recorder(values["log"], policy, robot=robot, behaviour=behaviour, config=config) if values["log"] else None
    try:
        return Runtime(policy, robot=robot, recorder=recorder, config=config, behaviour=behaviour), recorder
    except Exception:
        if recorder is not None:
            recorder.close()
        raise
