"""Intervals for what an evaluation reports: Clopper–Pearson for success, percentile bootstrap for means. numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 2000
_BISECTIONS = 60  # below double precision on [0, 1]


def clopper_pearson(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of a success probability (Clopper & Pearson, Biometrika 26, 1934).

    With k successes in n trials and α = 1 − confidence, the bounds solve

        P(X ≥ k | p_lower) = α/2,   P(X ≤ k | p_upper) = α/2,   X ~ Binomial(n, p),

    and are 0 for k = 0, 1 for k = n.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes in {trials} trials")
    alpha = 1.0 - confidence
    lower = _solve(lambda p: binomial_cdf(successes - 1, trials, p) - (1 - alpha / 2)) if successes else 0.0
    upper = _solve(lambda p: binomial_cdf(successes, trials, p) - alpha / 2) if successes < trials else 1.0
    return lower, upper


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X ≤ k) for X ~ Binomial(n, p), by summing the probabilities in logarithms."""
    if p <= 0.0 or p >= 1.0:
        return 1.0 if p <= 0.0 or k >= n else 0.0
    return min(math.fsum(np.exp(_log_choose(n)[: k + 1] + np.arange(k + 1) * math.log(p) + (n - np.arange(k + 1)) * math.log1p(-p))), 1.0)


def bootstrap(values: np.ndarray, confidence: float = CONFIDENCE, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``values`` ``[n]`` (Efron, Ann. Statist. 7, 1979)."""
    values = np.asarray(values, dtype=float)
    generator = np.random.default_rng([seed, 0xB0075])
    means = np.array([generator.choice(values, len(values)).mean() for _ in range(resamples)])
    tail = 50.0 * (1.0 - confidence)
    lower, upper = np.percentile(means, [tail, 100.0 - tail])
    return float(lower), float(upper)


def _log_choose(n: int) -> np.ndarray:
    """log C(n, i) for i = 0…n."""
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    return log_factorial[n] - log_factorial - log_factorial[::-1]


def _solve(decreasing: Callable[[float], float]) -> float:
    """The zero of a decreasing function on [0, 1]."""
    lower, upper = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (lower + upper) / 2
        lower, upper = (middle, upper) if decreasing(middle) > 0 else (lower, middle)
    return (lower + upper) / 2
