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
    """k = 2: the point, its foot on the active edge, or the active corner."""
    rows = _unit_rows(normals, slack)
    edge, other, none = _active(rows.detach(), point.detach(), changes)
    first, second = _take(rows, edge), _take(rows, other)
    return torch.where(edge == none, point, torch.where(other == none, _foot(first, point), _corner(first, second)))


def _unit_rows(normals: Tensor, slack: Tensor) -> Tensor:
    """Rows (x, y, o) of x u + y v ≤ o with x² + y² = 1 ``[n, m + 1, 3]``; the last, and those that were zero, are (0, 0, far)."""
    length = normals.detach().square().sum(2, keepdim=True).sqrt()
    real = length > torch.finfo(normals.dtype).eps ** 2
    length = torch.where(real, length, 1.0)
    rows = torch.cat([torch.where(real, normals / length, 0.0), torch.where(real, slack.unsqueeze(2) / length, FAR)], 2)
    none = rows[:, :1] * 0.0
    return torch.cat([rows, none + rows.new_tensor([0.0, 0.0, FAR])], 1)


@torch.no_grad()
def _active(rows: Tensor, point: Tensor, changes: int) -> tuple[Tensor, Tensor, int]:
    """(the active row, the other one if there is ``[n, 1]``, the index that says there is none)."""
    none = rows.shape[1] - 1
    nearest, edge = point, torch.full_like(rows[:, :, 2].argmax(1, keepdim=True), none)
    one, other, two = rows[:, none], edge, rows[:, none]  # the active rows themselves go along with their indices
    tolerance = 64.0 * torch.finfo(rows.dtype).eps * (1.0 + point.abs().amax(1, keepdim=True))
    for _ in range(changes):
        excess = (rows[:, :, :2] * nearest.unsqueeze(1)).sum(2) - rows[:, :, 2]
        worst, violated = excess.argmax(1, keepdim=True), excess.amax(1, keepdim=True) > tolerance
        new = _take(rows, worst)
        foot, with_one, with_two = _foot(new, point), _corner(new, one), _corner(new, two)
        outside = _excess(new, point) < -tolerance
        ways = torch.cat(
            [
                _length(foot, point, outside | (_excess(one, foot) > tolerance) | (_excess(two, foot) > tolerance)),
                _length(with_one, point, (edge == none) | (_excess(two, with_one) > tolerance)),
                _length(with_two, point, (other == none) | (_excess(one, with_two) > tolerance)),
            ],
            1,
        )
        alone, second = ways[:, :1] <= ways[:, 1:].amin(1, keepdim=True), ways[:, 1:2] <= ways[:, 2:]
        nearest = torch.where(violated, torch.where(alone, foot, torch.where(second, with_one, with_two)), nearest)
        two = torch.where(violated, torch.where(alone, rows[:, none], torch.where(second, one, two)), two)
        other = torch.where(violated, torch.where(alone, none, torch.where(second, edge, other)), other)
        one, edge = torch.where(violated, new, one), torch.where(violated, worst, edge)
    return edge, other, none


def _take(rows: Tensor, index: Tensor) -> Tensor:
    """Row ``[n, 1]`` of ``[n, m, 3]``."""
    return rows.gather(1, index.unsqueeze(2).expand(-1, 1, 3)).squeeze(1)


def _excess(row: Tensor, point: Tensor) -> Tensor:
    """How far a point is beyond a row ``[n, 1]``."""
    return (row[:, :2] * point).sum(1, keepdim=True) - row[:, 2:]


def _foot(row: Tensor, point: Tensor) -> Tensor:
    """The nearest point of a row's edge; the row's length is 1, its slope is not."""
    normal = row[:, :2]
    return point - normal * _excess(row, point) / normal.square().sum(1, keepdim=True).clamp(min=0.5)


def _corner(first: Tensor, second: Tensor) -> Tensor:
    """Where two edges meet; far off where they are parallel."""
    cross = first[:, :1] * second[:, 1:2] - first[:, 1:2] * second[:, :1]
    meets = cross.abs() > torch.finfo(cross.dtype).eps
    x = first[:, 2:] * second[:, 1:2] - second[:, 2:] * first[:, 1:2]
    y = second[:, 2:] * first[:, :1] - first[:, 2:] * second[:, :1]
    return torch.where(meets, torch.cat([x, y], 1) / torch.where(meets, cross, 1.0), FAR)


def _length(end: Tensor, point: Tensor, refused: Tensor) -> Tensor:
    """Square of the way from ``point`` ``[n, 1]``; very far where it is ``refused``."""
    return torch.where(refused, FAR**3, (end - point).square().sum(1, keepdim=True))
