"""Several logs: one table, one verdict, and how little so many clean flights prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.replay.binomial import CONFIDENCE, upper_bound
from deploy.replay.report import Verdict


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
