"""How well a law flies without exploration noise, on episodes that training never sees: always the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from training.control_law import LawOutput
from training.environment import Environment, EnvironmentStep
from training.pilot import Pilot


class Flown(NamedTuple):
    """One control step of every environment.

    Attributes:
        alive: environments that had not failed before it ``[num_envs]``.
        output: what the law gave.
        step: what came of it.
        failed: environments that have failed by its end ``[num_envs]``.
    """

    alive: Tensor
    output: LawOutput
    step: EnvironmentStep
    failed: Tensor


@torch.no_grad()
def flights(pilot: Pilot, environment: Environment, seed: int | Sequence[int], *, again: bool = False) -> Iterator[Flown]:
    """The steps of one whole episode in every environment, which must not reset by itself; those that fail are flown on.

    Args:
        pilot: of the law.
        environment: where.
        seed: of the episodes; one for each of the law's replicas.
        again: whether those that fail begin another episode instead, which does not count.
    """
    sensors, command = environment.restart(seed)
    memory = pilot.law.initial_memory(environment.num_envs, environment.device)
    alive = environment.everyone
    for _ in range(environment.episode_steps):
        output = pilot(sensors, command, memory)
        step = environment.step(output.actuation)
        yield Flown(alive, output, step, ~alive | step.terminated)
        sensors, command, memory = step.sensors, step.command, output.memory
        alive = alive & ~step.terminated
        if again and (lost := step.terminated).any():
            sensors, command = environment.reset(lost)
            memory = memory * (~lost).unsqueeze(1)


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

    def fly(self) -> tuple[Tensor, Tensor]:
        """Success and the tracking error at the end ``[num_envs]``."""
        errors = []
        for flown in flights(self.pilot, self.environment, self.seed, again=True):
            errors.append(flown.step.tracking_error)
        tracking = torch.stack(errors)
        return self.environment.task.success(tracking, flown.failed), tracking[-1]


def _summary(success: Tensor, error: Tensor) -> dict[str, float]:
    return {"success": success.float().mean().item(), "tracking_error": error.median().item()}
