"""``tether bench``: measure speed, how far engines are from each other, and how much policies bear."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import bench_robustness, bench_rrls, options

if TYPE_CHECKING:
    from cli.main import Result

HELP = "Measure speed on this machine, how far engines are from each other, and how much policies bear."
NUM_ENVS = {"sim": [1, 512, 4096], "env": [1, 512, 4096], "engines": [64]}
WHAT = [*NUM_ENVS, "robustness", bench_rrls.WHAT]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "what",
        choices=WHAT,
        metavar="|".join(WHAT),
        help="the simulator alone, or with a task's sensors, rewards, resets and observation, or several simulators side by side, or "
        "policies under disturbances, or a policy on a Gymnasium task under other parameters",
    )
    parser.add_argument(
        "policy",
        nargs="*",
        metavar="POLICY",
        help="for robustness: the policy file, or several to compare; for rrls: FILE.onnx or MODULE:FUNCTION",
    )
    parser.add_argument("--num-envs", type=int, nargs="+", metavar="N", help="environments (default: 1 512 4096; for engines, one: 64)")
    parser.add_argument("--robot", metavar="NAME", help="which robot (default: crazyflie, for env the task's)")
    parser.add_argument("--task", metavar="NAME", help="for env: whose environment (default: hover); for rrls: hopper, ant, …")
    parser.add_argument(
        "--sim",
        nargs="+",
        default=["auto"],
        metavar="ENGINE",
        help="simulator, for engines several, which are compared with the first (default: auto, by the kind of robot)",
    )
    parser.add_argument("--actuation", metavar="MODE", help="for sim: actuation mode (default: the robot's first)")
    parser.add_argument("--control-dt", type=float, metavar="S", help="control period (default: 0.01 s, on legs 0.02 s)")
    parser.add_argument("--physics-dt", type=float, metavar="S", help="physics sub-step (default: the simulator's choice)")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="how long to measure each (default: 2 s)")
    parser.add_argument("--threads", type=int, metavar="N", help="torch threads (default: torch's own)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="for engines and robustness: write the result with its plots to FILE")
    parser.add_argument("--episodes", type=int, metavar="N", help="at every severity (default: 50), for rrls in every cell (default: 5)")
    parser.add_argument("--fresh", type=int, metavar="N", help="episodes that judge worst cases again (default: 200; for rrls: 20)")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FILE",
        help="for robustness and rrls: add what is flown to FILE at once, and fly nothing again that an earlier bench put there",
    )
    bench_robustness.arguments(parser)
    options.device(parser)
    options.seed(parser)
    bench_rrls.arguments(parser)


def run(args: argparse.Namespace) -> Result:
    """Measure each number of environments, where the result repeats the fastest and holds all; or compare engines."""
    if args.what == bench_rrls.WHAT:
        return bench_rrls.run(args)
    bench_rrls.refuse(args)
    import torch

    from cli.main import Result
    from robots.errors import TetherError

    _check_kind(args)
    if args.threads is not None and args.threads < 1:
        raise TetherError(f"--threads is {args.threads}; give at least 1")
    if not args.seconds > 0.0:
        raise TetherError(f"--seconds is {args.seconds:g}; give a positive time")
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.what == "robustness":
        return bench_robustness.run(args)
    args.num_envs = args.num_envs or NUM_ENVS[args.what]
    if args.what == "engines":
        return _engines(args)
    if len(args.sim) > 1 or args.html is not None:
        raise TetherError(f"tether bench {args.what} measures one --sim, without --html; several are compared by tether bench engines")
    results = []
    for num_envs in args.num_envs:
        result = _measure(args, num_envs)
        physics, control = result["steps_per_second"], result["env_steps_per_second"]
        print(f"{num_envs:>7} environments  {physics:>12,.0f} physics steps/s  {control:>12,.0f} control steps/s", flush=True)
        results.append(result)
    fastest = max(results, key=lambda result: float(result["steps_per_second"]))
    return Result({**fastest, "results": results})


def _check_kind(args: argparse.Namespace) -> None:
    """Refuse what another kind of measurement takes."""
    from robots.errors import TetherError

    own = args.what == "robustness"
    if not own and (args.policy or any(getattr(args, name) is not None for name in (*bench_robustness.GIVEN, "keep"))):
        raise TetherError(f"tether bench {args.what} takes no policy files, suites or disturbances; those are for tether bench robustness")
    if own and any(getattr(args, name) is not None for name in ("num_envs", "robot", "task", "actuation", "control_dt", "physics_dt")):
        raise TetherError("tether bench robustness has robot, task and rates from the policy file; leave those options out")


def _measure(args: argparse.Namespace, num_envs: int) -> dict[str, Any]:
    from benchmarks import environment, sim
    from robots import registry
    from robots.errors import TetherError

    shared = {name: getattr(args, name) for name in ("physics_dt", "device", "seconds", "seed")} | {"engine": args.sim[0]}
    if args.what == "sim":
        if args.task is not None:
            raise TetherError("tether bench sim has no task; leave --task out, or measure tether bench env")
        robot = registry.robot(args.robot or "crazyflie")
        return sim.measure(robot, num_envs, actuation_mode=args.actuation, control_dt=args.control_dt, **shared)
    if args.actuation is not None:
        raise TetherError("a task's environment has its own actuation mode; leave --actuation out, or measure tether bench sim")
    if args.control_dt is not None and not args.control_dt > 0.0:
        raise TetherError(f"--control-dt is {args.control_dt:g}; give a positive time")
    rate_hz = None if args.control_dt is None else 1.0 / args.control_dt
    return environment.measure(args.task or "hover", num_envs, robot=args.robot, rate_hz=rate_hz, **shared)


def _engines(args: argparse.Namespace) -> Result:
    """Compare engines; fails where none of them could be measured."""
    from benchmarks import engines, engines_report
    from cli.main import Result
    from robots import registry
    from robots.errors import TetherError

    if args.task is not None or args.actuation is not None or len(args.num_envs) > 1:
        raise TetherError("tether bench engines takes a robot and one number of environments; leave --task and --actuation out")
    if args.html is not None and not args.html.absolute().parent.is_dir():
        raise TetherError(f"--html: there is no directory {args.html.absolute().parent}; create it first")
    settings = {name: getattr(args, name) for name in ("control_dt", "physics_dt", "device", "seconds", "seed")}
    result = engines.compare(registry.robot(args.robot or "crazyflie"), args.sim, args.num_envs[0], **settings)
    print(engines_report.text(result))
    if args.html is not None:
        from benchmarks.engines_page import page

        args.html.write_text(page(result), encoding="utf-8")
        print(f"wrote {args.html}")
    return Result(result, 0 if result["engines"] else 1)
