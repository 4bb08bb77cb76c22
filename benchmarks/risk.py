"""What an attitude to risk buys, and what it costs; ``python -m benchmarks.risk [--task …] [--seeds N] [--read] [--plot FILE]``.

Skim (`tasks/skim.py`): how close to the ground to fly in gusts with heavy tails. Gorge (`tasks/go2_gorge.py`): how close to its edge to
walk when pushes are rarely hard. Every variant of a task from the same seeds, with the same settings and budget, side by side in one
process where the actor allows it (`training.batched`), else one after the other, and what trainings have in common once
(`benchmarks.stems`); then flown on every suite in episodes that no training sees, the same for all; the variant that takes a level, at each
of `LEVELS`. One JSON file a variant, written after every group of seeds; seeds that it has are not measured again unless ``--again``.

Severities of the suites were chosen on seeds from 100 on, for a neutral variant that succeeds in 40 to 70 % of ``unseen``.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks import risk_report, seeded
from benchmarks.stems import DIRECTORY, Stem
from cli.config import override
from cli.main import write_json
from training.batched import Batch
from training.config import TrainConfig, make_task, preset
from training.environment import Environment
from training.evaluate import evaluation_seed
from training.examination import flights
from training.learned_law import LearnedLaw
from training.pilot import Pilot
from training.simulators import make_simulator

RESULTS = Path(__file__).parent / "results" / "risk"


class Comparison(NamedTuple):
    """What is compared on a task.

    Attributes:
        algorithm: that trains it.
        variants: settings of ``risk`` by name.
        directory: of the results, in the output directory.
        measures: of the task's, means after the second second are kept.
    """

    algorithm: str
    variants: dict[str, dict[str, Any]]
    directory: str
    measures: tuple[str, ...]


TASKS = {
    "skim": Comparison(
        "shac",
        {
            "neutral": {},
            "CVaR": {"measure": "cvar", "level": 0.025},
            "Mean-CVaR": {"measure": "mean_cvar", "level": 0.025},
            "Wang": {"measure": "wang", "level": 1.5},
            "CVaR, distorted": {"measure": "cvar", "level": 0.025, "advantage": "distorted"},
            "CVaR, informed": {"measure": "cvar", "level": 0.025, "blind": False},
            "CVaR by level": {"measure": "cvar", "level": 0.025, "command": True},
        },
        "",
        ("height_m",),
    ),
    "go2_gorge": Comparison(
        "ppo",
        {
            "neutral": {"neutral_for": 300},
            "Mean-CVaR": {"measure": "mean_cvar", "level": 0.05, "neutral_for": 300, "warm_up": 60},
        },
        "go2_gorge",
        ("edge_m",),
    ),
}
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
TAIL = 0.1  # of the returns that are reported
EVALUATION_SEED = 30_000_001


def tail_mean(returns: Tensor) -> float:
    """Mean of the lowest `TAIL` of returns ``[episodes]``."""
    return float(returns.sort().values[: max(round(TAIL * len(returns)), 1)].double().mean())


def fly(law: LearnedLaw, config: TrainConfig, suite: str, episodes: int, level: float | None = None) -> dict[str, list[float]]:
    """By replica: success, crashes, mean return, mean of the tail of the return, and the mean of the measures after the second second."""
    measures = TASKS[config.task].measures
    task = make_task(config)
    task.asked_level = level
    simulator = make_simulator(config.sim, task, law.replicas * episodes, config.device)
    seeds = [evaluation_seed(EVALUATION_SEED, 0)] * law.replicas
    environment = Environment(task, simulator, suite=task.suite(suite), seed=seeds, auto_reset=False)
    returns, counted = torch.zeros(2, environment.num_envs)
    sums, errors = torch.zeros(len(measures), environment.num_envs), []
    for index, flown in enumerate(flights(Pilot(law), environment, seeds)):
        alive, step = flown.alive, flown.step
        returns = returns + torch.where(alive, step.reward, 0.0)
        late = alive & (index >= 2.0 * task.rate_hz)
        sums = sums + torch.where(late, torch.stack([step.measures[name] for name in measures]), 0.0)
        counted = counted + late
        errors.append(step.tracking_error)
    success = task.success(torch.stack(errors), flown.failed)
    parts = zip(*(x.chunk(law.replicas, dim=-1) for x in (success, flown.failed, returns, sums, counted)), strict=True)
    found: dict[str, list[float]] = {name: [] for name in ("success", "crashes", "return", "return_tail", *measures)}
    for reached, crashed, returned, total, count in parts:
        values = (reached.float().mean(), crashed.float().mean(), returned.double().mean(), tail_mean(returned))
        for name, value in zip(found, (*values, *(total.sum(1) / count.sum().clamp(min=1))), strict=True):
            found[name].append(float(value))
    return found


def configuration(variant: str, options: argparse.Namespace) -> TrainConfig:
    """What is trained, but for the seed."""
    comparison = TASKS[options.task]
    config = override(preset(options.task, comparison.algorithm), options.overrides)
    return dataclasses.replace(config, risk=dataclasses.replace(config.risk, **comparison.variants[variant]))


def groups(config: TrainConfig, seeds: list[int]) -> list[list[int]]:
    """Seeds that are trained side by side; an actor that is symmetric, or remembers, is alone."""
    alone = config.actor.symmetric or config.actor.memory != "none"
    return [[seed] for seed in seeds] if alone else [seeds] if seeds else []


def measure(variant: str, options: argparse.Namespace, seeds: list[int]) -> dict[str, Any]:
    """Train ``seeds`` side by side, and fly what they learned."""
    config = configuration(variant, options)
    load, batch, begin = os.getloadavg()[0], Batch(config, seeds), time.perf_counter()
    stem, covered = Stem(config, seeds, options.stems), []
    stem.load(batch)
    while batch.iteration < config.iterations:
        metrics = batch.iterate()
        stem.save(batch)
        covered.append(metrics["coverage_error"] or 0.0)
        if batch.iteration % 20 == 0:
            print(f"{variant}: {batch.iteration} of {config.iterations} iterations, return {metrics['return']}", flush=True)
    flown = functools.cache(functools.partial(fly, batch.law, config))  # of a suite, episodes and a level
    asked = 1.0 if config.risk.command else 0.0
    found: dict[str, Any] = {
        "variant": variant,
        "seeds": seeds,
        "command": f"{config.command()} # for each seed",
        "env_steps": config.iterations * config.num_envs * batch.algorithm.config.horizon,
        "wall_time_s": [time.perf_counter() - begin],
        "load_average_at_start": [load],
        "coverage_error": [float(np.mean(covered[-10:]))],
        "episodes": options.episodes,
        "suites": {suite: flown(suite, options.episodes, asked) for suite in make_task(config).suites},
    }
    if config.risk.command:
        found["levels"] = {str(level): flown("unseen", options.episodes, level) for level in LEVELS}
        found["levels_full"] = {str(level): flown("full", options.episodes, level) for level in LEVELS}
    return found


def together(found: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Two results of a variant from different seeds as one: lists follow each other, at any depth; the rest is alike."""
    joined = dict(found)
    for name, value in more.items():
        if isinstance(value, list):
            joined[name] = found[name] + value
        elif isinstance(value, dict):
            joined[name] = together(found[name], value)
    return joined


