"""``tether run``: close the loop with a simulated robot through the robot's own runtime, without ROS."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import options
from robots.errors import TetherError

if TYPE_CHECKING:
    import numpy as np

    from cli.main import Result

HELP = "Fly a policy file against a simulated robot through the runtime of the robot, without ROS, and record the flight."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("policy", type=Path, metavar="POLICY.onnx", help="the policy file")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="how long to fly (default: 20)")
    parser.add_argument(
        "--suite", default="nominal", help="where the flight starts: nominal, full, or another of the task's (default: nominal)"
    )
    parser.add_argument(
        "--goal", action="append", default=[], metavar="X,Y,Z", help="fly to this point [m]; repeat to visit several in turn"
    )
    parser.add_argument("--log", type=Path, metavar="FILE.mcap", help="record to FILE (default: runs/flight.mcap)")
    parser.add_argument("--guards", type=Path, metavar="FILE.yaml", help="guard thresholds (default: the runtime's own)")
    parser.add_argument("--sim", default="auto", metavar="ENGINE", help="simulator (default: auto, by the kind of robot)")
    options.seed(parser)


def run(args: argparse.Namespace) -> Result:
    """Fly, record, say what happened and how to judge it."""
    import torch

    from cli.main import Result
    from deploy.guards import GuardConfig
    from deploy.policy import Policy
    from training.flight import Flight

    if not 0 < args.seconds < math.inf:
        raise TetherError(f"--seconds is {args.seconds:g}; give more than 0")
    torch.set_num_threads(1)  # one environment: more threads only get in each other's way
    policy = Policy.load(args.policy)
    config = GuardConfig.from_yaml(args.guards) if args.guards else GuardConfig()
    goals = [_point(text) for text in args.goal]
    flight = Flight(policy, suite=args.suite, seed=args.seed, seconds=args.seconds, simulator=args.sim, goals=goals, config=config)
    result = flight.record(_log_path(args.log), progress=True)
    print(report(result))
    print(f"wrote {result['log']}; judge it with: tether replay {result['log']} --policy {args.policy}")
    return Result(result, exit_code=0 if result["completed"] else 1)


def report(result: dict[str, Any]) -> str:
    """The result as a short table."""
    error = "never in control" if result["final_error"] is None else f"{result['final_error']:.3f} over the last second"
    rows = [
        ("flight", f"{result['flown_s']:.1f} s of {result['task']} {result['suite']}, seed {result['seed']}, at {result['rate_hz']:g} Hz"),
        ("end", f"{result['state']}{', crashed' if result['crashed'] else ''}{', failsafe requested' if result['failsafe'] else ''}"),
        ("error", error),
        ("guards", ", ".join(f"{name} {count}" for name, count in result["guards"].items()) or "silent"),
    ]
    return "\n".join(f"{name:<8} {text}" for name, text in rows)


def _point(text: str) -> np.ndarray:
    import numpy as np

    try:
        values = np.array([float(part) for part in text.split(",")])
    except ValueError:
        values = np.zeros(0)
    if values.shape != (3,) or not np.isfinite(values).all():
        raise TetherError(f"--goal {text!r}: give three numbers in metres, for example --goal 1,0,1.5")
    return values


def _log_path(path: Path | None) -> Path:
    if path is not None:
        return path
    Path("runs").mkdir(exist_ok=True)
    return Path("runs/flight.mcap")
