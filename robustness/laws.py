"""Laws in memory under disturbances, without a policy file: for training experiments, all replicas at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from deploy.policy.policy import PolicyOutput
from robustness.rollouts import Outcome, Where, fly_cells
from training.environment import Amend
from training.learned_law import LearnedLaw
from training.pilot import Pilot


class LawInMemory:
    """A law with the face of a `deploy.policy.Policy`, as far as flying needs it; actions are those without exploration noise."""

    def __init__(self, law: LearnedLaw) -> None:
        self.pilot, self.contract = Pilot(law), law.task.contract(law.memory_size)

    def initial_memory(self, batch: int) -> np.ndarray:
        """As `Policy.initial_memory`."""
        memory: np.ndarray = self.pilot.law.initial_memory(batch).numpy()
        return memory

    @torch.no_grad()
    def step(self, sensors: Mapping[str, np.ndarray], command: Mapping[str, np.ndarray], memory: np.ndarray) -> PolicyOutput:
        """As `Policy.step`."""
        read, asked = ({name: torch.from_numpy(value) for name, value in signals.items()} for signals in (sensors, command))
        found = self.pilot(read, asked, torch.from_numpy(memory))
        actuation = {name: value.numpy() for name, value in found.actuation.items()}
        return PolicyOutput(actuation, *[value.numpy() for value in found[1:]])


def fly_laws(
    law: LearnedLaw, suite: str, cells: Sequence[Amend], episodes: int, *, seed: int = 0, simulator: str = "auto"
) -> list[Outcome]:
    """``episodes`` episodes of every replica of ``law`` in each cell, all the same ones; see `robustness.rollouts.fly_cells`.

    Returns:
        An `Outcome` ``[cells, episodes]`` a replica.
    """
    where = Where(LawInMemory(law), law.task, suite, simulator, seed=seed)
    outcome = fly_cells(where, list(cells) * law.replicas, episodes, copies=law.replicas)
    parts = [np.split(values, law.replicas) for values in outcome]
    return [Outcome(*part) for part in zip(*parts, strict=True)]
