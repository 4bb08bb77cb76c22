"""A task on a simulator with sensors: many episodes side by side, without a Python loop over them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.errors import TetherError
from sim.fused.fuse import Fused, Update, rehearsal
from sim.fused.source import BLOCK
from sim.random_numbers import Key, RandomNumbers, normal, uniform
from sim.sensor_faults import drifted, frozen
from sim.sensors import Columns, Errors, SensorModel, begun
from sim.simulator import Simulator
from tasks.task import Signals, Start, Task, Transition
from training.bursts import next_burst
from training.external_force import changes, scheduled
from training.starts import Sample, Starts

Amend = Callable[[Start, torch.Generator], Start]
Did = tuple[dict[str, Tensor], dict[str, Tensor], Tensor]  # actuation, that of the step before, and where there was none
Readings = tuple[tuple[Tensor, Tensor], dict[str, Tensor], Signals]  # the sensors' levels, what they say, and a command that moves


class EnvironmentStep(NamedTuple):
    """One control step of every environment, ``[num_envs, …]``.

    Attributes:
        sensors, command: what the policy sees next; of the new episode where one began.
        terms: of the reward, ``[num_envs, terms]``; see `rewards`.
        reward: their sum.
        measured: what the task reports beside the reward, ``[num_envs, measures]``; see `measures`.
        terminated: ended by failure. truncated: ran out of time. Never both.
        tracking_error: the task's error after the step, before any reset.
    """

    sensors: dict[str, Tensor]
    command: dict[str, Tensor]
    names: tuple[str, ...]
    terms: Tensor
    reward: Tensor
    measure_names: tuple[str, ...]
    measured: Tensor | None
    terminated: Tensor
    truncated: Tensor
    tracking_error: Tensor

    @property
    def rewards(self) -> dict[str, Tensor]:
        """The terms of the reward by name, ``[num_envs]``."""
        return dict(zip(self.names, self.terms.unbind(1), strict=True))

    @property
    def measures(self) -> dict[str, Tensor]:
        """What the task reports by name, ``[num_envs]``."""
        return {} if self.measured is None else dict(zip(self.measure_names, self.measured.unbind(1), strict=True))


class Judged(NamedTuple):
    """What a step looks like and is worth: fields of `EnvironmentStep`; the command only where it moves, the state only where no reset
    follows before anybody can see it.
    """

    state: dict[str, Tensor]
    sensors: dict[str, Tensor]
    command: dict[str, Tensor]
    terms: Tensor
    reward: Tensor
    measured: Tensor | None
    terminated: Tensor
    truncated: Tensor
    tracking_error: Tensor


class Environment:
    """Episodes of ``task``, drawn from ``suite``, on ``simulator``.

    Args:
        task, simulator: on the same robot and actuation mode.
        suite: one of the task's suites, or its training distribution.
        seed: of every random number drawn here and in the sensors; several have an equal share of the environments each.
        auto_reset: begin a new episode where one ended; without it the caller does so by `reset`.
        episode_s: replaces the task's episode length.
        longest_delay_s: the oldest that a reading may be, if that is more than in the suite.
        amend: changes what the task drew for the start of its episodes, one for all or one for each seed; all give the same fields.

    Raises:
        TetherError: for a simulator of another actuation mode or rate, or environments that the seeds cannot share.
    """

    def __init__(
        self,
        task: Task,
        simulator: Simulator,
        *,
        suite: Any,
        seed: int | Sequence[int],
        auto_reset: bool = True,
        episode_s: float | None = None,
        longest_delay_s: float = 0.0,
        amend: Amend | Sequence[Amend] | None = None,
    ) -> None:
        if simulator.actuation_mode != task.actuation_mode or not math.isclose(simulator.control_dt * task.rate_hz, 1.0, rel_tol=1e-6):
            raise TetherError(
                f"the simulator steps {simulator.actuation_mode} at {1 / simulator.control_dt:g} Hz, "
                f"{task.name} wants {task.actuation_mode} at {task.rate_hz:g} Hz; build it with training.simulators.make_simulator"
            )
        if not isinstance(seed, int) and simulator.num_envs % len(seed):
            raise TetherError(f"{simulator.num_envs} environments cannot be shared out to {len(seed)} seeds; give a multiple of that many")
        self.task, self.simulator, self.suite, self.auto_reset = task, simulator, suite, auto_reset
        self.num_envs, self.device = simulator.num_envs, simulator.device
        self.episode_steps = round((episode_s or task.episode_s) * task.rate_hz)
        self.channels = [signal.name for signal in task.robot.actuation(task.actuation_mode)]
        sensors = [task.robot.sensor(name) for name in task.sensors]
        delay = round(max(longest_delay_s, *(suite.observation_delay_s or (0.0,))) * task.rate_hz)
        self.numbers = RandomNumbers(self.num_envs, seed, self.device)
        self.sensor_model = SensorModel(sensors, self.num_envs, self.numbers, self.device, max_delay=delay)
        self.starts = Starts(_sampling(functools.partial(task.sample, suite), amend), self.num_envs, seed, self.device)
        self._fly = Fused(self._flown, f"a step of {task.name}")
        self._judge = Fused(self._judged, f"a step of {task.name}")
        self._start = Update(self._started, f"the start of {task.name}")
        self._begin = Update(self._begun, f"the first reading of {task.name}")
        self._command_at = Fused(task.command_at, f"the moving command of {task.name}")
        self._privileged = Fused(task.privileged_observation, f"the privileged observation of {task.name}")
        self._sense = Fused(task.sense, f"the surroundings of {task.name}")
        self._blown = Fused(self._next_gust, "gusts")
        self._burst = Fused(next_burst, "bursts")
        self.everyone = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        self.nobody = ~self.everyone
        self.age = torch.zeros(self.num_envs, dtype=torch.int64, device=self.device)
        self.skipped = torch.zeros_like(self.age)  # steps of the age that were never flown
        self.resting = task.actuate(torch.zeros(1, task.action_size, device=self.device))
        self.last_actuation = {name: value.expand(self.num_envs, -1) for name, value in self.resting.items()}
        self.began = self.everyone  # since the last step: their last actuation is the resting one
        self.still = self.episode.reference is None  # commands do not move
        self.shown = not auto_reset  # whether a step's state can be asked for before episodes begin anew
        self.terms: tuple[str, ...] = ()  # of the reward
        self.measure_names: tuple[str, ...] = ()
        self.asked: Signals = self._empty({name: value.shape[1] for name, value in self.episode.command.items()})
        self.sensors = self._empty({sensor.name: sensor.size for sensor in sensors})
        self.gust = torch.zeros(self.num_envs, 3, device=self.device)
        self.burst = torch.zeros_like(self.gust)
        self._state: dict[str, Tensor] | None = None
        self._known: tuple[Start, bool, Start] | None = None  # what `_began_with` was made of, and what of it
        self._rehearse()

    @torch.no_grad()
    def _rehearse(self) -> None:
        """Have all kernels compiled at once, by a step that leaves no trace."""
        if self.num_envs < BLOCK:
            return
        with rehearsal():
            saved, automatic = self.state_dict(), self.auto_reset
            self.auto_reset = False
            self.reset()
            self.step({name: value.expand(self.num_envs, -1) for name, value in self.resting.items()})
            self.load_state_dict(saved)
            self.auto_reset = automatic

    def _empty(self, widths: Mapping[str, int]) -> dict[str, Tensor]:
        return {name: torch.zeros(width, self.num_envs, device=self.device).t() for name, width in widths.items()}

    @property
    def episode(self) -> Start:
        """How the present episodes began."""
        return self.starts.current

    @property
    def state(self) -> dict[str, Tensor]:
        """Privileged signals as they are now, after a step those of its end; of new episodes where some began."""
        if self._state is None:
            state, world = self.simulator.privileged(), self.episode.world
            self._state = state if world is None else state | self._sense(state, world)
        return self._state

    @property
    def scene(self) -> dict[str, Tensor]:
        """`state`, and what surrounds the robot, for who looks on."""
        return self.state | dict(self.episode.world or {})

    def _sensed(self, state: dict[str, Tensor], world: Signals | None) -> dict[str, Tensor]:
        """The robot's state, with what follows from it and the world around; pure."""
        return state if world is None else state | self.task.sense(state, world)

    @property
    def previous_actuation(self) -> dict[str, Tensor]:
        """What was actuated last by name; at rest where an episode has just begun."""
        return self._previous(self.last_actuation, self.began)

    @property
    def command(self) -> dict[str, Tensor]:
        """The current command by name."""
        return dict(self.asked)

    def reset(self, mask: Tensor | None = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Begin new episodes where ``mask`` ``[num_envs]`` is set (all by default); returns everyone's sensors and command."""
        mask = self.everyone if mask is None else mask
        chosen = self.starts.renew(mask)
        if len(chosen):
            self._reset(mask, chosen)
        return self.sensors, self.command

    def _reset(self, mask: Tensor, chosen: Tensor) -> None:
        """Begin anew where ``mask`` is set, in the environments ``chosen``."""
        start, late = self.episode, bool(self.sensor_model.max_delay)
        if late:
            self.simulator.begin(mask, start.state, start.parameters)
        else:
            body, given = self.simulator.beginning(mask, start.state, start.parameters)
        columns = self._errors(mask)
        self.age, self.skipped = self.age.index_fill(0, chosen, 0), self.skipped.index_fill(0, chosen, 0)
        self.began = mask if self.began is self.nobody else self.began | mask
        self._disturb(mask)
        self._state = None
        old = (self.sensor_model.levels, self.sensors, {} if self.still else self.asked)
        told = (columns, self.sensor_model.drawn(), {} if self.still else start.command, start.world)
        if late:
            new = self._begin(mask, old, self.simulator.raw(), self.sensor_model.delayed(self.state, mask), *told)
        else:
            body, new = self._start(mask, (body, old), given, *told)
            self.simulator.began(mask, body, given)
        levels, self.sensors, moving = new
        self.sensor_model.take(levels)
        self.asked = start.command if self.still else moving

    def _errors(self, mask: Tensor) -> Columns:
        """Tell the sensors what is wrong with them in the new episodes; returns their noise and bias."""
        start = self.episode
        delay = None if start.sensor_delay_s is None else (start.sensor_delay_s * self.task.rate_hz).round().long().flatten()
        bias = start.sensor_bias
        if start.sensor_drift is not None:  # also where nothing else is wrong, there is a bias to which it can be added
            bias = {name: torch.zeros_like(drift.offset) for name, drift in start.sensor_drift.items()} | dict(bias or {})
        return self.sensor_model.asked(mask, noise=start.sensor_noise, bias=bias, turn=start.sensor_turn, delay=delay)

    def restart(self, seed: int | Sequence[int]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Begin everywhere with what ``seed`` draws, as if nothing had been before."""
        self.numbers.restart(seed)
        self.sensor_model.draw()
        self.starts.restart(seed)
        return self.reset()

    def stagger(self, steps: int) -> None:
        """Give every episode a random age, in multiples of ``steps``, so that they do not all end together; commands do not move on."""
        groups = (uniform(self.numbers.advance(), 0, 1)[:, 0] * max(self.episode_steps // steps, 1)).long()
        self.skipped = self.skipped + groups * steps - self.age
        self.age = groups * steps

    def ask(self, command: Signals) -> None:
        """Ask this of the current episodes from now on, standing still; what is not given falls back to its default, if it has one."""
        rest = {c.name: torch.tensor([c.default], device=self.device).repeat(self.num_envs, 1) for c in self.task.commands if c.default}
        self.still = True
        self.starts.replace_command({**self.asked, **rest, **command})
        self.asked = self.episode.command

    def step(self, actuation: Mapping[str, Tensor]) -> EnvironmentStep:
        """Advance one control period under actuation signals by name ``[num_envs, size]``."""
        self._blow()
        self._strike()
        self._push()
        asked = torch.cat([actuation[name].t() for name in self.channels]).t()  # rows of environments, as engines want them
        did = (dict(actuation), self.last_actuation, self.began)
        seen = self._late(asked, did) if self.sensor_model.max_delay else self._at_once(asked, did)
        self._state, self.sensors, self.asked = seen.state or None, seen.sensors, self.asked if self.still else seen.command
        self.last_actuation, self.began = did[0], self.nobody
        if self.auto_reset:
            self.reset(seen.terminated | seen.truncated)
        return EnvironmentStep(
            sensors=self.sensors,
            command=self.command,
            names=self.terms,
            terms=seen.terms,
            reward=seen.reward,
            measure_names=self.measure_names,
            measured=seen.measured,
            terminated=seen.terminated,
            truncated=seen.truncated,
            tracking_error=seen.tracking_error,
        )

    def _at_once(self, actuation: Tensor, did: Did) -> Judged:
        """Step the simulator and judge, as one kernel where the engine can."""
        pending = self.simulator.pending(actuation)
        self.age = self.age + 1
        left, seen = self._fly(pending, None, *self._told(did))
        self.simulator.keep(left)
        judged: Judged = seen
        return judged

    def _late(self, actuation: Tensor, did: Did) -> Judged:
        """The same where sensors see what was some steps ago."""
        self.simulator.step(actuation)
        self.age, self._state = self.age + 1, None
        late = self.sensor_model.delayed(self.state)
        judged: Judged = self._judge(self.simulator.raw(), late, *self._told(did))
        return judged

    def _told(self, did: Did) -> tuple[Any, ...]:
        """What a step is judged by beside the simulator, as `_judged` wants it."""
        held = self.sensors if self.episode.sensor_freeze is not None else None
        return self.sensor_model.draw(), self._began_with(), self.age, self.skipped, *did, held, self.shown

    def _began_with(self) -> Start:
        """What a step needs to know of how its episode began."""
        start, still = self.episode, self.still
        if self._known is None or self._known[0] is not start or self._known[1] != still:
            told = Start({}, {}, start.command, {}, reference=None if still else start.reference, world=start.world)
            self._known = start, still, told._replace(sensor_drift=start.sensor_drift, sensor_freeze=start.sensor_freeze)
        return self._known[2]

    def _flown(self, pending: Any, *told: Any) -> tuple[Any, Judged]:
        """What a step leaves to the simulator, and what it is worth; pure."""
        raw, left = self.simulator.advanced(pending)
        return left, self._judged(raw, *told)

    def _judged(
        self,
        raw: Any,
        late: Signals | None,
        errors: Errors | None,
        start: Start,
        age: Tensor,
        skipped: Tensor,
        actuation: Signals,
        last_actuation: Signals,
        began: Tensor,
        held: Signals | None,
        shown: bool,
    ) -> Judged:
        """Readings, and what the task says of a step; pure. Sensors see what is ``late`` if given, commands move by their reference.

        ``held``: the readings before, where some may repeat them. ``shown``: whether anybody may ask for the state as it is then.
        """
        state, time_s = self._sensed(self.simulator.interpret(raw), start.world), self._time_at(age, skipped)
        command = start.command if start.reference is None else self.task.command_at(start, time_s)
        transition = Transition(state, command, actuation, self._previous(last_actuation, began), time_s)
        error, rewards = self.task.tracking_error(state, command), self.task.rewards(transition)
        terms = torch.stack(list(rewards.values()), dim=1)
        measures = self.task.measures(transition)
        measured = torch.stack(list(measures.values()), dim=1) if measures else None
        self.terms, self.measure_names = tuple(rewards), tuple(measures)
        if start.sensor_drift is not None and errors is not None:
            errors = drifted(errors, start.sensor_drift, self.sensor_model.widths, time_s)
        sensors = self.sensor_model.disturbed(late or state, errors)
        if start.sensor_freeze is not None and held is not None:
            sensors = frozen(sensors, held, start.sensor_freeze, time_s)
        moving = {} if start.reference is None else dict(command)
        terminated = self.task.terminated(transition)
        truncated = (age >= self.episode_steps) & ~terminated
        return Judged(state if shown else {}, sensors, moving, terms, terms.sum(1), measured, terminated, truncated, error)

    def _previous(self, actuation: Signals, began: Tensor) -> dict[str, Tensor]:
        return {name: torch.where(began.unsqueeze(1), self.resting[name], value) for name, value in actuation.items()}

    def _started(self, old: tuple[Any, Readings], given: Any, *told: Any) -> tuple[Any, Readings]:
        """What the simulator remembers of a new episode, and its `_begun`; pure."""
        body, raw = self.simulator.begun(old[0], given)
        return body, self._begun(old[1], raw, None, *told)

    def _begun(
        self,
        old: Readings,
        raw: Any,
        late: Signals | None,
        columns: Columns,
        errors: Errors | None,
        command: Signals,
        world: Signals | None,
    ) -> Readings:
        """Noise and bias, the first reading of an episode, and the command it begins with; pure."""
        levels = begun(columns, len(old[0][0]))
        if errors is not None:
            errors = errors._replace(noise=levels[0], bias=levels[1])
        seen = late or self._sensed(self.simulator.interpret(raw), world)
        return levels, self.sensor_model.disturbed(seen, errors), command

    def privileged(self) -> Tensor:
        """What the critic sees beside the actor's observation, ``[num_envs, any]``."""
        observation: Tensor = self._privileged(self.state, self.simulator.parameters(), dict(self.asked))
        return observation

    def context(self) -> Tensor:
        """What of `privileged` does not follow from state, parameters and command: nothing, ``[num_envs, 0]``."""
        return torch.zeros(self.num_envs, 0, device=self.device)

    def detach(self) -> None:
        """Cut everything off the graph that led to it, for truncated back-propagation; `TetherError` on a simulator without gradients."""
        self.simulator.detach()
        self.sensor_model.detach()
        self.sensors, self.asked, self.last_actuation = map(_detached, (self.sensors, self.asked, self.last_actuation))
        self._state = None if self._state is None else _detached(self._state)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit, the simulator, the sensors and their random numbers included."""
        return {
            "simulator": self.simulator.state_dict(),
            "sensor_model": self.sensor_model.state_dict(),
            "starts": self.starts.state_dict(),
            "age": self.age,
            "skipped": self.skipped,
            "began": self.began,
            "still": self.still,
            "gust": self.gust,
            "burst": self.burst,
            "state": self.state,
            "sensors": self.sensors,
            "last_actuation": self.last_actuation,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.simulator.load_state_dict(state["simulator"])
        self.sensor_model.load_state_dict(state["sensor_model"])
        self.starts.load_state_dict(state["starts"])
        self.age, self.skipped, self.began = state["age"], state["skipped"], state["began"]
        self.gust, self.still = state["gust"], state["still"]
        self.burst = state.get("burst", self.burst)  # none in what was saved before there were any
        self._state, self.sensors = dict(state["state"]), dict(state["sensors"])
        self.last_actuation = dict(state["last_actuation"])
        self.asked = self.episode.command if self.still else self._command_at(self.episode, self._time())

    def _time(self) -> Tensor:
        """How far the present episodes are [s], ``[num_envs, 1]``."""
        return self._time_at(self.age, self.skipped)

    def _time_at(self, age: Tensor, skipped: Tensor) -> Tensor:
        return ((age - skipped) / self.task.rate_hz).unsqueeze(1)

    def _disturb(self, mask: Tensor) -> None:
        """Apply the constant force, draw the first gust from its stationary distribution, and begin without a burst."""
        if self.episode.force_in_world is not None:
            self._pull(self.episode.force_in_world)
        if self.episode.gust_m_s is not None:
            first = self._blown(torch.zeros_like(self.gust), self.episode.gust_m_s, self.numbers.advance(), 0.0)
            self.gust = torch.where(mask.unsqueeze(1), first, self.gust)
        if self.episode.burst_n is not None:
            self.burst = self.burst.masked_fill(mask.unsqueeze(1), 0.0)

    def _blow(self) -> None:
        """Advance the gusts by one exact step of dw = −w/T dt + σ √(2/T) dW."""
        if self.episode.gust_m_s is None:
            return
        keep = math.exp(-1.0 / (self.task.rate_hz * self.task.gust_s))
        self.gust = self._blown(self.gust, self.episode.gust_m_s, self.numbers.advance(), keep)
        mean = self.episode.parameters.get("wind", 0.0)
        self.simulator.randomize(self.everyone, {"wind": mean + self.gust})

    def _strike(self) -> None:
        """Advance the bursts, and apply the force of this step, where there is any that changes."""
        start = self.episode
        if not changes(start):
            return
        force = scheduled(start, self._time(), self.episode_steps / self.task.rate_hz)
        if start.burst_n is not None:
            period_s = 1.0 / self.task.rate_hz
            keep, chance = math.exp(-period_s / self.task.burst_s), 1.0 - math.exp(-period_s / self.task.burst_every_s)
            self.burst = self._burst(self.burst, start.burst_n, self.numbers.advance(), keep, chance)
            force = force + self.burst
        self._pull(force)

    def _pull(self, force: Tensor) -> None:
        """Let the episodes' own external force [N] ``[num_envs, 3]`` act on the base, until another one does."""
        self.simulator.apply_wrench(force, torch.zeros_like(force))

    def _push(self) -> None:
        """Give the base the velocity change that is due before this step."""
        pushes = self.episode.push_m_s
        if pushes is None:
            return
        period = round(self.task.push_every_s * self.task.rate_hz)
        number = self.age // period
        due = (self.age > 0) & (self.age % period == 0) & (number <= pushes.shape[1])
        if self.device.type != "cpu" or due.any():
            index = (number - 1).clamp(0, pushes.shape[1] - 1)
            change = pushes[torch.arange(self.num_envs, device=self.device), index]
            self.simulator.push(torch.where(due.unsqueeze(1), change, 0.0))

    @staticmethod
    def _next_gust(gust: Tensor, deviation: Tensor, key: Key, keep: float) -> Tensor:
        return keep * gust + math.sqrt(1 - keep**2) * deviation * normal(key, 0, 3)


def _sampling(sample: Sample, amend: Amend | Sequence[Amend] | None) -> Sample | list[Sample]:
    """``sample``, and what ``amend`` makes of it; several where several amend."""
    if amend is None:
        return sample
    if not callable(amend):
        return [functools.partial(_amended, sample, each) for each in amend]
    return functools.partial(_amended, sample, amend)


def _amended(sample: Sample, amend: Amend, size: int, generator: torch.Generator) -> Start:
    return amend(sample(size, generator), generator)


def _detached(signals: Signals) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in signals.items()}
