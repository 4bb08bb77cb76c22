"""How far two processors may drift apart between memory snapshots.

The policy file's tolerance is for one step on one input. Where memory was recorded, one step can be compared by itself, and the error there
is what another processor's rounding does to a step: nothing at all where the flight is judged on the processor that flew it. From there on
each step's error goes into the next one's memory. How much that grows depends on the policy, so it is measured: every segment is run once
more with that error added to memory at random after each step, and the tolerance is widened by a few times what comes of it.
"""

from __future__ import annotations

import numpy as np

from deploy.replay import reinference
from deploy.replay.case import Array, Case
from deploy.replay.reinference import OUTPUTS, Rerun, relative

MARGIN = 5.0  # of the tolerance over one random trial


def rounding(case: Case, run: Rerun) -> float:
    """Relative error of a typical step from recorded memory; 0 if that is more than rounding can be.

    The (lower) median: another processor rounds otherwise nearly everywhere, an altered value is in one place and must not excuse itself.
    """
    first = np.flatnonzero(run.steps == 0)
    if not len(first):
        return 0.0
    errors = np.max([relative(case.block(kind)[first], run.outputs[kind][first]).max(axis=1, initial=0.0) for kind in OUTPUTS], axis=0)
    typical = float(np.sort(errors)[(len(errors) - 1) // 2])
    return typical if typical <= case.tolerance else 0.0


def tolerance(case: Case, run: Rerun, error: float) -> Array:
    """Tolerance by the number of steps since memory was known, ``[longest segment + 1]``; the last entry is for the memory after it.

    Args:
        case: the log and the policy.
        run: the plain run.
        error: relative error of one step, from `rounding`.
    """
    longest = int(run.steps.max(initial=-1)) + 1
    if not error:
        return np.full(longest + 1, case.tolerance)
    shaken = reinference.rerun(case, noise=error)
    drift = np.zeros(longest + 1)
    for kind in OUTPUTS:
        if run.outputs[kind].shape[1]:
            apart = relative(shaken.outputs[kind], run.outputs[kind]).max(axis=1)
            np.maximum.at(drift, run.steps[run.verified], np.nan_to_num(apart[run.verified]))
    return np.asarray(case.tolerance + MARGIN * np.maximum.accumulate(drift))
