"""A safeguard of physical values as one of a policy's actions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards.safeguard import Guarded, Safeguard


class Scaled(Safeguard):
    """``safeguard``'s promise, for actions a that mean the value centre + scale · a; ``intervention`` is in units of a.

    The way there and back rounds twice, in the action's precision.

    Args:
        safeguard: of values, in their unit.
        centre, scale: ``[k]``, in that unit; scale positive.
    """

    def __init__(self, safeguard: Safeguard, centre: Any, scale: Any, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.safeguard = safeguard
        middle, half = torch.as_tensor(centre, dtype=dtype), torch.as_tensor(scale, dtype=dtype)
        if middle.shape != half.shape or middle.ndim != 1 or not bool((half > 0.0).all()):
            raise TetherError(f"centre and scale must be [k], scale positive; got {middle.tolist()} and {half.tolist()}")
        self.centre: Tensor
        self.scale: Tensor
        self.register_buffer("centre", middle)
        self.register_buffer("scale", half)

    @property
    def promise(self) -> str:
        """The safeguard's own, and what an action means."""
        return f"{self.safeguard.promise}\n\nFor actions a that mean the value {self.centre.tolist()} + {self.scale.tolist()} · a."

    def forward(self, state: Tensor, action: Tensor) -> Guarded:
        """See `Safeguard`."""
        guarded: Guarded = self.safeguard(state, self.centre + self.scale * action)
        sent = (guarded.action - self.centre) / self.scale
        changed = torch.where(action.abs() < torch.inf, sent - action, 0.0)
        return guarded._replace(action=sent, intervention=torch.linalg.vector_norm(changed, dim=1, keepdim=True))
