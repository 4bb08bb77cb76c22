"""Boundary projection: the nearest safe action, exactly, by enumerating what can be active; the identity where the action is safe.

    a_s = argmin ‖u − a‖²  subject to  A u ≤ b, u in the input box

The nearest point of a polygon is the action itself, a point of an edge or a corner. Edges are clipped by all other faces, O(m²); which is
nearest is decided without gradients, and the closed form for it has those of the optimality conditions: da_s/da projects onto what the
active faces leave free (I on no face, rank 1 on an edge, 0 in a corner), and da_s/dx follows A and b.
"""

from __future__ import annotations

import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards.action_set import ActionSet, product
from safety.safeguards.within import FAR, PolytopeSafeguard, Room, pull_back, reach


class Projection(PolytopeSafeguard):
    """Inequality, model, bound and guarantee: those of ``actions``, for every action. A ray pull-back makes rounding harmless.

    On a face itself the gradient is the mean of both sides' for one action, and that of the inside for two.

    Raises:
        TetherError: for more than two actions.
    """

    identity_inside = True

    def __init__(self, actions: ActionSet) -> None:
        super().__init__(actions)
        if actions.size > 2:
            raise TetherError(
                f"the projection is exact for 1 or 2 actions, not for {actions.size}: "
                "use RayMask, which takes any number, or HalfSpaceProjection for a single half-space"
            )

    def choose(self, room: Room, offset: Tensor) -> Tensor:
        """The nearest safe offset."""
        normals, slack = room.with_box()
        nearest = _in_interval(normals, slack, offset) if offset.shape[1] == 1 else _in_polygon(normals, slack, offset)
        return pull_back(normals, slack, nearest)


def _in_interval(normals: Tensor, slack: Tensor, point: Tensor) -> Tensor:
    """k = 1: between the reaches to both sides."""
    ahead = torch.ones_like(point)
    return torch.maximum(torch.minimum(point, reach(normals, slack, ahead)), -reach(normals, slack, -ahead))


def _in_polygon(normals: Tensor, slack: Tensor, point: Tensor) -> Tensor:
    """k = 2: the point, its foot on the active edge, or the active corner."""
    edge, other, moved, cornered, scale = _active(normals.detach(), slack.detach(), point.detach())
    first, second = (_take(normals, row) / scale.gather(1, row) for row in (edge, other))
    one, two = (slack.gather(1, row) / scale.gather(1, row) for row in (edge, other))
    foot = point - first * ((first * point).sum(1, keepdim=True) - one) / torch.where(moved, first.square().sum(1, keepdim=True), 1.0)
    cross = torch.where(cornered, first[:, :1] * second[:, 1:] - first[:, 1:] * second[:, :1], 1.0)
    corner = torch.cat([one * second[:, 1:] - two * first[:, 1:], two * first[:, :1] - one * second[:, :1]], 1) / cross
    return torch.where(moved, torch.where(cornered, corner, foot), point)


@torch.no_grad()
def _active(normals: Tensor, slack: Tensor, point: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(row of the nearest violated edge, row that cuts it short, is there one, is it cut short ``[n, 1]``, rows' lengths ``[n, m]``).

    Edge i is {o_i n_i + τ t_i}: n_i its unit normal, o_i its distance from the centre, t_i ⟂ n_i. Row j leaves τ (n_j·t_i) ≤
    o_j − o_i (n_i·n_j) of it. Rows are moved out by a few roundings, so that no row cuts its own edge; pulling back undoes that.
    """
    eps = torch.finfo(point.dtype).eps
    length = normals.square().sum(2).sqrt()
    real = length > eps**2
    length = torch.where(real, length, 1.0)
    unit = torch.where(real.unsqueeze(2), normals / length.unsqueeze(2), 1.0)
    away = torch.where(real, slack / length, FAR)
    x, y = unit.unbind(2)
    high, low = _span(x, y, away, x, y, away)
    top, bottom = high.amin(1), -low.amin(1)
    beyond, place = product(unit, point) - away, x * point[:, 1:] - y * point[:, :1]
    gap = beyond.square() + (place - torch.maximum(torch.minimum(place, top), bottom)).square()
    gap = torch.where(real & (beyond > 0.0) & (bottom <= top), gap, FAR)
    edge = gap.argmin(1, keepdim=True)
    high, low = _span(x, y, away, *(values.gather(1, edge) for values in (x, y, away)))
    place = place.gather(1, edge)
    over, under = place > high.amin(1), place < -low.amin(1)
    other = torch.where(over, high.argmin(1), low.argmin(1))
    moved = gap.amin(1, keepdim=True) < FAR
    return edge, other, moved, moved & (over | under), length


def _span(x: Tensor, y: Tensor, away: Tensor, edge_x: Tensor, edge_y: Tensor, edge_away: Tensor) -> tuple[Tensor, Tensor]:
    """How far every row lets every edge reach along its tangent, and against it ``[n, row, edge]``."""
    x, y, moved = x.unsqueeze(2), y.unsqueeze(2), (away + 16.0 * torch.finfo(away.dtype).eps * (1.0 + away)).unsqueeze(2)
    edge_x, edge_y = edge_x.unsqueeze(1), edge_y.unsqueeze(1)
    cross = y * edge_x - x * edge_y
    reach = (moved - edge_away.unsqueeze(1) * (x * edge_x + y * edge_y)) / cross.abs()  # ±∞ where parallel
    ahead = cross >= 0.0
    return torch.where(ahead, reach, FAR), torch.where(ahead, FAR, reach)


def _take(normals: Tensor, row: Tensor) -> Tensor:
    """Row ``[n, 1]`` of ``[n, m, 2]``."""
    return normals.gather(1, row.unsqueeze(2).expand(-1, 1, 2)).squeeze(1)
