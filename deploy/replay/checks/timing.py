"""Was every observation answered in time?

Latency is from receipt of an observation to the end of the step that answers it, on the robot's monotonic clock. A step later than one
control period misses its deadline. Three misses in a row are a violation, and so are three or more within a second that make up more than
1 % of it: the thresholds at which the runtime's guard, unless configured otherwise, takes control away.
"""

from __future__ import annotations

import numpy as np

from deploy.guards import GuardConfig
from deploy.replay.case import Array, Case, Rows
from deploy.replay.report import Finding

STANDARD = GuardConfig()


def check(case: Case) -> list[Finding]:
    """Latency, jitter and deadlines over the steps in which the policy ran."""
    rows = np.flatnonzero(case.ran)
    if not len(rows):
        return []
    latency = case.column("finished_s") - case.column("receipt_s")
    if not latency[rows].any():
        what = "every step took no time at all: the clock was simulated, and this log says nothing about timing"
        return [Finding(severity="note", check="timing", what=what, channel="finished_s", count=len(rows))]
    case.traces["latency_s"] = np.where(case.ran, latency, np.nan)
    period = case.contract.period_s
    _summarise(case, latency[case.ran & np.isfinite(latency)])
    missed = case.ran & (latency > period)
    return [*_in_a_row(case, missed, latency), *_share(case, missed), *_jitter(case, rows)]


def _summarise(case: Case, latency: Array) -> None:
    if not len(latency):
        return
    for name, percentile in (("p50", 50), ("p99", 99), ("p99_9", 99.9), ("max", 100)):
        case.summary[f"latency_{name}_ms"] = float(np.percentile(latency, percentile)) * 1e3
    case.summary["deadline_misses"] = int((latency > case.contract.period_s).sum())


def _in_a_row(case: Case, missed: Rows, latency: Array) -> list[Finding]:
    runs = missed.copy()
    for back in range(1, STANDARD.missed_in_row):
        runs[back:] &= missed[:-back]
        runs[:back] = False
    worst = float(np.nanmax(latency[runs])) * 1e3 if runs.any() else None
    return case.violation(
        runs,
        check="timing",
        what=f"{STANDARD.missed_in_row} or more steps in a row were late by more than a control period",
        unit="ms",
        channel="latency",
        value=worst,
        limit=case.contract.period_s * 1e3,
        remedy="find what held the computer up (`tether doctor`); the runtime must leave POLICY after three misses",
    )


def _share(case: Case, missed: Rows) -> list[Finding]:
    """Misses within any second, or in the whole of a shorter log."""
    window = max(round(case.contract.rate_hz), 1)
    total = np.cumsum(missed)
    recent = total - np.concatenate([np.zeros(min(window, len(total)), dtype=total.dtype), total[:-window]])
    allowed = max(STANDARD.missed_in_row - 1, int(STANDARD.missed_fraction * window))
    return case.violation(
        recent > allowed,
        check="timing",
        what="too many steps within a second missed their deadline",
        unit="%",
        channel="latency",
        value=100 * float(recent.max()) / window,
        limit=100 * allowed / window,
        remedy="find what held the computer up (`tether doctor`), or export the policy for a lower rate",
    )


def _jitter(case: Case, rows: np.ndarray) -> list[Finding]:
    """How evenly observations arrived; what that does to the data is judged by the quality check."""
    period = case.contract.period_s
    consecutive = np.diff(rows) == 1
    intervals = np.diff(case.column("receipt_s")[rows])[consecutive]
    intervals = intervals[np.isfinite(intervals)]
    if not len(intervals):
        return []
    off = np.abs(intervals - period) > STANDARD.period_tolerance * period
    case.summary["jitter_p99_ms"] = float(np.percentile(np.abs(intervals - period), 99)) * 1e3
    case.summary["periods_off"] = int(off.sum())
    if not off.any():
        return []
    row = int(rows[1:][consecutive][np.argmax(off)])
    worst = float(intervals[np.argmax(np.abs(intervals - period))])
    what = f"{off.sum()} of {len(intervals)} arrival intervals are more than 20 % off the period"
    details = {"unit": "ms", "value": worst * 1e3, "limit": period * 1e3, "count": int(off.sum()), **case.at(row)}
    return [Finding(severity="note", check="timing", what=what, channel="receipt_s", **details)]
