"""Forces on the base that change within an episode and are known when it begins; see `tasks.task.Start`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tasks.task import Start


def changes(start: Start) -> bool:
    """Whether the external force is another one in every step."""
    return any(part is not None for part in (start.burst_n, start.wave, start.force_knots_n))


def scheduled(start: Start, time_s: Tensor, episode_s: float) -> Tensor:
    """Constant force, wave and knots together [N], in the world, ``[num_envs, 3]``.

    Args:
        start: of the present episodes.
        time_s: since they began, ``[num_envs, 1]``.
        episode_s: how long they last; the knots are spread evenly over it.
    """
    force = torch.zeros(len(time_s), 3, dtype=time_s.dtype, device=time_s.device)
    if start.force_in_world is not None:
        force = force + start.force_in_world
    if start.wave is not None:
        force = force + start.wave.force_n * torch.sin(2.0 * math.pi * start.wave.frequency_hz * time_s + start.wave.phase_rad)
    if start.force_knots_n is not None:
        force = force + between(start.force_knots_n, time_s / episode_s)
    return force


def between(knots: Tensor, share: Tensor) -> Tensor:
    """Piecewise linear through ``knots`` ``[num_envs, knots, 3]``, at ``share`` 0…1 of the way ``[num_envs, 1]``."""
    place = share[:, 0].clamp(0.0, 1.0) * (knots.shape[1] - 1)
    left = place.floor().clamp(max=knots.shape[1] - 2).long()
    row = torch.arange(len(knots), device=knots.device)
    return torch.lerp(knots[row, left], knots[row, left + 1], (place - left).unsqueeze(1))
