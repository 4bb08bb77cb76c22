"""What arrives from the robot, checked for names, width, finite numbers and order before anything sees it; latest values with ages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from deploy.guards.trips import Trip
from deploy.record.layout import NEVER, sources
from robots.contract import Contract
from safety.envelope import FLOAT32_MAX

STAMP_MAX = 2**63 - 1  # 292 years of nanoseconds; a stamp beyond is no time
STALE_ORDER = -1  # `Intake.take` of a reading not newer than the last


class Source:
    """One message: where its signals lie in the flat vector, and when it last came."""

    def __init__(self, name: str, signals: list[tuple[str, slice]], max_age_s: float) -> None:
        self.name = name
        self.signals = signals
        self.max_age_s = max_age_s
        self.receipt_s: float | None = None
        self.stamp_ns: int | None = None
        self.period_s = 0.0

    def age(self, now_s: float) -> float:
        """Seconds since receipt; `NEVER` before the first."""
        return NEVER if self.receipt_s is None else max(0.0, now_s - self.receipt_s)


class Intake:
    """Latest readings of all sensors.

    Args:
        contract: the sensors, and how old each source may become.
        max_age_s: of sources for which the contract does not say.

    Attributes:
        sensors: graph inputs by name, float32 ``[1, size]``, views of ``flat``.
        flat: all sensors in contract order, float32.
        sources: by name.
        out_of_order: readings discarded because their stamp was not newer.
    """

    def __init__(self, contract: Contract, max_age_s: float = math.inf) -> None:
        self.flat = np.zeros(sum(sensor.size for sensor in contract.sensors), dtype=np.float32)
        self._incoming = np.zeros(len(self.flat))
        self.sensors: dict[str, np.ndarray] = {}
        self.out_of_order = 0
        signals: dict[str, list[tuple[str, slice]]] = {name: [] for name in sources(contract)}
        start = 0
        for sensor in contract.sensors:
            block = slice(start, start + sensor.size)
            self.sensors[sensor.name] = self.flat[block].reshape(1, -1)
            signals[sensor.source].append((sensor.name, block))
            start = block.stop
        self.sources = {name: Source(name, items, contract.max_age_s.get(name, max_age_s)) for name, items in signals.items()}
        self.clock = self.sources[contract.clock]

    def reset(self) -> None:
        """Forget order and ages, as after a restart of the robot."""
        for source in self.sources.values():
            source.receipt_s = source.stamp_ns = None
            source.period_s = 0.0

    @property
    def complete(self) -> bool:
        """Whether every source has been received."""
        return all(source.receipt_s is not None for source in self.sources.values())

    def stale(self, now_s: float) -> bool:
        """Whether a source other than the clock is older than the contract allows."""
        return any(source.age(now_s) > source.max_age_s for source in self.sources.values() if source is not self.clock)

    def take(self, source: Source, readings: Mapping[str, Any], stamp_ns: Any, receipt_s: float) -> int:
        """Accept a message: 0, or `STALE_ORDER`, or a `Trip` mask and the values stay as they were."""
        try:
            stamp = int(stamp_ns)
            if not -STAMP_MAX <= stamp <= STAMP_MAX:
                return Trip.BAD_INPUT.value
            for name, block in source.signals:
                values = np.asarray(readings[name], dtype=np.float64)
                if values.size != block.stop - block.start:
                    return Trip.BAD_INPUT.value
                self._incoming[block] = values.ravel()
        except (KeyError, TypeError, ValueError, OverflowError):
            return Trip.BAD_INPUT.value
        if source.stamp_ns is not None and stamp <= source.stamp_ns:
            self.out_of_order += 1
            return STALE_ORDER
        for _, block in source.signals:
            if not np.abs(self._incoming[block]).max() <= FLOAT32_MAX:
                return Trip.NON_FINITE_INPUT.value
        for _, block in source.signals:
            self.flat[block] = self._incoming[block]
        source.period_s = 0.0 if source.stamp_ns is None else (stamp - source.stamp_ns) * 1e-9
        source.stamp_ns, source.receipt_s = stamp, receipt_s
        return 0
