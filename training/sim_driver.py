"""A simulated robot behind the driver seam, in lockstep: the full runtime of the robot, on simulated time, without ROS."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from deploy.policy import Policy
from deploy.runtime import Tick
from deploy.runtime.driver import Reading
from training.environment import Environment
from training.evaluate import Observer, evaluation_seed, task_of
from training.simulators import make_simulator

FAILSAFE_PERIODS = 5  # the robot's own watchdog: commands silent for longer end in idling motors


class SimDriver:
    """One episode of a task's suite, one control period per reading.

    Time stands still until the first actuation, so that a start in mid-air is not spent falling before the policy is in control.

    Args:
        policy: its contract names robot, task and rate.
        suite: of the task: where the episode starts, its disturbances and noise.
        seed: of the episode; the same seed is the same flight.
        seconds: how long.
        simulator: engine.

    Attributes:
        task: the installed task.
        time_s: simulated monotonic clock [s].
        errors: the task's tracking error after every step.
        crashed: the task's failure condition was met; the flight ended there.
        failsafe: the autopilot was asked to take over.
        observers: see every control step: state before it, command, actuation.

    Raises:
        TetherError: for an unknown suite or simulator, and a policy that does not fit the installed robot and task.
    """

    def __init__(self, policy: Policy, *, suite: str, seed: int, seconds: float, simulator: str = "auto") -> None:
        self.task = task_of(policy)
        self._contract = policy.contract
        self.environment = Environment(
            self.task,
            make_simulator(simulator, self.task, 1),
            suite=self.task.suite(suite),
            seed=evaluation_seed(seed, 0),
            auto_reset=False,
            episode_s=seconds,
        )
        self._sensors, _ = self.environment.reset()
        self._step = 0
        self._silent = -1  # periods since the last actuation; -1 before the first
        self._last = self._idle = {
            signal.name: torch.tensor([signal.lower or (0.0,) * signal.size], dtype=torch.float32) for signal in self._contract.actuation
        }
        self.errors: list[float] = []
        self.observers: tuple[Observer, ...] = ()
        self.crashed = self.failsafe = self._ended = False

    @property
    def time_s(self) -> float:
        """Simulated time [s] since the start."""
        return self._step / self._contract.rate_hz

    @property
    def command(self) -> dict[str, np.ndarray]:
        """What the episode asks for, by command name."""
        return {name: value[0].numpy().copy() for name, value in self.environment.command.items()}  # the environment's changes in place

    @command.setter
    def command(self, values: dict[str, np.ndarray]) -> None:
        self.environment.ask({name: torch.tensor(np.asarray(value), dtype=torch.float32)[None] for name, value in values.items()})

    def readings(self) -> Iterator[Reading]:
        """Every reading of the clock source until time is up, the robot has crashed or `end` was called; others arrive just before it."""
        names: dict[str, list[str]] = {}
        for sensor in self._contract.sensors:
            names.setdefault(sensor.source, []).append(sensor.name)
        order = [source for source in names if source != self._contract.clock] + [self._contract.clock]
        while self._step < self.environment.episode_steps and not self.crashed and not self._ended:
            stamp_ns = round(self._step * 1e9 / self._contract.rate_hz)
            values = {name: value[0].numpy() for name, value in self._sensors.items()}
            for source in order:
                yield Reading(source, {name: values[name] for name in names.get(source, ())}, stamp_ns, self.time_s)
            self._advance()
            self._step += 1

    def write(self, tick: Tick) -> None:
        """Hold ``tick.actuation`` for the next period; without one the robot keeps the last, until its own watchdog idles the motors."""
        self.failsafe = tick.request_failsafe
        if tick.actuation is not None:
            self._last, self._silent = {name: torch.from_numpy(value)[None] for name, value in tick.actuation.items()}, 0
        elif self._silent >= 0:
            self._silent += 1
            self._last = self._idle if self._silent > FAILSAFE_PERIODS else self._last

    def stop(self, command: dict[str, np.ndarray]) -> None:
        """Nothing is left to move: simulated time ends with the flight."""

    def end(self) -> None:
        """Give no more readings after the present one."""
        self._ended = True

    def push(self, velocity_change_in_world: torch.Tensor) -> None:
        """Change the base's velocity at once, ``[1, 3]`` m/s."""
        self.environment.simulator.push(velocity_change_in_world)

    def _advance(self) -> None:
        if self._silent < 0:
            return
        for observer in self.observers:
            observer(self.environment.scene, self.environment.command, self._last)
        step = self.environment.step(self._last)
        self._sensors = step.sensors
        self.errors.append(float(step.tracking_error[0]))
        self.crashed = bool(step.terminated[0])
