"""Fills and writes the step record, and keeps the counts an operator sees."""

from __future__ import annotations

from collections import Counter

import numpy as np

from deploy.guards.commands import CommandBox
from deploy.guards.intake import Intake
from deploy.guards.trips import Trip, Warn, names
from deploy.record.layout import StepLayout
from deploy.record.writer import Recorder
from deploy.runtime.state_machine import State
from deploy.runtime.tick import Timing

RECENT = 1024  # steps whose durations are kept for the percentiles


class Journal:
    """One row per step.

    Attributes:
        row: the record being filled, float64 ``[layout.size]``.
        ticks: records so far.
        counts: how often each trip and warning was raised.
        last_trip, reason: what took control away last.
    """

    def __init__(self, layout: StepLayout, recorder: Recorder | None, rate_hz: float) -> None:
        self._recorder = recorder
        self._every = max(1, round(rate_hz))
        blocks = layout.blocks
        self._sensor, self._age, self._command = blocks["sensor"], blocks["age"], blocks["command"]
        self._command_age, self._sent = blocks["command_age"], blocks["actuation"]
        self._blank = np.full(layout.size, np.nan)
        self.row = self._blank.copy()
        self.ticks = 0
        self.counts: Counter[str] = Counter()
        self.last_trip = self.reason = ""
        self._trips = self._warnings = 0
        self._ran = 0.0
        self._restart_tick = 0
        self._durations = np.zeros(RECENT)

    def note(self, trips: int, reason: str = "") -> None:
        """A guard tripped in the step being filled."""
        if trips:
            self._trips |= trips
            self.last_trip, self.reason = ", ".join(names(Trip, trips)), reason

    def warn(self, warning: int) -> None:
        """Something worth saying about the step being filled."""
        self._warnings |= warning

    def ran(self) -> None:
        """The graph ran in the step being filled."""
        self._ran = 1.0

    def restart(self) -> None:
        """The policy starts with zero memory at this step."""
        self._restart_tick = self.ticks

    def snapshot(self, memory: np.ndarray, stamp_ns: int) -> None:
        """Record the memory given to the graph at this step, at every start and then every second."""
        if self._recorder is not None and (self.ticks - self._restart_tick) % self._every == 0:
            self._recorder.memory(self.ticks, memory, stamp_ns)

    def write(
        self, intake: Intake, commands: CommandBox, values: np.ndarray | None, state: State, stamp_ns: int, timing: Timing
    ) -> tuple[int, int, int]:
        """Complete the row, record it and start the next: (tick, trips, warnings)."""
        tick, trips, warnings, row = self.ticks, self._trips, self._warnings, self.row
        sent = 0.0 if values is None else 1.0
        seconds, rest = divmod(stamp_ns, 1_000_000_000)
        row[:11] = (tick, seconds, rest, timing.receipt_s, timing.started_s, timing.finished_s, state, trips, warnings, sent, self._ran)
        row[self._sensor] = intake.flat
        row[self._age] = [source.age(timing.receipt_s) for source in intake.sources.values()]
        row[self._command] = commands.flat
        row[self._command_age] = commands.ages
        if values is not None:
            row[self._sent] = values
        if self._recorder is not None:
            self._recorder.step(row, stamp_ns)
        self._durations[tick % RECENT] = timing.finished_s - timing.started_s
        self._count(trips, warnings)
        self.ticks, self._trips, self._warnings, self._ran = tick + 1, 0, 0, 0.0
        row[:] = self._blank
        return tick, trips, warnings

    def summary(self) -> dict[str, str]:
        """Counts, durations and the recorder's state, as text by name."""
        recent = self._durations[: min(self.ticks, RECENT)] * 1e6
        p50, p99 = np.percentile(recent, (50, 99)) if recent.size else (0.0, 0.0)
        return {
            "ticks": str(self.ticks),
            "last_trip": self.last_trip,
            "reason": self.reason,
            **{name: str(count) for name, count in sorted(self.counts.items())},
            "step_p50_us": f"{p50:.0f}",
            "step_p99_us": f"{p99:.0f}",
            "recorder": "off" if self._recorder is None else self._recorder.problem or "ok",
        }

    def _count(self, trips: int, warnings: int) -> None:
        if trips or warnings:
            self.counts.update(f"trip.{name}" for name in names(Trip, trips))
            self.counts.update(f"warning.{name}" for name in names(Warn, warnings))
