"""The task interface: what the actor sees, what is rewarded, when an episode ends, and the suites it is judged on."""

from __future__ import annotations

import abc
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from robots.contract import Contract
from robots.description import Robot
from robots.errors import unknown
from robots.signals import Command
from safety.safeguards import Safeguard
from sim.sensor_faults import Drift, Freeze
from tasks.symmetry import Mirror
from tasks.uncertainty import Uncertain

Signals = Mapping[str, Tensor]


class Memory(NamedTuple):
    """What a policy carries between steps, split into its parts.

    Attributes:
        started: ``[batch, 1]``, 0 on the first step of an episode, else 1.
        action: ``[batch, action size]``, the previous action; zeros on the first step.
        task: ``[batch, task memory size]``, whatever the task's `Task.observe` keeps (history, integrals).
    """

    started: Tensor
    action: Tensor
    task: Tensor


class Transition(NamedTuple):
    """One control step as rewards, terminations and success see it.

    Attributes:
        state: privileged signals after the step.
        command: that the step was judged by.
        actuation, previous_actuation: of this step and the one before; at rest before an episode's first.
        time_s: since the episode began, after the step, ``[num_envs, 1]``; what a policy's clock shows that counts its steps.
    """

    state: Signals
    command: Signals
    actuation: Signals
    previous_actuation: Signals
    time_s: Tensor


class Wave(NamedTuple):
    """f(t) = force · sin(2π frequency t + phase).

    Attributes:
        force_n: in the world, ``[num_envs, 3]``.
        frequency_hz, phase_rad: ``[num_envs, 1]``.
    """

    force_n: Tensor
    frequency_hz: Tensor
    phase_rad: Tensor


class Start(NamedTuple):
    """How a batch of episodes begins.

    Attributes:
        state: for `Simulator.reset`.
        parameters: for `Simulator.randomize`.
        command: by command name.
        sensor_noise: standard deviation by sensor name, ``[num_envs, size]``; a quaternion's is a rotation vector's, ``[num_envs, 3]``.
        force_in_world: constant external force on the base ``[num_envs, 3]``, N; None for none.
        gust_m_s: standard deviation of the wind about its mean (parameter ``wind``) ``[num_envs, 3]``, a first-order Gauss–Markov process
            with the time constant `Task.gust_s`; None for none.
        reference: what `Task.command_at` needs to move the command, by name, ``[num_envs, …]``; None where the command stands still.
        sensor_delay_s: age of what the sensors report, rounded to whole control periods, ``[num_envs, 1]``; None for none.
        push_m_s: sudden changes of the base's velocity in the world, one every `Task.push_every_s`, ``[num_envs, pushes, 3]``; after the
            last none follow. None for none.
        sensor_bias: constant errors by sensor name, as for ``sensor_noise``; what is not named has none. None for none at all.
        sensor_turn: how the axes of a sensor that measures a vector are turned, by sensor name, rotation vectors ``[num_envs, 3]``, rad.
        world: what surrounds the robot and no engine knows, by name, ``[num_envs, …]``, for `Task.sense`; None for nothing.
        burst_n: least size of the bursts of force on the base ``[num_envs, 1]``, N, one every `Task.burst_every_s` on average, with heavy
            tails; see `training.bursts`. None for none.
        wave: a force on the base that swings. None for none.
        force_knots_n: further force on the base in the world, piecewise linear through these, spread evenly over the episode,
            ``[num_envs, knots, 3]``, N; at least two. None for none.
        sensor_drift: slow errors by sensor name; what is not named does not drift. None for none at all.
        sensor_freeze: when sensors repeat their last reading, by name, likewise.
    """

    state: Signals
    parameters: Signals
    command: Signals
    sensor_noise: Signals
    force_in_world: Tensor | None = None
    gust_m_s: Tensor | None = None
    reference: Signals | None = None
    sensor_delay_s: Tensor | None = None
    push_m_s: Tensor | None = None
    sensor_bias: Signals | None = None
    sensor_turn: Signals | None = None
    world: Signals | None = None
    burst_n: Tensor | None = None
    wave: Wave | None = None
    force_knots_n: Tensor | None = None
    sensor_drift: Mapping[str, Drift] | None = None
    sensor_freeze: Mapping[str, Freeze] | None = None


@dataclass(frozen=True)
class Suite:
    """A named evaluation distribution; subclasses add the ranges of their task. Never read by training as a config.

    Attributes:
        name: of the suite.
        observation_delay_s: range of `Start.sensor_delay_s`; None for no delay.
    """

    name: str
    observation_delay_s: tuple[float, float] | None = field(default=None, kw_only=True)

    def digest(self) -> str:
        """First 12 hex digits of a SHA-256 over every range that is given, so that a result names exactly what it was measured on.

        What is None is left out: a range that is added later, and not used, leaves the digest of what was measured before as it is.
        """
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:12]


