"""How much a count of rare events proves: the binomial distribution and its exact bounds."""

from __future__ import annotations

import math

CONFIDENCE = 0.95


def upper_bound(events: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """One-sided Clopper–Pearson bound: the rate at which no more than ``events`` in ``trials`` has probability 1 − ``confidence``.

    Clopper & Pearson, Biometrika 26 (1934). For no events it is 1 − (1 − confidence)^(1/n), less than 3/n at 95 %.
    """
    if events >= trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(events, trials, middle) > 1 - confidence else (low, middle)
    return high


def cdf(events: int, trials: int, rate: float) -> float:
    """P(no more than ``events`` in ``trials``), binomial; in logarithms so that many trials do not overflow."""
    if rate in (0.0, 1.0):
        return 1.0 if rate == 0.0 or events >= trials else 0.0
    terms = (
        math.lgamma(trials + 1)
        - math.lgamma(count + 1)
        - math.lgamma(trials - count + 1)
        + count * math.log(rate)
        + (trials - count) * math.log1p(-rate)
        for count in range(events + 1)
    )
    return min(math.fsum(math.exp(term) for term in terms), 1.0)
