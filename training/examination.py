"""How well a law flies without exploration noise, on episodes that training never sees: always the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.environment import Environment
from training.pilot import Pilot


class Examination:
    """Whole episodes side by side.

    Args:
        pilot: of the law.
        environment: must not reset by itself; used for nothing else.
        seed: of the episodes; one for each of the law's replicas.
    """

    def __init__(self, pilot: Pilot, environment: Environment, seed: int | Sequence[int]) -> None:
        self.pilot, self.environment, self.seed = pilot, environment, seed

    def __call__(self) -> dict[str, float]:
        """Success, and the median tracking error at the end."""
        return _summary(*self.fly())

    def by_replica(self) -> list[dict[str, float]]:
        """The same for every replica of the law."""
        success, error = (part.chunk(self.pilot.law.replicas) for part in self.fly())
        return [_summary(*pair) for pair in zip(success, error, strict=True)]

    @torch.no_grad()
    def fly(self) -> tuple[Tensor, Tensor]:
        """Success and the tracking error at the end ``[num_envs]``."""
        environment, task, count = self.environment, self.environment.task, self.environment.num_envs
        sensors, command = environment.restart(self.seed)
        memory = self.pilot.law.initial_memory(count, environment.device)
        failed, errors = ~environment.everyone, []
        for _ in range(environment.episode_steps):
            output = self.pilot(sensors, command, memory)
            step = environment.step(output.actuation)
            sensors, command, memory = step.sensors, step.command, output.memory
            failed = failed | step.terminated
            errors.append(step.tracking_error)
            if (lost := step.terminated).any():
                sensors, command = environment.reset(lost)
                memory = memory * (~lost).unsqueeze(1)
        tracking = torch.stack(errors)
        return task.success(tracking, failed), tracking[-1]


def _summary(success: Tensor, error: Tensor) -> dict[str, float]:
    return {"success": success.float().mean().item(), "tracking_error": error.median().item()}
