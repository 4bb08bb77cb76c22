"""One half-space of safe actions: the quadratic program of a control barrier function in closed form, and the seeker's half-space.

    a_s = argmin ‖u − a‖²  subject to  p·u ≤ q, u in the input box
    u(μ) = clip(a − μ p),  μ ≥ 0 the smallest with p·u(μ) ≤ q

p·u(μ) falls piecewise linearly, with a kink where a channel reaches its limit. At each kink it is compared with q; that says which channels
end at a limit, and μ is linear in the rest. Exact for any number of actions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards.action_set import ActionSet, SafeActions, product
from safety.safeguards.within import FAR, PolytopeSafeguard, Room, pull_back


class HalfSpaceProjection(PolytopeSafeguard):
    """Inequality, model, bound and guarantee: those of ``actions``, whose polytope must have one face, for every action.

    A ray pull-back to the centre makes rounding harmless. Several faces: `Projection`, or a `RayMask`.
    """

    identity_inside = True

    def choose(self, room: Room, offset: Tensor) -> Tensor:
        """The nearest safe offset."""
        if room.slack.shape[1] != 1:
            raise TetherError(f"HalfSpaceProjection takes one half-space, not {room.slack.shape[1]}; use Projection or RayMask")
        normal = room.normals[:, 0]
        end = torch.where(normal > 0.0, -room.down, room.up)  # of each channel, for large μ
        reached = _reached(normal.detach(), room.slack.detach(), end.detach(), offset.detach())
        free = torch.where(reached, 0.0, normal)
        excess = (torch.where(reached, end, offset) * normal).sum(1, keepdim=True) - room.slack
        square = free.square().sum(1, keepdim=True)
        multiplier = torch.where(square > 0.0, excess / torch.where(square > 0.0, square, 1.0), 0.0)
        nearest = torch.where(reached, end, offset - multiplier * normal)
        violated = (normal * offset).sum(1, keepdim=True) > room.slack
        return pull_back(room.normals, room.slack, torch.where(violated, nearest, offset))


def _reached(normal: Tensor, slack: Tensor, end: Tensor, offset: Tensor) -> Tensor:
    """Whether a channel is at its limit when the half-space is reached ``[n, k]``: p·u at that channel's kink is still ≥ q."""
    moves = normal.abs() > torch.finfo(normal.dtype).eps ** 2
    kink = torch.where(moves, (offset - end) / torch.where(moves, normal, 1.0), FAR)
    at_kinks = offset.unsqueeze(1) - kink.unsqueeze(2) * normal.unsqueeze(1)  # [n, kink, channel]
    past = kink.unsqueeze(2) >= kink.unsqueeze(1)
    at_kinks = torch.where(past & moves.unsqueeze(1), end.unsqueeze(1), at_kinks)
    return moves & (product(at_kinks, normal) >= slack)


