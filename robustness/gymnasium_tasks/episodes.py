"""Many episodes under many parameters, in several processes, with the same result however many there are."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from tqdm import tqdm

from robots.errors import TetherError
from robustness.gymnasium_tasks.environment import UncertainEnvironment
from robustness.gymnasium_tasks.parameters import Cell
from robustness.gymnasium_tasks.policies import Policy, load, source_digest
from robustness.gymnasium_tasks.tasks import GymnasiumTask, task_of
from robustness.kept import Kept

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"


@dataclass(frozen=True)
class Episode:
    """What one episode depends on, besides task and policy.

    Args:
        values: its parameters.
        entropy: integers that start and noise follow from.
    """

    values: Cell
    entropy: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """Undiscounted return, control steps, and whether the simulation exploded, which ended the episode."""

    total: float
    steps: int
    unstable: bool


def play(environment: UncertainEnvironment, policy: Policy, episode: Episode, sigma: float = 0.0) -> Outcome:
    """One episode; with ``sigma``, every observation is given to the policy with N(0, σ²) on each of its numbers."""
    generator = np.random.default_rng(episode.entropy)
    observation = environment.reset(int(generator.integers(2**31)), episode.values)
    total, steps, ended = 0.0, 0, False
    while not ended:
        seen = observation + sigma * generator.standard_normal(observation.shape) if sigma else observation
        observation, reward, terminated, truncated = environment.step(np.asarray(policy(seen), dtype=float).reshape(-1))
        total, steps, ended = total + reward, steps + 1, terminated or truncated
    return Outcome(total, steps, environment.unstable)


class Player:
    """Plays a policy on a task; in a ``with`` block, so that its processes end.

    Args:
        task: which.
        policy: a function, or `policies.load`'s name of one, which is what several processes need.
        sigma: noise on observations, in their units.
        processes: how many play; one is this one.
        progress: show a progress bar.
        keep: file that takes every episode as soon as it is played, and that episodes which an earlier bench put there are taken from.

    Raises:
        TetherError: for several processes, or a file to keep, and a function that has no name; and for a file to keep that is none.
    """

    def __init__(
        self,
        task: GymnasiumTask,
        policy: str | Policy,
        sigma: float = 0.0,
        processes: int = 1,
        progress: bool = False,
        keep: Path | None = None,
    ) -> None:
        if (processes > 1 or keep is not None) and not isinstance(policy, str):
            raise TetherError(
                "several processes load the policy each by itself, and what is kept names it: "
                "give FILE.onnx or MODULE:FUNCTION, or processes=1 and nothing to keep"
            )
        self._kept = Kept(keep)
        self.task, self.sigma, self._progress = task, sigma, progress
        self._environment = UncertainEnvironment(task)
        sizes = self._environment.observation_size, self._environment.action_size
        self._source = policy if isinstance(policy, str) else ""
        self._policy: Policy = load(policy, *sizes) if isinstance(policy, str) else policy
        self.nominal = self._environment.dynamics.nominal
        self._depends = {"task": task.environment, "sigma": sigma, "policy": "" if keep is None else source_digest(self._source)}
        # A fork of torch's threads may hang, so that processes start afresh.
        self._pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) if processes > 1 else None

    def __enter__(self) -> Player:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._environment.close()

    def play(self, episodes: Sequence[Episode], what: str) -> list[Outcome]:
        """All of them, in their order; ``what`` names the progress bar.

        Raises:
            TetherError: for an action that is not finite, and where a process died.
        """
        known = [self._kept.get(self._named(episode)) for episode in episodes]
        outcomes = [None if found is None else Outcome(**found) for found in known]
        missing = [index for index, outcome in enumerate(outcomes) if outcome is None]
        shown, begun = None if self._progress else True, len(episodes) - len(missing)
        try:
            with tqdm(total=len(episodes), initial=begun, desc=f"{self.task.name} {what}", disable=shown, delay=0.5, bar_format=BAR) as bar:
                for index, outcome in zip(missing, self._outcomes([episodes[index] for index in missing]), strict=True):
                    outcomes[index] = outcome
                    self._kept.add(self._named(episodes[index]), asdict(outcome))
                    bar.update()
        except BrokenProcessPool as error:
            raise TetherError("a process that played has died, for lack of memory or in the policy; play in one: --processes 1") from error
        return [outcome for outcome in outcomes if outcome is not None]

    def _named(self, episode: Episode) -> dict[str, Any]:
        """All that it depends on."""
        return self._depends | asdict(episode)

    def _outcomes(self, episodes: Sequence[Episode]) -> Iterator[Outcome]:
        if self._pool is None:
            return (play(self._environment, self._policy, episode, self.sigma) for episode in episodes)
        return self._pool.map(partial(_play_named, self.task.name, self._source, self.sigma), episodes, chunksize=4)


def _play_named(task: str, policy: str, sigma: float, episode: Episode) -> Outcome:
    return play(*_equipment(task, policy), episode, sigma)


@lru_cache(maxsize=1)  # a process plays one policy on one task
def _equipment(task: str, policy: str) -> tuple[UncertainEnvironment, Policy]:
    environment = UncertainEnvironment(task_of(task))
    return environment, load(policy, environment.observation_size, environment.action_size)
