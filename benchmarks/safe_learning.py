"""What safeguards cost learning; ``python -m benchmarks.safe_learning [--tasks …] [--algorithms …] [--variants …] [--seeds N] [--read]``.

Every algorithm of `ALGORITHMS` with every variant of its safeguards, on the three published tasks, all seeds side by side in one process
(`training.batched`). Every so often, and at the end, each seed flies episodes of ``full`` that no training sees, the same for all; the
policies of the end fly them without their safeguard too. One JSON file a task, algorithm and variant, written as soon as it is there and
not measured again unless ``--again``; tables and plots: `benchmarks.safe_learning_report`.

Wall time is that of training alone, without flights and kernels' compilation (a step is taken before the clock starts).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import safe_learning_report, seeded
from cli.config import override
from cli.main import write_json
from robots.errors import TetherError
from training.batched import Batch
from training.config import TrainConfig, make_task, preset
from training.environment import Environment
from training.evaluate import evaluation_seed
from training.examination import flights
from training.guard import SafeguardConfig
from training.learned_law import LearnedLaw
from training.pilot import Pilot
from training.simulators import make_simulator

RESULTS = Path(__file__).parent / "results" / "safe_learning"
TASKS = ("pendulum", "planar_quadrotor", "seeker")
REGULARISATION = 0.1  # as published
VARIANTS = {
    "none": SafeguardConfig(),
    "BP": SafeguardConfig("projection"),
    "BP regularised": SafeguardConfig("projection", regularisation=REGULARISATION),
    "BP pass-through": SafeguardConfig("projection", "pass_through"),
    "RM": SafeguardConfig("ray_mask"),
    "RM regularised": SafeguardConfig("ray_mask", regularisation=REGULARISATION),
    "RM pass-through": SafeguardConfig("ray_mask", "pass_through"),
    "HRM": SafeguardConfig("hyperbolic_ray_mask"),
    "HRM regularised": SafeguardConfig("hyperbolic_ray_mask", regularisation=REGULARISATION),
    "HRM pass-through": SafeguardConfig("hyperbolic_ray_mask", "pass_through"),
}
ALGORITHMS = {"shac": tuple(VARIANTS), "ppo": ("none", "BP", "RM"), "sac": ("none", "BP", "RM")}
FLIGHTS = 20  # during a training
EVALUATION_SEED = 20_000_003


class Examiner:
    """Flies ``episodes`` episodes of ``full``, always the same ones, with every replica of a law."""

    def __init__(self, config: TrainConfig, replicas: int, episodes: int) -> None:
        task = make_task(config)
        simulator = make_simulator(config.sim, task, replicas * episodes, config.device)
        self.seeds, self.replicas = [evaluation_seed(EVALUATION_SEED, 0)] * replicas, replicas
        self.environment = Environment(task, simulator, suite=task.suite("full"), seed=self.seeds, auto_reset=False)

    def __call__(self, law: LearnedLaw) -> dict[str, list[float]]:
        """By replica: mean return, success, share of steps and of episodes outside the safe states, intervention, promises not kept."""
        returns, outside, changed, broken = torch.zeros(4, self.environment.num_envs, device=self.environment.device)
        errors = []
        for flown in flights(Pilot(law), self.environment, self.seeds):
            alive, output, step = flown.alive, flown.output, flown.step
            returns = returns + torch.where(alive, step.reward, 0.0)
            outside = outside + torch.where(alive, step.measures["exits"], 0.0)
            changed = changed + torch.where(alive, output.intervention.squeeze(1), 0.0)
            broken = broken + torch.where(alive, 1.0 - output.feasible.squeeze(1), 0.0)
            errors.append(step.tracking_error)
        steps = self.environment.episode_steps
        success = self.environment.task.success(torch.stack(errors), flown.failed)
        found = {
            "return": returns,
            "success": success.float(),
            "outside_steps": outside / steps,
            "outside_episodes": (outside > 0.0).float(),
            "intervention": changed / steps,
            "infeasible_steps": broken / steps,
        }
        return {name: self.by_replica(value) for name, value in found.items()}

    def by_replica(self, values: Tensor) -> list[float]:
        """Means of the replicas' shares of ``values`` ``[num_envs]``."""
        return [float(part.double().mean()) for part in values.chunk(self.replicas)]


