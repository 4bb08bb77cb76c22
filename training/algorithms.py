"""The algorithms by the names ``--algorithm`` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from training.config import TrainConfig
from training.environment import Environment
from training.episodes import EpisodeStatistics
from training.learned_law import LearnedLaw
from training.ppo import PPO
from training.sac import SAC
from training.shac import BPTT, SHAC


class Algorithm(Protocol):
    """What `training.train.Run` drives."""

    iteration: int
    config: Any  # has ``horizon``, the control steps of an environment in an iteration
    episodes: EpisodeStatistics

    def iterate(self) -> dict[str, float | None]:
        """One iteration; returns what a log wants to know."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit; ``law`` is the law's."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""


class Kind(NamedTuple):
    """A class and the section of `TrainConfig` it is set by."""

    make: Any
    section: str


ALGORITHMS = {"ppo": Kind(PPO, "ppo"), "shac": Kind(SHAC, "shac"), "bptt": Kind(BPTT, "shac"), "sac": Kind(SAC, "sac")}


def make_algorithm(config: TrainConfig, law: LearnedLaw, environment: Environment, seed: int | Sequence[int]) -> Algorithm:
    """The algorithm that ``config`` names; one seed for each of the law's replicas."""
    kind = ALGORITHMS[config.algorithm]
    algorithm: Algorithm = kind.make(law, environment, getattr(config, kind.section), seed)
    return algorithm
