"""Episodes of many cells side by side: every cell flies the same starts, goals and noise, and differs in its disturbance only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tasks.task import Task
from training.environment import Amend, Environment
from training.evaluate import BATCH, evaluation_seed, fly
from training.simulators import make_simulator

LONGEST_DELAY_S = 0.06
FRESH = 1_000_000  # evaluation seeds from here on are of re-evaluations, those below of what chose


class Where(NamedTuple):
    """What is flown, and on what.

    Attributes:
        policy: a file, or a law in memory (`robustness.laws`). task: the one it is for.
        suite: one of the task's, which the disturbances come on top of.
        simulator, device: as of `training.simulators.make_simulator`.
        seed: of the evaluation.
        bar: advances by one an episode; None for none.
    """

    policy: Any
    task: Task
    suite: str
    simulator: str = "auto"
    device: str = "cpu"
    seed: int = 0
    bar: Any = None


class Outcome(NamedTuple):
    """Of every episode, ``[cells, episodes]``.

    Attributes:
        returns: sum of rewards. success, crashed: bool. error: mean over the part that its task judges.
    """

    returns: np.ndarray
    success: np.ndarray
    crashed: np.ndarray
    error: np.ndarray


def fly_cells(where: Where, cells: Sequence[Amend], episodes: int, *, draw: int = 0, copies: int = 1) -> Outcome:
    """``episodes`` episodes in each cell, the same ones but for what the cell makes of them.

    Args:
        where: what is flown.
        cells: what each makes of a start, as `training.environment.Environment` takes it.
        episodes: at most as many as `BATCH`.
        draw: which draw of starts; another one has other starts, goals and noise.
        copies: how many laws the policy consists of, each of which flies an equal share of every batch; then all cells are one batch.
    """
    seed = evaluation_seed(where.seed, draw)
    size = len(cells) if copies > 1 else max(BATCH // episodes, 1)
    parts = [_fly(where, batch, episodes, seed) for batch in _batches(cells, size)]
    return Outcome(*[np.concatenate(part) for part in zip(*parts, strict=True)])


def _fly(where: Where, cells: Sequence[Amend], episodes: int, seed: int) -> Outcome:
    task, count = where.task, len(cells) * episodes
    environment = Environment(
        task,
        make_simulator(where.simulator, task, count, where.device),
        suite=task.suite(where.suite),
        seed=[seed] * len(cells),
        auto_reset=False,
        longest_delay_s=LONGEST_DELAY_S,
        amend=list(cells),
    )
    flights = fly(where.policy, environment)
    if where.bar is not None:
        where.bar.update(count)
    found = (flights.returns, flights.success, flights.crashed, flights.judged.mean(0))
    return Outcome(*[values.reshape(len(cells), episodes) for values in found])


def _batches(cells: Sequence[Amend], size: int) -> Iterator[Sequence[Amend]]:
    for start in range(0, len(cells), size):
        yield cells[start : start + size]
