"""Short-horizon actor-critic (Xu et al. 2022, arXiv 2204.07137), and plain back-propagation through time, in one file.

Every iteration: fly the law in all environments for a window of ``horizon`` steps, keeping the graph (`SHAC.collect`); differentiate

    L = −mean_i ( Σ_{t<T_i} γ^t r_t  +  γ^{T_i} V'(s_{T_i}) )  +  c_d mean_{i, t<T_i} (a_s − a)²

through reward, simulator, sensors, safeguard and law, memory included (a is the action asked, a_s what the safeguard made of it), and
take one step down it (`SHAC.improve`); then fit the critic V to the window's TD(λ) targets (`SHAC.fit`) and let the target critic V'
follow it. T_i is the window's end, or the episode's if that comes first: time running out is followed by the value of the state it ran
out in, failure by nothing, and no gradient comes from beyond. What has ended waits for the window's end to begin anew, so choose a
horizon that divides the episode. Everything is detached at the window's start.

`BPTT` has no critic: what follows the window is worth ``terminal_weight`` times the reward of its last step.

The gradient is taken in two stages. First with respect to an offset, zero, of what the actor gives at every step in every environment: it
shows which environments are not finite, and those are dropped before they poison the others. Then, through all steps at once, with respect
to the actor's weights, which is the chain rule, in far fewer operations than one by one.

Of a law with replicas every one is trained as if it were alone, see `training.replicas`: a mean over environments is a sum over replicas of
each one's mean.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from robots.errors import TetherError
from training.environment import Environment
from training.episodes import EpisodeStatistics
from training.gradient_health import GradientHealth
from training.learned_law import LearnedLaw
from training.normalizer import RunningNormalizer
from training.perceptron import perceptron
from training.pilot import Pilot
from training.ppo import NotFinite, advantages, clip_gradient
from training.replicas import Generators, ReplicatedLinear, padded, shares
from training.safety_cost import CostLearner


@dataclass(frozen=True)
class SHACConfig:
    """Hyper-parameters of `SHAC` and of `BPTT`; the defaults are for no task in particular.

    Attributes:
        horizon: steps per window.
        discount: γ.
        gradient_clip: largest norm of the law's gradient.
        learning_rate: of the law, by Adam, at the start.
        halve_every: iterations after which the learning rates halve; 0 keeps them.
        betas: of Adam, for the law.
        terminal_weight: for `BPTT`: the reward of a window's last step counts this many times more, as what follows; 0 for nothing.
        trace: λ of the critic's targets.  The rest, too, is for `SHAC` alone.
        critic_learning_rate: by Adam, at the start.
        critic_epochs, critic_minibatches: passes over a window, and gradient steps per pass.
        target_rate: share of the way that the target critic goes towards the critic in an iteration.
        critic_hidden, critic_activation: the critic network; smooth, since its slope is used.
    """

    horizon: int = 32
    discount: float = 0.99
    gradient_clip: float = 1.0
    learning_rate: float = 2e-3
    halve_every: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    terminal_weight: float = 10.0
    trace: float = 0.95
    critic_learning_rate: float = 2e-3
    critic_epochs: int = 8
    critic_minibatches: int = 4
    target_rate: float = 0.5
    critic_hidden: tuple[int, ...] = (64, 64)
    critic_activation: str = "elu"


class Offsets(NamedTuple):
    """Zeros added to what the actor gives, to take gradients by: actions and recurrent state, ``[horizon, num_envs, …]``."""

    action: Tensor
    recurrent: Tensor


class Known(NamedTuple):
    """What a critic is given beside the actor's observation, of every environment; see `Environment.privileged`."""

    state: dict[str, Tensor]
    parameters: dict[str, Tensor]
    command: dict[str, Tensor]
    context: Tensor


class Step(NamedTuple):
    """One control step of every environment, ``[num_envs, …]``; see `Window`."""

    observations: Tensor
    recurrent: Tensor
    rewards: Tensor
    interventions: Tensor
    errors: Tensor
    terminated: Tensor
    truncated: Tensor
    known: Known


