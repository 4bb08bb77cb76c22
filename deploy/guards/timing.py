"""Ages and deadlines at a clock tick: what is late, what is missing, what was missed."""

from __future__ import annotations

from deploy.guards.config import GuardConfig
from deploy.guards.deadline import DeadlineGuard
from deploy.guards.intake import Intake
from deploy.guards.trips import Trip, Warn


class TimingGuard:
    """Judges time, by receipt on the monotonic clock.

    Attributes:
        deadlines: the count of missed periods.
        lateness_s: from receipt to answer of the last tick; set by whoever answers.
    """

    def __init__(self, intake: Intake, period_s: float, config: GuardConfig) -> None:
        self._intake = intake
        self._warn_s = config.clock_warn_periods * period_s
        self._trip_s = config.clock_trip_periods * period_s
        self.deadlines = DeadlineGuard(period_s, config)
        self.lateness_s = 0.0

    def restart(self) -> None:
        """Forget misses: the policy starts."""
        self.deadlines.reset()
        self.lateness_s = 0.0

    def silent(self, age_s: float) -> bool:
        """Whether a clock sensor of this age is one that has stopped."""
        return age_s > self._trip_s

    def check(self, age_s: float, period_s: float, now_s: float) -> tuple[int, int]:
        """Judge a clock tick that came ``age_s`` after the one before, ``period_s`` after it by their stamps: (`Trip`, `Warn`) masks."""
        trips = warnings = 0
        if self.silent(age_s):
            trips |= Trip.STALE_CLOCK.value
        elif age_s > self._warn_s:
            warnings |= Warn.LATE_CLOCK.value
        if self._intake.stale(now_s):
            trips |= Trip.STALE_SENSOR.value
        if self.deadlines.missed(period_s, self.lateness_s):
            warnings |= Warn.MISSED.value
            trips |= Trip.DEADLINE.value if self.deadlines.count(now_s) else 0
        else:
            self.deadlines.good()
        return trips, warnings
