"""Policy smoothing: how likely a return remains under an adversary of bounded strength on what a policy sees.

Kumar, Levine & Feizi, Policy Smoothing for Provably Robust Reinforcement Learning, arXiv 2106.11420.
"""

from __future__ import annotations

from statistics import NormalDist

from deploy.replay.binomial import CONFIDENCE, upper_bound

NORMAL = NormalDist()


def certified_probability(p_lower: float, budget: float, sigma: float) -> float:
    """A lower bound of the probability of a return of at least c, whoever perturbs the observations by at most ``budget``:

        P(R ≥ c) ≥ Φ(Φ⁻¹(p_lower) − ‖ε‖₂/σ),

    where the policy sees each observation plus N(0, σ²) on each number, before any stacking of frames, and ε are all perturbations of the
    episode, one after the other in one vector; each may depend on all that happened before. Reached, for one, where R ≥ c says that
    a single number seen is below a threshold.

    Args:
        p_lower: lower bound of P(R ≥ c) without an adversary.
        budget: ‖ε‖₂ of the whole episode, in the observations' units.
        sigma: σ, in the same units.

    Raises:
        ValueError: for a probability outside [0, 1], a negative budget, and σ that is not positive.
    """
    if not (0.0 <= p_lower <= 1.0 and budget >= 0.0 and sigma > 0.0):
        raise ValueError(f"p_lower {p_lower}, budget {budget}, sigma {sigma}")
    if p_lower in (0.0, 1.0):  # Φ⁻¹ is infinite, and no finite budget changes that
        return p_lower
    return NORMAL.cdf(NORMAL.inv_cdf(p_lower) - budget / sigma)


def success_lower_bound(successes: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """One-sided Clopper–Pearson lower bound of a probability."""
    return 1.0 - upper_bound(trials - successes, trials, confidence)
