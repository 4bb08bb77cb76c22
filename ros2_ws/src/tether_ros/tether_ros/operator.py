"""The operator as a process: configure, activate, hold the dead-man switch, send goals or velocities, deactivate.

tether_operator --goal 0 0 1.5 --goal 1 0 1.5 --dwell 4
tether_operator --goal 0 0 1.5 --figure-eight 18
tether_operator --velocity 0.5 0 0 --velocity 0 0 0.5 --dwell 4
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial

from tether_ros import process
from tether_ros.figure_eight import figure_eight


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "tether_operator", description="Send a robot under a policy node to goals, or on its way; ROS arguments follow --ros-args."
    )
    parser.add_argument(
        "--goal", nargs=3, type=float, action="append", metavar=("X", "Y", "Z"), help="a goal position [m]; may be repeated"
    )
    parser.add_argument(
        "--velocity",
        nargs=3,
        type=float,
        action="append",
        metavar=("X", "Y", "YAW"),
        help="walk forward and to the left [m/s] and turn [rad/s], instead of goals; may be repeated",
    )
    parser.add_argument("--dwell", type=float, default=4.0, metavar="SECONDS", help="time for each goal or velocity (default 4)")
    parser.add_argument(
        "--figure-eight", type=float, metavar="SECONDS", help="then stream a figure-eight about the last goal, to a policy that tracks"
    )
    parser.add_argument("--rate", type=float, default=100.0, metavar="HZ", help="of the stream (default 100)")
    parser.add_argument("--node", default="policy_node", help="name of the policy node")
    parser.add_argument("--world-frame", default="odom", help="frame of the goals")
    options = parser.parse_args(arguments[1:])
    if options.velocity and (options.goal or options.figure_eight):
        parser.error("--velocity is for a robot that walks, --goal and --figure-eight for one that flies; give one kind")
    return options


def _body(arguments: Sequence[str]) -> int:
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import remove_ros_args

    options = _arguments(remove_ros_args(list(arguments)))
    rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
    try:
        _walk(options) if options.velocity else _fly(options)
    finally:
        rclpy.try_shutdown()
    return 0


def _walk(options: argparse.Namespace) -> None:
    from tether_ros.walk_operator import Velocity, WalkOperator

    with WalkOperator(options.node) as operator:
        operator.engage()
        for asked in options.velocity:
            operator.walk([Velocity(*asked)], options.dwell)
            print(f"velocity {asked[0]:g} {asked[1]:g} {asked[2]:g}: for {options.dwell:g} s")


def _fly(options: argparse.Namespace) -> None:
    from tether_ros.goal_operator import GoalOperator

    with GoalOperator(options.node, options.world_frame) as operator:
        operator.engage()
        goals = [tuple(goal) for goal in options.goal or [operator.position]]
        for goal, distance in zip(goals, operator.fly(goals, options.dwell)):
            print(f"goal {goal[0]:g} {goal[1]:g} {goal[2]:g}: {distance:.3f} m away after {options.dwell:g} s")
        if options.figure_eight:
            rms = operator.follow(partial(figure_eight, goals[-1]), options.figure_eight, options.rate)
            print(f"figure-eight: {rms:.3f} m RMS over {options.figure_eight:g} s")


def main() -> int:
    """Entry point of the console script."""
    return process.run("tether_operator", _body)


if __name__ == "__main__":
    sys.exit(main())
