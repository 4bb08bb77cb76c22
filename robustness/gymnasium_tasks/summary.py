"""Figures of returns ``[cells, episodes]``: means, interquartile mean, tail, with intervals. numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 2000

Statistic = Callable[[np.ndarray], float]


def interquartile_mean(returns: np.ndarray) -> float:
    """The mean of all returns but the lowest and the highest quarter (Agarwal et al., arXiv 2108.13264)."""
    ordered = np.sort(returns, axis=None)
    cut = ordered.size // 4
    return float(ordered[cut : ordered.size - cut].mean())


def tail_size(cells: int, level: float) -> int:
    """How many cells are the worst ``level`` of them: ⌈level · cells⌉."""
    return math.ceil(level * cells - 1e-9)


def worst_cells(returns: np.ndarray, level: float) -> np.ndarray:
    """Indices of the worst ``level`` of the cells by their mean, the worst first."""
    return np.argsort(returns.mean(1), kind="stable")[: tail_size(len(returns), level)]


def tail_mean(returns: np.ndarray, level: float) -> float:
    """CVaR over the grid: the mean over the worst ``level`` of the cells of their mean returns. Selected and measured on the same returns,
    it is too low in expectation; measure `worst_cells` on others."""
    return float(returns.mean(1)[worst_cells(returns, level)].mean())


def interval(returns: np.ndarray, statistic: Statistic, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float] | None:
    """Percentile bootstrap of ``statistic``, episodes resampled within each cell, for the cells are fixed and the episodes chance.

    None where every cell has but one episode, which says nothing about its spread.
    """
    cells, episodes = returns.shape
    if episodes < 2:
        return None
    generator = np.random.default_rng([seed, 0xB0075])
    values = [statistic(np.take_along_axis(returns, generator.integers(episodes, size=(cells, episodes)), 1)) for _ in range(resamples)]
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)
