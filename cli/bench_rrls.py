"""``tether bench rrls``: a policy's return over an uncertainty set of a Gymnasium task, or whether the set's parameters do anything."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cli.main import Result
    from robustness.gymnasium_tasks.parameters import Parameter
    from robustness.gymnasium_tasks.tasks import GymnasiumTask

WHAT = "rrls"
DEFAULT_SET = "2"
OURS = ("parameters", "points", "smoothing", "threshold", "processes", "verify")
NOT_OURS = {  # and their defaults; there is one engine, on the CPU, and nothing is timed
    **dict.fromkeys(("num_envs", "robot", "actuation", "control_dt", "physics_dt", "threads", "html")),
    **dict.fromkeys(("suite", "families", "grid", "search", "severities", "grid_episodes", "search_episodes")),
    "sim": ["auto"],
    "seconds": 2.0,
    "device": "cpu",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only this has; the policy, ``--task``, ``--episodes``, ``--fresh`` and ``--seed`` are shared."""
    group = parser.add_argument_group(WHAT, "return of a policy over a grid of parameters of a Gymnasium task (pip install 'tether[rrls]')")
    group.add_argument(
        "--parameters",
        nargs="+",
        metavar="SET",
        help=f"1, 2, 3 or rarl, or friction=LOW:HIGH mass.BODY=LOW:HIGH force.BODY.AXIS=LOW:HIGH … (default: {DEFAULT_SET})",
    )
    group.add_argument("--points", type=int, metavar="N", help="values of each parameter, both ends among them (default: 10; rarl: 3)")
    group.add_argument("--smoothing", type=float, metavar="SIGMA", help="noise on what the policy sees, and what it certifies")
    group.add_argument("--threshold", type=float, metavar="C", help="return that is certified (default: half the pristine mean)")
    group.add_argument("--processes", type=int, metavar="N", help="processes that play (default: one a core)")
    group.add_argument("--verify", action="store_true", default=None, help="instead: does each parameter change the dynamics?")


def refuse(args: argparse.Namespace) -> None:
    """Raise `TetherError` where another measurement was given what is only ours."""
    _refuse(args, dict.fromkeys(OURS))


def run(args: argparse.Namespace) -> Result:
    """Play the grid, or verify the set."""
    from robots.errors import TetherError
    from robustness.gymnasium_tasks.tasks import task_of

    _refuse(args, NOT_OURS)
    if args.task is None:
        raise TetherError(
            "tether bench rrls needs a task; add --task hopper, halfcheetah, walker2d, ant, humanoidstandup or invertedpendulum"
        )
    task = task_of(args.task)
    parameters = task.parameters(args.parameters or [DEFAULT_SET])
    points = (3 if args.parameters == ["rarl"] else 10) if args.points is None else args.points
    if points < 2:
        raise TetherError(f"--points is {points}; give at least 2, the ends")
    return _verify(args, task, parameters, points) if args.verify else _evaluate(args, task, parameters, points)


def _refuse(args: argparse.Namespace, defaults: dict[str, Any]) -> None:
    from robots.errors import TetherError

    given = [name for name, default in defaults.items() if getattr(args, name) != default]
    if given:
        options = ", ".join(name if name == "policy" else f"--{name.replace('_', '-')}" for name in given)
        verifying = " --verify" if args.what == WHAT and args.verify else ""
        raise TetherError(f"tether bench {args.what}{verifying} does not take {options}; leave it out")


def _evaluate(args: argparse.Namespace, task: GymnasiumTask, parameters: tuple[Parameter, ...], points: int) -> Result:
    from cli.main import Result
    from robots.errors import TetherError
    from robustness.gymnasium_tasks import report
    from robustness.gymnasium_tasks.episodes import Player
    from robustness.gymnasium_tasks.evaluate import Plan, evaluate

    if len(args.policy) != 1:
        raise TetherError("tether bench rrls needs one policy: FILE.onnx or MODULE:FUNCTION; or --verify, which needs none")
    sigma = 0.0 if args.smoothing is None else args.smoothing
    if not 0.0 <= sigma < float("inf"):
        raise TetherError(f"--smoothing is {sigma:g}; give a standard deviation, at least 0")
    if args.threshold is not None and not sigma:
        raise TetherError("--threshold is the return that --smoothing certifies; give both, or neither")
    counts = {name: getattr(args, name) for name in ("episodes", "fresh", "threshold") if getattr(args, name) is not None}
    plan = Plan(points=points, seed=args.seed, **counts)
    with Player(task, args.policy[0], sigma, _processes(args.processes), progress=True, keep=args.keep) as player:
        result = {"policy": args.policy[0]} | evaluate(player, parameters, plan)
    print(report.text(result))
    return Result(result)


def _verify(args: argparse.Namespace, task: GymnasiumTask, parameters: tuple[Parameter, ...], points: int) -> Result:
    """Fails where a parameter is dead."""
    from dataclasses import asdict

    from cli.main import Result
    from robustness.gymnasium_tasks import verify

    needless = dict.fromkeys(("episodes", "fresh", "keep", *sorted({*OURS} - {"parameters", "points", "verify"})))
    _refuse(args, {"policy": []} | needless)
    effects = verify.verify(task, parameters, points, args.seed)
    print(verify.table(effects))
    rows = [asdict(effect) | {"dead": effect.dead} for effect in effects]
    return Result({"task": task.name, "points": points, "seed": args.seed, "effects": rows}, int(any(effect.dead for effect in effects)))


def _processes(wanted: int | None) -> int:
    from robots.errors import TetherError

    if wanted is not None and wanted < 1:
        raise TetherError(f"--processes is {wanted}; give at least 1")
    return wanted or len(os.sched_getaffinity(0))
