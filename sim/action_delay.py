"""Commands that take effect later, resolved within physics sub-steps: each sub-step gets the mean of the commands in effect during it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MAX_ACTION_DELAY_S = 0.02


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
