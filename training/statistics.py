"""Intervals for what an evaluation reports: Clopper–Pearson for success, percentile bootstrap for means. numpy only."""

from __future__ import annotations

import numpy as np

from deploy.replay.binomial import CONFIDENCE, upper_bound

RESAMPLES = 2000


def clopper_pearson(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of a success probability (Clopper & Pearson, Biometrika 26, 1934).

    With k successes in n trials and α = 1 − confidence, the bounds solve

        P(X ≥ k | p_lower) = α/2,   P(X ≤ k | p_upper) = α/2,   X ~ Binomial(n, p),

    and are 0 for k = 0, 1 for k = n.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes in {trials} trials")
    one_sided = (1.0 + confidence) / 2
    return 1.0 - upper_bound(trials - successes, trials, one_sided), upper_bound(successes, trials, one_sided)


def bootstrap(values: np.ndarray, confidence: float = CONFIDENCE, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``values`` ``[n]`` (Efron, Ann. Statist. 7, 1979)."""
    values = np.asarray(values, dtype=float)
    generator = np.random.default_rng([seed, 0xB0075])
    means = np.array([generator.choice(values, len(values)).mean() for _ in range(resamples)])
    tail = 50.0 * (1.0 - confidence)
    lower, upper = np.percentile(means, [tail, 100.0 - tail])
    return float(lower), float(upper)
