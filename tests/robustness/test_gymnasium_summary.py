"""Statistics against scipy and by hand; the smoothing bound where it is an equality."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from robustness.gymnasium_tasks.smoothing import certified_probability, success_lower_bound
from robustness.gymnasium_tasks.summary import interquartile_mean, interval, tail_mean, tail_size, worst_cells


@pytest.mark.parametrize("shape", [(1, 4), (3, 5), (10, 1), (7, 9)])
def test_the_interquartile_mean_is_scipys(shape):
    returns = np.random.default_rng(0).standard_cauchy(shape)
    assert interquartile_mean(returns) == pytest.approx(stats.trim_mean(returns, 0.25, axis=None))


def test_the_tail_by_hand():
    returns = np.array([[5.0, 7.0], [1.0, 1.0], [9.0, 9.0], [0.0, 3.0]])  # means 6, 1, 9, 1.5
    assert worst_cells(returns, 0.5).tolist() == [1, 3]
    assert tail_mean(returns, 0.5) == pytest.approx(1.25)
    assert tail_mean(returns, 0.01) == 1.0
    assert tail_mean(returns, 1.0) == pytest.approx(returns.mean())
    assert [tail_size(cells, 0.1) for cells in (2, 10, 11, 100, 1000)] == [1, 1, 2, 10, 100]


def test_the_interval_covers_the_mean_as_often_as_it_says():
    """Cells with means far apart; a bootstrap over cells would be far wider. With 20 episodes a cell it is a little short."""
    generator, means, covered = np.random.default_rng(1), np.array([0.0, 50.0, 400.0]), 0
    for repeat in range(100):
        low, high = interval(means[:, None] + generator.standard_normal((3, 20)), np.mean, seed=repeat, resamples=200)
        covered += low <= means.mean() <= high
    assert 0.85 <= covered / 100 <= 1.0


def test_the_interval_is_reproducible_and_absent_without_repeats():
    returns = np.random.default_rng(2).standard_normal((4, 5))
    assert interval(returns, interquartile_mean, seed=1, resamples=50) == interval(returns, interquartile_mean, seed=1, resamples=50)
    assert interval(returns[:, :1], np.mean) is None


@given(st.floats(0.001, 0.999), st.floats(0.0, 5.0), st.floats(0.1, 3.0))
def test_the_bound_is_met_by_a_threshold_on_one_number(p, budget, sigma):
    """R ≥ c where x + noise ≤ t, with P = p at x = 0; who adds the whole budget leaves P(noise ≤ t − ε) = Φ((t − ε)/σ)."""
    threshold = sigma * stats.norm.ppf(p)
    assert certified_probability(p, budget, sigma) == pytest.approx(stats.norm.cdf((threshold - budget) / sigma), abs=1e-9)


def test_the_bound_holds_against_an_adversary_that_adapts():
    """Two steps of one number each; the second perturbation spends what the first left, and only where that helps."""
    generator = np.random.default_rng(3)
    noise, sigma, budget = 0.5 * generator.standard_normal((400_000, 2)), 0.5, 0.6
    unperturbed = (noise.sum(1) <= 0.4).mean()
    first = 0.4 * budget
    second = np.where(noise[:, 0] + first < 0.2, np.sqrt(budget**2 - first**2), 0.0)
    perturbed = (noise.sum(1) + first + second <= 0.4).mean()
    assert certified_probability(unperturbed, budget, sigma) <= perturbed < unperturbed


def test_the_ends_stay_where_they_are():
    assert certified_probability(0.0, 1.0, 1.0) == 0.0
    assert certified_probability(1.0, 1.0, 1.0) == 1.0
    assert certified_probability(0.7, 0.0, 1.0) == pytest.approx(0.7)
    for wrong in ((1.1, 0.0, 1.0), (0.5, -1.0, 1.0), (0.5, 1.0, 0.0)):
        with pytest.raises(ValueError, match="sigma"):
            certified_probability(*wrong)


@pytest.mark.parametrize(("successes", "trials"), [(0, 20), (7, 20), (99, 100), (100, 100)])
def test_the_success_bound_is_scipys(successes, trials):
    oracle = stats.binomtest(successes, trials, alternative="greater").proportion_ci(0.95, "exact").low
    assert success_lower_bound(successes, trials) == pytest.approx(oracle, abs=1e-9)
