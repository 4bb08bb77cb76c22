"""Distributional proximal policy optimisation: critics of a return's quantiles, and advantages that weigh its tail.

As `training.ppo`, but for this. There are two critics. One sees what only simulation knows and is what returns are bootstrapped with and
advantages are relative to; the other is blind to it, and says how the return is spread for who sees what the actor sees. Both learn from
SR(λ) samples y of the return (`training.quantiles`). With the measure's utility φ under the blind quantiles of a state, advantages are

    tail       A_t = mean_i φ_t(y_t^i) − mean_i φ_t(θ_i(s_t)),       neutral: the generalised advantage, whose λ is SR's
    distorted  A_t = Σ_k (γλ)^k (r_{t+k} + γ V_ρ(s_{t+k+1}) − V_ρ(s_{t+k})),    V_ρ = ρ(blind θ)     (Shi et al. 2023, arXiv 2308.09405)

The first follows the gradient of ρ of the return that a state will have. The second adds up a step's neutral rewards and a distorted value
behind it, so that for λ = 0.95 the nearest twenty steps are averaged without regard to risk.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from robots.errors import TetherError
from training.environment import Environment
from training.learned_law import LearnedLaw
from training.ppo import PPO, Batch, PPOConfig, Rollout, advantages
from training.quantiles import coverage_error, drawn, sample_replacement, thinned, utility
from training.risk import RiskConfig
from training.risk_measures import risk_value
from training.two_heads import TwoHeads, two_heads


class RiskPPO(PPO):
    """See the module's docstring.

    Args:
        law, environment, config, seed: as of `PPO`; the value clip does not apply.
        risk: with at least two quantiles.

    Raises:
        TetherError: as `PPO`, and for a value clip.
    """

    critic: TwoHeads

    def __init__(self, law: LearnedLaw, environment: Environment, config: PPOConfig, seed: int | Sequence[int], risk: RiskConfig) -> None:
        if config.value_clip:
            raise TetherError("quantiles have no value clip; set ppo.value_clip=0")
        self.risk, self.values = risk, risk.quantiles
        super().__init__(law, environment, config, seed)
        self.trace = config.trace if risk.trace < 0 else risk.trace
        self.miscalibrated = 0.0

    def iterate(self) -> dict[str, float | None]:
        """As `PPO`'s; ``coverage_error`` is that of the blind quantiles before they have seen this roll-out."""
        return super().iterate() | {"coverage_error": self.miscalibrated}

    def make_critic(self, size: int) -> TwoHeads:
        """Two networks."""
        return two_heads(size, self.law, self.config, self.values)

    def value(self, critic_observation: Tensor) -> Tensor:
        """Quantiles ``[…, N]`` given everything, sorted, in the units of the reward."""
        return self.critic.returns(self.critic_normalizer(critic_observation), self.return_normalizer, informed=True)

    def blind_value(self, critic_observation: Tensor) -> Tensor:
        """The same given what the actor sees."""
        return self.critic.returns(self.critic_normalizer(critic_observation), self.return_normalizer, informed=False)

    def estimate(self, rollout: Rollout, values: Tensor) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        horizon, num_envs = rollout.rewards.shape
        replaced = self.generator.uniform(horizon, num_envs, self.values) < self.trace
        samples = sample_replacement(rollout.rewards, values, rollout.done, rollout.finals, replaced, self.config.discount)
        blind = self.blind_value(rollout.critic_observations)
        judge = blind if self.risk.blind else values
        self.miscalibrated = coverage_error(blind[:-1], drawn(samples, self.iteration)).item()
        weight = self.risk.weights(self.iteration, rollout.critic_observations[..., self.critic.seen - 1])
        if self.risk.advantage == "distorted":
            return self.distorted(rollout, judge, weight), samples
        judge, weight = judge[:-1], weight[:-1] if weight.dim() > 1 else weight
        worth, expected = utility(samples, judge, weight), utility(values[:-1], judge, weight)
        return worth.mean(-1) - expected.mean(-1), samples

    def distorted(self, rollout: Rollout, judge: Tensor, weight: Tensor) -> Tensor:
        """Advantages ``[horizon, num_envs]`` of distorted values, by quantiles ``[horizon + 1, num_envs, N]``."""
        after = weight[1:] if weight.dim() > 1 else weight
        rewards = rollout.rewards + self.config.discount * risk_value(rollout.finals, after)
        return advantages(rewards, risk_value(judge, weight), rollout.done, self.config.discount, self.trace)

    def value_error(self, batch: Batch) -> Tensor:
        """Quantile loss of both critics."""
        targets = thinned(batch.returns, self.risk.samples, self.iteration)
        return self.critic.losses(batch.critic_observations, targets, self.risk.kappa).mean()
