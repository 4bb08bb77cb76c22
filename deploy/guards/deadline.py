"""Missed deadlines: a period too far off, or an answer that took longer than one."""

from __future__ import annotations

import math
from collections import deque

from deploy.guards.config import GuardConfig

WINDOW_S = 1.0


class DeadlineGuard:
    """Counts missed periods, in a row and over the last second.

    A miss a second is 1 % at 100 Hz: too few to mean anything, so the second must also hold at least ``missed_in_row`` of them.

    Attributes:
        misses: misses since the start.
    """

    def __init__(self, period_s: float, config: GuardConfig) -> None:
        self._period_s = period_s
        self._tolerance_s = config.period_tolerance * period_s
        self._in_row_max = config.missed_in_row
        allowed = config.missed_fraction * WINDOW_S / period_s
        self._recent_max = max(config.missed_in_row, int(allowed) + 1) if math.isfinite(allowed) else None
        self._recent: deque[float] = deque(maxlen=self._recent_max or 1)
        self._in_row = 0
        self.misses = 0

    def reset(self) -> None:
        """Forget recent misses; the total stays."""
        self._recent.clear()
        self._in_row = 0

    def missed(self, period_s: float, lateness_s: float) -> bool:
        """Whether a period between stamps, or the time from receipt to answer, counts as missed."""
        return not (abs(period_s - self._period_s) <= self._tolerance_s and lateness_s <= self._period_s)

    def count(self, now_s: float) -> bool:
        """Count a miss at ``now_s``; true if it is one too many."""
        self.misses += 1
        self._in_row += 1
        self._recent.append(now_s)
        full = self._recent_max is not None and len(self._recent) == self._recent_max
        return self._in_row >= self._in_row_max or (full and now_s - self._recent[0] <= WINDOW_S)

    def good(self) -> None:
        """A period that was met."""
        self._in_row = 0
