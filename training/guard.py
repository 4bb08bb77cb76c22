"""The safeguard of a learned law: chosen by the task's name for it, with the gradient that training wants."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from robots.errors import unknown
from safety.safeguards.safeguard import Guarded, pass_through
from tasks.task import Task

NONE = "none"
GradientName = Literal["plain", "pass_through"]
GRADIENTS: tuple[str, ...] = typing.get_args(GradientName)


@dataclass(frozen=True)
class SafeguardConfig:
    """What stands between actor and actuation, and how training sees it.

    Attributes:
        name: one of the task's safeguards, or none.
        gradient: plain, or pass_through: that of an identity in its place.
        regularisation: c_d of the loss term c_d · mean (a_s − a)², for algorithms that differentiate through it; 0.1 as published.
    """

    name: str = NONE
    gradient: GradientName = "plain"
    regularisation: float = 0.0


class Guard(nn.Module):
    """`tasks.task.Task.safeguard` in a law; see `safety.safeguards.safeguard`.

    Raises:
        TetherError: for a safeguard that the task does not have, or an unknown gradient.
    """

    def __init__(self, task: Task, config: SafeguardConfig) -> None:
        super().__init__()
        self.safeguard = task.safeguard(config.name)
        if config.gradient not in GRADIENTS:
            raise unknown("gradient of a safeguard", config.gradient, GRADIENTS)
        self.passes = config.gradient == "pass_through"

    def forward(self, state: Tensor, action: Tensor) -> Guarded:
        """Guard a batch: ``[n, dim]``, ``[n, k]`` within −1…1."""
        guarded: Guarded = self.safeguard(state, action)
        if self.passes and torch.is_grad_enabled():
            return guarded._replace(action=pass_through(guarded.action, action))
        return guarded


def in_single_precision(guarded: Guarded) -> Guarded:
    """What a guard computed from float64, as the rest of a law takes it; safeguards' margins are for this rounding."""
    return Guarded(*(part.float() for part in guarded))
