"""Adversaries in training against randomisation: ``python -m benchmarks.adversaries [--tasks …] [--variants …] [--seeds N] [--read]``.

Every task of `TASKS` with every opponent of `VARIANTS`, on the same ranges, with the same budget of control steps and the same settings of
the protagonist, all seeds side by side in one process (`training.batched`). Each seed's policy of the end is then flown on the grid of all
its task's physical quantities at −1, 0 and 1 (coordinates of `tasks.uncertainty`), held for whole episodes of ``full``; its worst cells,
by return and by success, are flown again on fresh episodes, and those figures count. One JSON file a task and variant, written as soon as
it is there and not measured again unless ``--again``; tables: `benchmarks.adversaries_report`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks import adversaries_report, seeded
from cli.config import override
from cli.main import write_json
from robots.errors import TetherError
from training.adversaries.config import AdversaryConfig
from training.adversaries.environment import ContestedEnvironment
from training.batched import Batch
from training.config import TrainConfig, make_task, preset
from training.evaluate import evaluation_seed
from training.examination import flights
from training.learned_law import LearnedLaw
from training.pilot import Pilot
from training.simulators import make_simulator

RESULTS = Path(__file__).parent / "results" / "adversaries"
LEVELS = (-1.0, 0.0, 1.0)
SEARCH_SEED, FRESH_SEED = 30_000_001, 30_000_002  # of evaluation; what the search saw never counts
TASKS: dict[str, tuple[str, tuple[str, ...]]] = {  # the protagonist's algorithm, and overrides of the task's preset for it
    "hover": ("shac", ("check_every=0",)),
    "skim": ("shac", ("risk.quantiles=0", "shac.discount=0.99")),
    "planar_quadrotor": ("shac", ("iterations=200", "shac.halve_every=60", "shac.critic_epochs=4")),
    "pendulum": ("shac", ("shac.critic_epochs=4", "actor.squash=tanh")),
}
PLAYS = ("adversary.share=0.5", "adversary.player.discount=0.995")  # the other environments are as under randomisation alone
VARIANTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "random": ("adversary.name=random",),
    "corners": ("adversary.name=worst", "adversary.candidates=1", *PLAYS),  # half of the time a corner, whichever: nobody learns
    **{name: (f"adversary.name={name}", *PLAYS) for name in ("worst", "rarl", "qarl", "tc_rmdp", "grad")},
}


class Flown(NamedTuple):
    """Return and success of every cell of every replica ``[replicas, cells]``, means over episodes."""

    returns: Tensor
    success: Tensor


class Examiner:
    """Flies ``episodes`` episodes in every one of so many cells, with every replica of a law, always the same ones.

    Args:
        config: whose task and engine.
        replicas, cells, episodes: how many of each.
        seed: of the episodes.
    """

    def __init__(self, config: TrainConfig, replicas: int, cells: int, episodes: int, seed: int) -> None:
        task = make_task(config)
        self.shape = (replicas, cells, episodes)
        self.seeds = [evaluation_seed(seed, 0)] * replicas
        simulator = make_simulator(config.sim, task, replicas * cells * episodes, config.device)
        self.environment = ContestedEnvironment(
            task, simulator, suite=task.suite("full"), seed=self.seeds, auto_reset=False, adversary=AdversaryConfig("random")
        )

    def __call__(self, law: LearnedLaw, delta: Tensor) -> Flown:
        """With coordinates ``delta`` ``[replicas, cells, size]``; what a policy loses after a failure is not counted."""
        environment = self.environment
        environment.hold(delta.repeat_interleave(self.shape[2], dim=1).flatten(0, 1))
        returns, errors = torch.zeros(environment.num_envs, device=environment.device), []
        for flown in flights(Pilot(law), environment, self.seeds):
            returns = returns + torch.where(flown.alive, flown.step.reward, 0.0)
            errors.append(flown.step.tracking_error)
        success = environment.task.success(torch.stack(errors), flown.failed).float()
        return Flown(returns.view(self.shape).mean(2), success.view(self.shape).mean(2))


def grid(size: int) -> Tensor:
    """All combinations of `LEVELS`, ``[cells, size]``."""
    return torch.tensor(list(itertools.product(LEVELS, repeat=size)))


def examined(config: TrainConfig, law: LearnedLaw, options: argparse.Namespace) -> dict[str, Any]:
    """Mean over the grid, and its worst cells on fresh episodes, by replica; and the middle of the ranges."""
    fresh = Examiner(config, law.replicas, 3, options.fresh, FRESH_SEED)
    cells = grid(fresh.environment.box.size)
    everywhere = cells.expand(law.replicas, -1, -1)
    flown = Examiner(config, law.replicas, len(cells), options.episodes, SEARCH_SEED)(law, everywhere)
    hardest = flown.success + 1e-9 * flown.returns / flown.returns.abs().amax()  # the return decides between equals
    worst, unsafe = cells[flown.returns.argmin(1)], cells[hardest.argmin(1)]
    again = fresh(law, torch.stack([torch.zeros_like(worst), worst, unsafe], dim=1))
    return {
        "labels": fresh.environment.box.labels,
        "middle": {"return": again.returns[:, 0].tolist(), "success": again.success[:, 0].tolist()},
        "mean": {"return": flown.returns.mean(1).tolist(), "success": flown.success.mean(1).tolist()},
        "worst": {"return": again.returns[:, 1].tolist(), "success": again.success[:, 2].tolist()},
        "searched": {"return": flown.returns.amin(1).tolist(), "success": flown.success.amin(1).tolist()},
        "worst_cells": {"return": worst.tolist(), "success": unsafe.tolist()},
    }


def measure(task: str, variant: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train all seeds, and fly what they learned."""
    algorithm, settings = TASKS[task]
    config = override(preset(task, algorithm), [*settings, *VARIANTS[variant], *options.overrides])
    seeds = list(range(options.first_seed, options.first_seed + options.seeds))
    begin, used, load, batch = time.perf_counter(), time.process_time(), os.getloadavg()[0], Batch(config, seeds)
    while batch.iteration < config.iterations:
        batch.iterate()
    spent, processor = time.perf_counter() - begin, time.process_time() - used
    return {
        "task": task,
        "variant": variant,
        "seeds": seeds,
        "env_steps": batch.curves[0].env_steps[-1],
        "overrides": list(options.overrides),
        "command": f"{config.command()} # for each seed",
        "episodes": options.episodes,
        "fresh_episodes": options.fresh,
        "wall_time_s": spent,
        "processor_time_s": processor,
        "load_average_at_start": load,
        "returns_in_training": [curve.returns[-1] for curve in batch.curves],
        **examined(config, batch.law, options),
    }


