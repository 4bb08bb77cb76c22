"""Beeline: a hand-written law for `tasks.room` that flies straight at the goal and leaves obstacles to the safeguard.

    u = k (goal − position), each axis at most its full speed; what is in the way, the safeguard deflects

Baseline, fallback, and the measure of what learning adds: it slides along what it meets and can only be stopped by what faces it squarely.
"""

from __future__ import annotations

from torch import Tensor, nn

from robots.errors import TetherError
from tasks.room import Room
from training.guard import SafeguardConfig
from training.learned_law import LearnedLaw


class Beeline(LearnedLaw):
    """See the module's docstring.

    Args:
        task: what is flown.
        rate_hz: the task's, or none.
        safeguard: between this and the inner loop; `Deflection` by default.

    Raises:
        TetherError: for another rate than the task's: its safeguard was measured at that.
    """

    def __init__(self, task: Room, rate_hz: float | None = None, safeguard: SafeguardConfig | None = None) -> None:
        if rate_hz not in (None, task.rate_hz):
            raise TetherError(f"the safeguard of {task.name} was measured at {task.rate_hz:g} Hz; leave the rate out")
        super().__init__(task, safeguard=safeguard or SafeguardConfig(name="deflection"))
        self.actor.head = Straight()


class Straight(nn.Module):
    """Action from the observation's first three numbers, goal − position [m] in the world; the normaliser before has seen nothing."""

    gain_1_m = 1.2

    def forward(self, observation: Tensor) -> Tensor:
        """Mean action ``[batch, 3]``."""
        return self.gain_1_m * observation[:, :3]
