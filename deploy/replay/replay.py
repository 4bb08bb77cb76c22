"""Judge one log against the policy file that flew."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deploy.policy import Policy
from deploy.record import Log
from deploy.replay.case import Case
from deploy.replay.checks import container, envelope, integrity, parity, quality, sent, timing, tracking, trips
from deploy.replay.report import Finding, Report, ordered
from safety.rules import Rule

Check = Callable[[Case], "list[Finding]"]

# In order: what can be trusted, what the policy did, what the robot did.
CHECKS: tuple[Check, ...] = (
    container.check,
    integrity.check,
    quality.check,
    parity.check,
    sent.check,
    envelope.check,
    trips.check,
    timing.check,
    tracking.check,
)

KNOWN = (
    "schema",
    "policy_digest",
    "contract",
    "robot",
    "robot_limits",
    "guards",
    "versions",
)  # metadata shown elsewhere; the rest are notes


def replay(log: Log, policy: Policy, rules: Sequence[Rule] = ()) -> Report:
    """Run every check on one log.

    Args:
        log: from `deploy.record.read_log`.
        policy: the file that flew.
        rules: what must hold besides the limits of robot and policy file.

    Returns:
        The report; see `deploy.replay.report` for how findings become a verdict.
    """
    return examine(log, policy, rules)[1]


def examine(log: Log, policy: Policy, rules: Sequence[Rule] = ()) -> tuple[Case, Report]:
    """`replay`, and the case with the traces that plots are made of."""
    case = Case(log, policy, tuple(rules))
    findings: list[Finding] = []
    ran = []
    with np.errstate(all="ignore"):  # damaged logs hold any bit pattern; each check says what it does with them
        for check in CHECKS:
            if _applies(check, case):
                findings += check(case)
                ran.append(check.__module__.rsplit(".", 1)[-1])
        duration = float(case.time_s[-1]) if case.rows else 0.0
    summary = {"rows": case.rows, "duration_s": duration, **case.summary}
    rules_judged, where_from = tuple(case.judged), provenance(case)
    return case, Report(findings=ordered(findings), checks=tuple(ran), summary=summary, rules=rules_judged, provenance=where_from)


def _applies(check: Check, case: Case) -> bool:
    """A log of another contract cannot be read on, an empty one holds nothing to judge, and a policy is run only on its own flights."""
    if check in (container.check, integrity.check):
        return True
    if case.log.contract != case.policy.contract or (not case.rows and check is not quality.check):
        return False
    return check is not parity.check or case.same_policy


def provenance(case: Case) -> dict[str, Any]:
    """What was judged against what."""
    metadata, contract = case.log.metadata, case.contract
    start_s = float(case.column("stamp_s")[0]) if case.rows else 0.0
    return {
        "log": str(case.log.path),
        "robot": metadata.get("robot", contract.robot),
        "task": contract.task,
        "rate": f"{contract.rate_hz:g} Hz",
        "first stamp": _date(start_s),
        "policy file": str(case.policy.path),
        "policy digest": case.policy.digest,
        "digest in the log": metadata.get("policy_digest", "none"),
        "made by": str(case.policy.provenance.get("command", "unknown")),
        "recorded with": _versions(metadata.get("versions", "{}")),
        **{key.replace("_", " "): text for key, text in metadata.items() if key not in KNOWN},
    }


def _date(seconds: float) -> str:
    """A stamp as a date if it is one, and not a simulation's time."""
    year_2000, year_2200 = 946_684_800, 7_258_118_400
    if not year_2000 < seconds < year_2200:
        return f"{seconds:g} s"
    return str(np.datetime64(int(seconds), "s")).replace("T", " ") + " UTC"


def _versions(text: str) -> str:
    try:
        return ", ".join(f"{name} {version}" for name, version in json.loads(text).items())
    except (ValueError, AttributeError):
        return "unknown"