class Barrier(ActionSet):
    """Inequality: ∇h·(f + g u) − |∇h| w_max ≥ −α h.  Model: ẋ = f(x) + g(x) u + w, |w| ≤ w_max, h continuously differentiable.

    Guarantee (Ames et al. 2017, doi 10.1109/TAC.2016.2638961): while the inequality holds at all times, {h ≥ 0} is never left. Held over a
    period it is an approximation; the one-step sets of this package need none.

    The centre is the corner of the box that p points away from most: whenever any action is safe, it is. Slack is in units of h per second.

    Args:
        terms: x ↦ (h ``[n, 1]``, ∇h·f ``[n, 1]``, ∇h·g ``[n, k]``, |∇h| w_max ``[n, 1]``).
        alpha: α [1/s].
        lower, upper: the input box ``[k]``.
        roundings: depth of the deepest chain of roundings in ``terms``.
    """

    def __init__(
        self,
        terms: Callable[[Tensor], tuple[Tensor, Tensor, Tensor, Tensor]],
        alpha: float,
        lower: Any,
        upper: Any,
        *,
        roundings: int = 16,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(lower, upper, dtype)
        self.terms, self.alpha, self.roundings = terms, alpha, roundings

    def forward(self, state: Tensor) -> SafeActions:
        """p = −∇h·g, q = ∇h·f − |∇h| w_max + α h."""
        value, drift, control, noise = self.terms(state)
        centre = torch.where(control > 0.0, self.upper, self.lower)
        size = self.alpha * value.abs() + drift.abs() + noise + product(control.abs().unsqueeze(1), centre.abs())
        margin = self.rounding(state, self.roundings + self.size) * size.detach()
        return SafeActions(-control.unsqueeze(1), drift - noise + self.alpha * value, margin, centre, torch.ones_like(value))


class OutsideBall(ActionSet):
    """Inequality: n·(x⁺ − o) ≥ R for every |w| ≤ w_max, n = (x − o)/‖x − o‖.  Model: x⁺ = x + dt u + w.

    The half-space touches the ball's near side, so the inequality implies ‖x⁺ − o‖ ≥ R. The centre is u = ρ n, ρ the smallest half-width of
    the box (whose middle must be zero): from ‖x − o‖ ≥ R it leaves at least dt ρ − ‖w_max‖ > 0, since |n|·w_max ≤ ‖w_max‖. So a safe action
    exists in every safe state, and a safe state follows it, for ever. Slack is in metres. Inside the ball ``inside`` is 0, and the
    inequality has the state leave by the shortest way as fast as the box allows.

    The seeker of Walter et al. 2025 (arXiv 2506.01665) has dt 0.1, |w| ≤ 0.05 and |u| ≤ 1.

    State is x ``[n, k]``; with a ball that the state brings along, (x, o, R) ``[n, 2k + 1]``, all of which are known exactly.

    Args:
        obstacle, radius: o ``[k]`` and R; None for a ball that comes with the state.
        dt: dt.
        disturbance: w_max ``[k]``.
        lower, upper: the input box ``[k]``, symmetric.
    """

    depth = 32  # roundings: k ≤ 3 squares, a root, divisions, three products of k terms

    def __init__(
        self,
        obstacle: Any = None,
        radius: float | None = None,
        *,
        dt: float,
        disturbance: Any,
        lower: Any,
        upper: Any,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(lower, upper, dtype)
        noise = torch.as_tensor(disturbance, dtype=torch.float64)
        if (obstacle is None) != (radius is None):
            raise TetherError("give both obstacle and radius, or neither where the state brings them along")
        self.dt, self.push = dt, float(self.upper.min())
        if not bool((self.lower == -self.upper).all()):
            raise TetherError("the input box must be symmetric about zero; shift the action")
        if not dt * self.push > float(noise.norm()):
            raise TetherError(
                f"the disturbance can outrun the actions: dt · min(upper) = {dt * self.push:g} must exceed ‖w_max‖ = {noise.norm():g}"
            )
        self.obstacle: Tensor | None
        self.radius: Tensor | None
        self.noise: Tensor
        self.register_buffer("obstacle", None if obstacle is None else torch.as_tensor(obstacle, dtype=dtype))
        self.register_buffer("radius", None if radius is None else torch.tensor([radius], dtype=dtype))
        self.register_buffer("noise", noise.to(dtype))

    def forward(self, state: Tensor) -> SafeActions:
        """−dt n·u ≤ ‖x − o‖ − R − |n|·w_max."""
        position, obstacle, radius = self._parts(state)
        apart = position - obstacle
        gap = apart.square().sum(1, keepdim=True).clamp(min=torch.finfo(state.dtype).eps ** 2).sqrt()
        outward = apart / gap
        bounds = gap - radius - (outward.abs() * self.noise).sum(1, keepdim=True)
        size = (position.abs() + obstacle.abs()).amax(1, keepdim=True) + radius.abs() + self.dt * self.upper.sum()
        margin = self.rounding(state, self.depth) * size.detach()
        inside = (gap >= radius - margin).to(state.dtype)
        return SafeActions(-self.dt * outward.unsqueeze(1), bounds, margin, self.push * outward, inside)

    def _parts(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, o and R, the ball's own or the state's."""
        if self.obstacle is not None and self.radius is not None:
            return state, self.obstacle, self.radius
        position, obstacle, radius = state.split([self.size, self.size, 1], dim=1)
        return position, obstacle, radius