def file_of(directory: Path, task: str, variant: str) -> Path:
    """Where a result is kept."""
    return directory / f"{task}_{variant}.json"


def stored(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The results that are there, of what is asked for."""
    files = [file_of(options.output, task, variant) for task in options.tasks for variant in options.variants]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def measure_all(options: argparse.Namespace) -> None:
    """Measure what is not there yet."""
    options.output.mkdir(parents=True, exist_ok=True)
    for task, variant in itertools.product(options.tasks, options.variants):
        file = file_of(options.output, task, variant)
        if file.exists() and not options.again:
            continue
        found = measure(task, variant, options)
        write_json(file, found)
        print(adversaries_report.one_line(found), flush=True)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.adversaries", description="Adversaries in training against randomisation alone.")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS), metavar="NAME", help="default: all")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME", help="default: all")
    seeded.arguments(parser, RESULTS, episodes=4, of="in every cell of the grid", seeds=5, first_seed=10, each="a task and variant")
    parser.add_argument("--fresh", type=int, default=100, metavar="N", help="in the worst cells (default 100)")
    return parser


def main(argv: Sequence[str]) -> int:
    """Measure, print."""
    options = arguments().parse_intermixed_args(argv)
    try:
        if not options.read:
            measure_all(options)
        print(adversaries_report.text(stored(options)))
    except (TetherError, OSError) as error:
        print(f"benchmarks.adversaries: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
