"""One whole flight over ROS 2 without the launch system.

    tether_flight POLICY.onnx --seconds 15 --log flight.mcap
    tether_flight TRACKING_POLICY.onnx --seconds 18 --figure-eight
    tether_flight ROOM_POLICY.onnx --seconds 24 --room

Starts the simulated robot, tilted and moving, and the policy node, as processes of their own; flies through goals or a
figure-eight as the operator would; hands the robot to its failsafe, waits until it has landed, and stops what it started.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robots.errors import TetherError
from tether_bringup import mission
from tether_ros import process

if TYPE_CHECKING:
    from tether_ros.goal_operator import GoalOperator, Point

GOALS: tuple[Point, ...] = ((0.0, 0.0, 1.5), (1.0, 0.0, 1.5), (1.0, 1.0, 2.0), (0.0, 0.0, 1.0))
START = {"start_position_m": (0.0, 0.0, 1.5), "start_rotation_rad": (0.7, -0.5, 0.0), "start_velocity_m_s": (1.0, -0.8, 0.4)}
ROOM: dict[str, Any] = {
    "start_position_m": (-2.2, -2.0, 1.2),
    "obstacles": ("pillar -1.1 -1.0 0.25", "pillar 0.3 0.5 0.3", "ball 0.2 -1.2 1.2 0.4", "pillar 1.5 -0.3 0.2", "ball -1.2 0.8 1.0 0.35"),
}
ROOM_GOALS: tuple[Point, ...] = ((2.2, 2.0, 1.2), (-2.2, -2.0, 1.0))
ARRIVED_M = 0.25
APPROACH_S = 3.0  # to the middle of a figure-eight


def fly(
    policy: str | Path,
    log: str | Path,
    seconds: float = 15.0,
    goals: Sequence[Point] = GOALS,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    eight: bool = False,
    world: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Fly ``policy`` through ``goals``, or along a figure-eight about the first of them, and land; a summary for reports.

    Args:
        policy: policy file.
        log: where the policy node records, .mcap.
        seconds: time under the policy, shared evenly by the goals.
        goals: positions [m] in the world.
        seed: of the sensor noise.
        options: more parameters for the policy node.
        world: parameters of the simulated robot in place of its tilted start, for example ``obstacles`` and ``start_position_m``.
        eight: stream a figure-eight; ``distances_m`` then holds the RMS distance to it.

    Raises:
        TetherError: saying what kept the robot from flying, arriving, or landing.
    """
    from deploy.policy.policy import Policy
    from tether_ros.figure_eight import figure_eight
    from tether_ros.goal_operator import GoalOperator

    checked = Policy.load(policy)
    commands = [command.name for command in checked.contract.commands]
    if "goal_position_in_world" not in commands:
        raise TetherError(f"{checked.path} takes no goal to fly to, but {', '.join(commands)}; a policy that walks is for tether_walk")
    if eight and "goal_velocity_in_world" not in commands:
        raise TetherError(f"{checked.path} takes no goal that moves; export one for the task track, or leave --figure-eight out")

    def operate(operator: GoalOperator) -> dict[str, Any]:
        if eight:
            operator.fly(goals[:1], APPROACH_S)
            distances = [operator.follow(partial(figure_eight, goals[0]), seconds, checked.contract.rate_hz)]
        else:
            distances = operator.fly(goals, seconds / len(goals))
        return {"seconds": seconds, "distances_m": distances, "log": str(log)}

    pilot_options = {"log": Path(log).resolve(), **(options or {})}
    result = mission.fulfil(checked, {**(world or START), "seed": seed}, pilot_options, GoalOperator, operate)
    last_m = result["distances_m"][-1]
    if last_m > ARRIVED_M:
        raise TetherError(f"the robot ended {last_m:.2f} m from its last goal or reference; at most {ARRIVED_M} m counts as arrived")
    return result


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "tether_flight", description="Fly a policy file over ROS 2 against the simulated robot, record it, and land."
    )
    mission.arguments(parser, log="flight.mcap")
    parser.add_argument("--figure-eight", action="store_true", help="follow a figure-eight, with a policy for the task track")
    parser.add_argument("--room", action="store_true", help="fly through a room full of obstacles, with a policy for the task room")
    return parser.parse_args(arguments[1:])


def _body(arguments: Sequence[str]) -> int:
    options = _arguments(arguments)
    where: dict[str, Any] = {"goals": ROOM_GOALS, "world": ROOM} if options.room else {}
    result = fly(options.policy, options.log, options.seconds, seed=options.seed, eight=options.figure_eight, **where)
    mission.write_json(options.json, result)
    distances = ", ".join(f"{distance * 100:.1f}" for distance in result["distances_m"])
    what = "RMS from its figure-eight" if options.figure_eight else "from its goals"
    print(f"flew {options.seconds:g} s over ROS 2; {distances} cm {what}; landed by its own failsafe; log: {options.log}")
    return 0


def main() -> int:
    """Entry point of the console script."""
    return process.run("tether_flight", _body)


if __name__ == "__main__":
    sys.exit(main())
