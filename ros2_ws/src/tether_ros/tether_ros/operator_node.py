"""What every operator does at a policy node: arm, hold the dead-man switch, stop. For scripts and tests as well as `tether_operator`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from robots.errors import TetherError
from tether_ros import qos

ENABLE_HZ = 20.0
DISCOVERY_S = 15.0
GREETING_S = 0.5
SERVICE_S = 30.0  # configuring loads and checks a policy
ASK_S = 2.0  # without an answer to a transition, after which it is asked whether it happened
REACHED = {"configure": "inactive", "activate": "active", "deactivate": "inactive"}  # by transition

Me = TypeVar("Me", bound="Operator")


class NotInTime(TetherError):
    """What was waited for did not happen."""


class Unanswered(NotInTime):
    """A service gave no answer."""


class Operator:
    """Talks to one policy node; every call spins this operator's own node, so that the dead-man switch keeps coming.

    Args:
        target: name of the policy node.
        watch: called while waiting and in `in_control`; raise to give up.

    Attributes:
        watch: the same, for more to be added.
        patience_s: how long discovery may take; who starts the policy node in the same breath allows more.
        node: this operator's node; whoever works beside it may add to it.
        executor: spins it.
        state: of the policy node's runtime, as last published.
        enabled: whether the dead-man switch is held.
    """

    def __init__(self, target: str = "policy_node", watch: Sequence[Callable[[], None]] = ()) -> None:
        self.state = ""
        self.enabled = False
        self._active = False
        self._greeted = False
        self.watch = list(watch)
        self.patience_s = DISCOVERY_S
        self._target = target
        self.node = Node("tether_operator")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self._change: Any = self.node.create_client(ChangeState, f"{target}/change_state")
        self._triggers: dict[str, Any] = {name: self.node.create_client(Trigger, f"{target}/{name}") for name in ("estop", "reset")}
        self._lifecycle: Any = self.node.create_client(GetState, f"{target}/get_state")
        self._enable = self.node.create_publisher(Bool, f"{target}/enable", qos.COMMAND)
        self.node.create_subscription(String, f"{target}/state", self._on_state, qos.LATCHED)
        self.node.create_timer(1.0 / ENABLE_HZ, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def configure(self) -> None:
        """Load the policy; raises `TetherError` if the node refuses."""
        self._transition("configure")

    def activate(self) -> None:
        """Arm it; raises `TetherError` if the node refuses."""
        self._transition("activate")
        self._active = True

    def deactivate(self) -> None:
        """Hand the robot to its own failsafe."""
        self.enabled = self._active = False
        self._transition("deactivate")

    def lost(self) -> None:
        """The policy node is known to be gone: there is nothing to deactivate."""
        self.enabled = self._active = False

    def trigger(self, name: str) -> str:
        """Call ``estop`` or ``reset``; the node's answer. Raises `TetherError` if it refuses."""
        answer = self._call(self._triggers[name], self._triggers[name].srv_type.Request(), name)
        if not answer.success:
            raise TetherError(f"{self._target} refuses {name}: {answer.message}")
        return str(answer.message)

    def wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Spin until ``condition``; raises `NotInTime` saying ``what`` did not happen, and what a watch raises."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            for check in self.watch:
                check()
            if time.monotonic() > deadline:
                raise NotInTime(f"{what} did not happen within {timeout_s:g} s")
            self.executor.spin_once(0.05)

    def dwell(self, duration_s: float) -> None:
        """Spin for a while."""
        end = time.monotonic() + duration_s
        while (left := end - time.monotonic()) > 0:
            self.executor.spin_once(left)

    def engage(self) -> None:
        """Configure, activate, hold the dead-man switch, and wait until the policy is in control."""
        self.configure()
        self.prepare()
        self.activate()
        self.enabled = True
        self.wait(lambda: self.state == "POLICY", self.patience_s, f"control by the policy (the node is {self.state or 'silent'})")

    def prepare(self) -> None:
        """Whatever must be known before the robot is armed."""

    def in_control(self) -> None:
        """Raise `TetherError` unless the policy is in control."""
        for check in self.watch:
            check()
        if self.state != "POLICY":
            raise TetherError(f"the policy lost control: the node is in {self.state}; see /diagnostics")

    def __enter__(self: Me) -> Me:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Whatever happened, the robot is not left in the policy's hands; a failure on the way out hides none that came before."""
        try:
            if self._active:
                self.deactivate()
        except TetherError:
            if kind is None:
                raise
        finally:
            self.close()

    def close(self) -> None:
        """Leave, without a word to the policy node."""
        self.executor.remove_node(self.node)
        self.node.destroy_node()

    def _transition(self, name: str) -> None:
        request = ChangeState.Request(transition=Transition(label=name))
        answer = self._call(self._change, request, name, happened=lambda: self._life_cycle_state() == REACHED[name])
        if answer is not None and not answer.success:
            raise TetherError(f"{self._target} cannot {name}; its log says why")

    def _call(self, client: Any, request: Any, what: str, happened: Callable[[], bool] = lambda: False) -> Any:
        """The answer of a service; None if it was lost on its way, but what was asked has ``happened``."""
        self._greet()
        self.wait(client.service_is_ready, self.patience_s, f"{self._target} answering to {what}")
        future, deadline = client.call_async(request), time.monotonic() + SERVICE_S
        while not self._in_time(future.done, ASK_S):
            if happened():
                client.remove_pending_request(future)
                return None
            if time.monotonic() > deadline:
                raise Unanswered(
                    f"{self._target}, last heard in {self.state or 'no state'}, did not answer to {what} within {SERVICE_S:g} s"
                )
        return future.result()

    def _greet(self) -> None:
        """Ask something harmless until it is answered.

        A service may find its caller later than it is found, and then its answer is lost; of this node's clients the one used here was
        created last, so whoever can answer it can answer all.
        """
        deadline = time.monotonic() + self.patience_s
        while not self._greeted:
            self.wait(self._lifecycle.service_is_ready, self.patience_s, f"discovery of {self._target}")
            self._greeted = bool(self._life_cycle_state())
            if not self._greeted and time.monotonic() > deadline:
                raise Unanswered(f"{self._target} does not answer; is it alive?")

    def _life_cycle_state(self) -> str:
        """Of the policy node; empty if it does not answer at once."""
        future = self._lifecycle.call_async(GetState.Request())
        if self._in_time(future.done, GREETING_S):
            return str(future.result().current_state.label)
        self._lifecycle.remove_pending_request(future)
        return ""

    def _in_time(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        try:
            self.wait(condition, timeout_s, "")
        except NotInTime:
            return False
        return True

    def _on_state(self, message: String) -> None:
        self.state = message.data

    def _on_timer(self) -> None:
        if self.enabled:
            self._enable.publish(Bool(data=True))
