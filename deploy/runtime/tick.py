"""What the runtime answers a reading with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from deploy.runtime.state_machine import State
from robots.signals import Actuation


class Timing(NamedTuple):
    """Monotonic clock [s], and the period between the last two stamps [s]; 0 before there are two."""

    receipt_s: float
    started_s: float
    finished_s: float
    period_s: float


@dataclass(frozen=True)
class Tick:
    """One step.

    Attributes:
        number: counts from 0.
        actuation: what to send, float32 by name, within hard limits; None means send nothing.
        stamp_ns: stamp of the observation answered.
        state: after the step.
        request_failsafe: the autopilot must take over; stays true until the policy is in control again.
        trips, warnings: raised in this step, for example ``("stale_clock",)``.
        timing: when.
    """

    number: int
    actuation: dict[str, np.ndarray] | None
    stamp_ns: int
    state: State
    request_failsafe: bool
    trips: tuple[str, ...]
    warnings: tuple[str, ...]
    timing: Timing


def by_name(signals: Sequence[Actuation], values: np.ndarray) -> dict[str, np.ndarray]:
    """A copy of ``values`` ``[actuation size]``, split by signal."""
    values, start, named = values.copy(), 0, {}
    for signal in signals:
        named[signal.name] = values[start : start + signal.size]
        start += signal.size
    return named
