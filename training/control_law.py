"""The control law: the one module that roll-outs run and export writes to ONNX.

    observation, memory' = task.observe(sensors, command, memory)
    action               = actor(normalise(observation))
    safe action          = safeguard(state(sensors), action)
    actuation            = task.follow(memory', safe action)

It need not be learned: `training.geometric_hover` is a `ControlLaw` too.
"""

from __future__ import annotations

import abc
from typing import NamedTuple

import torch
from torch import Tensor, nn

from robots.contract import SafeguardTerms
from tasks.task import Memory, Signals, Task


class LawOutput(NamedTuple):
    """Everything one step of a control law gives; the fields after ``memory`` are the graph's reserved outputs, ``[batch, …]``.

    ``unguarded`` is the action before the safeguard, within −1…1; of no width, and no output of the graph, in a law without one.
    """

    actuation: dict[str, Tensor]
    memory: Tensor
    observation: Tensor
    safe_distance: Tensor
    intervention: Tensor
    feasible: Tensor
    risk: Tensor
    unguarded: Tensor


class ControlLaw(nn.Module, abc.ABC):
    """Sensors, command and memory in; actuation, memory and the reserved outputs out."""

    task: Task

    @property
    @abc.abstractmethod
    def memory_size(self) -> int:
        """Width of the memory vector."""

    @property
    def terms(self) -> SafeguardTerms | None:
        """What a contract says of the law's safeguard; None for a law without one."""
        return None

    @abc.abstractmethod
    def forward(self, sensors: Signals, command: Signals, memory: Tensor) -> LawOutput:
        """One step for a batch; ``memory`` is ``[batch, memory_size]`` and all zeros at episode start."""

    def initial_memory(self, batch: int, device: torch.device | str = "cpu") -> Tensor:
        """Memory at episode start."""
        return torch.zeros(batch, self.memory_size, device=device)


UNBOUNDED = 1e6  # safe distance of a law without a safeguard: farther than any state, and finite, so that logs and parity can subtract it


def without_safeguard(actuation: dict[str, Tensor], memory: Tensor, observation: Tensor) -> LawOutput:
    """A `LawOutput` without safeguard and risk critic: unbounded distance, never intervening, always feasible, zero risk."""
    one = torch.ones_like(observation[:, :1])
    return LawOutput(actuation, memory, observation, one * UNBOUNDED, one * 0.0, one, one * 0.0, observation[:, :0])


def split_memory(memory: Tensor, action_size: int, task_size: int) -> tuple[Memory, Tensor]:
    """(task-visible memory, the actor's recurrent state) of a packed memory vector."""
    started, action, task, actor = memory.split([1, action_size, task_size, memory.shape[1] - 1 - action_size - task_size], dim=1)
    return Memory(started, action, task), actor
