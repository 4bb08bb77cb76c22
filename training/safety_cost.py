"""The critic of failing, which ships: quantiles of a discounted cost, from what the actor sees, and the output ``risk`` made of them.

    C = γ_c^k,  k steps before the episode fails, 0 if it does not;    risk = mean of the largest α of C's K quantiles, within 0…1

so 0 is safe as far as training knows, and close to 1 is about to fail in one case of 1/α. The quantiles are learned from SR(λ) samples
(`training.quantiles`) along with the law, and change nothing about what it does. An episode that runs out of time says nothing of what
would have followed: its last step keeps its own estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.perceptron import perceptron
from training.quantiles import quantile_loss, sample_replacement, thinned
from training.replicas import Generators, Streams, shares
from training.risk import RiskConfig
from training.risk_measures import weights

HIDDEN, ACTIVATION = (64, 64), "elu"
TRACE, KAPPA, SAMPLES, PASSES = 0.95, 0.01, 8, 4


class CostCritic(nn.Module):
    """Quantiles of the cost, and the risk they say.

    Args:
        size: of the normalised observation.
        config: the cost's part of it.
        streams: of first weights.
    """

    def __init__(self, size: int, config: RiskConfig, streams: Streams) -> None:
        super().__init__()
        self.network = perceptron(size, HIDDEN, config.cost_quantiles, ACTIVATION, 0.1, streams)
        self.tail: Tensor
        self.register_buffer("tail", weights("cvar", config.cost_tail, config.cost_quantiles).flip(0), persistent=False)

    def forward(self, observation: Tensor) -> Tensor:
        """Quantiles ``[…, K]`` within 0…1, of the level that goes with their place."""
        return torch.sigmoid(self.network(observation) - 3.0)  # most states are safe, so begin there

    def risk(self, observation: Tensor) -> Tensor:
        """``[…, 1]``."""
        return (self(observation) * self.tail).sum(-1, keepdim=True)


class CostLearner:
    """Fits a `CostCritic` to roll-outs.

    Args:
        critic: of a law with so many ``replicas``.
        config: the cost's part of it.
    """

    def __init__(self, critic: CostCritic, config: RiskConfig, replicas: int) -> None:
        self.critic, self.config, self.replicas = critic, config, replicas
        self.optimizer = torch.optim.Adam(critic.parameters(), lr=config.cost_learning_rate, fused=True)

    def learn(self, observations: Tensor, terminated: Tensor, done: Tensor, generator: Generators, counted: Tensor | None = None) -> float:
        """Take `PASSES` steps, each on a share of the roll-out's steps; returns the loss.

        Args:
            observations: normalised ``[horizon, num_envs, size]``.
            terminated, done: failed, or ended either way, after the step ``[horizon, num_envs]``.
            generator: of the samples.
            counted: steps that belong to the roll-out ``[horizon, num_envs]``; all by default.
        """
        counted = torch.ones_like(done) if counted is None else counted
        targets, losses = self.targets(observations, terminated, done, generator), []
        for part in range(PASSES):
            rows = slice(part, len(targets), PASSES)
            found = quantile_loss(self.critic(observations[rows]), thinned(targets[rows], SAMPLES, part), KAPPA)
            chosen = counted[rows]
            pairs = zip(shares(found, self.replicas), shares(chosen, self.replicas), strict=True)
            loss = torch.stack([(each * own).sum() / own.sum().clamp(min=1) for each, own in pairs]).sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean()) / self.replicas

    @torch.no_grad()
    def targets(self, observations: Tensor, terminated: Tensor, done: Tensor, generator: Generators) -> Tensor:
        """Samples of the cost from each step but the last ``[horizon − 1, num_envs, K]``."""
        values, discount = self.critic(observations), self.config.cost_discount
        over, failed = done[:-1], terminated[:-1]
        kept = torch.where((over & ~failed).unsqueeze(2), values[:-1] / max(discount, 1e-6), 0.0)
        replaced = generator.uniform(len(over), over.shape[1], values.shape[2]) < TRACE
        return sample_replacement(failed.to(values.dtype), values, over, kept, replaced, discount).clamp(0.0, 1.0)

    def state_dict(self) -> dict[str, Any]:
        """Of the optimiser; the critic's is in the law's."""
        return dict(self.optimizer.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.optimizer.load_state_dict(dict(state))
