"""Obstacles around a robot, and what a sensor of the nearest of them reads. Engines know nothing of obstacles: nobody bounces off one.

An obstacle is a row (x, y, z, radius, upright): a ball about its centre, or, where ``upright`` is 1, a pillar without end about the
vertical through it, which is a ball at the height of whoever looks. One that is not there has no radius and is `ABSENT_M` away.

A sensor of obstacles has four channels an obstacle, the nearest surface first: from the robot to the centre, or to the nearest point of the
axis, in the base frame, and the radius. What it does not see reads (`FAR_M`, 0, 0, 0).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from robots.signals import FAR_M

OBSTACLES = "nearest_obstacles_in_base"
RANGE_M = 4.0
ABSENT_M = 100.0
WIDTH = 5  # of a row


class Around(NamedTuple):
    """Obstacles as seen from a point, ``[n, obstacles, …]``: the way to the centre or axis [m] in the world, gap to the
    surface [m], radius [m]."""

    offset: Tensor
    gap: Tensor
    radius: Tensor


def around(position: Tensor, obstacles: Tensor) -> Around:
    """From ``position`` ``[n, 3]`` to obstacles ``[n, count, 5]``."""
    offset = obstacles[:, :, :3] - position.unsqueeze(1)
    offset = torch.cat([offset[:, :, :2], offset[:, :, 2:] * (1.0 - obstacles[:, :, 4:])], 2)
    distance = offset.square().sum(2).clamp(min=1e-12).sqrt()
    return Around(offset, distance - obstacles[:, :, 3], obstacles[:, :, 3])


def nearest(seen: Around, rotation: Tensor, count: int) -> Tensor:
    """The ideal reading of a sensor of ``count`` obstacles ``[n, 4 count]``; ``rotation`` ``[n, 3, 3]`` is body to world."""
    readings = torch.cat([torch.bmm(seen.offset, rotation), seen.radius.unsqueeze(2)], 2)
    nothing = readings.new_tensor([FAR_M, 0.0, 0.0, 0.0])
    ranks, within = rank(seen.gap), seen.gap <= RANGE_M
    slots = []
    for slot in range(count):
        mine = ((ranks == slot) & within).unsqueeze(2)
        slots.append(torch.where(mine.any(1), torch.where(mine, readings, 0.0).sum(1), nothing))
    return torch.cat(slots, 1)


def rank(values: Tensor) -> Tensor:
    """Place of each of ``values`` ``[n, count]`` in ascending order, from 0; the first of equals comes first. Kernels cannot sort."""
    columns = values.unbind(1)
    places = []
    for i, own in enumerate(columns):
        before = [other <= own if j < i else other < own for j, other in enumerate(columns) if j != i]
        places.append(torch.stack([flag.to(values.dtype) for flag in before], 1).sum(1))
    return torch.stack(places, 1)
