"""What was sent is what the policy asked for, brought within the limits by the guards and by nothing else."""

from __future__ import annotations

import numpy as np

from deploy.replay.case import Array, Case, Rows, rowwise
from deploy.replay.limits import behaviour, bounds, in_force, steps
from deploy.replay.report import Finding
from deploy.runtime.state_machine import State

ROUNDING = 1e-6  # relative; the guards clamp in float32
REMEDY = "a logged value was altered, or something between policy and robot changes commands"


def check(case: Case) -> list[Finding]:
    """Sent = clamp(policy) while the policy flies, the declared safe command when stopped, inside the hard limits always."""
    sent, (lower, upper) = case.block("actuation"), bounds(case)
    step = steps(case, in_force(case))
    outside = case.sent[:, None] & ((sent < _below(lower)) | (sent > _above(upper)))
    expected = _clamped(case, sent, lower, upper, step)
    changed = (case.sent & case.ran)[:, None] & ~_equal(sent, expected)
    stopped = case.sent & np.isin(case.column("state"), (State.DAMPING, State.ESTOP))
    unsafe = stopped[:, None] & ~_equal(sent, _safe(case))
    altered = "what was sent is not what the policy asked for within limits"
    return [
        *_violation(case, outside, sent, np.where(sent > upper, upper, lower), "a command outside the hard limits was sent"),
        *_violation(case, changed & ~outside, sent, expected, altered),
        *_violation(
            case, unsafe & ~outside, sent, np.broadcast_to(_safe(case), sent.shape), "a stopped robot was not sent its safe command"
        ),
        *_answered(case),
        *_clamps(case, rowwise(changed)),
    ]


def _clamped(case: Case, sent: Array, lower: Array, upper: Array, step: Array) -> Array:
    """The policy's output within rate limits, against what was sent a step before, then within hard limits ``[rows, size]``."""
    asked = _blended(case, case.block("policy"), lower, upper)
    before = np.roll(sent, 1, axis=0)
    follows = (case.ran & ~case.starts)[:, None] & np.isfinite(before)
    limited = np.clip(asked, np.where(follows, before - step, -np.inf), np.where(follows, before + step, np.inf))
    return np.asarray(np.clip(limited, lower, upper))


def _blended(case: Case, asked: Array, lower: Array, upper: Array) -> Array:
    """What a robot that stands is sent while control passes to the policy: stand + elapsed / blend time · (asked − stand)."""
    known = behaviour(case)
    stand = [known.stand.get(signal.name, ()) for signal in case.contract.actuation]
    if not known.blend_s or any(len(values) != signal.size for values, signal in zip(stand, case.contract.actuation)):
        return asked
    hold = np.clip(np.concatenate(stand), lower, upper).astype(np.float32).astype(float)
    receipt = case.column("receipt_s")
    begin = np.maximum.accumulate(np.where(case.starts, np.arange(case.rows), 0))
    share = ((receipt - receipt[begin]) / known.blend_s).astype(np.float32).astype(float)[:, None]
    return np.asarray(np.where(share < 1.0, hold + share * (asked - hold), asked))


def _equal(found: Array, expected: Array) -> Rows:
    return np.asarray(np.abs(found - expected) <= ROUNDING * np.maximum(1.0, np.abs(expected)))


def _below(lower: Array) -> Array:
    return lower - ROUNDING * np.maximum(1.0, np.abs(lower))


def _above(upper: Array) -> Array:
    return upper + ROUNDING * np.maximum(1.0, np.abs(upper))


def _safe(case: Case) -> Array:
    return np.array([value for signal in case.contract.actuation for value in signal.safe or (0.0,) * signal.size])


def _violation(case: Case, wrong: np.ndarray, found: Array, allowed: Array, what: str) -> list[Finding]:
    """Cells ``[rows, size]`` that are ``wrong``: what was ``found`` there and what would have been ``allowed``."""
    rows = rowwise(wrong)
    if not rows.any():
        return []
    trusted = rows & ~case.suspect
    first = int(np.argmax(trusted if trusted.any() else rows))
    column = int(np.argmax(wrong[first]))
    details = {"value": float(found[first, column]), "limit": float(allowed[first, column]), "unit": _units(case)[column]}
    return case.violation(rows, check="sent", what=what, channel=case.names("actuation")[column], remedy=REMEDY, **details)


def _units(case: Case) -> list[str]:
    return [signal.unit for signal in case.contract.actuation for _ in signal.channels]


def _answered(case: Case) -> list[Finding]:
    """In control, every step of the policy is sent; out of control, none is."""
    flying = np.isin(case.column("state"), (State.POLICY, State.HOLD))
    what = "the policy ran and its command was not sent, or was sent while the policy was not in control"
    return case.violation(case.ran & ~(flying & case.sent), check="sent", what=what, channel="sent", remedy=REMEDY)


def _clamps(case: Case, altered: Rows) -> list[Finding]:
    """How often the guards had to step in."""
    clamped = case.ran & case.sent & ~altered & rowwise(~_equal(case.block("actuation"), case.block("policy")))
    case.summary["clamped"] = int(clamped.sum())
    if not clamped.any():
        return []
    what = "the guards brought the policy's command within the limits"
    return [Finding(severity="note", check="sent", what=what, count=int(clamped.sum()), **case.at(int(np.argmax(clamped))))]
