"""Risk measures against closed forms, integrals and each other."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from robots.errors import TetherError
from training.risk_measures import MEASURES, check_level, risk_value, weights

LEVELS = {"neutral": 1.0, "cvar": 0.13, "wang": 0.7, "mean_cvar": 0.2}
AVERSE = st.sampled_from(sorted(LEVELS))


def step_integral(measure: str, level: float, quantiles: torch.Tensor) -> float:
    """∫ F⁻¹ dg of the step function by the trapezoidal rule on a grid that has its steps: independent of `weights`."""
    count, fine = len(quantiles), 2000
    shares = torch.linspace(0.0, 1.0, count * fine + 1, dtype=torch.float64)
    g = MEASURES[measure].distortion(shares, torch.tensor(level, dtype=torch.float64))
    return float((quantiles.repeat_interleave(fine) * g.diff()).sum())


@pytest.mark.parametrize("measure", LEVELS)
@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_exact_on_the_step_function(measure: str, count: int) -> None:
    quantiles = torch.randn(count, dtype=torch.float64, generator=torch.Generator().manual_seed(count)).sort().values
    level = torch.tensor(LEVELS[measure], dtype=torch.float64)
    found = risk_value(quantiles, weights(measure, level, count))
    assert float(found) == pytest.approx(step_integral(measure, LEVELS[measure], quantiles), abs=1e-6)


def test_conditional_value_at_risk_is_the_mean_of_the_tail() -> None:
    quantiles = torch.tensor([3.0, -1.0, 2.0, 10.0], dtype=torch.float64)
    assert float(risk_value(quantiles, weights("cvar", torch.tensor(0.5, dtype=torch.float64), 4))) == pytest.approx(0.5)
    level = torch.tensor(0.375, dtype=torch.float64)  # one and a half of the four
    assert float(risk_value(quantiles, weights("cvar", level, 4))) == pytest.approx((-1.0 + 0.5 * 2.0) / 1.5)
    mean = float(risk_value(quantiles, weights("mean_cvar", level, 4)))
    assert mean == pytest.approx(0.5 * 3.5 + 0.5 * (-1.0 + 0.5 * 2.0) / 1.5)


def test_discretisation_error_of_a_normal_return_is_what_the_documentation_says() -> None:
    levels = (torch.arange(64, dtype=torch.float64) + 0.5) / 64
    quantiles = torch.special.ndtri(levels)
    found = float(risk_value(quantiles, weights("cvar", torch.tensor(0.1, dtype=torch.float64), 64)))
    exact = -stats.norm.pdf(stats.norm.ppf(0.1)) / 0.1
    assert (found, exact) == (pytest.approx(-1.737, abs=5e-4), pytest.approx(-1.755, abs=5e-4))


def test_wang_moves_a_normal_return_by_its_level() -> None:
    """Wang's measure of a normal return with mean μ and deviation σ is μ − β σ."""
    count, level = 20_000, 0.4
    quantiles = 3.0 + 2.0 * torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    found = float(risk_value(quantiles, weights("wang", torch.tensor(level, dtype=torch.float64), count)))
    assert found == pytest.approx(3.0 - level * 2.0, abs=2e-3)
    by_integral = integrate.quad(lambda z: (3.0 + 2.0 * z) * stats.norm.pdf(z + level), -12, 12)[0]
    assert found == pytest.approx(by_integral, abs=2e-3)


@given(AVERSE, st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.floats(0.02, 1.0))
def test_an_averse_measure_is_between_the_least_and_the_mean(measure: str, values: list[float], level: float) -> None:
    quantiles = torch.tensor(values, dtype=torch.float64)
    weight = weights(measure, torch.tensor(level, dtype=torch.float64), len(values))
    assert float(weight.sum()) == pytest.approx(1.0)
    assert (weight >= 0).all()
    found = float(risk_value(quantiles, weight))
    assert min(values) - 1e-9 <= found <= float(quantiles.mean()) + 1e-9


@given(AVERSE, st.floats(-50, 50), st.floats(0.1, 10))
def test_measures_are_monetary(measure: str, shift: float, scale: float) -> None:
    """ρ(a Z + b) = a ρ(Z) + b for a > 0."""
    quantiles = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weight = weights(measure, torch.tensor(LEVELS[measure], dtype=torch.float64), 9)
    found = float(risk_value(scale * quantiles + shift, weight))
    assert found == pytest.approx(scale * float(risk_value(quantiles, weight)) + shift, abs=1e-8)


@pytest.mark.parametrize("measure", LEVELS)
def test_level_may_be_a_tensor_and_has_a_gradient(measure: str) -> None:
    quantiles = torch.arange(8, dtype=torch.float64).expand(3, 8)
    levels = torch.tensor([0.15, 0.4, 0.83], dtype=torch.float64, requires_grad=True)
    found = risk_value(quantiles, weights(measure, levels, 8))
    alone = [float(risk_value(quantiles[0], weights(measure, level.detach(), 8))) for level in levels]
    assert found.tolist() == pytest.approx(alone)
    torch.autograd.gradcheck(lambda level: risk_value(quantiles, weights(measure, level, 8)), levels)


@pytest.mark.parametrize("measure", LEVELS)
def test_neutral_level_is_the_mean(measure: str) -> None:
    quantiles = torch.randn(16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    neutral = torch.tensor(MEASURES[measure].neutral, dtype=torch.float64)
    assert float(risk_value(quantiles, weights(measure, neutral, 16))) == pytest.approx(float(quantiles.mean()), abs=1e-9)


@pytest.mark.parametrize(
    ("measure", "level", "words"),
    [
        ("cvar", 0.0, "share of the tail"),
        ("cvar", 1.2, "share of the tail"),
        ("mean_cvar", math.nan, "share of the tail"),
        ("wang", 7.0, "within ±5"),
        ("wang", math.nan, "within ±5"),
        ("var", 0.1, "cvar, mean_cvar, neutral, wang"),
    ],
)
def test_levels_that_mean_nothing_are_refused(measure: str, level: float, words: str) -> None:
    with pytest.raises(TetherError, match=words):
        check_level(measure, level)
