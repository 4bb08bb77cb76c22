"""Several logs: one table, one verdict, and how little so many clean flights prove."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.replay.report import Verdict

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Fleet:
    """What n logs say together.

    Attributes:
        verdict: ``violation`` if any log has one, else ``inconclusive`` if any log is, else ``pass``.
        logs, violations, inconclusive: how many.
        rate_bound: upper 95 % bound of the violation rate per log (Clopper–Pearson, one-sided). A log that could not be judged counts as a
            violation: logs go missing or end early when flights go wrong.
    """

    verdict: Verdict
    logs: int
    violations: int
    inconclusive: int
    rate_bound: float

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> Fleet:
        """Add up the verdicts of at least one log."""
        violations, inconclusive = verdicts.count("violation"), verdicts.count("inconclusive")
        verdict: Verdict = "violation" if violations else "inconclusive" if inconclusive else "pass"
        return cls(verdict, len(verdicts), violations, inconclusive, upper_bound(violations + inconclusive, len(verdicts)))

    def words(self) -> str:
        """One line for the terminal and the report."""
        counted = f"{self.violations} with violations and {self.inconclusive} inconclusive in {self.logs} logs"
        bound = f"at {100 * CONFIDENCE:.0f} % confidence at most {100 * self.rate_bound:.1f} % of such runs violate a rule"
        return f"{counted}: {bound}" + (", counting those that could not be judged" if self.inconclusive else "")


def upper_bound(events: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """One-sided Clopper–Pearson bound: the rate at which no more than ``events`` in ``trials`` has probability 1 − ``confidence``.

    Clopper & Pearson, Biometrika 26 (1934). For no events it is 1 − (1 − confidence)^(1/n), less than 3/n at 95 %.
    """
    if events >= trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(events, trials, middle) > 1 - confidence else (low, middle)
    return high


def _at_most(events: int, trials: int, rate: float) -> float:
    """P(no more than ``events`` in ``trials``), binomial; in logarithms so that many trials do not overflow."""
    if rate in (0.0, 1.0):
        return 1.0 - rate
    terms = (
        math.lgamma(trials + 1)
        - math.lgamma(count + 1)
        - math.lgamma(trials - count + 1)
        + count * math.log(rate)
        + (trials - count) * math.log1p(-rate)
        for count in range(events + 1)
    )
    return math.fsum(math.exp(term) for term in terms)
