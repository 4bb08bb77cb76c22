"""A simulated robot and a policy node as processes of their own, operated from here: what a flight and a walk have in common.

No wheel has the launch system, so this needs none.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robots.errors import TetherError
from tether_bringup.processes import Process, parameters
from tether_ros import process

if TYPE_CHECKING:
    from deploy.policy.policy import Policy
    from tether_bringup.witness import Witness
    from tether_ros.operator_node import Operator

PRIORITY = 10
ROBOT, PILOT = "tether_sim.simulated_robot", "tether_ros.policy_node"
START_S = 60.0  # two interpreters that load their libraries on a busy machine
REST_S = 30.0

Operate = Callable[[Any], dict[str, Any]]
"""What the operator, engaged, does with the robot under the policy; a summary."""


def arguments(parser: argparse.ArgumentParser, log: str) -> None:
    """Declare what every mission's command line has; ``log`` is where it records unless told otherwise."""
    parser.add_argument("policy", help="policy file, .onnx")
    parser.add_argument("--seconds", type=float, default=15.0, help="time under the policy (default 15)")
    parser.add_argument("--log", default=log, help=f"where to record, .mcap (default {log})")
    parser.add_argument("--seed", type=int, default=0, help="of the sensor noise (default 0)")
    parser.add_argument("--json", metavar="FILE", help="write the summary there")


def fulfil(
    policy: Policy,
    robot_options: Mapping[str, Any],
    pilot_options: Mapping[str, Any],
    make_operator: Callable[..., Operator],
    operate: Operate,
) -> dict[str, Any]:
    """Start robot and policy node, operate, hand the robot to its failsafe, wait until it rests, and stop what was started.

    Args:
        policy: what is in control.
        robot_options, pilot_options: parameters of the two nodes, besides those that follow from ``policy`` and this machine.
        make_operator: called with ``watch=``.
        operate: called with that operator once the policy is in control.

    Returns:
        What ``operate`` does, with ``modes`` and ``counts`` (late and unanswered control periods) of the robot, and ``policy_digest``.

    Raises:
        TetherError: saying what went wrong, and what both processes said last.
    """
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    own_context = not rclpy.ok()
    if own_context:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        robot_arguments = parameters({**robot_parameters(policy), **robot_options})
        pilot_arguments = parameters({"policy": policy.path.resolve(), **scheduling(), **pilot_options})
        with Process(ROBOT, robot_arguments) as robot, Process(PILOT, pilot_arguments) as pilot:
            return _attend(robot, pilot, make_operator, operate) | {"policy_digest": policy.digest}
    finally:
        if own_context:
            rclpy.try_shutdown()


def robot_parameters(policy: Policy) -> dict[str, Any]:
    """What the simulated robot must be told to suit ``policy``."""
    contract = policy.contract
    return {"robot": contract.robot, "actuation_mode": contract.actuation_mode, "rate_hz": float(contract.rate_hz), **scheduling()}


def scheduling() -> dict[str, int]:
    """Ahead of this machine's other work where that is allowed: both processes hold control periods."""
    return {"realtime_priority": PRIORITY if process.may_be_realtime(PRIORITY) else 0}


def write_json(path: str | None, result: Mapping[str, Any]) -> None:
    """The summary, where one was asked for."""
    if path:
        Path(path).write_text(json.dumps(result, indent=2) + "\n")


def _attend(robot: Process, pilot: Process, make_operator: Callable[..., Operator], operate: Operate) -> dict[str, Any]:
    from tether_bringup.witness import Witness

    with make_operator(watch=(robot.check, pilot.check)) as operator:
        witness = Witness(operator.node)
        operator.patience_s = START_S
        try:
            operator.engage()
            operator.watch.append(lambda: _still_commanded(witness))
            result = operate(operator)
            operator.in_control()
            operator.watch.pop()
            operator.deactivate()
            operator.wait(lambda: witness.mode == "resting", REST_S, "rest of the simulated robot")
        except TetherError as error:
            raise TetherError(f"{error}; the policy node said: {_last_line(pilot)}; the robot said: {_last_line(robot)}") from error
    if code := pilot.stop():
        raise TetherError(f"the policy node ended with exit code {code}: {pilot.output().strip()}")
    robot.stop()
    counts = {name: int(witness.events[-1][name]) for name in ("late_periods", "unanswered_periods")}
    return result | {"modes": witness.modes, "counts": counts}


def _still_commanded(witness: Witness) -> None:
    if witness.events and witness.mode != "commanded":  # no event: its mode has not come through yet
        why = [event for mode, event in zip(witness.modes, witness.events) if mode == "failsafe"] or witness.events[-1:]
        late = f"{why[-1]['late_periods']} periods began late"
        raise TetherError(f"the robot took over: {witness.mode}, {why[-1]['reason']}, {late}; is the machine too busy?")


def _last_line(child: Process) -> str:
    return (child.output().strip().splitlines() or ["nothing"])[-1]
