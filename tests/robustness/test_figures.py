"""Tails and interquartile means against closed forms; intervals that know that cells share their episodes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from robustness.figures import cvar, interquartile_mean, over_seeds


def test_interquartile_mean_of_whole_quarters_is_the_trimmed_mean() -> None:
    values = np.random.default_rng(0).normal(size=400)
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25))


def test_interquartile_mean_shares_what_a_quarter_cuts() -> None:
    """Of 0, 1, 2 the middle half is the last quarter of the first third … : (1/12 · 0 + 1/3 · 1 + 1/12 · 2) · 2."""
    assert interquartile_mean(np.array([2.0, 0.0, 1.0])) == pytest.approx(1.0)
    assert interquartile_mean(np.array([0.0, 0.0, 3.0])) == pytest.approx(2 * 3 / 12)


def test_cvar_of_normal_quantiles() -> None:
    """The step quantile function of 64 standard normal quantiles has CVaR₀.₁ = −1.737; the continuous one −1.755."""
    quantiles = stats.norm.ppf((np.arange(64) + 0.5) / 64)
    assert cvar(quantiles, 0.1) == pytest.approx(-1.737, abs=5e-4)
    assert cvar(stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000), 0.1) == pytest.approx(-1.755, abs=5e-4)


def test_cvar_is_the_least_of_few_and_the_mean_of_all() -> None:
    values = np.array([3.0, -1.0, 4.0, 1.0, 5.0])
    assert cvar(values, 0.1) == -1.0
    assert cvar(values, 1.0) == pytest.approx(values.mean())
    with pytest.raises(ValueError, match="a tail of 0"):
        cvar(values, 0.0)


def test_episodes_that_all_cells_share_make_the_interval_wider() -> None:
    """The mean of 20 cells that all have the luck of their episode is as uncertain as that of one cell, not √20 times less."""
    luck = np.random.default_rng(1).normal(size=(1, 100))
    shared, own = np.repeat(luck, 20, axis=0), np.random.default_rng(2).normal(size=(20, 100))
    widths = [np.diff(over_seeds(returns, np.mean, seed=0))[0] for returns in (shared, own)]
    assert widths[0] == pytest.approx(2 * 1.96 * luck.std() / 10, rel=0.15)
    assert widths[0] > 3 * widths[1]
