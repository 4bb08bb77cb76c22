"""A person in control of a simulated robot, through the robot's own runtime: flights in real time, one log each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deploy.policy import Policy
from deploy.runtime import Runtime
from deploy.runtime.driver import Reading
from training.commander import Commander
from training.flight import Flight
from training.scene import rotation
from training.sim_driver import Observer
from training.sticks import PUSH, QUIT, RESET, SCALES, Pad, Sticks

BEHIND_S = 0.25  # further behind real time the flight does not try to catch up
SHOWN_S = 0.1  # between two status lines
PUSH_M_S = 0.5


@dataclass(frozen=True)
class Status:
    """What a player is shown.

    Attributes:
        time_s, state: of the flight.
        command: by name.
        velocity: of the base in its own frame [m/s], and about its z axis [rad/s], ``[4]``.
        error: the task's tracking error.
        late: control periods that began late.
    """

    time_s: float
    state: str
    command: dict[str, np.ndarray]
    velocity: np.ndarray
    error: float | None
    late: int


class Play(Flight):
    """One flight under sticks; ends when its time is up, the robot has crashed, or the player says so.

    Args:
        policy, flight: see `Flight`.
        pads: what the player holds.
        begun_s: session time of the beginning, which pads are asked at.
        speed: of time; 1 is real, infinity as fast as it goes.
        show: takes a `Status` every `SHOWN_S`.
        observers: of every control step, as `training.evaluate.evaluate` has one.

    Attributes:
        again: the player asked for another one.
        late: control periods that began more than one period late.
    """

    def __init__(
        self,
        policy: Policy,
        pads: Sequence[Pad],
        *,
        begun_s: float = 0.0,
        speed: float = 1.0,
        show: Callable[[Status], None] = lambda status: None,
        observers: Sequence[Observer] = (),
        **flight: Any,
    ) -> None:
        super().__init__(policy, **flight)
        self.driver.observers = tuple(observers)
        self._pads, self._show, self._speed, self._begun_s = pads, show, speed, begun_s
        self._commander = Commander(policy.contract, self.driver.command)
        self._start_s = -np.inf  # of the flight, on the wall's clock; the first reading sets it
        self._next_shown_s = 0.0
        self._pushes = np.random.default_rng(flight["seed"])
        self.again, self.late = False, 0

    def _steer(self, runtime: Runtime, reading: Reading) -> None:
        """Keep time, ask the pads, and command what they say."""
        if reading.source != self.policy.contract.clock:
            return
        self._pace(reading.receipt_s)
        sticks = Sticks()
        for pad in self._pads:
            more, words = pad.poll(self._begun_s + reading.receipt_s)
            sticks = sticks + more
            for word in words:
                self._press(word)
        state = self.driver.environment.state
        position = state["position_base_in_world"][0].double().numpy()
        self.driver.command = self._commander.command(sticks, self.policy.contract.period_s, position)
        if reading.receipt_s >= self._next_shown_s:
            self._next_shown_s += SHOWN_S
            self._show(self._status(runtime, state, reading.receipt_s))

    def _pace(self, time_s: float) -> None:
        now = time.monotonic()
        self._start_s = now if time_s == 0.0 else self._start_s
        due = self._start_s + time_s / self._speed
        if now < due:
            time.sleep(due - now)
        elif np.isfinite(self._speed) and now > due + self.policy.contract.period_s:
            self.late += 1
            self._start_s += max(now - due - BEHIND_S, 0.0)

    def _press(self, word: str) -> None:
        if word in SCALES:
            self._commander.scale = int(word)
        elif word == PUSH:
            heading = self._pushes.uniform(-np.pi, np.pi)
            self.driver.push(PUSH_M_S * torch.tensor([[np.cos(heading), np.sin(heading), 0.0]], dtype=torch.float32))
        elif word in (QUIT, RESET):
            self.again = word == RESET
            self.driver.end()

    def _status(self, runtime: Runtime, state: dict[str, torch.Tensor], time_s: float) -> Status:
        turn = rotation(state["orientation_base_in_world"][0].numpy())
        linear = turn.T @ state["linear_velocity_base_in_world"][0].numpy()
        velocity = np.append(linear, state["angular_velocity_base_in_base"][0, 2].item())
        errors = self.driver.errors
        return Status(time_s, runtime.state.name, self.driver.command, velocity, errors[-1] if errors else None, self.late)


def session(
    policy: Policy,
    pads: Sequence[Pad],
    log: Path,
    *,
    wait: Callable[[], str],
    speed: float = 1.0,
    show: Callable[[Status], None] = lambda status: None,
    observers: Sequence[Observer] = (),
    **flight: Any,
) -> list[dict[str, Any]]:
    """Flights until the player quits: what happened in each, as `Flight.record` tells, with ``late``. Logs are ``log``, then with −2, …

    Args:
        wait: called after a crash; the word the player pressed, `RESET` for another flight.
    """
    results: list[dict[str, Any]] = []
    begun_s = 0.0
    while True:
        play = Play(policy, pads, begun_s=begun_s, speed=speed, show=show, observers=observers, **flight)
        path = log if not results else log.with_name(f"{log.stem}-{len(results) + 1}{log.suffix}")
        results.append(play.record(path) | {"late": play.late})
        begun_s += play.driver.time_s
        if not play.again and not (play.driver.crashed and wait() == RESET):
            return results
