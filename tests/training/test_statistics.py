"""Intervals against published tables and against their definition in exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.replay.binomial import cdf
from training.statistics import bootstrap, clopper_pearson


@pytest.mark.parametrize(
    ("successes", "trials", "lower", "upper"),
    [  # 95 % limits; Geigy Scientific Tables vol. 2 (1982), pp. 89 ff., and 1 − 0.025^(1/n) for the ends
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (9, 10, 0.5550, 0.9975),
        (10, 10, 0.6915, 1.0),
        (1, 20, 0.0013, 0.2487),
        (10, 20, 0.2720, 0.7280),
        (95, 100, 0.8872, 0.9836),
        (1000, 1000, 0.025 ** (1 / 1000), 1.0),
    ],
)
def test_clopper_pearson_is_the_published_interval(successes: int, trials: int, lower: float, upper: float) -> None:
    assert clopper_pearson(successes, trials) == pytest.approx((lower, upper), abs=5.1e-5)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(1, 100), st.floats(0.0, 1.0), st.floats(0.5, 0.999))
def test_clopper_pearson_solves_its_equations(trials: int, share: float, confidence: float) -> None:
    successes = round(share * trials)
    lower, upper = clopper_pearson(successes, trials, confidence)
    tail = (1 - confidence) / 2
    assert lower <= successes / trials <= upper
    if successes > 0:
        assert 1 - exact_cdf(successes - 1, trials, lower) == pytest.approx(tail, rel=1e-6)
    if successes < trials:
        assert exact_cdf(successes, trials, upper) == pytest.approx(tail, rel=1e-6)


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 60), st.integers(0, 60), st.fractions(0, 1))
def test_binomial_cdf_is_the_sum_of_its_terms(n: int, k: int, p: Fraction) -> None:
    assert cdf(min(k, n), n, float(p)) == pytest.approx(exact_cdf(min(k, n), n, float(p)), abs=1e-12)


def exact_cdf(k: int, n: int, p: float) -> float:
    """P(X ≤ k) in rational arithmetic."""
    q = Fraction(p)
    return float(sum(math.comb(n, i) * q**i * (1 - q) ** (n - i) for i in range(k + 1)))


def test_impossible_counts_are_refused() -> None:
    for successes, trials in ((-1, 5), (6, 5), (0, 0)):
        with pytest.raises(ValueError, match="successes"):
            clopper_pearson(successes, trials)


def test_bootstrap_is_the_normal_interval_for_many_samples() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 4000)
    half = 1.96 * values.std() / math.sqrt(len(values))
    low, high = bootstrap(values)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_bootstrap_repeats_and_knows_certainty() -> None:
    values = np.random.default_rng(1).random(50)
    assert bootstrap(values, seed=7) == bootstrap(values, seed=7) != bootstrap(values, seed=8)
    assert bootstrap(np.full(20, 4.2)) == pytest.approx((4.2, 4.2))
