"""Short-horizon actor-critic with critics of a return's quantiles, differentiating through the tail of the return.

As `training.shac`, but for this. Of the two critics of `training.two_heads` the informed one gives samples of what a window's return comes
to, G_ij = Σ_{t<T_i} γ^t r_t + γ^{T_i} θ'_j(s_T), the blind one the quantiles of the state at the window's start. With the measure's utility
φ under the latter,

    tail       L = −mean_ij φ_i(G_ij)                          the gradient of ρ of the return from the window's start
    distorted  L = −mean_i ( Σ_{t<T_i} γ^t r_t + γ^{T_i} ρ(blind θ'(s_T)) )      risk beyond the window alone

in place of Σ γ^t r_t + γ^T V'(s_T). Critics learn from SR(λ) samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.environment import Environment
from training.learned_law import LearnedLaw
from training.quantiles import coverage_error, drawn, sample_replacement, thinned, utility
from training.risk import RiskConfig
from training.risk_measures import risk_value
from training.shac import SHAC, SHACConfig, Window
from training.two_heads import TwoHeads, two_heads


class RiskSHAC(SHAC):
    """See the module's docstring.

    Args:
        law, environment, config, seed: as of `SHAC`.
        risk: with at least two quantiles.

    Raises:
        TetherError: as `SHAC`.
    """

    critic: TwoHeads
    target: TwoHeads

    def __init__(self, law: LearnedLaw, environment: Environment, config: SHACConfig, seed: int | Sequence[int], risk: RiskConfig) -> None:
        self.risk, self.values = risk, risk.quantiles
        self.trace = config.trace if risk.trace < 0 else risk.trace
        super().__init__(law, environment, config, seed)
        self.miscalibrated = 0.0

    def make_critic(self, size: int) -> TwoHeads:
        """Two networks."""
        return two_heads(size, self.law, self.config, self.values)

    def value(self, critic_observations: Tensor) -> Tensor:
        """Quantiles θ' ``[…, N]`` given everything, sorted, in the units of the reward."""
        return self.target.returns(self.critic_normalizer(critic_observations), self.return_normalizer, informed=True)

    def blind_value(self, critic_observations: Tensor) -> Tensor:
        """The same given what the actor sees."""
        return self.target.returns(self.critic_normalizer(critic_observations), self.return_normalizer, informed=False)

    def judge(self, critic_observations: Tensor) -> Tensor:
        """The quantiles that the measure sees."""
        return self.blind_value(critic_observations) if self.risk.blind else self.value(critic_observations)

    def weights(self, critic_observations: Tensor) -> Tensor:
        """Of the quantiles, in these states."""
        return self.risk.weights(self.iteration, critic_observations[..., self.critic.seen - 1])

    def worth(self, window: Window) -> Tensor:
        """Of the window's return to the measure ``[num_envs]``."""
        if self.risk.advantage == "distorted":
            return super().worth(window)
        begin, end = window.critic_observations[0].detach(), window.after(window.critic_observations)
        after = (self.config.discount**window.steps).unsqueeze(1) * self.value(end)
        returns = self.earned(window).unsqueeze(1) + torch.where(window.terminated.any(0).unsqueeze(1), 0.0, after)
        return utility(returns, self.judge(begin), self.weights(begin)).mean(1)

    def afterwards(self, window: Window) -> Tensor:
        """ρ of what follows the window ``[num_envs]``."""
        end = window.after(window.critic_observations)
        return risk_value(self.judge(end), self.weights(end))

    def targets(self, window: Window, values: Tensor) -> Tensor:
        """Samples ``[horizon, num_envs, N]``."""
        final = torch.where(window.truncated.unsqueeze(2), values[1:], 0.0)
        horizon, num_envs = window.rewards.shape
        replaced = self.generator.uniform(horizon, num_envs, self.values) < self.trace
        done = window.terminated | window.truncated
        samples = sample_replacement(window.rewards.detach(), values, done, final, replaced, self.config.discount)
        blind, sample = self.blind_value(window.critic_observations.detach())[:-1], drawn(samples, self.iteration)
        self.miscalibrated = coverage_error(blind[window.running], sample[window.running]).item()
        return samples

    def fit(self, window: Window) -> dict[str, float]:
        """As `SHAC.fit`; ``coverage_error`` is that of the blind quantiles before they have seen this window."""
        return super().fit(window) | {"coverage_error": self.miscalibrated}

    def last_layers(self) -> list[nn.Module]:
        """Of all critics."""
        return [layer for heads in (self.critic, self.target) for layer in heads.last_layers()]

    def value_errors(self, inputs: Tensor, wanted: Tensor) -> Tensor:
        """Quantile losses ``[replicas, rows]``."""
        targets = thinned(wanted, self.risk.samples, self.iteration)
        losses = self.critic.losses(inputs.flatten(0, 1), targets.flatten(0, 1), self.risk.kappa)
        return losses.view(inputs.shape[:2])
