"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) in one file.

Every iteration: roll the law out in all environments for ``horizon`` steps (`PPO.collect`), estimate advantages (`PPO.prepare`), then
take a few gradient steps (`PPO.improve`) on

    L = mean max(−A ρ, −A clip(ρ, 1 ± ε)) + c_v mean (V − R)² / 2 − c_e H,    ρ = π(a|o) / π_old(a|o)

The critic is asymmetric: it sees the actor's observation and what only simulation knows. Observations are normalised inside the law, with
statistics that change only between iterations; returns are normalised for the critic. Episodes that run out of time are bootstrapped with
the value of the state they were cut at; failures are not. Values are vectors: of one number here, of a return's quantiles in
`training.risk_ppo`, which learns like this in all else. The law's memory is carried from one roll-out to the next. A recurrent actor is
trained by back-propagation through each roll-out, from the memory it had at the roll-out's start. Of a law with replicas every one is
trained as if it were alone, see `training.replicas`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from robots.errors import TetherError
from training.environment import Environment
from training.episodes import EpisodeStatistics
from training.learned_law import LearnedLaw, Percept
from training.normalizer import RunningNormalizer
from training.perceptron import perceptron
from training.pilot import Pilot
from training.replicas import Generators, shares, spread
from training.safety_cost import CostLearner


@dataclass(frozen=True)
class PPOConfig:
    """Hyper-parameters.

    Attributes:
        horizon: steps per roll-out.
        epochs, minibatches: passes over a roll-out, and gradient steps per pass (each on a share of the environments).
        discount: γ.  trace: λ of generalised advantage estimation.
        clip: ε.
        value_clip: bound on the change of the value, in normalised returns; 0 for none.
        value_coefficient: c_v.  entropy_coefficient: c_e.
        entropy_iterations: after which c_e has fallen to zero, linearly; 0 keeps it.
        gradient_clip: largest norm of the gradient of all parameters.
        learning_rate: of Adam, at the start.
        halve_every: iterations after which the learning rate halves; 0 keeps it.
        target_kl: if positive, the learning rate adapts instead: divided by 1.2 where the last epoch diverged by more than 1.5 times this,
            multiplied where by less than 1/1.5 of it.
        initial_std: of the action noise.
        final_std: if positive, the largest it may be from iteration ``calm_until`` on; from ``calm_from`` until then the bound falls to it
            from ``initial_std``, linearly. What is flown has no noise: the less it learned with, the more alike the two.
        calm_from, calm_until: see ``final_std``.
        critic_hidden, critic_activation: the critic network.
    """

    horizon: int = 32
    epochs: int = 3
    minibatches: int = 1
    discount: float = 0.985
    trace: float = 0.95
    clip: float = 0.2
    value_clip: float = 0.0
    value_coefficient: float = 1.0
    entropy_coefficient: float = 0.0
    entropy_iterations: int = 0
    gradient_clip: float = 1.0
    learning_rate: float = 4e-3
    halve_every: int = 150
    target_kl: float = 0.0
    initial_std: float = 0.4
    final_std: float = 0.0
    calm_from: int = 0
    calm_until: int = 0
    critic_hidden: tuple[int, ...] = (64, 64)
    critic_activation: str = "tanh"

    def __post_init__(self) -> None:
        if not 0.0 <= self.final_std <= self.initial_std:
            raise ValueError(f"ppo.final_std must be within 0…{self.initial_std:g}, which is ppo.initial_std, not {self.final_std:g}")
        if not 0 <= self.calm_from <= self.calm_until:
            raise ValueError(f"ppo.calm_from {self.calm_from} must be at least 0, and at most ppo.calm_until {self.calm_until}")


class Step(NamedTuple):
    """One control step of every environment, ``[num_envs, …]``; see `Rollout`. ``mean`` is the action without noise."""

    observation: Tensor
    critic_observation: Tensor
    action: Tensor
    mean: Tensor
    reward: Tensor
    final: Tensor
    terminated: Tensor
    done: Tensor


class Rollout(NamedTuple):
    """``horizon`` steps of every environment, ``[horizon, num_envs, …]``.

    Attributes:
        observations: not normalised.
        critic_observations: one more step than the others, for the last value.
        actions: before clamping.
        log_probabilities: of ``actions`` when they were taken.
        rewards: of the steps alone.
        finals: value of the final state ``[horizon, num_envs, values]`` where an episode was truncated, else zero.
        terminated, done: the episode failed, or ended either way, after this step.
        recurrent: the actor's state at the first step ``[num_envs, size]``.
    """

    observations: Tensor
    critic_observations: Tensor
    actions: Tensor
    log_probabilities: Tensor
    rewards: Tensor
    finals: Tensor
    terminated: Tensor
    done: Tensor
    recurrent: Tensor


