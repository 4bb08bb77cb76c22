"""A recorded flight against a simulated robot: the operator's side of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from deploy.guards import GuardConfig
from deploy.policy import Policy
from deploy.record import Recorder
from deploy.runtime import Runtime, State
from deploy.runtime.driver import Reading, fly
from robots import registry
from robots.errors import TetherError
from safety.envelope import GOAL
from training.sim_driver import SimDriver

BAR = "{desc} {bar} {n:.0f} of {total:.0f} s, {remaining} left"


class Flight:
    """Activates, holds the dead-man switch, and commands: the goals in turn, each for an equal share of the time, or what the episode asks.

    A command is given when it changes, one that falls back to zero when it is old at every reading.

    Args:
        policy: what flies.
        suite, seed, seconds, simulator: see `SimDriver`.
        goals: points ``[3]`` to visit in turn; empty for the episode's own command, which may move.
        config: guard thresholds.

    Raises:
        TetherError: for goals to a policy that takes none, and whatever `SimDriver` and `Runtime` refuse.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        suite: str,
        seed: int,
        seconds: float,
        simulator: str = "auto",
        goals: Sequence[np.ndarray] = (),
        config: GuardConfig | None = None,
    ) -> None:
        if goals and all(command.name != GOAL for command in policy.contract.commands):
            raise TetherError(f"{policy.path} takes no {GOAL}; leave --goal out")
        self.policy, self.config = policy, config or GuardConfig()
        self.about = {"suite": suite, "seed": seed, "seconds": seconds, "simulator": simulator}
        self.driver = SimDriver(policy, suite=suite, seed=seed, seconds=seconds, simulator=simulator)
        self.robot = registry.robot(policy.contract.robot)
        self._goals = list(goals)
        self._seconds = seconds
        self._given: dict[str, np.ndarray] = {}
        self._repeated = any(command.on_stale == "zero" for command in policy.contract.commands)

    def record(self, path: Path, *, progress: bool = False) -> dict[str, Any]:
        """Fly once, recording to ``path`` and, if asked, showing a progress bar; what happened, as plain values."""
        notes = {name: str(value) for name, value in self.about.items()}
        with Recorder(path, self.policy, robot=self.robot, config=self.config, notes=notes) as recorder:
            runtime = Runtime(self.policy, robot=self.robot, recorder=recorder, config=self.config, now=lambda: self.driver.time_s)
            runtime.activate()
            with tqdm(total=self._seconds, unit="s", desc="flight", bar_format=BAR, leave=False, disable=None if progress else True) as bar:
                fly(self.driver, runtime, lambda reading: self._operate(runtime, reading, bar))
        self._refused(runtime)
        if recorder.problem:
            raise TetherError(recorder.problem)
        return self._summary(runtime, path)

    def _operate(self, runtime: Runtime, reading: Reading, bar: Any) -> None:
        bar.update(reading.receipt_s - bar.n)
        self._refused(runtime)
        runtime.enable(reading.receipt_s)
        self._steer(runtime, reading)
        command = self.driver.command
        if self._repeated or not self._given or not all(np.array_equal(value, self._given[name]) for name, value in command.items()):
            self._given = command
            for name, value in command.items():
                runtime.on_command(name, value, reading.receipt_s)

    def _steer(self, runtime: Runtime, reading: Reading) -> None:
        """Decide what is commanded from now on."""
        if self._goals:
            due = min(int(self.driver.time_s / self._seconds * len(self._goals)), len(self._goals) - 1)
            self.driver.command = {GOAL: self._goals[due]}

    def _refused(self, runtime: Runtime) -> None:
        if runtime.journal.counts["warning.command_refused"]:
            goal = " ".join(f"{name} {value.tolist()}" for name, value in self._given.items())
            limit = runtime.envelope.tightened.limits.distance_m
            raise TetherError(f"the command {goal} is refused: it is more than {limit:g} m from the robot; choose a nearer goal")

    def _summary(self, runtime: Runtime, path: Path) -> dict[str, Any]:
        errors = self.driver.errors
        last = errors[-max(1, round(self.policy.contract.rate_hz)) :]
        return {
            "policy": str(self.policy.path),
            "policy_digest": self.policy.digest,
            "robot": self.robot.name,
            "task": self.policy.contract.task,
            "rate_hz": self.policy.contract.rate_hz,
            **self.about,
            "flown_s": len(errors) / self.policy.contract.rate_hz,
            "ticks": runtime.journal.ticks,
            "state": runtime.state.name,
            "completed": runtime.state is State.POLICY and not self.driver.crashed,
            "crashed": self.driver.crashed,
            "failsafe": self.driver.failsafe,
            "final_error": float(np.mean(last)) if last else None,
            "worst_error": max(errors) if errors else None,
            "guards": dict(sorted(runtime.journal.counts.items())),
            "log": str(path),
        }
