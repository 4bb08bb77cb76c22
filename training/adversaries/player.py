"""The adversary as a learner: clipped policy gradients on the negative of the protagonist's reward, in the protagonist's own roll-outs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from training.adversaries.config import PlayerConfig
from training.adversaries.value_learner import Acted, Lesson, ValueLearner
from training.perceptron import perceptron
from training.ppo import clipped_loss, log_probability
from training.replicas import Generators, Streams, spread


class Player(ValueLearner):
    """A Gaussian policy, a critic, and the present roll-out.

    Args:
        observation_size, action_size: widths of what it sees and of what it does.
        num_envs: that it plays in, of all replicas.
        config: how it learns.
        seeds: of first weights and noise, one a replica.
        device: of everything.
    """

    modules: ClassVar[tuple[str, ...]] = ("actor", *ValueLearner.modules)

    def __init__(
        self, observation_size: int, action_size: int, num_envs: int, config: PlayerConfig, seeds: Sequence[int], device: torch.device
    ) -> None:
        self.action_size, streams = action_size, Streams(seeds)
        self.actor = perceptron(observation_size, config.hidden, action_size, config.activation, last_gain=0.01, streams=streams).to(device)
        shape = (action_size,) if len(seeds) == 1 else (len(seeds), action_size)
        self.log_std = nn.Parameter(torch.full(shape, config.initial_std, device=device).log())
        super().__init__(observation_size, num_envs, config, seeds, device, streams, [*self.actor.parameters(), self.log_std])
        self.generators = Generators(seeds, device)
        self.entropy_weights = torch.full((self.replicas,), config.entropy_coefficient, device=device)

    @torch.no_grad()
    def act(self, observation: Tensor) -> Tensor:
        """Actions in −1…1 ``[n, action_size]``; `feel` must be told what came of them."""
        mean, log_std = self.actor(self.normalizer(observation)), spread(self.log_std, self.replicas, self.num_envs)
        action = mean + self.generators.normal(1, self.num_envs, self.action_size)[0] * log_std.exp()
        self.acted = Acted(observation, action, log_probability(action, mean, log_std))
        return action.clamp(-1.0, 1.0)

    def learn(self, iteration: int, last: Tensor) -> dict[str, float]:
        """See `ValueLearner.learn`."""
        return super().learn(iteration, last) | {"adversary_std": self.log_std.exp().mean().item()}

    def losses(self, lesson: Lesson) -> dict[str, Tensor]:
        """See `ValueLearner.losses`."""
        mean, log_std = self.actor(lesson.observations), spread(self.log_std, self.replicas, self.num_envs)
        ratio = (log_probability(lesson.actions, mean, log_std) - lesson.log_probabilities).exp()
        return {"policy_loss": clipped_loss(ratio, lesson.weights * lesson.advantages, self.config.clip)} | super().losses(lesson)

    def bonus(self) -> Tensor:
        """Entropy, up to a constant."""
        return (self.entropy_weights * self.log_std.view(self.replicas, -1).sum(1)).sum()

    def improve(self, lesson: Lesson) -> dict[str, Tensor]:
        """See `ValueLearner.improve`; the standard deviation keeps its bounds."""
        losses = super().improve(lesson)
        with torch.no_grad():
            least, most = torch.tensor([self.config.least_std, self.config.most_std]).log().tolist()
            self.log_std.clamp_(least, most)
        return losses

    def state_dict(self) -> dict[str, Any]:
        """See `ValueLearner.state_dict`."""
        return super().state_dict() | {"log_std": self.log_std.detach(), "generators": self.generators.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `ValueLearner.load_state_dict`."""
        super().load_state_dict(state)
        with torch.no_grad():
            self.log_std.copy_(state["log_std"])
        self.generators.set_state(state["generators"])
