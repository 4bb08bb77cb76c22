"""Commands that take effect later, resolved within physics sub-steps: each sub-step gets the mean of the commands in effect during it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sim.fused.kernel import spacing

MAX_ACTION_DELAY_S = 0.02
SPARE = 32  # commands that a history has room for before it begins anew


def history_length(control_dt: float, longest_s: float = MAX_ACTION_DELAY_S) -> int:
    """How many of the latest commands can be in effect during one control period, if none is later than ``longest_s``."""
    return 1 + math.ceil(longest_s / control_dt - 1e-6)


def takeover_times(control_dt: float, substeps: int, longest_s: float = MAX_ACTION_DELAY_S) -> Tensor:
    """Time from each command but the oldest to the end of each sub-step of this period, newest first, ``[substeps, history − 1, 1]``."""
    ends = control_dt / substeps * torch.arange(1, substeps + 1, dtype=torch.float64)
    ages = control_dt * torch.arange(history_length(control_dt, longest_s) - 1, dtype=torch.float64)
    return (ends.unsqueeze(1) + ages).unsqueeze(2)


def effective(commands: Sequence[Tensor], delay: Tensor, takeover: Tensor, physics_dt: float) -> Tensor:
    """The mean of the commands in effect during one sub-step, ``[4, n]``.

    A command takes effect ``delay`` ``[n]`` seconds after it was issued, so that of a sub-step which ends ``takeover`` ``[history − 1, 1]``
    seconds after that the share (takeover − delay)/physics_dt, within 0…1, is its own or a newer one's.

    Args:
        commands: the latest, newest first, each ``[4, n]``.
    """
    newer = ((takeover - delay) / physics_dt).clamp(0.0, 1.0)
    mean = commands[-1]
    for share, command, older in reversed(list(zip(newer, commands, commands[1:], strict=False))):
        mean = mean + share * (command - older)
    return mean


class History:
    """The latest commands of many environments, side by side so that kernels take them as one argument.

    Without gradients they lie one after the other in memory that is filled backwards, and only where they begin moves; with them, every
    new history is a tensor of its own, and a graph that remembers an older one is left alone.

    Args:
        rest: the commands of before the first, ``[length, width, num_envs]``, newest first.

    Attributes:
        latest: newest first, ``[num_envs, length · width]``, environments contiguous in memory.
    """

    def __init__(self, rest: Tensor) -> None:
        self.length, self.width, num_envs = rest.shape
        self.latest = rest.reshape(-1, num_envs).t()
        self._memory: Tensor | None = None
        self._begin = 0  # of the latest, rows of the memory

    def push(self, command: Tensor) -> None:
        """Remember one more ``[num_envs, width]``, and forget the oldest."""
        if torch.is_grad_enabled():
            self.latest, self._memory = torch.cat((command.t(), self.latest.t()[: -self.width])).t(), None
            return
        if self._memory is None or not self._begin:
            self._rewind()
        assert self._memory is not None
        self._begin -= self.width
        apart = self._memory.stride(0)
        self.latest = self._memory.as_strided(self.latest.shape, (1, apart), self._begin * apart)
        self.latest.narrow(1, 0, self.width).copy_(command)

    def _rewind(self) -> None:
        """Have the latest at the end of the memory."""
        latest, num_envs = self.latest.t().clone(), len(self.latest)  # both places may overlap
        self._begin = SPARE * self.width
        if self._memory is None:
            self._memory = latest.new_empty(self._begin + len(latest), spacing(num_envs))[:, :num_envs]
        self._memory[self._begin :] = latest

    def take(self, latest: Tensor) -> None:
        """Have these ``[num_envs, length · width]`` instead; they may be the present ones, changed in place."""
        if latest is not self.latest:
            self.latest, self._memory = latest, None

    def detach(self) -> None:
        """Cut them off the graph that led to them."""
        self.take(self.latest.detach())

    def each(self) -> Tensor:
        """As given at first, ``[length, width, num_envs]``."""
        return self.latest.t().unflatten(0, (self.length, self.width))