class Window(NamedTuple):
    """``horizon`` steps of every environment, ``[horizon, num_envs, …]``; rewards and values keep their graph.

    Attributes:
        offsets: see `Offsets`.
        observations, recurrent: what the actor was given; not normalised.
        critic_observations: one step more than the others; empty without a critic.
        rewards, errors: reward and tracking error; zero from the end of an episode on.
        interventions: mean square of what the safeguard changed in an action.
        running: the step belongs to the episode that ran at the window's start.
        terminated, truncated: how that episode ended with this step, if it did.
    """

    offsets: Offsets
    observations: Tensor
    recurrent: Tensor
    critic_observations: Tensor
    rewards: Tensor
    interventions: Tensor
    errors: Tensor
    running: Tensor
    terminated: Tensor
    truncated: Tensor

    @property
    def steps(self) -> Tensor:
        """T ``[num_envs]``, at least 1."""
        return self.running.sum(0)

    def after(self, values: Tensor) -> Tensor:
        """Row T of ``values`` ``[horizon + 1, num_envs, …]``: of the state in which window or episode ended."""
        index = self.steps.view(1, -1, *[1] * (values.dim() - 2)).expand(1, *values.shape[1:])
        return values.gather(0, index).squeeze(0)


def value_targets(rewards: Tensor, values: Tensor, terminated: Tensor, truncated: Tensor, discount: float, trace: float) -> Tensor:
    """TD(λ) targets ``[horizon, num_envs]`` (Sutton & Barto 2018, ch. 12).

        y_t = r_t + γ ((1 − λ) V'_{t+1} + λ y_{t+1}),    y_H = V'_H;    y_t = r_t at a failure,  r_t + γ V'_{t+1} when time ran out

    Args:
        rewards, terminated, truncated: ``[horizon, num_envs]``; what comes after the end of an episode is meaningless.
        values: V' ``[horizon + 1, num_envs]``.
    """
    bootstrapped = rewards + discount * values[1:] * truncated
    return advantages(bootstrapped, values, terminated | truncated, discount, trace) + values[:-1]


