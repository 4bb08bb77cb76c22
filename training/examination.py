"""How well a law flies without exploration noise, on episodes that training never sees: always the same ones."""

from __future__ import annotations

import torch

from training.environment import Environment
from training.pilot import Pilot


class Examination:
    """Whole episodes side by side.

    Args:
        pilot: of the law.
        environment: must not reset by itself; used for nothing else.
        seed: of the episodes.
    """

    def __init__(self, pilot: Pilot, environment: Environment, seed: int) -> None:
        self.pilot, self.environment, self.seed = pilot, environment, seed

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        """Success, and the median tracking error at the end."""
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
        return {"success": task.success(tracking, failed).float().mean().item(), "tracking_error": tracking[-1].median().item()}
