"""``tether bench``: measure speed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cli import options

if TYPE_CHECKING:
    from cli.main import Result

HELP = "Measure speed on this machine."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("what", choices=["sim"], metavar="sim", help="steps of the simulator a second")
    parser.add_argument("--num-envs", type=int, nargs="+", default=[1, 512, 4096], metavar="N", help="environments (default: 1 512 4096)")
    parser.add_argument("--robot", default="crazyflie", metavar="NAME", help="a quadrotor (default: crazyflie)")
    parser.add_argument("--actuation", default="ctbr", metavar="MODE", help="actuation mode of the robot (default: ctbr)")
    parser.add_argument("--control-dt", type=float, default=0.01, metavar="S", help="control period (default: 0.01 s)")
    parser.add_argument("--physics-dt", type=float, metavar="S", help="physics sub-step (default: the simulator's choice)")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="how long to measure each (default: 2 s)")
    parser.add_argument("--threads", type=int, metavar="N", help="torch threads (default: torch's own)")
    options.device(parser)
    options.seed(parser)


def run(args: argparse.Namespace) -> Result:
    """Measure each number of environments; the result repeats the fastest and holds all."""
    import torch

    from benchmarks.sim import measure
    from cli.main import Result
    from robots import registry
    from robots.errors import TetherError

    if args.threads is not None and args.threads < 1:
        raise TetherError(f"--threads is {args.threads}; give at least 1")
    if not args.seconds > 0.0:
        raise TetherError(f"--seconds is {args.seconds:g}; give a positive time")
    if args.threads:
        torch.set_num_threads(args.threads)
    robot = registry.robot(args.robot)
    results = []
    for num_envs in args.num_envs:
        result = measure(
            robot,
            num_envs,
            actuation_mode=args.actuation,
            control_dt=args.control_dt,
            physics_dt=args.physics_dt,
            device=args.device,
            seconds=args.seconds,
            seed=args.seed,
        )
        physics, control = result["steps_per_second"], result["env_steps_per_second"]
        print(f"{num_envs:>7} environments  {physics:>12,.0f} physics steps/s  {control:>12,.0f} control steps/s", flush=True)
        results.append(result)
    fastest = max(results, key=lambda result: float(result["steps_per_second"]))
    return Result({**fastest, "results": results})