class Batch(NamedTuple):
    """What `PPO.improve` learns from, ``[horizon, num_envs, …]``; ``recurrent`` is ``[num_envs, size]``.

    ``returns`` are what values should be, ``values`` what they were, ``[horizon, num_envs, values]``, both normalised.
    """

    observations: Tensor
    critic_observations: Tensor
    actions: Tensor
    log_probabilities: Tensor
    advantages: Tensor
    returns: Tensor
    values: Tensor
    done: Tensor
    recurrent: Tensor

    def environments(self, chosen: Tensor) -> Batch:
        """The share of the environments with the indices ``chosen``."""
        parts = {name: part.index_select(1, chosen) for name, part in self._asdict().items() if name != "recurrent"}
        return Batch(**parts, recurrent=self.recurrent[chosen])


def advantages(rewards: Tensor, values: Tensor, done: Tensor, discount: float, trace: float) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438).

        δ_t = r_t + γ (1 − d_t) V_{t+1} − V_t,    A_t = δ_t + γ λ (1 − d_t) A_{t+1}

    Args:
        rewards, done: ``[horizon, num_envs]``; the reward of a truncated step already contains γ V(final state).
        values: ``[horizon + 1, num_envs]``.
    """
    live = discount * (~done)
    deltas = rewards + live * values[1:] - values[:-1]
    decay, result = live * trace, torch.empty_like(rewards)
    running = torch.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        running = torch.addcmul(deltas[t], decay[t], running)
        result[t] = running
    return result


def log_probability(actions: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Of a diagonal Gaussian, summed over the last axis; ``log_std`` is ``[size]``, or ``[num_envs, size]``."""
    z = (actions - mean) * torch.exp(-log_std)
    return -0.5 * z.square().sum(-1) - log_std.sum(-1) - 0.5 * math.log(2 * math.pi) * actions.shape[-1]


