"""``tether train``: train a policy for a task."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from robots.errors import TetherError

if TYPE_CHECKING:
    from cli.main import Result
    from training.config import TrainConfig

HELP = "Train a policy for a task; writes a run directory with checkpoint, config and metrics."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("task", nargs="?", metavar="TASK", help="what to train; see tether list")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="change the task's preset, for example ppo.learning_rate=1e-3")
    parser.add_argument("--algorithm", help="how: ppo, shac, bptt or sac (default: ppo)")
    parser.add_argument("--num-envs", type=int, metavar="N", help="environments side by side (default: the task's)")
    parser.add_argument("--sim", metavar="ENGINE", help="simulator (default: torch)")
    parser.add_argument("--robot", metavar="NAME", help="robot (default: the task's)")
    parser.add_argument("--seed", type=int, metavar="S", help="everything random follows from it (default: 0)")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--config", type=Path, metavar="FILE.yaml", help="settings in a file; the command line goes before them")
    parser.add_argument("--run-dir", type=Path, metavar="DIR", help="where to write (default: runs/TASK/TIME)")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="go on with this run where its last checkpoint left it")
    parser.add_argument("--wandb", metavar="PROJECT", default="", help="log to Weights & Biases too")


def run(args: argparse.Namespace) -> Result:
    """Train, and say what to do with the result."""
    from cli.main import Result
    from training.train import new_run_dir, train

    config = _resumed(args) if args.resume else _configured(args)
    run_dir = args.resume or args.run_dir or new_run_dir(Path("runs") / config.task)
    try:
        result = train(config, run_dir, resume=args.resume is not None, progress=True, wandb=args.wandb)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; continue with: tether train --resume {run_dir}") from None
    check = f", {result['check']['success']:.1%} success in its own check" if result["check"] else ""
    print(f"{result['env_steps'] / 1e6:.2f} M steps in {result['wall_time_s']:.1f} s{check}; {result['stopped']}")
    print(f"wrote {result['checkpoint']}; next: tether export {run_dir} -o {config.task}.onnx")
    return Result(result)


class Interrupted(TetherError):
    """Ctrl-C, after the checkpoint was written."""

    exit_code = 130


def _configured(args: argparse.Namespace) -> TrainConfig:
    """The task's preset, then ``--config``, then options, then ``key=value``."""
    from cli import config as configs
    from training.config import preset

    if args.task is None or "=" in args.task:
        raise TetherError("name the task to train, for example: tether train hover; tether list shows all")
    config = preset(args.task, args.algorithm or "ppo")
    if args.config:
        config = configs.load_yaml(config, args.config)
        if config.task != args.task:
            raise TetherError(f"{args.config} is for task {config.task!r}, not {args.task!r}")
    given = {name: getattr(args, name) for name in ("num_envs", "sim", "robot", "seed", "device") if getattr(args, name) is not None}
    try:
        config = dataclasses.replace(config, **given)
    except ValueError as error:
        raise TetherError(str(error)) from error
    return configs.override(config, args.overrides)


def _resumed(args: argparse.Namespace) -> TrainConfig:
    """The run's own configuration; overrides are allowed as long as they change nothing, and `train` refuses them otherwise."""
    from cli import config as configs
    from training.checkpoint import find
    from training.config import TrainConfig

    words = [word for word in (args.task, *args.overrides) if word is not None]
    named = [word for word in words if "=" not in word]
    file = find(args.resume).parent / "config.yaml"
    config = configs.load_yaml(TrainConfig(), file)
    if named and named != [config.task]:
        raise TetherError(f"{args.resume} trains {config.task!r}, not {' '.join(named)!r}")
    given = {
        name: getattr(args, name) for name in ("num_envs", "sim", "robot", "seed", "device", "algorithm") if getattr(args, name) is not None
    }
    return configs.override(dataclasses.replace(config, **given), [word for word in words if "=" in word])