class SHAC:
    """Short-horizon actor-critic: one call of `iterate` is one window and its gradient steps.

    Args:
        law: the policy that learns.
        environment: on a simulator with gradients; must not reset by itself, so that the final state can be valued.
        config: hyper-parameters.
        seed: of the critic's minibatches; one for each of the law's replicas.

    Raises:
        TetherError: for an environment that resets itself, or whose simulator has no gradients.
    """

    has_critic: ClassVar[bool] = True
    values = 1  # numbers that a state is valued by; more are a return's quantiles, see `training.risk_shac`

    def __init__(self, law: LearnedLaw, environment: Environment, config: SHACConfig, seed: int | Sequence[int]) -> None:
        if environment.auto_reset:
            raise TetherError("SHAC resets environments itself: build the environment with auto_reset=False")
        environment.detach()
        self.law, self.environment, self.config = law, environment, config
        self.pilot = Pilot(law)
        self.device = environment.device
        self.generator = Generators(seed, self.device)
        self.sensors, self.command = environment.reset()
        environment.stagger(config.horizon)
        self.memory = law.initial_memory(environment.num_envs, self.device)
        self.parameters: list[Tensor] = list(law.actor.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.learning_rate, betas=config.betas, eps=1e-8, fused=True)
        self.each = torch.arange(law.replicas, device=self.device).unsqueeze(1)
        self.health = GradientHealth(sum(parameter.numel() for parameter in self.parameters), self.device)
        self.episodes = EpisodeStatistics(law.task, environment.num_envs, environment.episode_steps, self.device, replicas=law.replicas)
        self.iteration = 0
        self.saved = ["law", "optimizer", "health", "environment", "episodes"]
        self.cost = CostLearner(law.cost, law.attitude, law.replicas) if law.cost else None
        if self.cost:
            self.saved.append("cost")
        if self.has_critic:
            self.add_critic()

    def add_critic(self) -> None:
        """Build the critic, the target that follows it, and what they are normalised by."""
        config, law, size = self.config, self.law, len(self.law.task.observation_names) + self.environment.privileged().shape[1]
        self.critic = self.make_critic(size)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.critic_normalizer = RunningNormalizer(size, replicas=law.replicas).to(self.device)
        self.return_normalizer = RunningNormalizer(1, replicas=law.replicas).to(self.device)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=config.critic_learning_rate, fused=True)
        self.saved += ["critic", "target", "critic_normalizer", "return_normalizer", "critic_optimizer"]

    def make_critic(self, size: int) -> nn.Module:
        """The network that values states, from ``size`` numbers."""
        config = self.config
        return perceptron(size, config.critic_hidden, self.values, config.critic_activation, streams=self.law.streams).to(self.device)

    def iterate(self) -> dict[str, float | None]:
        """One iteration; returns what a log wants to know."""
        self.schedule()
        window = self.collect()
        metrics = self.improve(window)
        if self.law.guard:
            metrics["intervention"] = self.intervention(window).div(self.law.replicas).sqrt().item()
        if self.has_critic:
            metrics |= self.fit(window)
        if self.cost:
            ends = (window.terminated, window.terminated | window.truncated)
            metrics["cost_loss"] = self.cost.learn(self.law.normalizer(window.observations), *ends, self.generator, window.running)
        self.law.normalizer.update(*shares(window.observations, self.law.replicas, window.running))
        self.begin_anew(window)
        self.iteration += 1
        return self.episodes.averages() | metrics | {"learning_rate": self.learning_rate}

    @property
    def learning_rate(self) -> float:
        """The present step size of the law."""
        return float(self.optimizer.param_groups[0]["lr"])

    def schedule(self) -> None:
        """Halve the learning rates where the schedule says so."""
        factor = 0.5 ** (self.iteration // self.config.halve_every) if self.config.halve_every else 1.0
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * factor
        if self.has_critic:
            self.critic_optimizer.param_groups[0]["lr"] = self.config.critic_learning_rate * factor

    # --- the window ---

    def collect(self) -> Window:
        """Fly for ``horizon`` steps; memory and episodes go on from where the last window stopped."""
        self.detach()
        size = (self.config.horizon, self.environment.num_envs)
        shapes = ((*size, self.law.task.action_size), (*size, self.law.actor.recurrent_size))
        offsets = Offsets(*(torch.zeros(shape, device=self.device, requires_grad=True) for shape in shapes))
        known, running, parts = [self.known()], self.environment.everyone, []
        went_on: list[Tensor] = []
        for offset in zip(*(each.unbind() for each in offsets), strict=True):
            went_on.append(running)
            parts.append(self.advance(Offsets(*offset), running))
            running = running & ~(parts[-1].terminated | parts[-1].truncated)
        known += [part.known for part in parts]
        stacked = (torch.stack(part) for part in list(zip(*parts, strict=True))[:7])
        observations, recurrent, rewards, interventions, errors, terminated, truncated = stacked
        alive = torch.stack(went_on)
        window = Window(
            offsets=offsets,
            observations=observations.detach(),
            recurrent=recurrent.detach(),
            critic_observations=self.critic_observations(observations, known),
            rewards=torch.where(alive, rewards, 0.0),
            interventions=torch.where(alive, interventions, 0.0),
            errors=errors.detach(),
            running=alive,
            terminated=terminated & alive,
            truncated=truncated & alive,
        )
        if not math.isfinite(window.rewards.detach().sum()):
            raise NotFinite("reward", window)
        return window

    def advance(self, offset: Offsets, running: Tensor) -> Step:
        """One control step of every environment; those whose episode has ended rest."""
        law = self.law
        percept = self.pilot.perceive(self.sensors, self.command, self.memory)
        action, recurrent = law.actor(law.normalizer(percept.observation), percept.recurrent)
        if law.actor.recurrent_size:
            recurrent = recurrent + offset.recurrent
        output = self.pilot.act(percept, torch.where(running.unsqueeze(1), action + offset.action, 0.0), recurrent)
        step = self.environment.step(output.actuation)
        self.sensors, self.command, self.memory = step.sensors, step.command, output.memory
        changed = (law.sent(output.memory) - output.unguarded).square().mean(1) if law.guard else torch.zeros_like(step.reward)
        seen = (percept.observation, percept.recurrent)
        return Step(*seen, step.reward, changed, step.tracking_error, step.terminated, step.truncated, self.known())

    def known(self) -> Known:
        """As it is now."""
        environment = self.environment
        return Known(environment.state, environment.simulator.parameters(), self.command, environment.context())

    def critic_observations(self, observations: Tensor, known: list[Known]) -> Tensor:
        """The actor's observations and what only simulation knows ``[horizon + 1, num_envs, size]``; nothing without a critic."""
        if not self.has_critic:
            return observations.new_empty(0)
        last = self.pilot.perceive(self.sensors, self.command, self.memory).observation
        signals = (_joined([getattr(each, name) for each in known]) for name in ("state", "parameters", "command"))
        privileged = self.law.task.privileged_observation(*signals).view(len(known), len(last), -1)
        contexts = torch.stack([each.context for each in known])
        return torch.cat([torch.cat([observations, last.unsqueeze(0)]), privileged, contexts], dim=2)

    def detach(self) -> None:
        """Cut everything off the graph of the last window."""
        self.environment.detach()
        self.sensors = {name: value.detach() for name, value in self.sensors.items()}
        self.memory = self.memory.detach()

    @torch.no_grad()
    def begin_anew(self, window: Window) -> None:
        """Count the window, and begin new episodes where one ended."""
        terminated, truncated = window.terminated.any(0), window.truncated.any(0)
        age = self.environment.age - len(window.rewards)
        self.episodes.record_window(age, window.rewards.detach(), window.errors, window.running)
        self.detach()
        if (done := terminated | truncated).any():
            self.episodes.finish(age + window.steps - 1, terminated, truncated)
            self.sensors, self.command = self.environment.reset(done)
            self.memory = torch.where(done.unsqueeze(1), 0.0, self.memory)

    # --- the law ---

    def loss(self, window: Window) -> Tensor:
        """L, see the module's docstring."""
        loss = -self.worth(window).mean() * self.law.replicas
        weight = self.law.safeguard.regularisation
        return loss + weight * self.intervention(window) if weight else loss

    def worth(self, window: Window) -> Tensor:
        """Σ γ^t r_t + γ^T V'(s_T) ``[num_envs]``."""
        after = torch.where(window.terminated.any(0), 0.0, self.config.discount**window.steps * self.afterwards(window))
        return self.earned(window) + after

    def earned(self, window: Window) -> Tensor:
        """Σ γ^t r_t ``[num_envs]``."""
        weights = self.config.discount ** torch.arange(len(window.rewards), device=self.device)
        return (weights.unsqueeze(1) * window.rewards).sum(0)

    def intervention(self, window: Window) -> Tensor:
        """Mean square of what the safeguard changed while the episode ran; a sum over replicas."""
        pairs = zip(shares(window.interventions, self.law.replicas), shares(window.running, self.law.replicas), strict=True)
        return torch.stack([changed.sum() / running.sum() for changed, running in pairs]).sum()

    def afterwards(self, window: Window) -> Tensor:
        """V'(s_T) ``[num_envs]``."""
        return self.value(window.after(window.critic_observations)).squeeze(-1)

    def improve(self, window: Window) -> dict[str, float]:
        """Take one step down the gradient of `loss`, without the environments in which it is not finite."""
        loss = self.loss(window)
        found = torch.autograd.grad(loss, window.offsets, allow_unused=True)
        gradients = Offsets(*(torch.zeros_like(o) if g is None else g for o, g in zip(window.offsets, found, strict=True)))
        finite = torch.stack([gradient.isfinite().flatten(2).all(2).all(0) for gradient in gradients]).all(0)
        kept = Offsets(*(torch.where(finite.view(1, -1, 1), gradient, 0.0) for gradient in gradients))
        self.optimizer.zero_grad()
        self.pull_back(window, kept)
        norm = clip_gradient(self.parameters, self.config.gradient_clip, self.law.replicas)
        if finite.any():
            self.optimizer.step()
        report = self.health.report(self.parameters, norm, self.config.gradient_clip, finite, kept.action)
        return {"policy_loss": loss.item()} | report

    def pull_back(self, window: Window, gradients: Offsets) -> None:
        """From gradients with respect to what the actor gave at every step to those with respect to its weights, added to ``.grad``."""
        actor = self.law.actor
        observations = self.law.normalizer(window.observations)
        if actor.recurrent_size:
            given = actor(observations.flatten(0, 1), window.recurrent.flatten(0, 1))
            torch.autograd.backward(given, [gradient.flatten(0, 1) for gradient in gradients])
        else:
            torch.autograd.backward(actor(observations, window.recurrent)[0], gradients.action)

    # --- the critic ---

    def value(self, critic_observations: Tensor) -> Tensor:
        """V' ``[…, values]`` in the units of the reward."""
        return self.return_normalizer.inverse(self.target(self.critic_normalizer(critic_observations)))

    def targets(self, window: Window, values: Tensor) -> Tensor:
        """What values should be ``[horizon, num_envs, values]``, from those of the target critic with a row more."""
        how = (window.terminated, window.truncated, self.config.discount, self.config.trace)
        return value_targets(window.rewards.detach(), values.squeeze(-1), *how).unsqueeze(-1)

    def fit(self, window: Window) -> dict[str, float]:
        """Take ``critic_epochs`` × ``critic_minibatches`` steps towards the window's targets, then move the target critic."""
        config, running, replicas = self.config, window.running, self.law.replicas
        seen = window.critic_observations.detach()
        with torch.no_grad():
            targets = self.targets(window, self.value(seen))
        visited, returns = shares(seen[:-1], replicas, running), shares(targets, replicas, running)
        self.critic_normalizer.update(*visited)
        self.renormalize(*(part.reshape(-1, 1) for part in returns))
        inputs = self.by_replica(self.critic_normalizer, padded(visited))
        wanted = self.by_replica(self.return_normalizer.standardized, padded(returns))
        losses = []
        for _ in range(config.critic_epochs):
            for chosen in self.minibatches([len(part) for part in returns]):
                rows = chosen.clamp(min=0)
                losses.append(self.fit_to(inputs[self.each, rows], wanted[self.each, rows], chosen >= 0))
        loss = torch.stack(losses).mean().item()
        if not math.isfinite(loss):
            raise NotFinite("value loss", window)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target.parameters()), list(self.critic.parameters()), config.target_rate)
        return {"value_loss": loss, "value": torch.cat(returns).mean().item()}

    def by_replica(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """``function`` of rows of environments, for as many of each replica: ``[replicas, rows, …]``."""
        return function(rows.flatten(0, 1)).view(*rows.shape[:2], -1)

    def minibatches(self, counts: Sequence[int]) -> Iterator[Tensor]:
        """All of so many rows of every replica once, in random order: ``[replicas, rows]``, −1 where a replica has fewer than another."""
        parts = [order.chunk(self.config.critic_minibatches) for order in self.generator.orders(counts)]
        nothing = torch.zeros(0, dtype=torch.int64, device=self.device)
        for chosen in itertools.zip_longest(*parts, fillvalue=nothing):
            yield padded(chosen, -1)

    @torch.no_grad()
    def renormalize(self, *targets: Tensor) -> None:
        """Take in new returns, and keep every value as it is (van Hasselt et al. 2016, arXiv 1602.07714):

            W' = W σ/σ',  b' = (σ b + μ − μ')/σ'

        for the last layer of both critics. Otherwise the target would move with the mean, the mean follow it, and both run away.
        """
        mean, std = self.return_normalizer.mean.clone(), self.return_normalizer.std
        self.return_normalizer.update(*targets)
        for last in self.last_layers():
            assert isinstance(last, (nn.Linear, ReplicatedLinear))
            last.weight.mul_((std / self.return_normalizer.std).unsqueeze(-1))
            last.bias.mul_(std).add_(mean - self.return_normalizer.mean).div_(self.return_normalizer.std)

    def last_layers(self) -> list[nn.Module]:
        """Of all critics."""
        return [critic[-1] for critic in (self.critic, self.target)]  # type: ignore[index]

    def fit_to(self, inputs: Tensor, wanted: Tensor, counted: Tensor) -> Tensor:
        """One step of the critic on the rows that are ``counted`` ``[replicas, rows]``; returns the loss of a replica."""
        errors = self.value_errors(inputs, wanted) * counted
        loss = (errors.sum(1) / counted.sum(1).clamp(min=1)).sum()
        self.critic_optimizer.zero_grad()
        loss.backward()
        clip_gradient(list(self.critic.parameters()), 1.0, self.law.replicas)
        self.critic_optimizer.step()
        return loss.detach() / self.law.replicas

    def value_errors(self, inputs: Tensor, wanted: Tensor) -> Tensor:
        """How far the critic is from what is wanted ``[replicas, rows, values]``, of each row."""
        return 0.5 * (self.by_replica(self.critic, inputs) - wanted).square().squeeze(2)

    # --- saving ---

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit, the law and the environment included."""
        return {name: getattr(self, name).state_dict() for name in self.saved} | {
            "iteration": self.iteration,
            "generator": self.generator.get_state(),
            "sensors": self.sensors,
            "command": self.command,
            "memory": self.memory,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        for name in self.saved:
            getattr(self, name).load_state_dict(state[name])
        self.iteration = state["iteration"]
        self.generator.set_state(state["generator"])
        self.sensors, self.command, self.memory = dict(state["sensors"]), dict(state["command"]), state["memory"]


class BPTT(SHAC):
    """Back-propagation through time: `SHAC` without a critic, what follows the window judged by the reward of its last step."""

    has_critic = False

    def afterwards(self, window: Window) -> Tensor:
        """terminal_weight · r_{T−1} ``[num_envs]``."""
        return self.config.terminal_weight * window.rewards.gather(0, (window.steps - 1).unsqueeze(0)).squeeze(0)


def _joined(steps: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Signals of all steps one after the other, ``[steps · num_envs, …]``."""
    return {name: torch.cat([step[name] for step in steps]) for name in steps[0]}
