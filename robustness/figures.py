"""What is reported of returns ``[cells, episodes]`` beside their mean: interquartile mean, tail, worst cell, and intervals. numpy only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from robustness.rollouts import Outcome
from training.statistics import CONFIDENCE, RESAMPLES, bootstrap, clopper_pearson

TAIL = 0.1  # of the cells, for CVaR


def interquartile_mean(values: np.ndarray) -> float:
    """Mean of the middle half (Agarwal et al. 2021, arXiv 2108.13264): ∫ of the step quantile function from 1/4 to 3/4, times 2."""
    return _part(np.sort(np.asarray(values, dtype=float), axis=None), 0.25, 0.75)


def cvar(values: np.ndarray, tail: float = TAIL) -> float:
    """Mean of the worst share ``tail``, of the step quantile function: (1/η) ∫₀^η F⁻¹(τ) dτ."""
    if not 0.0 < tail <= 1.0:
        raise ValueError(f"a tail of {tail:g}")
    return _part(np.sort(np.asarray(values, dtype=float), axis=None), 0.0, tail)


def _part(ordered: np.ndarray, low: float, high: float) -> float:
    """Mean of the step quantile function of ``ordered`` ``[n]`` between the shares ``low`` and ``high``."""
    edges = np.arange(len(ordered) + 1) / len(ordered)
    weights = np.clip(edges[1:], low, high) - np.clip(edges[:-1], low, high)
    return float(weights @ ordered / (high - low))


def over_seeds(returns: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Percentile bootstrap interval of ``statistic`` of ``returns`` ``[cells, episodes]``.

    Cells share their episodes, so episodes are drawn again, each with all of its cells.
    """
    generator = np.random.default_rng([seed, 0xB0075])
    count = returns.shape[1]
    found = [statistic(returns[:, generator.integers(count, size=count)]) for _ in range(resamples)]
    lower, upper = np.percentile(found, [50.0 * (1.0 - CONFIDENCE), 50.0 * (1.0 + CONFIDENCE)])
    return float(lower), float(upper)


def of_cell(outcome: Outcome, cell: int, seed: int) -> dict[str, Any]:
    """Success, returns and errors of one cell, with intervals."""
    returns, success = outcome.returns[cell], outcome.success[cell]
    return {
        "episodes": len(returns),
        "success_rate": float(success.mean()),
        "success_interval": list(clopper_pearson(int(success.sum()), len(success))),
        "crashes": int(outcome.crashed[cell].sum()),
        "return_mean": float(returns.mean()),
        "return_interval": list(bootstrap(returns, seed=seed)),
        "return_iqm": interquartile_mean(returns),
        "return_cvar": cvar(returns),
        "error_mean": float(outcome.error[cell][~outcome.crashed[cell]].mean()) if not outcome.crashed[cell].all() else None,
    }


def of_grid(outcome: Outcome, seed: int) -> dict[str, Any]:
    """Of all cells together: interquartile mean of episodes, tail over cells, worst cell, with intervals."""
    returns = outcome.returns
    means = returns.mean(1)
    return {
        "return_mean": float(returns.mean()),
        "return_mean_interval": list(over_seeds(returns, np.mean, seed)),
        "return_iqm": interquartile_mean(returns),
        "return_iqm_interval": list(over_seeds(returns, interquartile_mean, seed, RESAMPLES // 4)),
        "return_cvar": cvar(means),
        "return_cvar_interval": list(over_seeds(returns, lambda part: cvar(part.mean(1)), seed)),
        "return_worst": float(means.min()),
        "worst_cell": int(means.argmin()),
        "success_rate": float(outcome.success.mean()),
        "success_worst": float(outcome.success.mean(1).min()),
        "tail": TAIL,
    }
