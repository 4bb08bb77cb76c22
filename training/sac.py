"""Soft actor-critic (Haarnoja et al. 2018, arXiv 1812.05905) in one file, through any safeguard.

Every iteration: act in all environments for ``horizon`` steps and remember them (`SAC.collect`), then take ``updates`` gradient steps, each
on a batch drawn from all that is remembered (`SAC.update`). The policy is a Gaussian squashed by tanh, a = tanh(μ(o) + σ(o) ε), and what is
executed is a_s = safeguard(s, a). The critics judge what was executed, and the actor is told their slope through the safeguard:

    critics       ½ (Q_k(o, a_s) − y)²,   y = r + γ (1 − d) (min_k Q'_k(o', a_s') − α log π(a'|o')),    a' ~ π(·|o')
    actor         α log π(a|o) − min_k Q_k(o, safeguard(s, a)) + c_d (a_s − a)²
    temperature   −log α · (log π(a|o) + H̄),   H̄ = target_entropy · number of actions

d is failure; an episode that runs out of time goes on in the target. Q' follow the critics. As in the other algorithms the critics see what
only simulation knows, and observations are normalised inside the law by statistics that change only between iterations. The law that comes
out is tanh(μ), by ``actor.squash=tanh``; σ is a network of training's own.

Of a law with replicas every one is trained as if it were alone, see `training.replicas`; the twin critics are replicas once more.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from robots.errors import TetherError
from training.environment import Environment
from training.episodes import EpisodeStatistics
from training.learned_law import LearnedLaw, Percept
from training.normalizer import RunningNormalizer
from training.perceptron import perceptron
from training.pilot import Pilot
from training.ppo import NotFinite, clip_gradient
from training.replay_buffer import ReplayBuffer, Transitions
from training.replicas import Generators, shares, side_by_side, spread

LOG_STD = (-5.0, 2.0)  # between which log σ stays


@dataclass(frozen=True)
class SACConfig:
    """Hyper-parameters; with replicas, of each.

    Attributes:
        horizon: steps of all environments between updates.
        updates: gradient steps after them.
        batch: transitions a gradient step is taken on.
        capacity: transitions remembered; they are part of a checkpoint, see `training.replay_buffer.ReplayBuffer` for the size.
        warm_up: transitions before the first gradient step.
        discount: γ.
        learning_rate, critic_learning_rate, temperature_learning_rate: by Adam, at the start.
        halve_every: iterations after which the learning rates halve; 0 keeps them.
        gradient_clip: largest norm of the actor's gradient, and of each critic's.
        target_rate: share of the way that the target critics go towards the critics in a gradient step.
        initial_std: σ at first, within 0.01 … 7; 1 is nearly anything, and too much for what random actions bring where nothing is learned.
        initial_temperature: α at first.
        target_entropy: the entropy that α is set for, for each number of an action.
        critic_hidden, critic_activation: the critic networks.
    """

    horizon: int = 8
    updates: int = 16
    batch: int = 256
    capacity: int = 100_000
    warm_up: int = 2_000
    discount: float = 0.98
    learning_rate: float = 1e-3
    critic_learning_rate: float = 1e-3
    temperature_learning_rate: float = 1e-3
    halve_every: int = 0
    gradient_clip: float = 10.0
    target_rate: float = 0.01
    initial_std: float = 1.0
    initial_temperature: float = 0.1
    target_entropy: float = -1.0
    critic_hidden: tuple[int, ...] = (128, 128)
    critic_activation: str = "relu"

    def __post_init__(self) -> None:
        least, most = map(math.exp, LOG_STD)
        if not least < self.initial_std < most:
            raise ValueError(f"sac.initial_std must be within {least:.3f} … {most:.1f}, both excluded, not {self.initial_std}")


def squashed(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """a = tanh(u), u = μ + σ ε, ``[…, size]``, and log π(a) ``[…]``, by the density of u and the slope of tanh.

    log π(a) = Σ ( log N(u; μ, σ) − log(1 − tanh² u) ),    log(1 − tanh² u) = 2 (log 2 − u − log(1 + e^{−2u}))
    """
    u = mean + log_std.exp() * noise
    normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    slope = 2.0 * (math.log(2.0) - u - nn.functional.softplus(-2.0 * u))
    return u.tanh(), (normal - slope).sum(-1)


def bounded_log_std(raw: Tensor, initial_std: float = 1.0) -> Tensor:
    """Log σ within `LOG_STD`, smoothly, and that of ``initial_std`` at 0."""
    low, high = LOG_STD
    start = math.log(initial_std)
    return low + (high - low) * torch.sigmoid(raw + math.log((start - low) / (high - start)))


class SAC:
    """Soft actor-critic: one call of `iterate` is ``horizon`` steps of all environments and the gradient steps after them.

    Args:
        law: the policy that learns, squashed by tanh and without a recurrent layer.
        environment: must not reset by itself, so that the final state can be remembered.
        config: hyper-parameters.
        seed: of action noise and batches; one for each of the law's replicas.

    Raises:
        TetherError: for an environment or a law that do not fit.
    """

    width = 1  # numbers that a critic gives; more are a return's quantiles, see `training.risk_sac`

    def __init__(self, law: LearnedLaw, environment: Environment, config: SACConfig, seed: int | Sequence[int]) -> None:
        if environment.auto_reset:
            raise TetherError("SAC resets environments itself: build the environment with auto_reset=False")
        if law.config.squash != "tanh" or law.config.memory != "none":
            raise TetherError("SAC learns a Gaussian squashed by tanh, from single steps: set actor.squash=tanh and actor.memory=none")
        self.law, self.environment, self.config, self.pilot = law, environment, config, Pilot(law)
        self.device, self.replicas = environment.device, law.replicas
        self.generator = Generators(seed, self.device)
        self.sensors, self.command = environment.reset()
        environment.stagger(config.horizon)
        self.memory = law.initial_memory(environment.num_envs, self.device)
        self.percept = self.perceive()
        self.build(self.critic_observation(self.percept).shape[1])
        if law.cost:
            raise TetherError("SAC has no roll-outs to learn the cost of failing from; set risk.cost_quantiles=0, or train by ppo or shac")
        if config.warm_up > self.buffer.capacity:
            raise TetherError(f"sac.warm_up is {config.warm_up}, more than the {self.buffer.capacity} transitions that are remembered")
        self.episodes = EpisodeStatistics(law.task, environment.num_envs, environment.episode_steps, self.device, replicas=law.replicas)
        self.iteration = 0

    def build(self, size: int) -> None:
        """Networks, optimisers and the buffer, for critics that see ``size`` numbers beside the action."""
        config, law, actions = self.config, self.law, self.law.task.action_size
        observation = len(law.task.observation_names)
        hidden, activation = law.config.hidden, law.config.activation
        self.deviation = perceptron(observation, hidden, actions, activation, 0.01, law.streams).to(self.device)
        twins = law.streams.draw(
            lambda: [perceptron(size + actions, config.critic_hidden, self.width, config.critic_activation) for _ in range(2)]
        )
        self.critic = side_by_side([critic for pair in twins for critic in pair]).to(self.device)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.critic_normalizer = RunningNormalizer(size, replicas=self.replicas).to(self.device)
        start = torch.full((self.replicas,), math.log(config.initial_temperature), device=self.device)
        self.log_temperature = nn.Parameter(start)
        self.parameters: list[Tensor] = [*law.actor.parameters(), *self.deviation.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.learning_rate, fused=True)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=config.critic_learning_rate, fused=True)
        self.temperature_optimizer = torch.optim.Adam([self.log_temperature], lr=config.temperature_learning_rate, fused=True)
        guarded = self.percept.guarded_state.shape[1]
        widths = (size, guarded, actions, 1, 1, size, guarded)  # of `Transitions`
        self.buffer = ReplayBuffer(config.capacity, self.environment.num_envs, self.replicas, widths, self.device)

    def iterate(self) -> dict[str, float | None]:
        """One iteration; returns what a log wants to know."""
        self.schedule()
        seen = self.collect()
        self.law.normalizer.update(*shares(self.observation(seen), self.replicas))
        self.critic_normalizer.update(*shares(seen, self.replicas))
        losses = self.improve() if len(self.buffer) >= self.config.warm_up else dict.fromkeys(METRICS)
        self.iteration += 1
        return self.episodes.averages() | losses | {"temperature": self.temperature.mean().item(), "learning_rate": self.learning_rate}

    @property
    def learning_rate(self) -> float:
        """The present step size of the actor."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def temperature(self) -> Tensor:
        """α ``[replicas]``."""
        return self.log_temperature.detach().exp()

    def schedule(self) -> None:
        """Halve the learning rates where the schedule says so."""
        config = self.config
        factor = 0.5 ** (self.iteration // config.halve_every) if config.halve_every else 1.0
        self.optimizer.param_groups[0]["lr"] = config.learning_rate * factor
        self.critic_optimizer.param_groups[0]["lr"] = config.critic_learning_rate * factor
        self.temperature_optimizer.param_groups[0]["lr"] = config.temperature_learning_rate * factor

    # --- acting ---

    @torch.no_grad()
    def collect(self) -> Tensor:
        """Act for ``horizon`` steps and remember them; returns what the critics saw, ``[horizon, num_envs, size]``."""
        noise = self.generator.normal(self.config.horizon, self.environment.num_envs, self.law.task.action_size)
        return torch.stack([self.advance(each).seen for each in noise])

    def advance(self, noise: Tensor) -> Transitions:
        """One control step of every environment, remembered, and new episodes where one ended."""
        percept, environment, age = self.percept, self.environment, self.environment.age
        seen = self.critic_observation(percept)
        action, _ = self.policy(percept.observation, noise)
        output = self.pilot.act(percept, action, percept.recurrent)
        step = environment.step(output.actuation)
        self.sensors, self.command, self.memory = step.sensors, step.command, output.memory
        self.percept = self.perceive()
        transitions = Transitions(
            seen=seen,
            guarded=percept.guarded_state,
            action=self.law.sent(output.memory),
            reward=step.reward.unsqueeze(1),
            terminated=step.terminated.unsqueeze(1).to(seen.dtype),
            next_seen=self.critic_observation(self.percept),
            next_guarded=self.percept.guarded_state,
        )
        if not math.isfinite(step.reward.sum()):
            raise NotFinite("reward", transitions)
        self.buffer.add(transitions)
        self.episodes.record(age, step.reward, step.tracking_error)
        if (done := step.terminated | step.truncated).any():
            self.episodes.finish(age, step.terminated, step.truncated)
            self.sensors, self.command = environment.reset(done)
            self.memory = torch.where(done.unsqueeze(1), 0.0, self.memory)
            self.percept = self.perceive()
        return transitions

    def perceive(self) -> Percept:
        """What the law knows now."""
        percept: Percept = self.pilot.perceive(self.sensors, self.command, self.memory)
        return percept

    def critic_observation(self, percept: Percept) -> Tensor:
        """The actor's observation and what only simulation knows now ``[num_envs, size]``."""
        return torch.cat([percept.observation, self.environment.privileged()], dim=1)

    def observation(self, seen: Tensor) -> Tensor:
        """The actor's part of what the critics see."""
        return seen[..., : len(self.law.task.observation_names)]

    def policy(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Action ``[rows, action size]``, not yet guarded, and its log-probability ``[rows]``, for so many rows of every replica."""
        normal = self.law.normalizer(observation)
        return squashed(self.law.actor.head(normal), bounded_log_std(self.deviation(normal), self.config.initial_std), noise)

    # --- learning ---

    def improve(self) -> dict[str, float | None]:
        """Take ``updates`` gradient steps."""
        losses = [self.update(self.buffer.draw(self.config.batch, self.generator)) for _ in range(self.config.updates)]
        means = torch.stack(losses).mean(0).tolist()
        if not all(map(math.isfinite, means)):
            raise NotFinite("loss", self.buffer.draw(self.config.batch, self.generator))
        return dict(zip(METRICS, means, strict=True))

    def update(self, batch: Transitions) -> Tensor:
        """One gradient step of everything; returns `METRICS`."""
        value_loss, value = self.fit(batch)
        policy_loss, entropy, changed = self.improve_policy(batch)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target.parameters()), list(self.critic.parameters()), self.config.target_rate)
        return torch.stack([policy_loss, value_loss, value, entropy, changed]).detach()

    def fit(self, batch: Transitions) -> tuple[Tensor, Tensor]:
        """One step of the critics; returns their loss and the mean target."""
        targets = self.targets(batch)
        found = self.values(self.critic, batch.seen, batch.action)
        loss = self.errors(found, targets.view(self.replicas, 1, -1, self.width)).mean(2).sum()
        self.critic_optimizer.zero_grad()
        loss.backward()
        clip_gradient(list(self.critic.parameters()), self.config.gradient_clip, 2 * self.replicas)
        self.critic_optimizer.step()
        return loss / (2 * self.replicas), targets.mean()

    @torch.no_grad()
    def targets(self, batch: Transitions) -> Tensor:
        """y ``[rows, width]``, see the module's docstring."""
        action, log_probability = self.policy(self.observation(batch.next_seen), self.noise(batch))
        safe = self.guarded(batch.next_guarded, action)
        temperature = spread(self.temperature, self.replicas, len(action))
        after = self.lower(self.target, batch.next_seen, safe) - (temperature * log_probability).unsqueeze(1)
        return batch.reward + self.config.discount * (1.0 - batch.terminated) * after

    def improve_policy(self, batch: Transitions) -> tuple[Tensor, Tensor, Tensor]:
        """One step of actor and temperature; returns the loss, the entropy, and what the safeguard changed, root mean square."""
        action, log_probability = self.policy(self.observation(batch.seen), self.noise(batch))
        safe = self.guarded(batch.guarded, action)
        changed = (safe - action).square().mean()
        value = self.worth(self.lower(self.critic, batch.seen, safe), batch.seen)
        temperature = spread(self.temperature, self.replicas, len(action))
        loss = (temperature * log_probability - value).mean() + self.law.safeguard.regularisation * changed
        self.optimizer.zero_grad()
        (loss * self.replicas).backward(inputs=self.parameters)  # and none of the critics'
        clip_gradient(self.parameters, self.config.gradient_clip, self.replicas)
        self.optimizer.step()
        self.improve_temperature(log_probability.detach())
        return loss, -log_probability.mean(), changed.sqrt()

    def improve_temperature(self, log_probability: Tensor) -> None:
        """One step of log α, towards the target entropy."""
        wanted = self.config.target_entropy * self.law.task.action_size
        self.log_temperature.grad = -(log_probability.view(self.replicas, -1).mean(1) + wanted)
        self.temperature_optimizer.step()

    def values(self, critics: nn.Module, seen: Tensor, action: Tensor) -> Tensor:
        """Of both critics, ``[replicas, 2, rows of each, width]``."""
        inputs = torch.cat([self.critic_normalizer(seen), action], dim=1).view(self.replicas, 1, -1, seen.shape[1] + action.shape[1])
        values: Tensor = critics(inputs.expand(-1, 2, -1, -1).flatten(0, 2))
        return values.view(self.replicas, 2, -1, self.width)

    def lower(self, critics: nn.Module, seen: Tensor, action: Tensor) -> Tensor:
        """The lower of both critics, ``[rows, width]``."""
        return self.values(critics, seen, action).amin(1).flatten(0, 1)

    def errors(self, values: Tensor, targets: Tensor) -> Tensor:
        """How far ``[replicas, 2, rows]`` values ``[replicas, 2, rows, width]`` are from ``targets`` ``[replicas, 1, rows, width]``."""
        return 0.5 * (values - targets).square().squeeze(3)

    def worth(self, values: Tensor, seen: Tensor) -> Tensor:
        """What the policy climbs ``[rows]``, by values ``[rows, width]`` in states that critics see as ``seen``."""
        return values.squeeze(1)

    def guarded(self, state: Tensor, action: Tensor) -> Tensor:
        """a_s ``[rows, action size]``."""
        guarded = self.pilot.guarded(state, action)
        return action if guarded is None else guarded.action

    def noise(self, batch: Transitions) -> Tensor:
        """ε for a batch."""
        return self.generator.normal(1, *batch.action.shape).squeeze(0)

    # --- saving ---

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit, the law, the environment and what is remembered included."""
        return {name: getattr(self, name).state_dict() for name in SAVED} | {
            "iteration": self.iteration,
            "log_temperature": self.log_temperature.detach(),
            "generator": self.generator.get_state(),
            "sensors": self.sensors,
            "command": self.command,
            "memory": self.memory,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        for name in SAVED:
            getattr(self, name).load_state_dict(state[name])
        self.iteration = state["iteration"]
        with torch.no_grad():
            self.log_temperature.copy_(state["log_temperature"])
        self.generator.set_state(state["generator"])
        self.sensors, self.command, self.memory = dict(state["sensors"]), dict(state["command"]), state["memory"]
        self.percept = self.perceive()


METRICS = ("policy_loss", "value_loss", "value", "entropy", "intervention")
SAVED = (
    *("law", "deviation", "critic", "target", "critic_normalizer"),
    *("optimizer", "critic_optimizer", "temperature_optimizer", "buffer", "environment", "episodes"),
)
