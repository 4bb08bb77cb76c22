"""QARL's curriculum of bounded rationality (Reddi et al. 2023, arXiv 2311.01642): from an adversary at random to one that knows its mind.

The adversary's entropy is worth α ~ Gamma(k, rate), drawn anew in every iteration. The distribution goes from k = rate · first_mean to
k* = rate · last_mean, each time as far as it may:

    minimise KL(Gamma(k') ‖ Gamma(k*))   subject to   KL(Gamma(k') ‖ Gamma(k)) ≤ step   and   return ≥ ξ

With one rate for all, both divergences only grow with the distance of the shapes, so k' is k* or where the first bound is reached. The
return is that of the present distribution, as training measures it; below ξ the distribution stays. α is an entropy coefficient beside
normalised advantages, as in PPO: it has no unit, and no task changes its scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from training.adversaries.config import TemperatureConfig

HALVINGS = 60  # of the interval in which the step ends: to rounding


def divergence(shape: float, other: float) -> float:
    """KL(Gamma(shape, r) ‖ Gamma(other, r)) for any common rate r: (k − l) ψ(k) − ln Γ(k) + ln Γ(l)."""
    digamma = float(torch.special.digamma(torch.tensor(shape, dtype=torch.float64)))
    return (shape - other) * digamma - math.lgamma(shape) + math.lgamma(other)


def next_shape(shape: float, target: float, largest_step: float) -> float:
    """k' of the module's docstring, by bisection."""
    if divergence(target, shape) <= largest_step:
        return target
    near, far = shape, target
    for _ in range(HALVINGS):
        middle = 0.5 * (near + far)
        near, far = (middle, far) if divergence(middle, shape) <= largest_step else (near, middle)
    return near


class Temperature:
    """The temperatures of every replica's adversary.

    Args:
        config: the curriculum.
        seeds: of the draws, one a replica.
    """

    def __init__(self, config: TemperatureConfig, seeds: list[int]) -> None:
        self.config, self.seeds = config, seeds
        self.shapes = [config.rate * config.first_mean for _ in seeds]

    def draw(self, iteration: int) -> list[float]:
        """α of every replica in this iteration."""
        pairs = zip(self.seeds, self.shapes, strict=True)
        return [float(np.random.default_rng([seed, iteration]).gamma(shape, 1.0 / self.config.rate)) for seed, shape in pairs]

    def advance(self, iteration: int, returns: list[float | None]) -> None:
        """Take a step where one is due and the replica's return, if it has one yet, allows it."""
        if iteration % self.config.every:
            return
        target, least = self.config.rate * self.config.last_mean, self.config.least_return
        for index, found in enumerate(returns):
            if least is None or (found is not None and found >= least):
                self.shapes[index] = next_shape(self.shapes[index], target, self.config.largest_step)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return {"seeds": list(self.seeds), "shapes": list(self.shapes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.seeds, self.shapes = list(state["seeds"]), list(state["shapes"])
