"""What every safeguard over a `SafeActions` polytope does around its mapping, and the ray that ends it.

With the offset v = a − c from the centre and the slack s = b − A c ≥ 0 there, the safe actions are {c + v : A v ≤ s} ∩ box. A mapping
takes v to a safe v; whatever it does, c + t v with t ≤ `reach` is safe.
"""

from __future__ import annotations

import abc
from typing import NamedTuple

import torch
from torch import Tensor

from safety.safeguards.action_set import ActionSet, product
from safety.safeguards.safeguard import Guarded, Safeguard, usable, with_gradient_of

FAR = 1e9  # a reach longer than any


class Room(NamedTuple):
    """Safe offsets {v : A v ≤ s, −down ≤ v ≤ up}, all of s, down, up ≥ 0; rounding margins are already taken off s."""

    normals: Tensor
    slack: Tensor
    down: Tensor
    up: Tensor

    def with_box(self) -> tuple[Tensor, Tensor]:
        """(A ``[n, m + 2k, k]``, s) with the box's faces below."""
        k = self.up.shape[1]
        box = torch.eye(k, dtype=self.up.dtype, device=self.up.device).expand(self.up.shape[0], k, k)
        return torch.cat([self.normals, box, -box], 1), torch.cat([self.slack, self.up, self.down], 1)

    def reach_in_box(self, direction: Tensor) -> Tensor:
        """Largest t with t·d in the box ``[n, 1]``."""
        return _shortest(torch.where(direction > 0.0, self.up, self.down), direction.abs())


class PolytopeSafeguard(Safeguard):
    """Maps the offset from a safe centre; the centre itself, feasible = 0, where that is not safe.

    It computes in float64 whatever it is given: next to the boundary an action is a quotient of two small differences, in which float32
    would leave few digits. What is stored, and the action that goes out, are in the module's precision; margins are for that.

    ``distance`` is the least slack b − A a_s, before margins, in the action set's unit.

    Attributes:
        identity_inside: the mapping leaves safe actions as they are.
    """

    identity_inside = False

    def __init__(self, actions: ActionSet) -> None:
        super().__init__()
        self.actions = actions

    @property
    def promise(self) -> str:
        """Of the mapping, then of the actions it maps to."""
        return f"{super().promise}\n\n{self.actions.promise}"

    @abc.abstractmethod
    def choose(self, room: Room, offset: Tensor) -> Tensor:
        """A safe offset ``[n, k]`` for a wanted one within the box."""

    def forward(self, state: Tensor, action: Tensor) -> Guarded:
        """See `Safeguard`."""
        state, known = usable(state)
        action, asked = usable(action)
        dtype, state, asking = action.dtype, state.double(), action.double()
        safe = self.actions(state)
        slack = safe.slack(safe.centre)
        holds = ((slack + safe.margin).amin(1, keepdim=True) >= 0.0).to(state.dtype)
        room = Room(safe.normals, (slack - safe.margin).clamp(min=0.0), safe.centre - self.actions.lower, self.actions.upper - safe.centre)
        within = self.actions.clamp(asking)
        wanted = within - safe.centre
        offset = holds * self.choose(room, wanted)
        chosen = safe.centre + offset
        chosen = with_gradient_of(chosen, self.actions.clamp(chosen))  # out of the box by rounding alone
        if self.identity_inside:  # exactly: c + (a − c) is a only to rounding
            chosen = torch.where((offset == wanted).to(state.dtype).amin(1, keepdim=True) > 0.0, within, chosen)
        distance = safe.slack(chosen).amin(1, keepdim=True).to(dtype)
        chosen = chosen.to(dtype)
        intervention = torch.linalg.vector_norm(chosen - action, dim=1, keepdim=True)
        return Guarded(chosen, distance, (holds * safe.inside).to(dtype) * known * asked, intervention)


def reach(normals: Tensor, slack: Tensor, direction: Tensor) -> Tensor:
    """Largest t with A (t·d) ≤ s: min_i s_i / (A_i d)₊ ``[n, 1]``, `FAR` where no face lies ahead."""
    return _shortest(slack, product(normals, direction))


def pull_back(normals: Tensor, slack: Tensor, offset: Tensor) -> Tensor:
    """``offset`` shortened into {A v ≤ s}: no more than rounding after an exact mapping, so it takes no part in gradients."""
    return offset * reach(normals, slack, offset).clamp(max=1.0).detach()


def _shortest(slack: Tensor, rate: Tensor) -> Tensor:
    """min s / rate over rates that are not zero; below ε² they are, and cost no more than ε² of slack."""
    ahead = rate > torch.finfo(rate.dtype).eps ** 2
    return torch.where(ahead, slack / torch.where(ahead, rate, 1.0), FAR).amin(1, keepdim=True)
