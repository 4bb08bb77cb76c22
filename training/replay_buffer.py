"""What off-policy algorithms learn from again and again: the last transitions of every environment, drawn from uniformly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.errors import TetherError
from training.replicas import Generators


class Transitions(NamedTuple):
    """Single steps, ``[rows, …]``.

    Attributes:
        seen: what the critic sees, of which the actor's observation is the first part; not normalised.
        guarded: the safeguard's state; of no width in a law without one.
        action: as executed, a_s ``[rows, action size]``.
        reward: ``[rows, 1]``.
        terminated: 1 where the step ended in failure ``[rows, 1]``; a step at which time ran out is like any other.
        next_seen, next_guarded: after the step, before any reset.
    """

    seen: Tensor
    guarded: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    next_seen: Tensor
    next_guarded: Tensor


class ReplayBuffer:
    """A ring ``[capacity // N, S·N, width]`` of transitions, float32, on the device.

    It, and what a checkpoint keeps of it, takes at most 4 · replicas · capacity · width bytes, where width is twice that of what the critic
    sees and of the safeguard's state, plus that of the action, plus two.

    Args:
        capacity: transitions of each replica.
        num_envs, replicas: S·N and S.
        widths: of the fields of `Transitions`.

    Raises:
        TetherError: for a capacity below one step of all environments.
    """

    def __init__(self, capacity: int, num_envs: int, replicas: int, widths: Sequence[int], device: torch.device) -> None:
        self.share, self.replicas, self.widths = num_envs // replicas, replicas, list(widths)
        if capacity < self.share:
            raise TetherError(f"{capacity} transitions are not one step of {self.share} environments; remember more, by sac.capacity")
        self.ring = torch.zeros(capacity // self.share, num_envs, sum(self.widths), device=device)
        self.steps = 0  # ever added

    @property
    def capacity(self) -> int:
        """Transitions of each replica in the full ring."""
        return len(self.ring) * self.share

    def __len__(self) -> int:
        """Transitions of each replica."""
        return min(self.steps, len(self.ring)) * self.share

    @torch.no_grad()
    def add(self, transitions: Transitions) -> None:
        """Keep one step of every environment, in place of the oldest once the ring is full."""
        self.ring[self.steps % len(self.ring)] = torch.cat(transitions, dim=1)
        self.steps += 1

    def draw(self, count: int, generators: Generators) -> Transitions:
        """So many transitions of every replica, ``[replicas · count, …]``, each equally likely, with replacement."""
        drawn = generators.integers(len(self), count)
        first = self.share * torch.arange(self.replicas, device=drawn.device).unsqueeze(1)
        steps, environments = drawn // self.share, drawn % self.share + first
        return Transitions(*self.ring[steps.flatten(), environments.flatten()].split(self.widths, dim=1))

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit; only what is filled."""
        return {"ring": self.ring[: self.steps], "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.steps = state["steps"]
        self.ring[: self.steps] = state["ring"]
