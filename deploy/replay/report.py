"""Findings, and how they add up to a verdict.

A verdict is ``violation`` if at least one violation stands on rows no data-quality problem touches; else ``inconclusive`` if anything is
in doubt, which includes every violation seen only on doubtful rows; else ``pass``. A violation blames the policy or the robot, so it must
rest on data that can be trusted; a doubt never clears anybody. Either way nothing but clean evidence passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["violation", "inconclusive", "note"]
Verdict = Literal["pass", "violation", "inconclusive"]

SEVERITIES: tuple[Severity, ...] = ("violation", "inconclusive", "note")
EXIT_CODES: Mapping[str, int] = {"pass": 0, "violation": 1, "inconclusive": 2}
STATEMENT = "Replay is open-loop after the first divergence; it is evidence, not a proof."


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing a check has to say.

    Attributes:
        severity: ``violation`` (a rule was broken), ``inconclusive`` (it cannot be judged), ``note`` (worth knowing).
        check: name of the check that says so.
        what: one line.
        tick, time_s: where it first happened; time since the first row of the log [s].
        channel: column or signal concerned.
        value, limit: what was measured and what it was held against.
        unit: of both; empty for plain numbers.
        count: rows concerned.
        remedy: what to do about it, or what explains it.
        stands: False when a violation rests only on rows with a data-quality problem.
    """

    severity: Severity
    check: str
    what: str
    tick: int | None = None
    time_s: float | None = None
    channel: str = ""
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    count: int = 1
    remedy: str = ""
    stands: bool = True

    def to_dict(self) -> dict[str, Any]:
        """For JSON: plain types, non-finite numbers as None."""
        return {key: _plain(value) for key, value in self.__dict__.items()}


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of replaying one log.

    Attributes:
        findings: most severe first, then by time.
        checks: names of the checks that ran, in order.
        summary: scalars for tables: ticks, duration_s, latency percentiles, largest parity error, worst rule.
        provenance: what was judged against what: policy digest, robot, task, rate, versions.
        rules: every rule that was judged: name, verdict, worst value, limit, margin (how far from failing, in the signal's unit), when.
    """

    findings: tuple[Finding, ...]
    checks: tuple[str, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[Mapping[str, Any], ...] = ()

    @property
    def verdict(self) -> Verdict:
        """See the module's docstring for the rule."""
        return judge(self.findings)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 violation, 2 inconclusive."""
        return EXIT_CODES[self.verdict]

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        return {
            "verdict": self.verdict,
            "findings": [finding.to_dict() for finding in self.findings],
            "checks": list(self.checks),
            "summary": {key: _plain(value) for key, value in self.summary.items()},
            "rules": [{key: _plain(value) for key, value in rule.items()} for rule in self.rules],
            "provenance": {key: _plain(value) for key, value in self.provenance.items()},
        }


def judge(findings: Iterable[Finding]) -> Verdict:
    """The verdict over ``findings``."""
    kinds = {(finding.severity, finding.stands) for finding in findings}
    if ("violation", True) in kinds:
        return "violation"
    if any(severity != "note" for severity, _ in kinds):
        return "inconclusive"
    return "pass"


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Most severe first, standing before doubtful, then by time."""
    return tuple(sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), not f.stands, math.inf if f.time_s is None else f.time_s)))


def _plain(value: Any) -> Any:
    """JSON-safe: numpy scalars to Python's, non-finite floats to None."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
