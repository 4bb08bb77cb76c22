"""Boundary projection: the nearest safe action, exactly; the identity where the action is safe.

    a_s = argmin ‖u − a‖²  subject to  A u ≤ b, u in the input box

The nearest point of a polygon is the action itself, a point of an edge or a corner. The way from the centre to the action leaves the
polygon through an edge. From there it is a walk along the boundary: drop the action's foot on the edge's line; where another row cuts it
off, that row has the next edge. The walk ends on the edge whose foot nothing cuts off, or goes to and fro between the two edges of a
corner. Which rows end up active is decided without gradients, and the closed form for them has those of the optimality conditions:
da_s/da projects onto what the active rows leave free (I on no row, rank 1 on an edge, 0 in a corner), and da_s/dx follows A and b.
"""

from __future__ import annotations

import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards.action_set import ActionSet
from safety.safeguards.within import PolytopeSafeguard, Room, pull_back, reach

EDGES = 4  # walked along; 64 random rows want 3, the shipped sets 2 (tests/safety/safeguards/test_projection.py)
TURN = [[0.0, 1.0], [-1.0, 0.0]]  # (x, y) → (−y, x)
PARALLEL = 1e-12  # sine of the angle between two rows that do not meet


class Projection(PolytopeSafeguard):
    """Inequality, model, bound and guarantee: those of ``actions``, for every action. A ray pull-back makes rounding harmless.

    On a face itself the gradient is the mean of both sides' for one action, and that of the inside for two. Two actions: where the walk
    would be along more than ``edges`` edges, the action is safe all the same, and not the nearest.

    Args:
        actions: the safe actions and their centre.
        edges: largest number of edges walked along.

    Raises:
        TetherError: for more than two actions.
    """

    identity_inside = True

    def __init__(self, actions: ActionSet, edges: int = EDGES) -> None:
        super().__init__(actions)
        if actions.size > 2:
            raise TetherError(
                f"the projection is exact for 1 or 2 actions, not for {actions.size}: "
                "use RayMask, which takes any number, or HalfSpaceProjection for a single half-space"
            )
        self.edges = edges
        largest = torch.maximum(actions.lower.abs(), actions.upper.abs()).max()
        self.rounding = 64.0 * torch.finfo(torch.float64).eps * (1.0 + 2.0 * float(largest))

    def choose(self, room: Room, offset: Tensor) -> Tensor:
        """The nearest safe offset."""
        normals, slack = room.with_box()
        if offset.shape[1] == 1:
            return pull_back(normals, slack, _in_interval(normals, slack, offset))
        return pull_back(normals, slack, _in_polygon(normals, slack, offset, self.edges, self.rounding))


def _in_interval(normals: Tensor, slack: Tensor, point: Tensor) -> Tensor:
    """k = 1: between the reaches to both sides."""
    ahead = torch.ones_like(point)
    return torch.maximum(torch.minimum(point, reach(normals, slack, ahead)), -reach(normals, slack, -ahead))


def _in_polygon(normals: Tensor, slack: Tensor, point: Tensor, edges: int, rounding: float) -> Tensor:
    """k = 2: the point, its foot on the active edge, or the active corner."""
    rows = _unit_rows(normals, slack)
    with torch.no_grad():
        edge, other, outside, cut = _active(rows, point, edges, rounding)
    normal, bound = _take(rows, edge)
    square = (normal * normal).sum(1, keepdim=True).clamp(min=0.5)  # a row's length is 1, its slope is not
    foot = point - normal * ((normal * point).sum(1, keepdim=True) - bound) / square
    normal_of_other, bound_of_other = _take(rows, other)
    along = normal @ normal.new_tensor(TURN)
    slope = (normal_of_other * along).sum(1, keepdim=True)
    way = (bound_of_other - (normal_of_other * foot).sum(1, keepdim=True)) / torch.where(slope.abs() > PARALLEL, slope, 1.0)
    return torch.where(outside, foot + torch.where(cut, way, 0.0) * along, point)


def _unit_rows(normals: Tensor, slack: Tensor) -> Tensor:
    """(n, o) ``[n, m, 3]``, |n| = 1: the row is n·u ≤ o. Rows that were zero are (0, 0, 1)."""
    length = normals.detach().square().sum(2, keepdim=True).sqrt()
    some = length > torch.finfo(normals.dtype).eps ** 2
    nothing = normals.new_tensor([0.0, 0.0, 1.0])
    return torch.where(some, torch.cat([normals, slack.unsqueeze(2)], 2) / torch.where(some, length, 1.0), nothing)


def _active(rows: Tensor, point: Tensor, edges: int, rounding: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The active row, and the one that cuts its edge off before the foot ``[n, 1]``; whether any is violated, and whether one cuts.

    With f the way from the point's foot on an edge to the point and t along the edge, another row n·u ≤ o cuts off at the foot plus τ t,
    τ = −(n·(point − f) − o) / n·t; of the rows that are violated at the foot, the one that does so furthest off counts.
    """
    normals, bounds = rows[:, :, :2], rows[:, :, 2:]
    ahead = normals @ point.unsqueeze(2)
    excess = ahead - bounds
    frames = torch.stack([excess * normals, normals @ normals.new_tensor(TURN)], 3).flatten(2)  # f and t of every row
    edge = (ahead / bounds.clamp(min=PARALLEL**2)).argmax(1)  # where the way from the centre leaves
    beyond, other, cut = excess - rounding, edge, edge < 0
    for walked in range(edges):
        if walked:
            edge = torch.where(cut, other, edge)
        frame = frames.gather(1, torch.cat([edge] * 4, 1).unsqueeze(1)).view(-1, 2, 2)
        at_foot, slope = (normals @ frame).split(1, 2)
        reach = (beyond - at_foot).clamp(min=0.0) / slope.abs().clamp(min=PARALLEL)
        other, cut = reach.argmax(1), reach.amax(1) > 0.0
    return edge, other, excess.amax(1) > rounding, cut


def _take(rows: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Normal ``[n, 2]`` and bound ``[n, 1]`` of row ``[n, 1]``."""
    row = rows.gather(1, torch.cat([index] * 3, 1).unsqueeze(1)).squeeze(1)
    return row[:, :2], row[:, 2:]
