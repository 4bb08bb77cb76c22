"""Rooms full of obstacles, drawn from a seed: the same seed is the same rooms, for training and for evaluation never the same seed.

A room is a box 6 × 6 × 2.5 m with its floor at z = 0 and its middle above the world's origin. In it stand pillars, and balls hang; rows
as in `sim.obstacles`. **Every gap is passable**: seen from above, surfaces of any two obstacles are at least `GAP_M` apart, and those of
an obstacle and a wall too. Grown by less than half of that, obstacles still touch neither each other nor a wall, so what is free stays
connected, and a path from anywhere to anywhere exists with that clearance.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from sim.obstacles import ABSENT_M, WIDTH, around

HALF_M = 3.0
HEIGHT_M = 2.5
GAP_M = 0.7
PLACES = 12  # most obstacles in a room; fewer where no place was left
TRIES = 30
PILLAR_RADIUS_M = (0.1, 0.3)
BALL_RADIUS_M = (0.2, 0.45)
BALL_HEIGHT_M = (0.6, 1.9)
LOW, HIGH = (-HALF_M, -HALF_M, 0.0), (HALF_M, HALF_M, HEIGHT_M)


@functools.lru_cache(maxsize=8)
def rooms(seed: int, count: int, device: str = "cpu") -> Tensor:
    """Obstacles of ``count`` rooms ``[count, PLACES, 5]``; never written to."""
    generator = torch.Generator().manual_seed(seed)
    room = torch.zeros(count, PLACES, WIDTH)
    room[:, :, 2], room[:, :, 4] = -ABSENT_M, 0.0
    for place in range(PLACES):
        for _ in range(TRIES):
            fits, candidate = _candidate(room, generator)
            vacant = room[:, place, 3] == 0.0
            room[:, place] = torch.where((fits & vacant).unsqueeze(1), candidate, room[:, place])
    return room.to(device)


def _candidate(room: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Whether it fits into the room ``[count]``, and one more obstacle ``[count, 5]``."""
    upright, size, x, y, height = torch.rand(len(room), 5, generator=generator).unbind(1)
    upright = (upright < 0.5).float()
    radius = upright * _within(size, PILLAR_RADIUS_M) + (1.0 - upright) * _within(size, BALL_RADIUS_M)
    centre = torch.stack([2.0 * x - 1.0, 2.0 * y - 1.0], 1) * (HALF_M - GAP_M - radius).unsqueeze(1)
    apart = (room[:, :, :2] - centre.unsqueeze(1)).norm(dim=2) - room[:, :, 3] - radius.unsqueeze(1)
    fits = ((apart >= GAP_M) | (room[:, :, 3] == 0.0)).all(1)
    return fits, torch.stack([centre[:, 0], centre[:, 1], _within(height, BALL_HEIGHT_M), radius, upright], 1)


def _within(share: Tensor, bounds: tuple[float, float]) -> Tensor:
    low, high = bounds
    return low + (high - low) * share


def walls(position: Tensor) -> Tensor:
    """Distance [m] from ``position`` ``[n, 3]`` to the walls: low and high x, y and z ``[n, 6]``; below zero outside."""
    low, high = position.new_tensor(LOW), position.new_tensor(HIGH)
    return torch.stack([position - low, high - position], 2).flatten(1)


def free(room: Tensor, clearance_m: float, generator: torch.Generator, away: Tensor | None = None, distance_m: float = 0.0) -> Tensor:
    """A point ``[n, 3]`` a room ``[n, PLACES, 5]`` with that clearance, and that far from ``away`` ``[n, 3]``; of many tried the first.

    Where none of them is, the one that lacks least.
    """
    tried = 48
    share = torch.rand(len(room), tried, 3, generator=generator, device=room.device)
    low, high = room.new_tensor(LOW) + clearance_m, room.new_tensor(HIGH) - clearance_m
    points = low + (high - low) * share
    flat = points.flatten(0, 1)
    gap = around(flat, room.repeat_interleave(tried, 0)).gap.amin(1).view(len(room), tried) - clearance_m
    if away is not None:
        gap = torch.minimum(gap, (points - away.unsqueeze(1)).norm(dim=2) - distance_m)
    score = torch.where(gap >= 0.0, 1.0 - torch.arange(tried, device=room.device) / tried, gap.clamp(max=0.0))
    return points[torch.arange(len(room), device=room.device), score.argmax(1)]
