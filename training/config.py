"""The configuration of a training run: one frozen dataclass, from the algorithm's defaults and the task's preset."""

from __future__ import annotations

import dataclasses
import shlex
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from robots import registry
from robots.errors import TetherError, unknown
from tasks.risk_level import with_risk_level
from tasks.task import Task
from training.adversaries.config import AdversaryConfig
from training.guard import SafeguardConfig
from training.learned_law import ActorConfig
from training.ppo import PPOConfig
from training.risk import RiskConfig
from training.sac import SACConfig
from training.shac import SHACConfig

SEEDS = 1 << 30  # training's; evaluation's have bit 31 set (`training.evaluate.SEED_NAMESPACE`), so neither ever draws what the other did

AlgorithmName = Literal["ppo", "shac", "bptt", "sac"]  # training.algorithms has what they are
ALGORITHMS: tuple[str, ...] = typing.get_args(AlgorithmName)


@dataclass(frozen=True)
class TrainConfig:
    """What is trained, on what, and for how long.

    Attributes:
        task, robot: registry names; no robot for the task's own.
        algorithm, sim, device: how and where.
        physics_dt: of a sub-step [s]; none for the engine's own, which evaluation uses. Longer ones are cheaper.
        num_envs: environments side by side.
        seed: everything random follows from it.
        iterations: roll-outs, each with its gradient steps.
        threads: of torch. One is fastest for small networks on a shared machine; another number rounds differently.
        check_from, check_every: first iteration after which the law is checked without exploration noise, and the period; 0 for never.
        check_episodes: episodes of a check, drawn from the training distribution with seeds of their own; never evaluation's.
        stop_success: end early when a check reaches this success; above 1 for never.
        checkpoint_every: iterations between checkpoints.
        ppo, shac, sac: settings of the algorithms; shac's are bptt's too.
        actor: settings of the policy network.
        safeguard: what stands between it and the actuators.
        risk: how much the tail of the return matters.
        adversary: what disturbs the episodes beside what the task says.
    """

    task: str = "hover"
    robot: str | None = None
    algorithm: AlgorithmName = "ppo"
    sim: str = "auto"
    device: str = "cpu"
    physics_dt: float | None = None
    num_envs: int = 512
    seed: int = 0
    iterations: int = 200
    threads: int = 1
    check_from: int = 0
    check_every: int = 0
    check_episodes: int = 256
    stop_success: float = 2.0
    checkpoint_every: int = 25
    ppo: PPOConfig = field(default_factory=PPOConfig)
    shac: SHACConfig = field(default_factory=SHACConfig)
    sac: SACConfig = field(default_factory=SACConfig)
    actor: ActorConfig = field(default_factory=ActorConfig)
    safeguard: SafeguardConfig = field(default_factory=SafeguardConfig)
    risk: RiskConfig = field(default_factory=RiskConfig)
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)

    def __post_init__(self) -> None:
        for name in ("num_envs", "iterations", "threads", "checkpoint_every", "check_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.seed < SEEDS:
            raise ValueError(f"seed must be within 0…{SEEDS - 1}, not {self.seed}: evaluation draws from the seeds above")
        if self.ppo.minibatches > self.num_envs:
            raise ValueError(f"ppo.minibatches is {self.ppo.minibatches}, more than the {self.num_envs} environments")

    def command(self) -> str:
        """The command line that trains this again."""
        default = preset(self.task, self.algorithm)
        given = [f"{key}={value}" for key, value in _differences(self, default) if key != "seed"]
        how = ["--algorithm", self.algorithm] if self.algorithm != TrainConfig.algorithm else []
        return shlex.join(["tether", "train", self.task, *how, "--seed", str(self.seed), *given])


def preset(task_name: str, algorithm: str = "ppo") -> TrainConfig:
    """The configuration for a task: defaults, then the task's preset for the algorithm.

    Raises:
        TetherError: for an unknown task or algorithm, or a preset with a key that does not exist.
    """
    if algorithm not in ALGORITHMS:
        raise unknown("algorithm", algorithm, list(ALGORITHMS))
    task: type[Task] = registry.load(registry.TASKS, task_name)
    settings = {"algorithm": algorithm, **task.presets.get(algorithm, {})}
    actor = ActorConfig(squash="tanh" if algorithm == "sac" else "clamp")
    return changed(TrainConfig(task=task_name, actor=actor), settings, f"preset of {task_name}")


def changed(config: Any, changes: Mapping[str, Any], where: str) -> Any:
    """``config`` with ``changes``, a mapping that may nest; raises `TetherError` for a key that does not exist."""
    names = {item.name for item in dataclasses.fields(config)}
    values = {}
    for key, value in changes.items():
        if key not in names:
            raise unknown(f"config key in {where}", key, sorted(names))
        current = getattr(config, key)
        if dataclasses.is_dataclass(current):
            value = changed(current, value, f"{where}.{key}")
        elif isinstance(current, tuple):
            value = tuple(value)
        values[key] = value
    try:
        return dataclasses.replace(config, **values)
    except ValueError as error:
        raise TetherError(f"{where}: {error}") from error


def config_from_dict(data: Mapping[str, Any]) -> TrainConfig:
    """Inverse of `dataclasses.asdict`."""
    config: TrainConfig = changed(TrainConfig(), data, "checkpoint")
    return config


def make_task(config: TrainConfig) -> Task:
    """The task on its robot; raises `TetherError` for an unknown one."""
    kind: Any = registry.load(registry.TASKS, config.task)
    kind = with_risk_level(kind) if config.risk.command else kind
    task: Task = kind(registry.robot(config.robot) if config.robot else None)
    return task


def differences(left: TrainConfig, right: TrainConfig) -> list[str]:
    """``key: value here, value there`` for every key in which two configurations differ."""
    other = dict(_flat(right))
    return [f"{key}: {value!r} against {other[key]!r}" for key, value in _flat(left) if value != other[key]]


def _differences(config: TrainConfig, default: TrainConfig) -> list[tuple[str, str]]:
    other = dict(_flat(default))
    return [(key, _word(value)) for key, value in _flat(config) if value != other[key]]


def _flat(config: Any, prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        pairs += _flat(value, f"{prefix}{item.name}.") if dataclasses.is_dataclass(value) else [(prefix + item.name, value)]
    return pairs


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
