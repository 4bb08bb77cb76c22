"""Boundary projection: the nearest safe action, exactly; the identity where the action is safe.

    a_s = argmin ‖u − a‖²  subject to  A u ≤ b, u in the input box

The nearest point of a polygon is the action itself, a point of an edge or a corner. It is found by a dual active-set method (Goldfarb &
Idnani 1983): start at the action; while a row is violated, take the one that is most, and move to the nearest point of it and of the one
or two rows that held before. Which rows end up active is decided without gradients, and the closed form for them has those of the
optimality conditions: da_s/da projects onto what the active rows leave free (I on no row, rank 1 on an edge, 0 in a corner), and da_s/dx
follows A and b.
"""

from __future__ import annotations

import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards.action_set import ActionSet
from safety.safeguards.within import FAR, PolytopeSafeguard, Room, pull_back, reach

CHANGES = 8  # of the active rows; 64 random rows want 6, the shipped sets 3 (tests/safety/test_projection.py)


class Projection(PolytopeSafeguard):
    """Inequality, model, bound and guarantee: those of ``actions``, for every action. A ray pull-back makes rounding harmless.

    On a face itself the gradient is the mean of both sides' for one action, and that of the inside for two. Two actions: where more than
    ``changes`` changes of the active rows would be needed, the action is safe all the same, and not the nearest.

    Args:
        actions: the safe actions and their centre.
        changes: largest number of changes of the active rows.

    Raises:
        TetherError: for more than two actions.
    """

    identity_inside = True

    def __init__(self, actions: ActionSet, changes: int = CHANGES) -> None:
        super().__init__(actions)
        if actions.size > 2:
            raise TetherError(
                f"the projection is exact for 1 or 2 actions, not for {actions.size}: "
                "use RayMask, which takes any number, or HalfSpaceProjection for a single half-space"
            )
        self.changes = changes

    def choose(self, room: Room, offset: Tensor) -> Tensor:
        """The nearest safe offset."""
        normals, slack = room.with_box()
        if offset.shape[1] == 1:
            return pull_back(normals, slack, _in_interval(normals, slack, offset))
        return pull_back(normals, slack, _in_polygon(normals, slack, offset, self.changes))


def _in_interval(normals: Tensor, slack: Tensor, point: Tensor) -> Tensor:
    """k = 1: between the reaches to both sides."""
    ahead = torch.ones_like(point)
    return torch.maximum(torch.minimum(point, reach(normals, slack, ahead)), -reach(normals, slack, -ahead))


def _in_polygon(normals: Tensor, slack: Tensor, point: Tensor, changes: int) -> Tensor:
    """k = 2: the point, its foot on the active edge, or the active corner.

    In homogeneous coordinates: a row is (x, y, −o) with x² + y² = 1, a point (u, v, 1), their product how far the point is beyond the row,
    and two rows meet in their cross product.
    """
    rows, point = _unit_rows(normals, slack), torch.cat([point, torch.ones_like(point[:, :1])], 1)
    edge, other = _active(rows.detach(), point.detach(), changes)
    first, second = _take(rows, edge), _take(rows, other)
    none = rows.shape[1] - 1
    found = torch.where(other == none, _foot(first, point), _corners(first, second.unsqueeze(1))[:, 0])
    return torch.where(edge == none, point, found)[:, :2]


def _unit_rows(normals: Tensor, slack: Tensor) -> Tensor:
    """All rows ``[n, m + 1, 3]``; those that were zero, and the last, which stands for none, are (0, 0, −far)."""
    length = normals.detach().square().sum(2, keepdim=True).sqrt()
    real = length > torch.finfo(normals.dtype).eps ** 2
    nowhere = normals.new_tensor([0.0, 0.0, -FAR])
    rows = torch.where(real, torch.cat([normals, -slack.unsqueeze(2)], 2) / torch.where(real, length, 1.0), nowhere)
    return torch.cat([rows, torch.zeros_like(rows[:, :1]) + nowhere], 1)


@torch.no_grad()
def _active(rows: Tensor, point: Tensor, changes: int) -> tuple[Tensor, Tensor]:
    """The active row, and the other one ``[n, 1]``; the last row where there is none."""
    nearest, edge = point, torch.full_like(rows[:, :, 2].argmax(1, keepdim=True), rows.shape[1] - 1)
    other, held = edge, rows[:, -1:].expand(-1, 2, -1)  # the active rows themselves ``[n, 2, 3]`` go along with their indices
    tolerance = 64.0 * torch.finfo(rows.dtype).eps * (1.0 + point.abs().amax(1, keepdim=True))
    for _ in range(changes):
        excess = (rows @ nearest.unsqueeze(2)).squeeze(2)
        worst, violated = excess.argmax(1, keepdim=True), excess.amax(1, keepdim=True) > tolerance
        new = _take(rows, worst)
        ends = torch.cat([_foot(new, point).unsqueeze(1), _corners(new, held)], 1)  # one of these is nearest to the point
        beyond, gone = (ends @ held.transpose(1, 2)).amax(2), ends - point.unsqueeze(1)
        away = torch.where(beyond > tolerance, FAR**3, (gone * gone).sum(2))
        way = away.argmin(1, keepdim=True)
        nearest = torch.where(violated, _take(ends, way), nearest)
        kept = torch.where(way == 0, rows[:, -1], torch.where(way == 1, held[:, 0], held[:, 1]))
        held = torch.where(violated.unsqueeze(2), torch.stack([new, kept], 1), held)
        other = torch.where(violated, torch.where(way == 0, rows.shape[1] - 1, torch.where(way == 1, edge, other)), other)
        edge = torch.where(violated, worst, edge)
    return edge, other


def _take(rows: Tensor, index: Tensor) -> Tensor:
    """Row ``[n, 1]`` of ``[n, m, 3]``."""
    return rows.gather(1, torch.cat([index] * 3, 1).unsqueeze(1)).squeeze(1)


def _foot(row: Tensor, point: Tensor) -> Tensor:
    """The nearest point of a row's edge ``[n, 3]``; the row's length is 1, its slope is not."""
    normal = row * row.new_tensor([[1.0, 1.0, 0.0]])
    return point - normal * (row * point).sum(1, keepdim=True) / (normal * normal).sum(1, keepdim=True).clamp(min=0.5)


def _corners(row: Tensor, others: Tensor) -> Tensor:
    """Where a row ``[n, 3]`` meets others ``[n, j, 3]``; far off where they are parallel."""
    after = row.new_tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # (x, y, z) → (y, z, x)
    before, row = after.t(), row.unsqueeze(1)
    cross = (row @ after) * (others @ before) - (row @ before) * (others @ after)
    scale = cross[:, :, 2:]
    meets = scale.abs() > torch.finfo(cross.dtype).eps
    return torch.where(meets, cross / torch.where(meets, scale, 1.0), FAR)
