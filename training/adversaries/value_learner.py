"""What an episode is worth to an adversary: a critic of the negative of the protagonist's reward.

It watches the protagonist's own roll-outs and learns from them when they are done, so an adversary costs no control steps. Losses,
estimates, normalisers and replicas are those of `training.ppo`; it sees what only simulation knows, and is never exported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from training.adversaries.config import PlayerConfig
from training.normalizer import RunningNormalizer
from training.perceptron import perceptron
from training.ppo import NotFinite, advantages, clip_gradient
from training.replicas import Streams, shares


class Acted(NamedTuple):
    """What was seen and done before a step, ``[n, …]``; the action is not cut yet, and has no width where nobody acts."""

    observation: Tensor
    action: Tensor
    log_probability: Tensor


class Moment(NamedTuple):
    """One control step of the environments it watches, ``[n, …]``.

    The reward is the adversary's; what is not ``running`` had ended before, and waits to begin anew.
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


class ValueLearner:
    """A critic, and the present roll-out.

    Args:
        observation_size: width of what it sees.
        num_envs: that it watches, of all replicas.
        config: how it learns.
        seeds: one a replica.
        device: of everything.
        streams: that first weights are drawn from; those of ``seeds`` if not given.
        own: what else is learned.
    """

    modules: ClassVar[tuple[str, ...]] = ("critic", "normalizer", "return_normalizer", "optimizer")

    def __init__(
        self,
        observation_size: int,
        num_envs: int,
        config: PlayerConfig,
        seeds: Sequence[int],
        device: torch.device,
        streams: Streams | None = None,
        own: Sequence[Tensor] = (),
    ) -> None:
        self.config, self.num_envs, self.replicas = config, num_envs, len(seeds)
        self.critic = perceptron(observation_size, config.hidden, 1, config.activation, streams=streams or Streams(seeds)).to(device)
        self.normalizer = RunningNormalizer(observation_size, replicas=self.replicas).to(device)
        self.return_normalizer = RunningNormalizer(1, replicas=self.replicas).to(device)
        self.parameters: list[Tensor] = [*own, *self.critic.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.learning_rate, eps=1e-5, fused=True)
        self.moments: list[Moment] = []
        self.acted: Acted | None = None

    def look(self, observation: Tensor) -> None:
        """Remember what there is to see before a step ``[n, size]``; `feel` must be told what came of it."""
        nothing = observation[:, :0]
        self.acted = Acted(observation, nothing, nothing.sum(1))

    @torch.no_grad()
    def feel(self, reward: Tensor, terminated: Tensor, truncated: Tensor, running: Tensor, final: Tensor) -> None:
        """What came of the step: the protagonist's reward, ends, whether it was before one ``[n]``, and what there is to see before any
        reset ``[n, size]``.
        """
        assert self.acted is not None
        own = -reward
        if truncated.any():
            own = own + self.config.discount * torch.where(truncated, self.value(final), 0.0)
        self.moments.append(Moment(*self.acted, own, terminated | truncated, running))

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
        found = [self.improve(lesson) for _ in range(self.config.epochs)]
        if not all(bool(parameter.isfinite().all()) for parameter in self.parameters):
            raise NotFinite("weight of the adversary", lesson)
        self.forget()
        return {f"adversary_{name}": torch.stack([each[name] for each in found]).mean().item() for name in found[0]}

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

    def losses(self, lesson: Lesson) -> dict[str, Tensor]:
        """What to make small."""
        errors = self.critic(lesson.observations).squeeze(-1) - lesson.returns
        return {"value_loss": 0.5 * (lesson.weights * errors.square()).mean()}

    def bonus(self) -> Tensor | float:
        """What to make large, a sum over replicas."""
        return 0.0

    def improve(self, lesson: Lesson) -> dict[str, Tensor]:
        """One gradient step; the losses before it."""
        losses = self.losses(lesson)
        self.optimizer.zero_grad()
        (torch.stack(list(losses.values())).sum() * self.replicas - self.bonus()).backward()
        clip_gradient(self.parameters, self.config.gradient_clip, self.replicas)
        self.optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit between roll-outs."""
        return {name: getattr(self, name).state_dict() for name in self.modules}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        for name in self.modules:
            getattr(self, name).load_state_dict(state[name])
        self.forget()


class Chooser(ValueLearner):
    """An adversary that only says how an episode begins: of several worlds it takes the one that its critic expects most of."""

    @torch.no_grad()
    def choose(self, observation: Tensor, candidates: Tensor) -> Tensor:
        """The most promising of ``candidates`` ``[candidates, n, size]`` for environments of which ``observation`` ``[n, any]`` is seen."""
        values = self.value(torch.cat([observation.expand(len(candidates), -1, -1), candidates], dim=2))
        return candidates[values.argmax(0), torch.arange(len(observation), device=observation.device)]
