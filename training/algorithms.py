"""The algorithms by the names ``--algorithm`` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from robots.errors import TetherError
from sim.random_numbers import as_seeds
from training.adversaries.contest import Contest
from training.adversaries.environment import ContestedEnvironment
from training.config import TrainConfig
from training.environment import Environment
from training.episodes import EpisodeStatistics
from training.learned_law import LearnedLaw
from training.ppo import PPO
from training.risk_ppo import RiskPPO
from training.risk_sac import RiskSAC
from training.risk_shac import RiskSHAC
from training.sac import SAC
from training.shac import BPTT, SHAC


class Algorithm(Protocol):
    """What `training.train.Run` drives."""

    @property
    def iteration(self) -> int:
        """Iterations done."""

    @property
    def config(self) -> Any:
        """Has ``horizon``, the control steps of an environment in an iteration."""

    @property
    def episodes(self) -> EpisodeStatistics:
        """Of the episodes that training flies."""

    def iterate(self) -> dict[str, float | None]:
        """One iteration; returns what a log wants to know."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit; ``law`` is the law's."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""


class Kind(NamedTuple):
    """A class, the section of `TrainConfig` it is set by, and the class for critics of quantiles, which `TrainConfig.risk` sets too."""

    make: Any
    section: str
    with_quantiles: Any = None


ALGORITHMS = {
    "ppo": Kind(PPO, "ppo", RiskPPO),
    "shac": Kind(SHAC, "shac", RiskSHAC),
    "bptt": Kind(BPTT, "shac"),
    "sac": Kind(SAC, "sac", RiskSAC),
}


def make_algorithm(config: TrainConfig, law: LearnedLaw, environment: Environment, seed: int | Sequence[int]) -> Algorithm:
    """The algorithm that ``config`` names, against the adversary that plays in ``environment``; one seed for each of the law's replicas."""
    kind = ALGORITHMS[config.algorithm]
    if not config.risk.quantiles:
        algorithm: Algorithm = kind.make(law, environment, getattr(config, kind.section), seed)
    elif kind.with_quantiles is not None:
        algorithm = kind.with_quantiles(law, environment, getattr(config, kind.section), seed, config.risk)
    else:
        able = ", ".join(name for name, kind in ALGORITHMS.items() if kind.with_quantiles)
        raise TetherError(f"{config.algorithm} has no critic of quantiles; set risk.quantiles=0, or choose one of: {able}")
    if isinstance(environment, ContestedEnvironment) and environment.player is not None:
        return Contest(algorithm, environment, environment.player, as_seeds(seed))
    return algorithm
