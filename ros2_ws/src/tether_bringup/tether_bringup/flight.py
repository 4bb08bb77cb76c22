"""One whole flight over ROS 2 without the launch system, which no wheel has.

    tether_flight POLICY.onnx --seconds 15 --log flight.mcap
    tether_flight TRACKING_POLICY.onnx --seconds 18 --figure-eight

Starts the simulated robot, tilted and moving, and the policy node, as processes of their own; flies through goals or a
figure-eight as the operator would; hands the robot to its failsafe, waits until it has landed, and stops what it started.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robots.errors import TetherError
from tether_bringup.processes import Process, parameters
from tether_ros import process

if TYPE_CHECKING:
    from deploy.policy.policy import Policy
    from tether_ros.operator_node import Point

GOALS: tuple[Point, ...] = ((0.0, 0.0, 1.5), (1.0, 0.0, 1.5), (1.0, 1.0, 2.0), (0.0, 0.0, 1.0))
START = {"start_position_m": (0.0, 0.0, 1.5), "start_rotation_rad": (0.7, -0.5, 0.0), "start_velocity_m_s": (1.0, -0.8, 0.4)}
ARRIVED_M = 0.25
APPROACH_S = 3.0  # to the middle of a figure-eight
PRIORITY = 10
ROBOT, PILOT = "tether_sim.simulated_robot", "tether_ros.policy_node"
LANDING_S = 30.0


def fly(
    policy: str | Path,
    log: str | Path,
    seconds: float = 15.0,
    goals: Sequence[Point] = GOALS,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    eight: bool = False,
) -> dict[str, Any]:
    """Fly ``policy`` through ``goals``, or along a figure-eight about the first of them, and land; a summary for reports.

    Args:
        policy: policy file.
        log: where the policy node records, .mcap.
        seconds: time under the policy, shared evenly by the goals.
        goals: positions [m] in the world.
        seed: of the sensor noise.
        options: more parameters for the policy node.
        eight: stream a figure-eight; ``distances_m`` then holds the RMS distance to it.

    Raises:
        TetherError: saying what kept the robot from flying, arriving, or landing.
    """
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from deploy.policy.policy import Policy

    checked = Policy.load(policy)
    if eight and all(command.name != "goal_velocity_in_world" for command in checked.contract.commands):
        raise TetherError(f"{checked.path} takes no goal that moves; export one for the task track, or leave --figure-eight out")
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    own_context = not rclpy.ok()
    if own_context:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        robot_options = robot_parameters(checked) | {"seed": seed}
        pilot_options = {"policy": Path(policy).resolve(), "log": Path(log).resolve(), **scheduling(), **(options or {})}
        with Process(ROBOT, parameters(robot_options)) as robot, Process(PILOT, parameters(pilot_options)) as pilot:
            return _operate(robot, pilot, checked, goals, seconds, eight) | {"log": str(log)}
    finally:
        if own_context:
            rclpy.try_shutdown()


def robot_parameters(policy: Policy) -> dict[str, Any]:
    """What the simulated robot must be told to suit ``policy``."""
    contract = policy.contract
    return {"robot": contract.robot, "actuation_mode": contract.actuation_mode, "rate_hz": float(contract.rate_hz), **scheduling(), **START}


def scheduling() -> dict[str, int]:
    """Ahead of this machine's other work where that is allowed: both processes hold control periods."""
    return {"realtime_priority": PRIORITY if process.may_be_realtime(PRIORITY) else 0}


def _operate(robot: Process, pilot: Process, policy: Policy, goals: Sequence[Point], seconds: float, eight: bool) -> dict[str, Any]:
    from tether_bringup.witness import Witness
    from tether_ros.figure_eight import figure_eight
    from tether_ros.operator_node import Operator

    with Operator(watch=(robot.check, pilot.check)) as operator:
        witness = Witness(operator.node)
        try:
            operator.engage()
            if eight:
                operator.fly(goals[:1], APPROACH_S)
                distances = [operator.follow(partial(figure_eight, goals[0]), seconds, policy.contract.rate_hz)]
            else:
                distances = operator.fly(goals, seconds / len(goals))
            if witness.mode != "flying":
                raise TetherError(f"the robot took over: {witness.mode}, {witness.events[-1]['reason']}; is the machine too busy?")
            operator.deactivate()
            operator.wait(lambda: witness.mode == "landed", LANDING_S, "the landing of the simulated robot")
        except TetherError as error:
            raise TetherError(f"{error}; the policy node said: {_last_line(pilot)}; the robot said: {_last_line(robot)}") from error
    if distances[-1] > ARRIVED_M:
        raise TetherError(f"the robot ended {distances[-1]:.2f} m from its last goal or reference; at most {ARRIVED_M} m counts as arrived")
    if code := pilot.stop():
        raise TetherError(f"the policy node ended with exit code {code}: {pilot.output().strip()}")
    robot.stop()
    return {"seconds": seconds, "distances_m": distances, "modes": witness.modes, "policy_digest": policy.digest}


def _last_line(child: Process) -> str:
    return (child.output().strip().splitlines() or ["nothing"])[-1]


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "tether_flight", description="Fly a policy file over ROS 2 against the simulated robot, record it, and land."
    )
    parser.add_argument("policy", help="policy file, .onnx")
    parser.add_argument("--seconds", type=float, default=15.0, help="time under the policy (default 15)")
    parser.add_argument("--log", default="flight.mcap", help="where to record, .mcap (default flight.mcap)")
    parser.add_argument("--seed", type=int, default=0, help="of the sensor noise (default 0)")
    parser.add_argument("--figure-eight", action="store_true", help="follow a figure-eight, with a policy for the task track")
    parser.add_argument("--json", metavar="FILE", help="write the summary there")
    return parser.parse_args(arguments[1:])


def _body(arguments: Sequence[str]) -> int:
    options = _arguments(arguments)
    result = fly(options.policy, options.log, options.seconds, seed=options.seed, eight=options.figure_eight)
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n")
    distances = ", ".join(f"{distance * 100:.1f}" for distance in result["distances_m"])
    what = "RMS from its figure-eight" if options.figure_eight else "from its goals"
    print(f"flew {options.seconds:g} s over ROS 2; {distances} cm {what}; landed by its own failsafe; log: {options.log}")
    return 0


def main() -> int:
    """Entry point of the console script."""
    return process.run("tether_flight", _body)


if __name__ == "__main__":
    sys.exit(main())
