"""Ray masks: the action is moved along the ray from the safe centre, in closed form (Walter et al. 2025, arXiv 2506.01665).

    λ_a = ‖a − c‖,  d = (a − c)/λ_a,  λ_A = reach of the input box along d,  λ_As = reach of the safe actions along d
    linear      a_s = c + λ_As (λ_a / λ_A) d
    hyperbolic  a_s = c + λ_As tanh(λ_a / λ_As) / tanh(λ_A / λ_As) d

All of the box is mapped onto all of the safe set, so gradients have full rank inside, though the hyperbolic mask's along the ray fades as
1 − tanh² (λ_a / λ_As).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from robots.errors import unknown
from safety.safeguards.action_set import ActionSet
from safety.safeguards.safeguard import Guarded, pass_through, with_gradient_of
from safety.safeguards.within import PolytopeSafeguard, Room, reach

STILL = 1e-20  # an action this close to the centre is the centre
SATURATED = 40.0  # tanh is 1 from there on, in float64 too
SHAPES = ("linear", "hyperbolic")
GRADIENTS = ("plain", "pass_through")


class RayMask(PolytopeSafeguard):
    """Inequality, model, bound and guarantee: those of ``actions``, for every action.

    Both shapes depend on lengths along the ray only by their ratios, so any unit will do: that of max |a − c|. At a = c, where they
    have a kink, the gradient is the linear mask's along (1, …, 1); where two faces are equally near, the mean of both sides'; where the
    action is clipped to the input box, zero in the clipped channels. It is finite everywhere.

    Args:
        actions: the safe actions and their centre.
        shape: ``linear`` or ``hyperbolic``.
        gradient: ``plain``, or ``pass_through`` for the identity.
    """

    def __init__(
        self, actions: ActionSet, shape: Literal["linear", "hyperbolic"] = "linear", gradient: Literal["plain", "pass_through"] = "plain"
    ) -> None:
        super().__init__(actions)
        if shape not in SHAPES:
            raise unknown("ray mask", shape, SHAPES)
        if gradient not in GRADIENTS:
            raise unknown("gradient", gradient, GRADIENTS)
        self.shape, self.gradient = shape, gradient

    def choose(self, room: Room, offset: Tensor) -> Tensor:
        """The mask; ``size`` is λ_a, d carries all of the offset's gradient."""
        size = offset.detach().abs().amax(1, keepdim=True)
        still = size <= STILL
        size = torch.where(still, 1.0, size)
        direction = torch.where(still, 1.0, offset / size)
        box = room.reach_in_box(direction)
        box = with_gradient_of(box, torch.maximum(box, size))  # the wanted action is within the box
        safe = torch.minimum(reach(room.normals, room.slack, direction), box)
        linear = safe / box * offset
        if self.shape == "linear":
            return linear
        bend = _saturating(size, safe) / _saturating(box, safe)
        return torch.where(still, linear, safe * bend * direction)

    def forward(self, state: Tensor, action: Tensor) -> Guarded:
        """See `Safeguard`."""
        guarded = super().forward(state, action)
        return guarded._replace(action=pass_through(guarded.action, action)) if self.gradient == "pass_through" else guarded


def _saturating(length: Tensor, unit: Tensor) -> Tensor:
    """tanh(length / unit), for a unit of zero too."""
    return torch.tanh(length / torch.maximum(unit, length / SATURATED))