class Task(abc.ABC):
    """One task on one robot.

    `observe` and `actuate` are pure, batched torch functions of sensors, command and memory only: they are exported as they are, so every
    actor is deployable by construction. Everything else may use what only simulation knows.

    Attributes:
        name: registry name.
        robot, actuation_mode: what is controlled, and how.
        rate_hz: control rate.
        episode_s: length of an episode.
        clock: the sensor source that triggers a step.
        sensors, commands: what `observe` reads.
        action_size, task_memory_size, observation_names: widths of what `actuate` takes and `observe` gives.
        suites: evaluation distributions by name.
        training_suite: the distribution training draws from; may be wider than any suite.
        presets: per algorithm, the settings that differ from its defaults, for this task.
        gust_s: time constant of wind gusts.
        push_every_s: time between pushes.
        burst_every_s: mean time between bursts of force. burst_s: time constant with which one dies away.
        judged_part: of an episode, what `judged` gives, in words.
        uncertain: what an adversary, or randomisation in its stead, may change (`training.adversaries`); suites do not read it.
        safeguards: what may stand between actor and actuation, by name: each makes, for this task, a safeguard of actions in −1…1 that
            judges by `guarded_state`.
        asked_level: of risk, in every episode, where the task has that command (`tasks.risk_level`); None for a random one.
    """

    name: ClassVar[str]
    robot: Robot
    actuation_mode: str
    rate_hz: float
    episode_s: float
    clock: str
    sensors: tuple[str, ...]
    commands: tuple[Command, ...]
    action_size: int
    task_memory_size: int
    observation_names: tuple[str, ...]
    suites: ClassVar[Mapping[str, Any]]
    training_suite: Any
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    gust_s: float = 1.0
    push_every_s: float = 4.0
    burst_every_s: float = 1.0
    burst_s: float = 0.25
    judged_part: str = "the last sixth"
    uncertain: tuple[Uncertain, ...] = ()
    safeguards: ClassVar[Mapping[str, Callable[[Any], Safeguard]]] = {}
    asked_level: float | None = None

    @abc.abstractmethod
    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """Observation ``[batch, len(observation_names)]`` and next task memory ``[batch, task_memory_size]``."""

    @abc.abstractmethod
    def actuate(self, action: Tensor) -> dict[str, Tensor]:
        """Actuation signals by name from an action in −1…1 ``[batch, action_size]``; zero is the resting action."""

    def follow(self, task_memory: Tensor, action: Tensor) -> dict[str, Tensor]:
        """Actuation signals for an action that the safeguard has let pass, by an inner loop where a task has one; exported as `observe` is.

        Args:
            task_memory: as `observe` gives it in this step, ``[batch, task_memory_size]``; where it leaves what the inner loop knows.
            action: in −1…1 ``[batch, action_size]``.
        """
        return self.actuate(action)

    def guarded_state(self, sensors: Signals, command: Signals, memory: Memory) -> Tensor:
        """The state ``[batch, any]`` that `safeguards` judge by, from what the robot can measure; exported as `observe` is."""
        raise NotImplementedError(f"{self.name} has safeguards and no guarded_state")

    @abc.abstractmethod
    def sample(self, suite: Any, num_envs: int, generator: torch.Generator) -> Start:
        """Draw how ``num_envs`` episodes begin."""

    def sense(self, state: Signals, world: Signals) -> dict[str, Tensor]:
        """Signals that follow from state and ``Start.world``, ideal readings of sensors among them; only called where that is given.

        They are part of the state from then on, for rewards, terminations and the critic too.
        """
        return {}

    def command_at(self, start: Start, time_s: Tensor) -> Signals:
        """What is asked ``time_s`` ``[num_envs, 1]`` into the episodes; only called where ``start.reference`` is given."""
        return start.command

    @abc.abstractmethod
    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """Named reward terms ``[num_envs]``, already weighted and scaled by the control period; the reward is their sum."""

    @abc.abstractmethod
    def terminated(self, transition: Transition) -> Tensor:
        """Episodes that ended by failure, bool ``[num_envs]``; running out of time is truncation and is counted elsewhere."""

    @abc.abstractmethod
    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """The error this task is judged by, ``[num_envs]``, for example metres from the goal."""

    def measures(self, transition: Transition) -> dict[str, Tensor]:
        """What every evaluation reports of a step beside the tracking error, ``[num_envs]`` by name; units in the names."""
        return {}

    def judged(self, tracking_errors: Tensor) -> Tensor:
        """The part of an episode's errors ``[steps, num_envs]`` that its success and its reported errors are about; `judged_part`."""
        return tracking_errors[-max(len(tracking_errors) // 6, 1) :]

    @abc.abstractmethod
    def success(self, tracking_errors: Tensor, terminated: Tensor) -> Tensor:
        """Bool ``[num_envs]`` from an episode's errors ``[steps, num_envs]`` and whether it ever terminated ``[num_envs]``."""

    def mirror(self) -> Mirror | None:
        """How left and right change places, for an actor that treats both alike; None where they differ."""
        return None

    @abc.abstractmethod
    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """What the critic sees beside the actor's observation, ``[num_envs, any]``."""

    def suite(self, name: str) -> Any:
        """The suite called ``name``; raises `TetherError` naming the task's suites."""
        if name not in self.suites:
            raise unknown(f"suite of {self.name}", name, list(self.suites))
        return self.suites[name]

    def safeguard(self, name: str) -> Safeguard:
        """The safeguard called ``name``; raises `TetherError` naming the task's."""
        if name not in self.safeguards:
            raise unknown(f"safeguard of {self.name}", name, list(self.safeguards))
        return self.safeguards[name](self)

    def contract(self, memory_size: int, rate_hz: float | None = None) -> Contract:
        """The contract of a policy for this task."""
        return Contract(
            robot=self.robot.name,
            task=self.name,
            rate_hz=rate_hz or self.rate_hz,
            clock=self.clock,
            sensors=tuple(self.robot.sensor(name) for name in self.sensors),
            commands=self.commands,
            actuation=self.robot.actuation(self.actuation_mode),
            actuation_mode=self.actuation_mode,
            memory_size=memory_size,
            observation=self.observation_names,
            limits=self.robot.limits,
            gains=self.robot.gains(self.actuation_mode),
        )
