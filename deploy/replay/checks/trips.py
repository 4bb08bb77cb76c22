"""Every trip of a guard, and what it says about the run."""

from __future__ import annotations

import numpy as np

from deploy.guards.trips import Trip, Warn, names
from deploy.replay.case import Case, Rows
from deploy.replay.report import Finding
from deploy.runtime.state_machine import State

POLICY_FAULTS = Trip.NON_FINITE_OUTPUT | Trip.BAD_OUTPUT | Trip.POLICY_ERROR
LEFT_ENVELOPE = Trip.TILT | Trip.SPEED | Trip.BODY_RATE | Trip.DISTANCE
DATA_FAULTS = Trip.IMPLAUSIBLE | Trip.NON_FINITE_INPUT | Trip.BAD_INPUT | Trip.STALE_CLOCK | Trip.STALE_SENSOR | Trip.DEADLINE


def check(case: Case) -> list[Finding]:
    """A trip that blames policy or robot is a violation, one that blames data or timing inconclusive, an operator's a note."""
    findings = [finding for trip in Trip if case.tripped(trip).any() for finding in _of(case, trip)]
    return [*findings, *_ignored(case), *_warnings(case)]


def _of(case: Case, trip: Trip) -> list[Finding]:
    where = case.tripped(trip)
    what = f"the runtime tripped: {names(Trip, trip.value)[0].replace('_', ' ')}"
    if trip & POLICY_FAULTS:
        remedy = "the policy gives what cannot be sent; find the input that makes it do so in the rows before"
        return case.violation(where, check="trips", what=what, channel="trips", remedy=remedy)
    if trip & LEFT_ENVELOPE:
        return case.violation(where, check="trips", what=what, channel="trips", remedy="the robot left its envelope; see the plots")
    if trip & DATA_FAULTS:
        remedy = "what the robot measured, or when, could not be trusted; check the sensor, its link and the computer's load"
        return case.doubt(where, check="trips", what=what, channel="trips", remedy=remedy)
    details = {"count": int(where.sum()), **case.at(int(np.argmax(where)))}
    return [Finding(severity="note", check="trips", what=what, channel="trips", **details)]


def _ignored(case: Case) -> list[Finding]:
    """A trip other than the dead-man switch's, which may lead to HOLD, takes control away in the same step."""
    leaves = case.tripped(*(trip for trip in Trip if trip is not Trip.DEAD_MAN))
    flying: Rows = np.isin(case.column("state"), (State.POLICY, State.HOLD))
    what = "a guard tripped and the policy stayed in control"
    return case.violation(leaves & flying, check="trips", what=what, channel="state", remedy="the runtime did not do what its guards asked")


def _warnings(case: Case) -> list[Finding]:
    mask = case.mask("warnings")
    findings = []
    for warning in Warn:
        where = case.ran & ((mask & warning.value) != 0)
        if where.any():
            what = f"the runtime warned: {names(Warn, warning.value)[0].replace('_', ' ')}"
            details = {"count": int(where.sum()), **case.at(int(np.argmax(where)))}
            findings.append(Finding(severity="note", check="trips", what=what, channel="warnings", **details))
    return findings
