"""The policy file, run again on the logged inputs, gives what the log says it gave."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from deploy.replay import drift, explain, reinference
from deploy.replay.case import Array, Case
from deploy.replay.reinference import OUTPUTS, Rerun, relative
from deploy.replay.report import Finding

UNVERIFIED = "keep the whole file: memory is recorded at every start and every second, and rows cannot be repeated without it"
ALTERED = "a logged value was altered, or the policy ran on other inputs than were logged"


def check(case: Case) -> list[Finding]:
    """Violation where an output differs by more than the policy file's tolerance; inconclusive where nothing could be run again."""
    run = reinference.rerun(case)
    rounding = drift.rounding(case, run)
    allowed = drift.tolerance(case, run, rounding)
    judged = Judged(case, run, np.where(run.verified, allowed[run.steps], np.inf), float(allowed[-1]))
    findings = [*_unverified(case, run), *judged.memory(), *(finding for kind in OUTPUTS for finding in judged.block(kind))]
    case.traces["parity"] = np.where(run.verified, judged.worst, np.nan)
    case.traces["parity tolerance"] = judged.allowed
    case.traces["rerun"] = run.outputs["policy"]
    case.summary["parity_max"] = float(judged.worst.max(initial=0.0))
    case.summary["verified_share"] = float(run.verified[case.ran].mean()) if case.ran.any() else 0.0
    return findings + _rounding(rounding, float(allowed[-1]))


def _unverified(case: Case, run: Rerun) -> list[Finding]:
    left = case.ran & ~run.verified
    what = "rows in which the policy ran could not be run again: the memory that went into them is unknown"
    return case.doubt(left, check="parity", what=what, channel="memory", remedy=UNVERIFIED)


def _rounding(error: float, widest: float) -> list[Finding]:
    """Say so when the flight is judged on another processor than it was flown on."""
    if not error:
        return []
    what = (
        f"this processor rounds otherwise than the robot's, by {error:.1e} in a step; the tolerance grows to {widest:.1e} between snapshots"
    )
    return [Finding(severity="note", check="parity", what=what, value=error, limit=widest)]


class Judged:
    """Errors of a run against their tolerances.

    Attributes:
        allowed: tolerance of every row ``[rows]``.
        worst: largest relative error of any output ``[rows]``, of the blocks compared so far.
    """

    def __init__(self, case: Case, run: Rerun, allowed: Array, allowed_memory: float) -> None:
        self._case, self._run, self._allowed_memory = case, run, allowed_memory
        self.allowed = allowed
        self.worst = np.zeros(case.rows)

    @cached_property
    def explanation(self) -> str:
        """What mistake with an input would explain the differences; empty if none does."""
        return explain.inputs(self._case, self._run)

    def block(self, kind: str) -> list[Finding]:
        """Compare one block of outputs."""
        case, logged, expected, names = self._case, self._case.block(kind), self._run.outputs[kind], self._case.names(kind)
        error = np.where(self._run.verified[:, None], np.nan_to_num(relative(logged, expected), nan=np.inf), 0.0)
        rows_error = error.max(axis=1, initial=0.0)
        self.worst = np.maximum(self.worst, rows_error)
        bad = rows_error > self.allowed
        if not bad.any():
            return []
        trusted = bad & ~case.suspect
        rows = trusted if trusted.any() else bad
        first = int(np.argmax(rows))
        return case.violation(
            bad,
            check="parity",
            what=f"{'actuation' if kind == 'policy' else kind} differs from what the policy gives on the logged inputs",
            channel=names[int(np.argmax(error[first]))],
            value=float(rows_error[rows].max()),
            limit=float(self.allowed[first]),
            remedy=self.explanation or explain.outputs(logged[rows], expected[rows], names) or ALTERED,
        )

    def memory(self) -> list[Finding]:
        """Snapshots that do not follow from the one before, and starts that are not from zero."""
        ticks, vectors = self._case.memory
        differs = {index: error for index, error in self._run.memory_error.items() if not error <= self._allowed_memory}
        differs.update({index: float(np.abs(vectors[index]).max()) for index in _starts(self._case) if vectors[index].any()})
        if not differs:
            return []
        return self._case.violation(
            np.isin(self._case.column("tick"), ticks[sorted(differs)]),
            check="parity",
            what="recorded memory differs from what the steps before it leave",
            channel="memory",
            value=max(differs.values()),
            limit=self._allowed_memory,
            remedy=self.explanation or ALTERED,
        )


def _starts(case: Case) -> list[int]:
    """Snapshots at which the policy took control: their memory must be zero."""
    starts = case.column("tick")[case.starts]
    return np.flatnonzero(np.isin(case.memory[0], starts)).tolist()
