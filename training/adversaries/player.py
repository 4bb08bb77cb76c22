"""The adversary as a learner: clipped policy gradients on the negative of the protagonist's reward.

It acts in the protagonist's own roll-outs and learns from them when they are done, so its games cost no control steps. Losses, estimates,
normalisers and replicas are those of `training.ppo`; it sees what only simulation knows, and is never exported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from training.adversaries.config import PlayerConfig
from training.normalizer import RunningNormalizer
from training.perceptron import perceptron
from training.ppo import NotFinite, advantages, clip_gradient, clipped_loss, log_probability
from training.replicas import Generators, Streams, shares, spread


class Moment(NamedTuple):
    """One control step of the environments it plays in, ``[n, …]``.

    The action is not cut yet, the reward is the adversary's; what is not ``running`` had ended before, and waits to begin anew.
    """

    observation: Tensor
    action: Tensor
    log_probability: Tensor
    reward: Tensor
    done: Tensor
    running: Tensor


class Lesson(NamedTuple):
    """What it learns from, ``[steps, n, …]``; observations and returns are normalised.

    Weights are 0 where nothing was running, and 1 on a mean over each replica.
    """

    observations: Tensor
    actions: Tensor
    log_probabilities: Tensor
    advantages: Tensor
    returns: Tensor
    weights: Tensor


class Player:
    """A Gaussian policy, a critic, and the present roll-out.

    Args:
        observation_size, action_size: widths of what it sees and of what it does.
        num_envs: that it plays in, of all replicas.
        config: how it learns.
        seeds: of first weights and noise, one a replica.
        device: of everything.
    """

    def __init__(
        self, observation_size: int, action_size: int, num_envs: int, config: PlayerConfig, seeds: Sequence[int], device: torch.device
    ) -> None:
        self.config, self.num_envs, self.action_size, self.replicas = config, num_envs, action_size, len(seeds)
        streams = Streams(seeds)
        self.actor = perceptron(observation_size, config.hidden, action_size, config.activation, last_gain=0.01, streams=streams).to(device)
        self.critic = perceptron(observation_size, config.hidden, 1, config.activation, streams=streams).to(device)
        self.normalizer = RunningNormalizer(observation_size, replicas=self.replicas).to(device)
        self.return_normalizer = RunningNormalizer(1, replicas=self.replicas).to(device)
        shape = (action_size,) if self.replicas == 1 else (self.replicas, action_size)
        self.log_std = nn.Parameter(torch.full(shape, config.initial_std, device=device).log())
        self.parameters: list[Tensor] = [*self.actor.parameters(), *self.critic.parameters(), self.log_std]
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.learning_rate, eps=1e-5, fused=True)
        self.generators = Generators(seeds, device)
        self.entropy_weights = torch.full((self.replicas,), config.entropy_coefficient, device=device)
        self.moments: list[Moment] = []
        self._acted: tuple[Tensor, Tensor, Tensor] | None = None

    @torch.no_grad()
    def act(self, observation: Tensor) -> Tensor:
        """Actions in −1…1 ``[n, action_size]``; `feel` must be told what came of them."""
        mean, log_std = self.actor(self.normalizer(observation)), spread(self.log_std, self.replicas, self.num_envs)
        action = mean + self.generators.normal(1, self.num_envs, self.action_size)[0] * log_std.exp()
        self._acted = observation, action, log_probability(action, mean, log_std)
        return action.clamp(-1.0, 1.0)

    @torch.no_grad()
    def feel(self, reward: Tensor, terminated: Tensor, truncated: Tensor, running: Tensor, final: Tensor) -> None:
        """What came of the last action: the protagonist's reward, ends, whether this step was before one ``[n]``, and what there is to see
        ``[n, size]`` before any reset.
        """
        assert self._acted is not None
        own = -reward
        if truncated.any():
            own = own + self.config.discount * torch.where(truncated, self.value(final), 0.0)
        self.moments.append(Moment(*self._acted, own, terminated | truncated, running))

    def value(self, observation: Tensor) -> Tensor:
        """V ``[…]`` in the units of the reward."""
        return self.return_normalizer.inverse(self.critic(self.normalizer(observation))).squeeze(-1)

    def forget(self) -> None:
        """Leave out the present roll-out."""
        self.moments = []

    def learn(self, iteration: int, last: Tensor) -> dict[str, float]:
        """Take ``epochs`` gradient steps on the present roll-out, after which there is ``last`` ``[n, size]`` to see."""
        if self.config.halve_every:
            self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * 0.5 ** (iteration // self.config.halve_every)
        lesson = self.prepare(last)
        losses = [self.improve(lesson) for _ in range(self.config.epochs)]
        policy, value = torch.stack(losses).mean(0).tolist()
        if not all(bool(parameter.isfinite().all()) for parameter in self.parameters):
            raise NotFinite("weight of the adversary", lesson)
        self.forget()
        return {"adversary_policy_loss": policy, "adversary_value_loss": value, "adversary_std": self.log_std.exp().mean().item()}

    @torch.no_grad()
    def prepare(self, last: Tensor) -> Lesson:
        """Advantages and normalised returns of the present roll-out; updates the statistics."""
        rollout = Moment(*(torch.stack(part) for part in zip(*self.moments, strict=True)))
        seen = torch.cat([rollout.observation, last.unsqueeze(0)])
        values = self.value(seen)
        advantage = advantages(rollout.reward, values, rollout.done, self.config.discount, self.config.trace)
        returns = (advantage + values[:-1]).unsqueeze(-1)
        observations = self.normalizer(rollout.observation)
        self.normalizer.update(*shares(rollout.observation, self.replicas, rollout.running))
        self.return_normalizer.update(*shares(returns, self.replicas, rollout.running))
        every = zip(shares(advantage, self.replicas), shares(advantage, self.replicas, rollout.running), strict=True)
        relative = [(part - counted.mean()) / (counted.std() + 1e-8) for part, counted in every]
        weights = [part / part.float().mean().clamp(min=1e-8) for part in shares(rollout.running, self.replicas)]
        normalized = self.return_normalizer.standardized(returns).squeeze(-1)
        moves = (rollout.action, rollout.log_probability)
        return Lesson(observations, *moves, torch.cat(relative, dim=1), normalized, torch.cat(weights, dim=1))

    def improve(self, lesson: Lesson) -> Tensor:
        """One gradient step; (policy loss, value loss)."""
        mean, log_std = self.actor(lesson.observations), spread(self.log_std, self.replicas, self.num_envs)
        ratio = (log_probability(lesson.actions, mean, log_std) - lesson.log_probabilities).exp()
        policy = clipped_loss(ratio, lesson.weights * lesson.advantages, self.config.clip)
        errors = self.critic(lesson.observations).squeeze(-1) - lesson.returns
        value = 0.5 * (lesson.weights * errors.square()).mean()
        entropy = (self.entropy_weights * self.log_std.view(self.replicas, -1).sum(1)).sum()  # up to a constant
        self.optimizer.zero_grad()
        ((policy + value) * self.replicas - entropy).backward()
        clip_gradient(self.parameters, self.config.gradient_clip, self.replicas)
        self.optimizer.step()
        with torch.no_grad():
            least, most = torch.tensor([self.config.least_std, self.config.most_std]).log().tolist()
            self.log_std.clamp_(least, most)
        return torch.stack([policy.detach(), value.detach()])

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit between roll-outs."""
        modules = {name: getattr(self, name).state_dict() for name in MODULES}
        return modules | {"log_std": self.log_std.detach(), "generators": self.generators.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        for name in MODULES:
            getattr(self, name).load_state_dict(state[name])
        with torch.no_grad():
            self.log_std.copy_(state["log_std"])
        self.generators.set_state(state["generators"])
        self.forget()


MODULES = ("actor", "critic", "normalizer", "return_normalizer", "optimizer")
