"""The robot stayed inside its envelope while the policy was in charge, and every further rule held."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from deploy.guards.trips import Trip
from deploy.replay.case import Array, Case
from deploy.replay.limits import guards, in_force
from deploy.replay.report import Finding
from safety.rules import Judgement, Rule, built_in, judge, parse_rules, samples


class StateLimit(NamedTuple):
    """How a derived signal is drawn, and the trip that a lasting excursion must have raised."""

    title: str
    unit: str
    scale: float
    trip: Trip


STATE_LIMITS = {
    "tilt": StateLimit("Tilt", "°", 180 / np.pi, Trip.TILT),
    "speed": StateLimit("Speed", "m/s", 1.0, Trip.SPEED),
    "body_rate": StateLimit("Largest body rate", "rad/s", 1.0, Trip.BODY_RATE),
    "distance": StateLimit("Distance from the goal", "m", 1.0, Trip.DISTANCE),
}


class Margin(NamedTuple):
    """A signal and the limit it must stay below, to be drawn."""

    title: str
    unit: str
    values: Array
    limit: float


def check(case: Case) -> list[Finding]:
    """Built-in rules from the limits in force, the policy file's own rules, and the user's."""
    standard = built_in(dataclasses.replace(case.contract, limits=in_force(case)))
    own = parse_rules({"rules": case.policy.rules["rules"]}, str(case.policy.path)) if "rules" in case.policy.rules else ()
    findings = []
    for rule in (*standard, *own, *case.rules):
        if case.ran.any() or rule in case.rules:  # without a flight the quality check has said so, once
            findings += _judge(case, rule, built_in=rule in standard)
    return findings


def _judge(case: Case, rule: Rule, *, built_in: bool) -> list[Finding]:
    result = judge(rule, case.log.columns, case.contract.period_s)
    case.judged.append(_row(case, result))
    if rule.signal in STATE_LIMITS and rule.upper and not rule.rate:
        title, unit, scale, _ = STATE_LIMITS[rule.signal]
        values = samples(case.log.columns, rule.signal).values[:, 0]
        title = title if built_in else f"{rule.name}: {title.lower()}"
        case.traces.setdefault("margins", []).append(Margin(title, unit, values * scale, rule.upper[0] * scale))
    if result.verdict == "not judged":
        what = f"the rule {rule.name!r} cannot be judged: {result.reason}"
        return [Finding(severity="inconclusive", check="envelope", what=what, channel=rule.signal, remedy="see the data-quality findings")]
    return _violation(case, result) + (_untripped(case, result) if built_in else [])


def _row(case: Case, result: Judgement) -> dict[str, Any]:
    """A line of `Report.rules`."""
    worst = result.worst_row
    return {
        "name": result.rule.name,
        "verdict": result.verdict,
        "channel": result.channel or result.rule.signal,
        "worst": result.worst,
        "limit": _limit(result),
        "margin": None if worst is None else float(result.robustness[worst]),
        "time_s": None if worst is None else float(case.time_s[worst]),
        "rows": result.count,
    }


def _violation(case: Case, result: Judgement) -> list[Finding]:
    rule = result.rule
    details = {"value": result.worst, "limit": _limit(result), "channel": result.channel}
    what = f"the rule {rule.name!r} is violated"
    return case.violation(result.robustness < 0, check="envelope", what=what, remedy="see the rows before it in the plots", **details)


def _limit(result: Judgement) -> float | None:
    """The bound that was broken."""
    if result.worst is None or result.worst_row is None:
        return None
    margin = result.robustness[result.worst_row]
    above = bool(result.rule.upper) and (not result.rule.lower or result.worst > float(np.mean([*result.rule.upper, *result.rule.lower])))
    value = abs(result.worst) if result.rule.absolute else result.worst
    return float(value + margin if above else value - margin)


def _untripped(case: Case, result: Judgement) -> list[Finding]:
    """Rows in which the guard should have tripped and had not: it lets no more than a few ticks outside a state limit pass."""
    if result.rule.signal not in STATE_LIMITS:
        return []
    trip = STATE_LIMITS[result.rule.signal].trip
    outside = case.ran & (result.robustness < 0)
    allowed = guards(case).envelope_ticks
    lasting = outside.copy()
    for back in range(1, allowed):
        lasting[back:] &= outside[:-back]
        lasting[:back] = False
    what = f"in charge for {allowed} ticks in a row outside the {result.rule.name} limit: the {trip.name} guard should have tripped"
    return case.violation(lasting, check="envelope", what=what, channel=result.rule.signal, remedy="the runtime did not guard this limit")
