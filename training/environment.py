"""A task on a simulator with sensors: many episodes side by side, without a Python loop over them."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.errors import TetherError
from sim.fused.fuse import Fused, Update, choose
from sim.sensors import Errors, SensorModel
from sim.simulator import Simulator
from tasks.task import Signals, Start, Task, Transition


class EnvironmentStep(NamedTuple):
    """One control step of every environment, ``[num_envs, …]``.

    Attributes:
        sensors, command: what the policy sees next; of the new episode where one began.
        terms: of the reward, ``[num_envs, terms]``; see `rewards`.
        reward: their sum.
        terminated: ended by failure. truncated: ran out of time. Never both.
        state: privileged signals after the step, before any reset.
        tracking_error: the task's error after the step, before any reset.
    """

    sensors: dict[str, Tensor]
    command: dict[str, Tensor]
    names: tuple[str, ...]
    terms: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    state: dict[str, Tensor]
    tracking_error: Tensor

    @property
    def rewards(self) -> dict[str, Tensor]:
        """The terms of the reward by name, ``[num_envs]``."""
        return dict(zip(self.names, self.terms.unbind(1), strict=True))


class Judged(NamedTuple):
    """What a step looks like and is worth: fields of `EnvironmentStep`."""

    state: dict[str, Tensor]
    sensors: dict[str, Tensor]
    terms: Tensor
    reward: Tensor
    terminated: Tensor
    tracking_error: Tensor


class Environment:
    """Episodes of ``task``, drawn from ``suite``, on ``simulator``.

    Args:
        task, simulator: on the same robot and actuation mode.
        suite: one of the task's suites, or its training distribution.
        seed: of every random number drawn here and in the sensors.
        auto_reset: begin a new episode where one ended; without it the caller does so by `reset`.
        episode_s: replaces the task's episode length.

    Raises:
        TetherError: for a simulator of another actuation mode or rate.
    """

    def __init__(
        self, task: Task, simulator: Simulator, *, suite: Any, seed: int, auto_reset: bool = True, episode_s: float | None = None
    ) -> None:
        if simulator.actuation_mode != task.actuation_mode or not math.isclose(simulator.control_dt * task.rate_hz, 1.0, rel_tol=1e-6):
            raise TetherError(
                f"the simulator steps {simulator.actuation_mode} at {1 / simulator.control_dt:g} Hz, "
                f"{task.name} wants {task.actuation_mode} at {task.rate_hz:g} Hz; build it with training.simulators.make_simulator"
            )
        self.task, self.simulator, self.suite, self.auto_reset = task, simulator, suite, auto_reset
        self.num_envs, self.device = simulator.num_envs, simulator.device
        self.episode_steps = round((episode_s or task.episode_s) * task.rate_hz)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.channels = [signal.name for signal in task.robot.actuation(task.actuation_mode)]
        sensors = [task.robot.sensor(name) for name in task.sensors]
        delay = round(max(suite.observation_delay_s or (0.0,)) * task.rate_hz)
        self.sensor_model = SensorModel(sensors, self.num_envs, self.generator, self.device, max_delay=delay)
        self._judge = Fused(self._judged, f"a step of {task.name}")
        self._disturbed = Fused(self.sensor_model.disturbed, "sensors")
        self._command_at = Fused(task.command_at, f"the moving command of {task.name}")
        self._privileged = Fused(task.privileged_observation, f"the privileged observation of {task.name}")
        self._renew = Update(lambda old, new: new, "the choice between old and new episodes")
        self._choose = Fused(choose, "the choice between old and new actuation")
        self.everyone = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        self.age = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
        self.skipped = torch.zeros_like(self.age)  # steps of the age that were never flown
        self.resting = task.actuate(torch.zeros(self.num_envs, task.action_size, device=self.device))
        self.previous_actuation = dict(self.resting)
        self.starts: Start = self._sample()
        self.used = ~self.everyone  # starts that were taken; each is used once, so that drawing can be rare
        self.episode = _kept(copy.deepcopy(self.starts))
        self.terms: tuple[str, ...] = ()  # of the reward
        self.drawn: Errors | None = None  # for the last reading; what begins right after it is read with the same
        self.asked: Signals = self.starts.command
        self.gust = torch.zeros(self.num_envs, 3, device=self.device)
        self.state: dict[str, Tensor] = {}
        self.sensors: dict[str, Tensor] = {}

    @property
    def command(self) -> dict[str, Tensor]:
        """The current command by name."""
        return dict(self.asked)

    def reset(self, mask: Tensor | None = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Begin new episodes where ``mask`` ``[num_envs]`` is set (all by default); returns everyone's sensors and command."""
        mask = self.everyone if mask is None else mask
        if (mask & self.used).any():
            self._draw()
        self.used = self.used | mask
        self.episode = self._renew(mask, self.episode, _kept(self.starts))
        self.simulator.randomize(mask, self.starts.parameters)
        self.simulator.reset(mask, self.starts.state)
        delay = None if self.starts.sensor_delay_s is None else (self.starts.sensor_delay_s * self.task.rate_hz).round().long().flatten()
        self.sensor_model.reset(mask, noise=self.starts.sensor_noise, delay=delay)
        self.age, self.skipped = torch.where(mask, 0, self.age), torch.where(mask, 0, self.skipped)
        self._ask()
        self.previous_actuation = self._choose(mask, self.resting, self.previous_actuation)
        self._disturb(mask)
        errors = self.drawn or self.sensor_model.draw()
        reading = self._disturbed(self._look(mask), errors)
        self.sensors = self._renew(mask, self.sensors, reading) if self.sensors else reading
        return self.sensors, self.command

    def restart(self, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Begin everywhere with what ``seed`` draws, as if nothing had been before."""
        self.generator.manual_seed(seed)
        self._draw()
        self.drawn = None
        return self.reset()

    def stagger(self, steps: int) -> None:
        """Give every episode a random age, in multiples of ``steps``, so that they do not all end together; commands do not move on."""
        groups = torch.randint(max(self.episode_steps // steps, 1), (self.num_envs,), generator=self.generator, device=self.device)
        self.skipped = self.skipped + groups * steps - self.age
        self.age = groups * steps

    def ask(self, command: Signals) -> None:
        """Ask this of the current episodes from now on, standing still; what is not given falls back to its default, if it has one."""
        rest = {c.name: torch.tensor([c.default], device=self.device).repeat(self.num_envs, 1) for c in self.task.commands if c.default}
        self.episode = self.episode._replace(command={**self.asked, **rest, **command}, reference=None)
        self._ask()

    def step(self, actuation: Mapping[str, Tensor]) -> EnvironmentStep:
        """Advance one control period under actuation signals by name ``[num_envs, size]``."""
        self._blow()
        self.simulator.step(torch.cat([actuation[name] for name in self.channels], dim=1))
        self.age = self.age + 1
        self._ask()
        late = self._look() if self.sensor_model.max_delay else None
        self.drawn = errors = self.sensor_model.draw()
        seen: Judged = self._judge(self.simulator.raw(), late, errors, dict(self.asked), dict(actuation), self.previous_actuation)
        self.state = state = seen.state
        truncated = (self.age >= self.episode_steps) & ~seen.terminated
        self.sensors, self.previous_actuation = seen.sensors, dict(actuation)
        if self.auto_reset and (done := seen.terminated | truncated).any():
            self.reset(done)
        return EnvironmentStep(
            self.sensors, self.command, self.terms, seen.terms, seen.reward, seen.terminated, truncated, state, seen.tracking_error
        )

    def _judged(
        self, raw: Any, late: Signals | None, errors: Errors | None, command: Signals, actuation: Signals, previous_actuation: Signals
    ) -> Judged:
        """Readings, and what the task says of a step; pure. Sensors see what is ``late`` if it is given."""
        state = self.simulator.interpret(raw)
        transition = Transition(state, command, actuation, previous_actuation)
        error, rewards = self.task.tracking_error(state, command), self.task.rewards(transition)
        terms = torch.stack(list(rewards.values()), dim=1)
        self.terms = tuple(rewards)
        values = late or {name: state[name] for name in self.task.sensors}
        return Judged(state, self.sensor_model.disturbed(values, errors), terms, terms.sum(1), self.task.terminated(transition), error)

    def privileged(self) -> Tensor:
        """What the critic sees beside the actor's observation, ``[num_envs, any]``."""
        observation: Tensor = self._privileged(self.state, self.simulator.parameters(), dict(self.asked))
        return observation

    def detach(self) -> None:
        """Cut everything off the graph that led to it, for truncated back-propagation; `TetherError` on a simulator without gradients."""
        self.simulator.detach()
        self.sensor_model.detach()
        self.state, self.sensors, self.previous_actuation = map(_detached, (self.state, self.sensors, self.previous_actuation))

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit, the simulator and the sensors included."""
        return {
            "simulator": self.simulator.state_dict(),
            "sensor_model": self.sensor_model.state_dict(),
            "generator": self.generator.get_state(),
            "age": self.age,
            "skipped": self.skipped,
            "used": self.used,
            "gust": self.gust,
            "state": self.state,
            "sensors": self.sensors,
            "previous_actuation": self.previous_actuation,
            "starts": self.starts._asdict(),
            "episode": self.episode._asdict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.simulator.load_state_dict(state["simulator"])
        self.sensor_model.load_state_dict(state["sensor_model"])
        self.generator.set_state(state["generator"])
        self.age, self.skipped, self.used, self.gust = state["age"], state["skipped"], state["used"], state["gust"]
        self.state, self.sensors = dict(state["state"]), dict(state["sensors"])
        self.previous_actuation = dict(state["previous_actuation"])
        self.starts, self.episode = Start(**state["starts"]), Start(**state["episode"])
        self._ask()

    def _ask(self) -> None:
        """Move the command to where it is now."""
        if self.episode.reference is None:
            self.asked = self.episode.command
        else:
            self.asked = self._command_at(self.episode, ((self.age - self.skipped) / self.task.rate_hz).unsqueeze(1))

    def _look(self, begun: Tensor | None = None) -> dict[str, Tensor]:
        """Take in the simulator's state; what the sensors see of it, between steps of the episodes just ``begun`` ``[num_envs]``."""
        self.state = self.simulator.privileged()
        return self.sensor_model.delayed(self.state, begun)

    def _draw(self) -> None:
        """Draw new starts, one for every environment."""
        self.starts = self._sample()
        self.used = ~self.everyone

    def _sample(self) -> Start:
        """Starts for all environments, laid out as kernels read them."""
        return Start(*_laid_out(tuple(self.task.sample(self.suite, self.num_envs, self.generator))))

    def _disturb(self, mask: Tensor) -> None:
        """Apply the constant force, and draw the first gust from its stationary distribution."""
        if self.episode.force_in_world is not None:
            self.simulator.apply_wrench(self.episode.force_in_world, torch.zeros_like(self.episode.force_in_world))
        if self.episode.gust_m_s is not None:
            self.gust = torch.where(mask.unsqueeze(1), self._noise() * self.episode.gust_m_s, self.gust)

    def _blow(self) -> None:
        """Advance the gusts by one exact step of dw = −w/T dt + σ √(2/T) dW."""
        if self.episode.gust_m_s is None:
            return
        keep = math.exp(-1.0 / (self.task.rate_hz * self.task.gust_s))
        self.gust = keep * self.gust + math.sqrt(1 - keep**2) * self.episode.gust_m_s * self._noise()
        mean = self.episode.parameters.get("wind", 0.0)
        self.simulator.randomize(self.everyone, {"wind": mean + self.gust})

    def _noise(self) -> Tensor:
        return torch.randn(self.num_envs, 3, generator=self.generator, device=self.device)


def _detached(signals: Signals) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in signals.items()}


def _kept(start: Start) -> Start:
    """What `Environment` needs of an episode while it lasts."""
    wind = {name: value for name, value in start.parameters.items() if name == "wind"}
    return start._replace(state={}, parameters=wind, sensor_noise={}, sensor_delay_s=None)


def _laid_out(value: Any) -> Any:
    """The same values with environments contiguous in memory."""
    if isinstance(value, Mapping):
        return {name: _laid_out(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple([_laid_out(item) for item in value])
    return value if value is None else value.movedim(0, -1).contiguous().movedim(-1, 0)
