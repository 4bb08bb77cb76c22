"""``tether bench``: measure speed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cli import options

if TYPE_CHECKING:
    from cli.main import Result

HELP = "Measure speed on this machine."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "what",
        choices=["sim", "env"],
        metavar="sim|env",
        help="the simulator alone, or with a task's sensors, rewards, resets and observation",
    )
    parser.add_argument("--num-envs", type=int, nargs="+", default=[1, 512, 4096], metavar="N", help="environments (default: 1 512 4096)")
    parser.add_argument("--robot", metavar="NAME", help="which robot (default: crazyflie, for env the task's)")
    parser.add_argument("--task", metavar="NAME", help="for env: whose environment (default: hover)")
    parser.add_argument("--sim", default="auto", metavar="ENGINE", help="simulator (default: auto, by the kind of robot)")
    parser.add_argument("--actuation", metavar="MODE", help="for sim: actuation mode (default: the robot's first)")
    parser.add_argument("--control-dt", type=float, metavar="S", help="control period (default: 0.01 s, on legs 0.02 s)")
    parser.add_argument("--physics-dt", type=float, metavar="S", help="physics sub-step (default: the simulator's choice)")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="how long to measure each (default: 2 s)")
    parser.add_argument("--threads", type=int, metavar="N", help="torch threads (default: torch's own)")
    options.device(parser)
    options.seed(parser)


def run(args: argparse.Namespace) -> Result:
    """Measure each number of environments; the result repeats the fastest and holds all."""
    import torch

    from cli.main import Result
    from robots.errors import TetherError

    if args.threads is not None and args.threads < 1:
        raise TetherError(f"--threads is {args.threads}; give at least 1")
    if not args.seconds > 0.0:
        raise TetherError(f"--seconds is {args.seconds:g}; give a positive time")
    if args.threads:
        torch.set_num_threads(args.threads)
    results = []
    for num_envs in args.num_envs:
        result = _measure(args, num_envs)
        physics, control = result["steps_per_second"], result["env_steps_per_second"]
        print(f"{num_envs:>7} environments  {physics:>12,.0f} physics steps/s  {control:>12,.0f} control steps/s", flush=True)
        results.append(result)
    fastest = max(results, key=lambda result: float(result["steps_per_second"]))
    return Result({**fastest, "results": results})


def _measure(args: argparse.Namespace, num_envs: int) -> dict[str, Any]:
    from benchmarks import environment, sim
    from robots import registry
    from robots.errors import TetherError

    shared = {name: getattr(args, name) for name in ("physics_dt", "device", "seconds", "seed")} | {"engine": args.sim}
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
