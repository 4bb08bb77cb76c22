"""The log belongs to this policy file: same digest, same contract; and what the log says of limits and guards can be read."""

from __future__ import annotations

import dataclasses

from deploy.replay import limits
from deploy.replay.case import Case
from deploy.replay.report import Finding

REMEDY = "give --policy the file that flew; `tether inspect` prints a file's digest"
DAMAGED = "the file is damaged; copy it again from the robot and compare checksums"


def check(case: Case) -> list[Finding]:
    """A log of another policy cannot be judged against this one: inconclusive, and the checks that run the policy are left out."""
    findings = []
    logged = case.log.metadata.get("policy_digest", "")
    if logged != case.policy.digest:
        what = f"the log is of policy {logged[:12] or '(none)'}, the file given is {case.policy.digest[:12]}"
        findings.append(Finding(severity="inconclusive", check="integrity", what=what, channel="policy_digest", remedy=REMEDY))
    differing = differences(case)
    if differing:
        what = f"the log's contract differs from the policy file's in: {', '.join(differing)}"
        findings.append(Finding(severity="inconclusive", check="integrity", what=what, channel="contract", remedy=REMEDY))
    for problem in limits.problems(case):
        findings.append(Finding(severity="inconclusive", check="integrity", what=problem, channel="metadata", remedy=DAMAGED))
    return findings


def differences(case: Case) -> list[str]:
    """Names of the contract's fields in which log and policy file differ."""
    mine, logged = case.policy.contract, case.log.contract
    return [field.name for field in dataclasses.fields(mine) if getattr(mine, field.name) != getattr(logged, field.name)]