def clipped_loss(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """mean max(−A ρ, −A clip(ρ, 1 ± ε))."""
    return -torch.minimum(advantage * ratio, advantage * ratio.clamp(1 - clip, 1 + clip)).mean()


def value_loss(value: Tensor, old_value: Tensor, target: Tensor, clip: float) -> Tensor:
    """mean (V − R)² / 2; with ``clip`` > 0 the worse of it and of V held within ± clip of its old value."""
    loss = (value - target).square()
    if clip > 0:
        held = old_value + (value - old_value).clamp(-clip, clip)
        loss = torch.maximum(loss, (held - target).square())
    return 0.5 * loss.mean()


def clip_gradient(parameters: list[Tensor], largest: float, replicas: int = 1) -> Tensor:
    """Scale all gradients so that their joint norm, or each replica's, is at most ``largest``; returns the norm they had, or norms.

    `torch.nn.utils.clip_grad_norm_` in one reduction over everything, which for small networks is several times faster.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if replicas == 1:
        norm = torch.cat([gradient.flatten() for gradient in gradients]).square().sum().sqrt()
        torch._foreach_mul_(gradients, (largest / (norm + 1e-6)).clamp(max=1.0))
        return norm
    norm = torch.cat([gradient.flatten(1) for gradient in gradients], dim=1).square().sum(1).sqrt()
    scale = (largest / (norm + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(gradients, [scale.view(-1, *[1] * (gradient.dim() - 1)) for gradient in gradients])
    return norm


class PPO:
    """Proximal policy optimisation: one call of `iterate` is one roll-out and its gradient steps.

    Args:
        law: the policy that learns.
        environment: must not reset by itself, so that the final state can be valued.
        config: hyper-parameters.
        seed: of action noise and minibatches; one for each of the law's replicas.

    Raises:
        TetherError: for an environment that resets itself, or an adaptive learning rate, which is one for all, of replicas.
    """

    values = 1  # numbers that a state is valued by

    def __init__(self, law: LearnedLaw, environment: Environment, config: PPOConfig, seed: int | Sequence[int]) -> None:
        if environment.auto_reset:
            raise TetherError("PPO resets environments itself: build the environment with auto_reset=False")
        if config.target_kl and law.replicas > 1:
            raise TetherError("replicas share one learning rate, which must not adapt to one of them; set ppo.target_kl=0")
        self.law, self.environment, self.config = law, environment, config
        self.pilot = Pilot(law)
        self.device = environment.device
        self.generator = Generators(seed, self.device)
        self.sensors, self.command = environment.reset()
        environment.stagger(config.horizon)
        self.memory = law.initial_memory(environment.num_envs, self.device)
        size = self.critic_observation(self.pilot.perceive(self.sensors, self.command, self.memory)).shape[1]
        self.critic_normalizer = RunningNormalizer(size, replicas=law.replicas).to(self.device)
        self.return_normalizer = RunningNormalizer(1, replicas=law.replicas).to(self.device)
        self.critic = self.make_critic(size)
        shape = (law.task.action_size,) if law.replicas == 1 else (law.replicas, law.task.action_size)
        self.log_std = nn.Parameter(torch.full(shape, math.log(config.initial_std), device=self.device))
        self.parameters: list[Tensor] = [*law.actor.parameters(), *self.critic.parameters(), self.log_std]
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.learning_rate, eps=1e-5, fused=True)
        self.episodes = EpisodeStatistics(law.task, environment.num_envs, environment.episode_steps, self.device, replicas=law.replicas)
        self.cost = CostLearner(law.cost, law.attitude, law.replicas) if law.cost else None
        self.iteration = 0

    def iterate(self) -> dict[str, float | None]:
        """One iteration; returns what a log wants to know."""
        self.schedule()
        rollout = self.collect()
        batch = self.prepare(rollout)
        losses = self.improve(batch)
        if self.cost:
            losses["cost_loss"] = self.cost.learn(batch.observations, rollout.terminated, rollout.done, self.generator)
        self.iteration += 1
        return self.episodes.averages() | losses | {"std": self.log_std.exp().mean().item(), "learning_rate": self.learning_rate}

    @property
    def learning_rate(self) -> float:
        """The optimiser's present step size."""
        return float(self.optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.optimizer.param_groups[0]["lr"] = value

    @property
    def entropy_coefficient(self) -> float:
        """c_e of this iteration."""
        left = 1.0 - self.iteration / self.config.entropy_iterations if self.config.entropy_iterations else 1.0
        return self.config.entropy_coefficient * max(left, 0.0)

    @property
    def largest_std(self) -> float:
        """Bound on the deviation of the action noise in this iteration; infinite for none."""
        config = self.config
        if not config.final_std:
            return math.inf
        left = (config.calm_until - self.iteration) / max(config.calm_until - config.calm_from, 1)
        return config.final_std + (config.initial_std - config.final_std) * min(max(left, 0.0), 1.0)

    def schedule(self) -> None:
        """Halve the learning rate where the schedule says so, and keep the noise within its bound."""
        if self.config.halve_every and not self.config.target_kl:
            self.learning_rate = self.config.learning_rate * 0.5 ** (self.iteration // self.config.halve_every)
        with torch.no_grad():
            self.log_std.clamp_(max=math.log(self.largest_std))

    @torch.no_grad()
    def collect(self) -> Rollout:
        """Roll the law out for ``horizon`` steps; its memory and the episodes go on from where the last roll-out stopped."""
        log_std = self.spread_log_std(self.environment.num_envs)
        noise = self.generator.normal(self.config.horizon, self.environment.num_envs, self.law.task.action_size) * log_std.exp()
        recurrent = self.law.recurrent(self.memory)
        steps: list[Step] = []
        for t in range(self.config.horizon):
            steps.append(self.advance(noise[t]))
            if not math.isfinite(steps[-1].reward.sum()):
                raise NotFinite("reward", _stacked(steps))
        observations, critic_observations, actions, means, rewards, finals, terminated, done = _stacked(steps)
        last = self.critic_observation(self.pilot.perceive(self.sensors, self.command, self.memory))
        return Rollout(
            observations=observations,
            critic_observations=torch.cat([critic_observations, last.unsqueeze(0)]),
            actions=actions,
            log_probabilities=log_probability(actions, means, log_std),
            rewards=rewards,
            finals=finals,
            terminated=terminated,
            done=done,
            recurrent=recurrent,
        )

    def spread_log_std(self, num_envs: int) -> Tensor:
        """Of so many environments, ``[num_envs, action size]``; without replicas ``[action size]``."""
        return spread(self.log_std, self.law.replicas, num_envs)

    def advance(self, noise: Tensor) -> Step:
        """One control step of every environment, and new episodes where one ended."""
        law, environment, age = self.law, self.environment, self.environment.age
        percept = self.pilot.perceive(self.sensors, self.command, self.memory)
        critic_observation = self.critic_observation(percept)
        mean, recurrent = law.actor(law.normalizer(percept.observation), percept.recurrent)
        output = self.pilot.act(percept, mean + noise, recurrent)
        step = environment.step(output.actuation)
        self.sensors, self.command, self.memory = step.sensors, step.command, output.memory
        done, final = step.terminated | step.truncated, torch.zeros(environment.num_envs, self.values, device=self.device)
        self.episodes.record(age, step.reward, step.tracking_error)
        if done.any():
            self.episodes.finish(age, step.terminated, step.truncated)
            if step.truncated.any():  # valuing everyone's state is not for nothing, and most ends are falls
                final = torch.where(step.truncated.unsqueeze(1), self.final_value(), 0.0)
            self.sensors, self.command = environment.reset(done)
            self.memory = torch.where(done.unsqueeze(1), 0.0, self.memory)
        return Step(percept.observation, critic_observation, mean + noise, mean, step.reward, final, step.terminated, done)

    def critic_observation(self, percept: Percept) -> Tensor:
        """The actor's observation and what only simulation knows ``[num_envs, size]``."""
        return torch.cat([percept.observation, self.environment.privileged()], dim=1)

    def make_critic(self, size: int) -> nn.Module:
        """The network that values states, from ``size`` numbers."""
        config = self.config
        return perceptron(size, config.critic_hidden, self.values, config.critic_activation, streams=self.law.streams).to(self.device)

    def final_value(self) -> Tensor:
        """Value ``[num_envs, values]`` of the present states, before any reset."""
        return self.value(self.critic_observation(self.pilot.perceive(self.sensors, self.command, self.memory)))

    def value(self, critic_observation: Tensor) -> Tensor:
        """V ``[…, values]`` in the units of the reward."""
        return self.return_normalizer.inverse(self.critic(self.critic_normalizer(critic_observation)))

    def estimate(self, rollout: Rollout, values: Tensor) -> tuple[Tensor, Tensor]:
        """Advantages ``[horizon, num_envs]`` and returns ``[horizon, num_envs, values]``, from values with a row more."""
        rewards = rollout.rewards + self.config.discount * rollout.finals.squeeze(-1)
        advantage = advantages(rewards, values.squeeze(-1), rollout.done, self.config.discount, self.config.trace)
        return advantage, advantage.unsqueeze(-1) + values[:-1]

    @torch.no_grad()
    def prepare(self, rollout: Rollout) -> Batch:
        """Advantages and normalised returns of a roll-out; updates the critic's statistics, and the law's for the next roll-out."""
        normalized = self.law.normalizer(rollout.observations)
        values = self.value(rollout.critic_observations)
        advantage, returns = self.estimate(rollout, values)
        critic_observations = self.critic_normalizer(rollout.critic_observations[:-1])
        replicas = self.law.replicas
        self.law.normalizer.update(*shares(rollout.observations, replicas))
        self.critic_normalizer.update(*shares(rollout.critic_observations[:-1], replicas))
        self.return_normalizer.update(*(part.reshape(-1, 1) for part in shares(returns, replicas)))
        relative = [(part - part.mean()) / (part.std() + 1e-8) for part in shares(advantage, replicas)]
        return Batch(
            observations=normalized,
            critic_observations=critic_observations,
            actions=rollout.actions,
            log_probabilities=rollout.log_probabilities,
            advantages=torch.cat(relative, dim=1),
            returns=self.return_normalizer.standardized(returns),
            values=self.return_normalizer.standardized(values[:-1]),
            done=rollout.done,
            recurrent=rollout.recurrent,
        )

    def improve(self, batch: Batch) -> dict[str, float]:
        """Take ``epochs`` × ``minibatches`` gradient steps."""
        losses: list[Tensor] = []
        for _ in range(self.config.epochs):
            for part in self.minibatches(batch):
                loss, report = self.loss(part)
                self.optimizer.zero_grad()
                loss.backward()
                clip_gradient(self.parameters, self.config.gradient_clip, self.law.replicas)
                self.optimizer.step()
                losses.append(report)
        if self.config.target_kl:
            self.adapt(torch.stack(losses[-self.config.minibatches :])[:, 2].mean().item())
        policy, value, divergence, clipped = torch.stack(losses).mean(0).tolist()
        if not math.isfinite(policy + value + sum(float(parameter.detach().sum()) for parameter in self.parameters)):
            raise NotFinite("loss or weight", batch)
        return {"policy_loss": policy, "value_loss": value, "kl": divergence, "clipped": clipped}

    def minibatches(self, batch: Batch) -> list[Batch]:
        """``batch``, or shares of its environments in random order, as many of every replica."""
        if self.config.minibatches == 1:
            return [batch]
        own = batch.done.shape[1] // self.law.replicas
        orders = self.generator.orders([own] * self.law.replicas)
        order = torch.stack([each + index * own for index, each in enumerate(orders)])
        return [batch.environments(chosen.flatten()) for chosen in order.chunk(self.config.minibatches, dim=1)]

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The objective, and (policy loss, value loss, divergence, share of clipped ratios) for the log."""
        mean = self.means(batch)
        log_ratio = log_probability(batch.actions, mean, self.spread_log_std(mean.shape[1])) - batch.log_probabilities
        ratio = log_ratio.exp()
        policy = clipped_loss(ratio, batch.advantages, self.config.clip)
        value = self.value_error(batch)
        entropy = self.log_std.sum() + 0.5 * math.log(2 * math.pi * math.e) * self.log_std.numel()
        loss = (policy + self.config.value_coefficient * value) * self.law.replicas - self.entropy_coefficient * entropy
        with torch.no_grad():
            divergence = (ratio - 1 - log_ratio).mean()  # Schulman's k3 estimate: unbiased and never negative
            clipped = ((ratio - 1).abs() > self.config.clip).float().mean()
        return loss, torch.stack([policy.detach(), value.detach(), divergence, clipped])

    def value_error(self, batch: Batch) -> Tensor:
        """How far values are from what they should be, a number."""
        return value_loss(self.critic(batch.critic_observations), batch.values, batch.returns, self.config.value_clip)

    def means(self, batch: Batch) -> Tensor:
        """Mean actions ``[horizon, num_envs, action size]``; a recurrent actor is unrolled, its state zeroed where an episode ended."""
        actor = self.law.actor
        if actor.cell is None:
            return actor.squash(actor.head(batch.observations))
        state, states = batch.recurrent, []
        for observation, done in zip(batch.observations, batch.done, strict=True):
            state = actor.cell(observation, state)
            states.append(state)
            state = state * (~done).unsqueeze(1)
        return actor.squash(actor.head(torch.stack(states)))

    def adapt(self, divergence: float) -> None:
        """Keep the divergence near its target through the step size."""
        if divergence > 1.5 * self.config.target_kl:
            self.learning_rate = max(self.learning_rate / 1.2, 1e-5)
        elif divergence < self.config.target_kl / 1.5:
            self.learning_rate = min(self.learning_rate * 1.2, 1e-2)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit, the law and the environment included."""
        return {
            "iteration": self.iteration,
            "law": self.law.state_dict(),
            "critic": self.critic.state_dict(),
            "critic_normalizer": self.critic_normalizer.state_dict(),
            "return_normalizer": self.return_normalizer.state_dict(),
            "log_std": self.log_std.detach(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "environment": self.environment.state_dict(),
            "episodes": self.episodes.state_dict(),
            "sensors": self.sensors,
            "command": self.command,
            "memory": self.memory,
        } | ({"cost": self.cost.state_dict()} if self.cost else {})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.iteration = state["iteration"]
        for name in ("law", "critic", "critic_normalizer", "return_normalizer", "optimizer", "environment", "episodes"):
            getattr(self, name).load_state_dict(state[name])
        if self.cost:
            self.cost.load_state_dict(state["cost"])
        with torch.no_grad():
            self.log_std.copy_(state["log_std"])
        self.generator.set_state(state["generator"])
        self.sensors, self.command, self.memory = dict(state["sensors"]), dict(state["command"]), state["memory"]


class NotFinite(TetherError):
    """A reward or loss that is NaN or infinite; carries the tensors that led to it, ``[steps, num_envs, …]`` by name."""

    def __init__(self, what: str, tensors: NamedTuple) -> None:
        super().__init__(f"a {what} is not finite")
        self.tensors: dict[str, Tensor] = dict(tensors._asdict())


def _stacked(steps: list[Step]) -> Step:
    """All steps, ``[steps, num_envs, …]``."""
    return Step(*(torch.stack(part) for part in zip(*steps, strict=True)))
