"""``tether bench robustness``: how much policies bear; see `robustness.bench`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cli.main import Result


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only this bench takes; defaults are those of `robustness.bench.Plan`."""
    group = parser.add_argument_group("robustness", "for tether bench robustness POLICY.onnx…")
    group.add_argument("--suite", metavar="NAME", help="suite that the disturbances come on top of (default: full)")
    group.add_argument(
        "--families", nargs="*", metavar="NAME", help="disturbances to sweep, none if none is named (default: all of the robot's)"
    )
    group.add_argument(
        "--grid",
        nargs="*",
        metavar="AXIS=LOW:HIGH:N",
        help="fly every combination of these disturbances; without an axis, the default ones of the robot's kind",
    )
    group.add_argument("--search", action="store_true", default=None, help="look for worse than the grid's worst in its box, by CMA-ES")
    group.add_argument("--severities", type=int, metavar="N", help="of a family, the first of which is none (default: 5)")
    group.add_argument("--grid-episodes", type=int, metavar="N", help="in every cell of the grid (default: 8)")
    group.add_argument("--search-episodes", type=int, metavar="N", help="for every candidate of the search (default: 4)")


GIVEN = ("suite", "families", "grid", "search", "severities", "episodes", "grid_episodes", "search_episodes", "fresh")


def run(args: argparse.Namespace) -> Result:
    """Fly everything, print the tables, write the page if asked."""
    from cli.main import Result
    from deploy.policy import Policy
    from robots.errors import TetherError
    from robustness.bench import Plan, bench
    from robustness.report import text

    if not args.policy:
        raise TetherError("tether bench robustness wants policy files; name one, or several to compare")
    if len(args.sim) > 1:
        raise TetherError("tether bench robustness flies on one engine; name one after --sim")
    if args.html is not None and not args.html.absolute().parent.is_dir():
        raise TetherError(f"--html: there is no directory {args.html.absolute().parent}; create it first")
    plan = Plan(**_given(args), seed=args.seed, simulator=args.sim[0], device=args.device)
    result = bench([Policy.load(Path(path)) for path in args.policy], plan, progress=True, keep=args.keep)
    print(text(result))
    if args.html is not None:
        from robustness.page import page

        args.html.write_text(page(result), encoding="utf-8")
        print(f"wrote {args.html}")
    return Result(result)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The options of `GIVEN` that are not left at their defaults."""
    given = {name: getattr(args, name) for name in GIVEN if getattr(args, name) is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
