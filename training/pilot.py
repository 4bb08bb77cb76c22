"""A learned law as it flies many environments: its stages before and after the network as fused kernels."""

from __future__ import annotations

from torch import Tensor

from sim.fused.fuse import Fused
from tasks.task import Signals
from training.control_law import LawOutput
from training.learned_law import LearnedLaw


class Pilot:
    """The same numbers as the law, up to rounding, and the same gradients.

    Attributes:
        perceive, act: as of `LearnedLaw`.
    """

    def __init__(self, law: LearnedLaw) -> None:
        self.law = law
        self.perceive = Fused(law.perceive, f"the observation of {law.task.name}")
        self.act = Fused(law.act, f"the actuation of {law.task.name}")

    def __call__(self, sensors: Signals, command: Signals, memory: Tensor) -> LawOutput:
        """One deterministic step of all environments."""
        percept = self.perceive(sensors, command, memory)
        action, recurrent = self.law.actor(self.law.normalizer(percept.observation), percept.recurrent)
        output: LawOutput = self.act(percept, action, recurrent)
        return output
