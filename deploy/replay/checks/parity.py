"""The policy file, run again on the logged inputs, gives what the log says it gave."""

from __future__ import annotations

import numpy as np

from deploy.replay import explain, reinference
from deploy.replay.case import Array, Case, rowwise
from deploy.replay.reinference import OUTPUTS, Rerun, relative
from deploy.replay.report import Finding

UNVERIFIED = "keep the whole file: memory is recorded at every start and every second, and rows cannot be repeated without it"
ALTERED = "a logged value was altered, or the policy ran on other inputs than were logged"


def check(case: Case) -> list[Finding]:
    """Violation where an output differs by more than the policy file's tolerance; inconclusive where nothing could be run again."""
    run = reinference.rerun(case)
    worst, explanation = np.zeros(case.rows), explain.inputs(case, run)
    findings = _unverified(case, run) + _memory(case, run, explanation)
    findings += [finding for kind in OUTPUTS for finding in _block(case, run, kind, worst, explanation)]
    case.traces["parity"] = np.where(run.verified, worst, np.nan)
    case.traces["rerun"] = run.outputs["policy"]
    case.summary["parity_max"] = float(worst.max(initial=0.0))
    case.summary["verified_share"] = float(run.verified[case.ran].mean()) if case.ran.any() else 0.0
    return findings


def _unverified(case: Case, run: Rerun) -> list[Finding]:
    left = case.ran & ~run.verified
    what = "rows in which the policy ran could not be run again: the memory that went into them is unknown"
    return case.doubt(left, check="parity", what=what, channel="memory", remedy=UNVERIFIED)


def _block(case: Case, run: Rerun, kind: str, worst: Array, explanation: str) -> list[Finding]:
    """Compare one block and add its error to ``worst`` ``[rows]``."""
    logged, expected, names = case.block(kind), run.outputs[kind], case.names(kind)
    if not names:
        return []
    error = np.where(run.verified[:, None], relative(logged, expected), 0.0)
    differs = ~(error <= case.tolerance)  # also where it is not a number
    worst[:] = np.fmax(worst, np.nan_to_num(error, nan=np.inf).max(axis=1))
    bad = rowwise(differs)
    if not bad.any():
        return []
    trusted = bad & ~case.suspect
    rows = trusted if trusted.any() else bad
    first = int(np.argmax(rows))
    channel = names[int(np.argmax(np.nan_to_num(error[first], nan=np.inf)))]
    return case.violation(
        bad,
        check="parity",
        what=f"{'actuation' if kind == 'policy' else kind} differs from what the policy gives on the logged inputs",
        channel=channel,
        value=float(np.nan_to_num(error[rows], nan=np.inf).max()),
        limit=case.tolerance,
        remedy=explanation or explain.outputs(logged[rows], expected[rows], names) or ALTERED,
    )


def _memory(case: Case, run: Rerun, explanation: str) -> list[Finding]:
    """Snapshots that do not follow from the one before, and starts that are not from zero."""
    ticks, vectors = case.memory
    differs = {index: error for index, error in run.memory_error.items() if not error <= case.tolerance}
    differs.update({index: float(np.abs(vectors[index]).max()) for index in _starts(case) if vectors[index].any()})
    bad = np.isin(case.column("tick"), ticks[sorted(differs)])
    return case.violation(
        bad,
        check="parity",
        what="recorded memory differs from what the steps before it leave",
        channel="memory",
        value=max(differs.values(), default=None),
        limit=case.tolerance,
        remedy=explanation or ALTERED,
    )


def _starts(case: Case) -> list[int]:
    """Snapshots at which the policy took control: their memory must be zero."""
    starts = case.column("tick")[case.starts]
    return np.flatnonzero(np.isin(case.memory[0], starts)).tolist()
