"""One whole walk over ROS 2 without the launch system.

    tether_walk POLICY.onnx --seconds 15 --log walk.mcap

Starts the simulated robot, lying on the ground, and the policy node, as processes of their own; lets it stand up, walks it forward,
sideways and in turns as the operator would, stops it, hands it to its failsafe, waits until it lies, and stops what it started.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robots.errors import TetherError
from tether_bringup import mission
from tether_ros import process

if TYPE_CHECKING:
    from tether_ros.walk_operator import WalkOperator

# Forward [m/s], left [m/s], yaw [rad/s]: each alone, then together, then standing still.
PROFILE = ((0.8, 0.0, 0.0), (-0.5, 0.0, 0.0), (0.0, 0.4, 0.0), (0.0, 0.0, 0.8), (0.5, 0.0, -0.6), (0.0, 0.0, 0.0))
TRACKED_M_S, TRACKED_RAD_S = 0.3, 0.3  # RMS; the task's bound of success


def walk(
    policy: str | Path,
    log: str | Path,
    seconds: float = 15.0,
    profile: Sequence[tuple[float, float, float]] = PROFILE,
    robot_options: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Walk ``policy`` through ``profile`` and lie down; a summary for reports.

    Args:
        policy: policy file.
        log: where the policy node records, .mcap.
        seconds: time under the policy, shared evenly by the velocities; the first second of each is not judged.
        profile: velocities in the base frame: forward [m/s], left [m/s], yaw [rad/s].
        robot_options, options: more parameters for the simulated robot and the policy node.

    Raises:
        TetherError: saying what kept the robot from walking, from keeping to its velocities, or from lying down.
    """
    from deploy.policy.policy import Policy
    from tether_ros.inputs import VELOCITIES
    from tether_ros.walk_operator import Velocity, WalkOperator

    checked = Policy.load(policy)
    commands = [command.name for command in checked.contract.commands]
    if not set(VELOCITIES) <= set(commands):
        wanted = " and ".join(VELOCITIES)
        raise TetherError(f"{checked.path} takes {', '.join(commands)}, not {wanted}; one that flies is for tether_flight")

    def operate(operator: WalkOperator) -> dict[str, Any]:
        from tether_bringup.referee import Referee

        referee = Referee(operator)
        operator.walk([Velocity(*velocity) for velocity in profile], seconds / len(profile))
        return {"seconds": seconds, **referee.result(), "log": str(log)}

    pilot_options = {"log": Path(log).resolve(), **(options or {})}
    result = mission.fulfil(checked, robot_options or {}, pilot_options, WalkOperator, operate)
    judge(result)
    return result


def judge(result: Mapping[str, Any]) -> None:
    """Raise `TetherError` for a walk that is none; NaN, of nothing judged, is one."""
    if result["fell"]:
        raise TetherError(f"the robot fell: it tilted by up to {result['largest_tilt_rad']:.2f} rad")
    speed, turn = result["rms_velocity_m_s"], result["rms_yaw_rad_s"]
    if not (speed <= TRACKED_M_S and turn <= TRACKED_RAD_S):
        allowed = f"at most {TRACKED_M_S:g} m/s and {TRACKED_RAD_S:g} rad/s count as following"
        raise TetherError(f"the robot was {speed:.2f} m/s and {turn:.2f} rad/s RMS off what it was asked; {allowed}")


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("tether_walk", description="Walk a policy file over ROS 2 against the simulated robot, and record it.")
    mission.arguments(parser, log="walk.mcap")
    return parser.parse_args(arguments[1:])


def _body(arguments: Sequence[str]) -> int:
    options = _arguments(arguments)
    result = walk(options.policy, options.log, options.seconds, robot_options={"seed": options.seed})
    mission.write_json(options.json, result)
    errors = f"{result['rms_velocity_m_s']:.3f} m/s and {result['rms_yaw_rad_s']:.3f} rad/s RMS off what was asked"
    print(f"walked {options.seconds:g} s over ROS 2; {errors}; lay down by its own failsafe; log: {options.log}")
    return 0


def main() -> int:
    """Entry point of the console script."""
    return process.run("tether_walk", _body)


if __name__ == "__main__":
    sys.exit(main())
