"""A learned law as it flies many environments: its stages before and after the network as fused kernels."""

from __future__ import annotations

from torch import Tensor

from safety.safeguards.safeguard import Guarded
from sim.fused.fuse import Fused
from tasks.task import Signals
from training.control_law import LawOutput
from training.guard import in_single_precision
from training.learned_law import LearnedLaw, Percept


class Pilot:
    """The same numbers as the law, up to rounding, and the same gradients.

    Attributes:
        perceive: as of `LearnedLaw`.
    """

    def __init__(self, law: LearnedLaw) -> None:
        self.law = law
        self.perceive = Fused(law.perceive, f"the observation of {law.task.name}")
        self._guard = Fused(law.guard, f"the safeguard of {law.task.name}") if law.guard else None
        self._act = Fused(law.act, f"the actuation of {law.task.name}")

    def act(self, percept: Percept, action: Tensor, recurrent: Tensor) -> LawOutput:
        """Clamp ``action`` ``[num_envs, k]`` to −1…1, guard it, and send and remember what comes of it."""
        action = action.clamp(-1.0, 1.0)
        output: LawOutput = self._act(percept, action, recurrent, self.guarded(percept.guarded_state, action))
        return output

    def guarded(self, state: Tensor, action: Tensor) -> Guarded | None:
        """What the guard makes of ``action`` ``[rows, k]`` within −1…1, in states ``[rows, any]``; None in a law without one."""
        return in_single_precision(self._guard(state.double(), action.double())) if self._guard else None

    def __call__(self, sensors: Signals, command: Signals, memory: Tensor) -> LawOutput:
        """One deterministic step of all environments."""
        percept = self.perceive(sensors, command, memory)
        action, recurrent = self.law.actor(self.law.normalizer(percept.observation), percept.recurrent)
        return self.act(percept, action, recurrent)