def measure(task: str, algorithm: str, variant: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train all seeds, and fly what they learned."""
    config = dataclasses.replace(override(preset(task, algorithm), options.overrides), safeguard=VARIANTS[variant])
    seeds = list(range(options.first_seed, options.first_seed + options.seeds))
    examine, batch = Examiner(config, len(seeds), options.episodes), Batch(config, seeds)
    curve: dict[str, list[Any]] = {"env_steps": [0], "return": [examine(batch.law)["return"]], "wall_time_s": [0.0]}
    spent, processor, load = 0.0, 0.0, os.getloadavg()[0]
    every = max(config.iterations // FLIGHTS, 1)
    for iteration in range(config.iterations):
        begin, used = time.perf_counter(), time.process_time()
        batch.iterate()
        if iteration:  # the first compiles
            spent, processor = spent + time.perf_counter() - begin, processor + time.process_time() - used
        if (iteration + 1) % every == 0 or iteration + 1 == config.iterations:
            curve["env_steps"].append((iteration + 1) * config.num_envs * batch.algorithm.config.horizon)
            curve["return"].append(examine(batch.law)["return"])
            curve["wall_time_s"].append(spent)
    return {
        "task": task,
        "algorithm": algorithm,
        "variant": variant,
        "seeds": seeds,
        "num_envs": config.num_envs,
        "env_steps": curve["env_steps"][-1],
        "overrides": list(options.overrides),
        "command": f"{config.command()} # for each seed",
        "episodes": options.episodes,
        "wall_time_s": spent,
        "processor_time_s": processor,
        "load_average_at_start": load,
        "curve": curve,
        "final": examine(batch.law),
        "safeguard_off": examine(batch.law.unguarded()) if batch.law.guard else None,
    }


def file_of(directory: Path, task: str, algorithm: str, variant: str) -> Path:
    """Where a result is kept."""
    return directory / f"{task}_{algorithm}_{variant.replace(' ', '_').replace('-', '_')}.json"


def pairs(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """(task, algorithm, variant) of all that is asked for."""
    return [
        (task, algorithm, variant)
        for task in options.tasks
        for algorithm in options.algorithms
        for variant in options.variants or ALGORITHMS[algorithm]
    ]


def stored(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The results that are there, of what is asked for."""
    files = [file_of(options.output, *pair) for pair in pairs(options)]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def measure_all(options: argparse.Namespace) -> None:
    """Measure what is not there yet."""
    options.output.mkdir(parents=True, exist_ok=True)
    for pair in pairs(options):
        file = file_of(options.output, *pair)
        if file.exists() and not options.again:
            continue
        found = measure(*pair, options)
        write_json(file, found)
        print(f"{' '.join(pair)}: {safe_learning_report.one_line(found)}", flush=True)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.safe_learning", description="What safeguards cost learning.")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS, metavar="NAME", help="default: all three")
    parser.add_argument(
        "--algorithms", nargs="+", default=["shac"], choices=list(ALGORITHMS), metavar="NAME", help="shac, ppo, sac (default: shac)"
    )
    parser.add_argument(
        "--variants", nargs="+", choices=list(VARIANTS), metavar="NAME", help=f"of {', '.join(VARIANTS)} (default: the algorithm's)"
    )
    seeded.arguments(parser, RESULTS, episodes=50, of="of every evaluation, a seed")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw one picture a task there")
    return parser


def main(argv: Sequence[str]) -> int:
    """Measure, print, draw."""
    options = arguments().parse_intermixed_args(argv)
    try:
        if not options.read:
            measure_all(options)
        results = stored(options)
        print(safe_learning_report.text(results))
        if options.plots:
            for path in safe_learning_report.draw(results, options.plots):
                print(f"wrote {path}")
    except (TetherError, OSError) as error:
        print(f"benchmarks.safe_learning: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
