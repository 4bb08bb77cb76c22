"""Several seeds of one training in one process: what `training.train` does for each of them, side by side, see `training.replicas`.

Up to rounding every seed ends where `tether train --seed` would bring it without ever stopping early.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from robots.errors import TetherError
from sim.devices import available_device
from training.algorithms import make_algorithm
from training.config import TrainConfig, make_task
from training.examination import Examination
from training.learned_law import LearnedLaw
from training.pilot import Pilot
from training.train import CHECK_SEED, make_environment


@dataclass
class Curve:
    """How one seed learned.

    Attributes:
        env_steps: control steps of its environments, after every iteration.
        returns, success: of the episodes that training flew, exploration noise and all, with an old episode's weight fading (see
            `training.episodes`); None before the first has ended.
        checks: where the configuration asks for them: ``env_steps``, ``success`` and ``tracking_error`` without exploration noise.
    """

    env_steps: list[int] = field(default_factory=list)
    returns: list[float | None] = field(default_factory=list)
    success: list[float | None] = field(default_factory=list)
    checks: list[dict[str, float]] = field(default_factory=list)


class Trained(NamedTuple):
    """What `train_batched` gives: laws as they are in the end and curves, one for each seed, and how long all took [s]."""

    laws: list[LearnedLaw]
    curves: list[Curve]
    wall_time_s: float


Progress = Callable[[int, Mapping[str, float | None]], None]  # is told the iteration and its metrics


def train_batched(config: TrainConfig, seeds: Sequence[int], progress: Progress | None = None) -> Trained:
    """Train ``config`` from each of ``seeds``, to its last iteration.

    Args:
        config: what to train; ``num_envs`` environments for each seed. Its own seed, ``stop_success`` and checkpoints do not count.
        seeds: all different, within those of training.
        progress: called after every iteration.

    Raises:
        TetherError: for seeds or a configuration that do not work here, and for numbers that are not finite, in any of the seeds.
    """
    begin, batch = time.perf_counter(), Batch(config, seeds)
    while batch.iteration < config.iterations:
        metrics = batch.iterate()
        if progress is not None:
            progress(batch.iteration, metrics)
    return Trained([batch.law.replica(index) for index in range(len(batch.seeds))], batch.curves, time.perf_counter() - begin)


class Batch:
    """Trainings side by side, in memory; see `train_batched`."""

    def __init__(self, config: TrainConfig, seeds: Sequence[int]) -> None:
        if not seeds or len(set(seeds)) < len(seeds):
            raise TetherError(f"give at least one seed, and none twice, not {list(seeds)}")
        try:
            for seed in seeds:
                dataclasses.replace(config, seed=seed)
        except ValueError as error:
            raise TetherError(str(error)) from error
        available_device(config.device)
        torch.set_num_threads(config.threads)
        self.config, self.seeds, count = config, list(seeds), len(seeds)
        task = make_task(config)
        self.law = LearnedLaw(task, config.actor, config.safeguard, self.seeds, config.risk).to(config.device)
        environment = make_environment(config, task, count * config.num_envs, self.seeds)
        self.algorithm = make_algorithm(config, self.law, environment, self.seeds)
        self.examine: Examination | None = None
        if config.check_every:
            others = [seed + CHECK_SEED for seed in seeds]
            checked = make_environment(config, task, count * config.check_episodes, others, contested=False)
            self.examine = Examination(Pilot(self.law), checked, others)
        self.curves = [Curve() for _ in seeds]

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return self.algorithm.iteration

    def iterate(self) -> dict[str, float | None]:
        """One iteration of all; returns what a log wants to know."""
        metrics = self.algorithm.iterate()
        env_steps = self.iteration * self.config.num_envs * self.algorithm.config.horizon
        for curve, found in zip(self.curves, self.algorithm.episodes.by_replica(), strict=True):
            curve.env_steps.append(env_steps)
            curve.returns.append(found["return"])
            curve.success.append(found["success"])
        if self.examine and self.iteration >= self.config.check_from and self.iteration % self.config.check_every == 0:
            for curve, check in zip(self.curves, self.examine.by_replica(), strict=True):
                curve.checks.append({"env_steps": env_steps} | check)
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit; `training.checkpoint.save` takes it."""
        return {"algorithm": self.algorithm.state_dict(), "curves": [dataclasses.asdict(curve) for curve in self.curves]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.algorithm.load_state_dict(state["algorithm"])
        self.curves = [Curve(**curve) for curve in state["curves"]]
