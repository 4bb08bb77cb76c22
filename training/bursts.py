"""Bursts of force with heavy tails: gusts that normal wind does not contain. Pure, so that a step of them is one kernel.

Shot noise: f(t) = Σ_k A_k d_k exp(−(t − t_k)/τ) over the bursts k that began before t. Bursts begin at the times t_k of a Poisson process,
at most one a control period and at its beginning. Sizes are A = a · min(U^(−1/α), C) with U uniform in 0…1: a Pareto distribution
with tail index α, P(A > x) = (x/a)^(−α) for a ≤ x < C a, whose third moment would be infinite without the bound C. Directions d are
uniform on the unit sphere between the latitudes ± `LATITUDE`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sim.random_numbers import Key, uniform

TAIL_INDEX = 3  # α
LARGEST = 10.0  # C, times the scale: one burst in a thousand is cut off there
LATITUDE = math.pi / 6


def next_burst(burst: Tensor, scale: Tensor, key: Key, keep: float, chance: float) -> Tensor:
    """The force of the next control period [N], in the world, ``[num_envs, 3]``.

    Args:
        burst: that of the period before, ``[num_envs, 3]``.
        scale: a, the least size of a burst [N], ``[num_envs, 1]``; zero for none.
        key: of the random numbers; no other may use it.
        keep: exp(−period / τ).
        chance: that a burst begins in a period, 1 − exp(−period / mean time between bursts).
    """
    begins, size, azimuth, height = uniform(key, 0, 4).split(1, dim=1)
    amplitude = scale * ((1.0 - size).log() / -TAIL_INDEX).exp().clamp(max=LARGEST)
    up = math.sin(LATITUDE) * (2.0 * height - 1.0)  # area on a sphere is proportional to height
    level, angle = (1.0 - up.square()).sqrt(), 2.0 * math.pi * azimuth
    new = amplitude * torch.cat([level * angle.cos(), level * angle.sin(), up], dim=1)
    return keep * burst + torch.where(begins < chance, new, torch.zeros_like(new))
