"""Soft actor-critic with critics of a return's quantiles, whose policy climbs a measure of risk.

As `training.sac`, but for this. Critics give N quantiles θ, the lower of the two at every level; they learn from whole distributions,

    y = r + γ (1 − d) (θ'(s', a') − α log π(a'|s')),    and the policy climbs  ρ(θ(s, a)) − α log π(a|s)

so that risk enters with every step's end, undiluted. Blind critics see what the actor sees and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from training.environment import Environment
from training.learned_law import LearnedLaw, Percept
from training.quantiles import quantile_loss
from training.risk import RiskConfig
from training.risk_measures import risk_value
from training.sac import SAC, SACConfig


class RiskSAC(SAC):
    """See the module's docstring.

    Args:
        law, environment, config, seed: as of `SAC`.
        risk: with at least two quantiles; λ and how advantages are made do not apply.

    Raises:
        TetherError: as `SAC`.
    """

    def __init__(self, law: LearnedLaw, environment: Environment, config: SACConfig, seed: int | Sequence[int], risk: RiskConfig) -> None:
        self.risk, self.width = risk, risk.quantiles
        super().__init__(law, environment, config, seed)

    def critic_observation(self, percept: Percept) -> Tensor:
        """What the actor sees, and unless critics are blind what only simulation knows ``[num_envs, size]``."""
        return percept.observation if self.risk.blind else super().critic_observation(percept)

    def lower(self, critics: nn.Module, seen: Tensor, action: Tensor) -> Tensor:
        """The lower of both critics' quantiles, sorted ``[rows, N]``."""
        return self.values(critics, seen, action).sort(dim=-1).values.amin(1).flatten(0, 1)

    def errors(self, values: Tensor, targets: Tensor) -> Tensor:
        """Quantile losses ``[replicas, 2, rows]``."""
        return quantile_loss(values, targets.expand_as(values), self.risk.kappa)

    def worth(self, values: Tensor, seen: Tensor) -> Tensor:
        """ρ ``[rows]``."""
        asked = seen[:, len(self.law.task.observation_names) - 1]
        return risk_value(values, self.risk.weights(self.iteration, asked))
