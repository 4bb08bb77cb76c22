"""Return, success and length of the episodes that training itself flies, for the log and the progress line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tasks.task import Task


class EpisodeStatistics:
    """Running averages over finished episodes, with the exploration noise that training adds; evaluation is done elsewhere.

    Args:
        task: whose success is counted.
        num_envs, episode_steps: environments, and steps in an episode that runs out of time.
        memory: finished episodes after which an old one weighs 1/e.
        replicas: each with averages of its own.
    """

    def __init__(
        self, task: Task, num_envs: int, episode_steps: int, device: torch.device, memory: float = 500.0, replicas: int = 1
    ) -> None:
        self.task, self.memory, self.replicas = task, memory, replicas
        self.errors = torch.zeros(episode_steps, num_envs, device=device)
        self.returns = torch.zeros(num_envs, device=device)
        self.whole = torch.zeros(num_envs, dtype=torch.bool, device=device)  # seen from its first step; staggered ones are not
        shape = (4,) if replicas == 1 else (4, replicas)
        self.sums = torch.zeros(shape, dtype=torch.float64, device=device)  # weight, return, success, steps

    def record(self, age: Tensor, reward: Tensor, error: Tensor) -> None:
        """Count one step of every environment: ``age`` is how many steps the episode had before it, all ``[num_envs]``."""
        self.returns += reward
        self.errors.scatter_(0, age.unsqueeze(0), error.unsqueeze(0))

    def record_window(self, age: Tensor, rewards: Tensor, errors: Tensor, running: Tensor) -> None:
        """Count the steps of a window that are ``running`` ``[steps, num_envs]``; ``age`` is how many there were before the window."""
        spare = len(self.errors)
        rows = age + torch.arange(len(rewards), device=age.device).unsqueeze(1)
        padded = torch.cat([self.errors, self.errors[:1]])
        self.errors = padded.scatter(0, torch.where(running, rows, spare), errors)[:spare]
        self.returns = self.returns + torch.where(running, rewards, 0.0).sum(0)

    def finish(self, age: Tensor, terminated: Tensor, truncated: Tensor) -> None:
        """Count the episodes that ended with this step, and begin the next ones."""
        done = terminated | truncated
        success = self.task.success(self.errors, terminated) & truncated
        counted = (done & self.whole).double()
        batch = torch.stack([counted, self.returns * counted, success * counted, (age + 1) * counted])
        batch = batch.view(*self.sums.shape, -1).sum(-1)
        self.sums = self.sums * torch.exp(-batch[0] / self.memory) + batch
        self.returns = torch.where(done, 0.0, self.returns)
        self.whole = self.whole | done

    def averages(self) -> dict[str, float | None]:
        """``return``, ``success`` and ``episode_steps``; None before the first episode has ended.

        With replicas, of all of them, and ``return_0``, ``return_1``, … of each.
        """
        found = _averages(self.sums.view(4, -1).sum(1).tolist())
        return found | {f"return_{index}": each["return"] for index, each in enumerate(self.by_replica()) if self.replicas > 1}

    def by_replica(self) -> list[dict[str, float | None]]:
        """The averages of every replica."""
        return [_averages(sums) for sums in self.sums.view(4, -1).t().tolist()]

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return {"errors": self.errors, "returns": self.returns, "whole": self.whole, "sums": self.sums}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.errors, self.returns, self.whole, self.sums = (state[name] for name in ("errors", "returns", "whole", "sums"))


def _averages(sums: Sequence[float]) -> dict[str, float | None]:
    weight, total, success, steps = sums
    names = {"return": total, "success": success, "episode_steps": steps}
    return {name: value / weight if weight else None for name, value in names.items()}
