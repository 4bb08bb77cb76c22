"""Risk measures of a return, as weights of its sorted quantiles.

A distortion g, increasing from g(0) = 0 to g(1) = 1, weighs the tail of a return Z with quantile function F⁻¹ (Dabney et al. 2018,
arXiv 1806.06923):

    ρ(Z) = ∫ F⁻¹(τ) dg(τ),  and of the step function of N quantiles exactly  ρ = Σ_i (g(i/N) − g((i−1)/N)) θ_(i)

| measure | g(τ) | level |
|---|---|---|
| ``neutral`` | τ | none |
| ``cvar`` | min(τ/η, 1) | η, the share of the tail that counts; 1 is neutral |
| ``wang`` | Φ(Φ⁻¹(τ) + β) (Wang 2000) | β; positive averse, 0 neutral, negative seeking |
| ``mean_cvar`` | ½ τ + ½ min(τ/η, 1) | η |

Of a standard normal return at N = 64 the step function's CVaR₀.₁ is −1.737 instead of −1.755: the last quantile stands for all beyond.
`training.quantiles` has what learns the quantiles.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from robots.errors import TetherError, unknown

MeasureName = Literal["neutral", "cvar", "wang", "mean_cvar"]


class Measure(NamedTuple):
    """A distortion.

    Attributes:
        distortion: g(τ, level); both may be tensors that broadcast, and gradients pass to both.
        neutral: level at which it is the mean.
    """

    distortion: Callable[[Tensor, Tensor], Tensor]
    neutral: float

    def between(self, level: float, share: Tensor) -> Tensor:
        """The level a ``share`` within 0…1 of the way from neutral: a shift grows evenly, the share of a tail shrinks by equal factors."""
        return level * share if self.neutral == 0.0 else level**share


def _cvar(share: Tensor, level: Tensor) -> Tensor:
    return (share / level).clamp(max=1.0)


def _wang(share: Tensor, level: Tensor) -> Tensor:
    inside = share.clamp(1e-7, 1.0 - 1e-7)  # Φ⁻¹ is infinite at both ends, and so would be the level's gradient
    bent = torch.special.ndtr(torch.special.ndtri(inside) + level)
    return torch.where(share <= 0.0, 0.0, torch.where(share >= 1.0, 1.0, bent))


MEASURES: dict[str, Measure] = {
    "neutral": Measure(lambda share, level: share + 0.0 * level, 1.0),
    "cvar": Measure(_cvar, 1.0),
    "wang": Measure(_wang, 0.0),
    "mean_cvar": Measure(lambda share, level: 0.5 * share + 0.5 * _cvar(share, level), 1.0),
}
assert tuple(MEASURES) == typing.get_args(MeasureName)


def check_level(measure: str, level: float) -> None:
    """Raise `TetherError` for an unknown measure, or a level that it cannot have."""
    if measure not in MEASURES:
        raise unknown("risk measure", measure, list(MEASURES))
    if measure in ("cvar", "mean_cvar") and not 0.0 < level <= 1.0:
        raise TetherError(f"the level of {measure} is the share of the tail that counts, within 0 (excluded) … 1, not {level:g}")
    if measure == "wang" and not abs(level) <= 5.0:
        raise TetherError(f"the level of wang is a shift in standard deviations within ±5, positive averse, not {level:g}")


def weights(measure: str, level: Tensor | float, count: int) -> Tensor:
    """Of ``count`` sorted quantiles: ``[…, count]`` for levels ``[…]``, summing to 1.

    Raises:
        TetherError: for an unknown measure.
    """
    if measure not in MEASURES:
        raise unknown("risk measure", measure, list(MEASURES))
    level = torch.as_tensor(level, dtype=level.dtype if isinstance(level, Tensor) else torch.get_default_dtype()).unsqueeze(-1)
    shares = torch.arange(count + 1, dtype=level.dtype, device=level.device) / count
    return MEASURES[measure].distortion(shares, level).diff(dim=-1)


def risk_value(quantiles: Tensor, weight: Tensor) -> Tensor:
    """ρ ``[…]`` of quantiles ``[…, N]`` in any order."""
    return (quantiles.sort(dim=-1).values * weight).sum(-1)
