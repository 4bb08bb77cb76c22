"""What an attitude to risk buys, and what it costs; ``python -m benchmarks.risk [--variants …] [--seeds N] [--read]``.

Skim (`tasks/skim.py`): how close to the ground to fly in gusts with heavy tails. Every variant of `VARIANTS` from the same seeds, all side
by side in one process (`training.batched`), with the same settings and budget, then flown on every suite in episodes that no training
sees, the same for all; the variant that takes a level, at each of `LEVELS`. One JSON file a variant, not measured again unless ``--again``.

Severities of the suites were chosen on seeds 100 to 102, for a neutral variant that succeeds in 40 to 70 % of ``unseen``.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import seeded
from benchmarks.training_report import interquartile_interval, interquartile_mean
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
TASK, ALGORITHM = "skim", "shac"
VARIANTS: dict[str, dict[str, Any]] = {
    "neutral": {},
    "CVaR": {"measure": "cvar", "level": 0.025},
    "Mean-CVaR": {"measure": "mean_cvar", "level": 0.025},
    "Wang": {"measure": "wang", "level": 1.5},
    "CVaR, distorted": {"measure": "cvar", "level": 0.025, "advantage": "distorted"},
    "CVaR, informed": {"measure": "cvar", "level": 0.025, "blind": False},
    "CVaR by level": {"measure": "cvar", "level": 0.025, "command": True},
}
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
TAIL = 0.1  # of the returns that are reported
EVALUATION_SEED = 30_000_001


def tail_mean(returns: Tensor) -> float:
    """Mean of the lowest `TAIL` of returns ``[episodes]``."""
    return float(returns.sort().values[: max(round(TAIL * len(returns)), 1)].double().mean())


def fly(law: LearnedLaw, config: TrainConfig, suite: str, episodes: int, level: float | None = None) -> dict[str, list[float]]:
    """By replica: success, crashes, mean return, mean of the tail of the return, and mean height after the second second [m]."""
    task = make_task(config)
    task.asked_level = level
    simulator = make_simulator(config.sim, task, law.replicas * episodes, config.device)
    seeds = [evaluation_seed(EVALUATION_SEED, 0)] * law.replicas
    environment = Environment(task, simulator, suite=task.suite(suite), seed=seeds, auto_reset=False)
    returns, heights, counted = torch.zeros(3, environment.num_envs)
    errors = []
    for index, flown in enumerate(flights(Pilot(law), environment, seeds)):
        alive, step = flown.alive, flown.step
        returns = returns + torch.where(alive, step.reward, 0.0)
        late = alive & (index >= 2.0 * task.rate_hz)
        heights, counted = heights + torch.where(late, step.measures["height_m"], 0.0), counted + late
        errors.append(step.tracking_error)
    success = task.success(torch.stack(errors), flown.failed)
    parts = zip(*(x.chunk(law.replicas) for x in (success, flown.failed, returns, heights, counted)), strict=True)
    found: dict[str, list[float]] = {name: [] for name in ("success", "crashes", "return", "return_tail", "height_m")}
    for reached, crashed, returned, height, count in parts:
        values = (reached.float().mean(), crashed.float().mean(), returned.double().mean(), tail_mean(returned))
        for name, value in zip(found, (*values, height.sum() / count.sum().clamp(min=1)), strict=True):
            found[name].append(float(value))
    return found


def measure(variant: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train all seeds, and fly what they learned."""
    config = override(preset(TASK, ALGORITHM), options.overrides)
    config = dataclasses.replace(config, risk=dataclasses.replace(config.risk, **VARIANTS[variant]))
    seeds = list(range(options.first_seed, options.first_seed + options.seeds))
    load, batch, begin = os.getloadavg()[0], Batch(config, seeds), time.perf_counter()
    covered = []
    while batch.iteration < config.iterations:
        metrics = batch.iterate()
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
        "wall_time_s": time.perf_counter() - begin,
        "load_average_at_start": load,
        "coverage_error": float(np.mean(covered[-10:])),
        "episodes": options.episodes,
        "suites": {suite: flown(suite, options.episodes, asked) for suite in make_task(config).suites},
    }
    if config.risk.command:
        found["levels"] = {str(level): flown("unseen", options.episodes, level) for level in LEVELS}
        found["levels_full"] = {str(level): flown("full", options.episodes, level) for level in LEVELS}
    return found


def file_of(directory: Path, variant: str) -> Path:
    """Where a result is kept."""
    return directory / f"{variant.lower().replace(', ', '_').replace(' ', '_').replace('.', '')}.json"


def spread(values: list[float]) -> str:
    """Interquartile mean over seeds, with its bootstrap interval."""
    low, high = interquartile_interval(np.array(values))
    return f"{interquartile_mean(np.array(values)):.3g} ({low:.3g} … {high:.3g})"


def report(results: list[dict[str, Any]]) -> str:
    """Success, return and height of every variant on every suite, and by level."""
    lines = []
    for found in results:
        flown = f"{len(found['seeds'])} seeds, {found['episodes']} episodes each, coverage error {found['coverage_error']:.2f}"
        lines.append(f"{found['variant']}: {flown}")
        for suite, values in found["suites"].items():
            lines.append(f"  {suite:<8} " + "   ".join(f"{name} {spread(each)}" for name, each in values.items()))
        for name in ("levels", "levels_full"):
            for level, values in found.get(name, {}).items():
                lines.append(f"  {name} {level:<5} " + "   ".join(f"{what} {spread(each)}" for what, each in values.items()))
            if name in found:
                lines.append(f"  {name}: rank correlation of level and tail {correlation(found[name]):.2f}")
    return "\n".join(lines)


def correlation(levels: dict[str, dict[str, list[float]]]) -> float:
    """Spearman's, of the level and the interquartile mean over seeds of the return's tail."""
    tails = np.array([interquartile_mean(np.array(values["return_tail"])) for values in levels.values()])
    ranks = tails.argsort().argsort()
    return float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])


def main() -> None:
    """Measure what is not there yet, and print all."""
    parser = argparse.ArgumentParser("python -m benchmarks.risk", description="What an attitude to risk buys, and what it costs.")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="NAME", help="default: all")
    seeded.arguments(parser, RESULTS, episodes=200, of="of every suite, a seed")
    options = parser.parse_intermixed_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for variant in options.variants:
        file = file_of(options.output, variant)
        if not options.read and (options.again or not file.exists()):
            write_json(file, measure(variant, options))
    files = [file_of(options.output, variant) for variant in options.variants]
    print(report([json.loads(file.read_text()) for file in files if file.exists()]))


if __name__ == "__main__":
    main()