def file_of(directory: Path, variant: str) -> Path:
    """Where a result is kept."""
    return directory / f"{variant.lower().replace(', ', '_').replace(' ', '_').replace('.', '')}.json"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    names = list(dict.fromkeys(name for comparison in TASKS.values() for name in comparison.variants))
    made = argparse.ArgumentParser("python -m benchmarks.risk", description="What an attitude to risk buys, and what it costs.")
    made.add_argument("--task", default="skim", choices=TASKS, help="default: skim")
    made.add_argument("--variants", nargs="+", choices=names, metavar="NAME", help="default: all of the task's")
    made.add_argument("--stems", type=Path, default=DIRECTORY, metavar="DIR", help=f"where beginnings are kept (default {DIRECTORY})")
    made.add_argument("--plot", type=Path, metavar="FILE", help="draw what the output directory has of all tasks")
    seeded.arguments(made, RESULTS, episodes=200, of="of every suite, a seed")
    return made


def main() -> None:
    """Measure what is not there yet, and print all."""
    options = parser().parse_intermixed_args()
    directory = options.output / TASKS[options.task].directory
    directory.mkdir(parents=True, exist_ok=True)
    known = list(TASKS[options.task].variants)
    variants = options.variants or known
    if strange := set(variants) - set(known):
        raise SystemExit(f"{options.task} has no variant {', '.join(sorted(strange))}; choose from {', '.join(known)}")
    files = {variant: file_of(directory, variant) for variant in variants}
    for variant, file in files.items():
        if not options.read:
            complete(variant, options, file)
    print(risk_report.text(kept(files.values())))
    if options.plot:
        tasks = {task: kept(file_of(options.output / each.directory, variant) for variant in each.variants) for task, each in TASKS.items()}
        risk_report.draw({task: results for task, results in tasks.items() if results}, options.plot)


def kept(files: Iterable[Path]) -> list[dict[str, Any]]:
    """What those of ``files`` have that are there."""
    return [json.loads(file.read_text()) for file in files if file.exists()]


def complete(variant: str, options: argparse.Namespace, file: Path) -> None:
    """Measure the seeds that ``file`` lacks, all of them for ``--again``."""
    begun = not options.again  # whether what the file has counts

    def known() -> dict[str, Any] | None:
        return json.loads(file.read_text()) if begun and file.exists() else None

    found = known()
    wanted = range(options.first_seed, options.first_seed + options.seeds)
    missing = [seed for seed in wanted if found is None or seed not in found["seeds"]]
    for group in groups(configuration(variant, options), missing):
        part = measure(variant, options, group)
        found = known()  # again: another process may have measured other seeds
        write_json(file, together(found, part) if found else part)
        begun = True


if __name__ == "__main__":
    main()
