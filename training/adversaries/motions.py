"""How disturbances follow from an adversary's actions: δ of the last step and a in −1…1 to δ of this one, ``[num_envs, size]``.

    rarl, qarl   δ_t = ε a_t                             Pinto et al. 2017, arXiv 1703.02702; Reddi et al. 2023, arXiv 2311.01642
    tc_rmdp      δ_t = clip(δ_{t−1} + L ε a_t, ±ε)       Zouitine et al. 2024, arXiv 2406.08395
    grad         ‖δ_t‖ ≤ ε,  ‖δ_t − δ_{t−1}‖ ≤ ε̄         Liang et al. 2023, arXiv 2307.12062

δ are coordinates of `tasks.uncertainty`, so that ±1 are the ends of each quantity's range: L is normalised by the ranges.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from training.adversaries.config import AdversaryConfig

Motion = Callable[[AdversaryConfig, Tensor, Tensor], Tensor]


def free(config: AdversaryConfig, delta: Tensor, action: Tensor) -> Tensor:
    """Anywhere in the box at any time."""
    return config.strength * action


def slow(config: AdversaryConfig, delta: Tensor, action: Tensor) -> Tensor:
    """A step of at most L ε along each coordinate; never out of the box."""
    return (delta + config.pace * config.strength * action).clamp(-config.strength, config.strength)


def coupled(config: AdversaryConfig, delta: Tensor, action: Tensor) -> Tensor:
    """Towards ε a, cut to the ball, by at most ε̄.

    What lies between two points of the ball is in it: both bounds hold, if δ_{t−1} was in the ball.
    """
    goal = config.strength * within(action, 1.0)
    return delta + within(goal - delta, config.pace * config.strength)


def within(vectors: Tensor, radius: float) -> Tensor:
    """Shortened to at most ``radius`` in the 2-norm, ``[n, size]``."""
    return vectors * (radius / vectors.norm(dim=1, keepdim=True).clamp(min=radius))


MOTIONS: dict[str, Motion] = {"rarl": free, "qarl": free, "tc_rmdp": slow, "grad": coupled}
DRAWN = ("random", "tc_rmdp")  # begin anywhere in the box; the others in its middle
