"""What may go wrong with a sensor during an episode, beside noise, bias and delay: a slow drift, and a reading that stands still.

Pure, so that a step of them is part of a fused kernel, and once for every engine. Both are scheduled when an episode begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from sim.sensors import Errors


class Drift(NamedTuple):
    """An error that grows linearly and then stays: offset · clamp((t − begins) / lasts, 0, 1).

    Attributes:
        offset: in the sensor's unit ``[num_envs, width]``, as a bias of `sim.sensors.SensorModel`: of a quaternion a rotation vector [rad].
        begins_s, lasts_s: time in the episode, and how long it grows, ``[num_envs, 1]``; the latter positive.
    """

    offset: Tensor
    begins_s: Tensor
    lasts_s: Tensor


class Freeze(NamedTuple):
    """A sensor that repeats its last reading while begins ≤ t < begins + lasts [s], ``[num_envs, 1]`` each."""

    begins_s: Tensor
    lasts_s: Tensor


def drifted(errors: Errors, drift: Mapping[str, Drift], widths: Mapping[str, int], time_s: Tensor) -> Errors:
    """``errors`` with the drift added to their bias.

    Args:
        errors: of one reading.
        drift: by sensor name; what is not named does not drift.
        widths: of the errors' columns by sensor name, in their order.
        time_s: since the episode began, ``[num_envs, 1]``.
    """
    columns = [_offset(drift[name], time_s) if name in drift else time_s.expand(-1, width) * 0 for name, width in widths.items()]
    return errors._replace(bias=errors.bias + torch.cat(columns, dim=1))


def _offset(drift: Drift, time_s: Tensor) -> Tensor:
    return drift.offset * ((time_s - drift.begins_s) / drift.lasts_s).clamp(0.0, 1.0)


def frozen(readings: Mapping[str, Tensor], before: Mapping[str, Tensor], freeze: Mapping[str, Freeze], time_s: Tensor) -> dict[str, Tensor]:
    """``readings``, where a sensor is frozen those of the step ``before``, by sensor name ``[num_envs, size]``."""
    found = dict(readings)
    for name, when in freeze.items():
        stands = (time_s >= when.begins_s) & (time_s < when.begins_s + when.lasts_s)
        found[name] = torch.where(stands, before[name], readings[name])
    return found
