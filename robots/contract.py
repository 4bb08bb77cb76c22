"""The contract between a policy file and whoever runs it: every name, order, unit, frame, rate and limit.

It is derived at export from robot + task (`tasks.task.Task.contract`), never written by hand, and travels as JSON in the file's metadata.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from robots.description import Limits
from robots.errors import TetherError
from robots.signals import Actuation, Command, Sensor

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class SafeguardTerms:
    """The safeguard inside a policy's graph.

    Attributes:
        name: the task's for it.
        action_size: width of the reserved output ``unguarded``, the action before it.
        promise: its inequality, model, disturbance bound and guarantee, in words.
    """

    name: str
    action_size: int
    promise: str


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a policy needs, what it gives, and how often.

    Attributes:
        robot, task: registry names.
        rate_hz: the rate of the clock source; one step of the policy per arrival.
        clock: the sensor source whose arrival triggers a step; the others are used at their latest value.
        sensors, commands, actuation: graph inputs and outputs by name, in the order logs pack them.
        actuation_mode: key into the robot's ``actuations``.
        memory_size: width of ``memory``; all zeros means episode start.
        observation: name of every element of the reserved output ``observation``.
        max_age_s: per non-clock source, the age after which its latest value is stale.
        quaternion_order: of every quaternion in sensors.
        action_delay_s: (lowest, highest) actuation delay the policy was trained for.
        limits: the envelope; can only be tighter than the robot's.
        gains: joint gains by joint name as (kp, kd); empty for robots without joints.
        safeguard: what stands between actor and actuation, inside the graph; None for nothing.
        observation_quantiles: 1 % and 99 % quantile of each observation in training, ``[2, len(observation)]``; empty if not learned.
    """

    robot: str
    task: str
    rate_hz: float
    clock: str
    sensors: tuple[Sensor, ...]
    commands: tuple[Command, ...]
    actuation: tuple[Actuation, ...]
    actuation_mode: str
    memory_size: int
    observation: tuple[str, ...]
    limits: Limits
    max_age_s: Mapping[str, float] = field(default_factory=dict)
    quaternion_order: str = "wxyz"
    action_delay_s: tuple[float, float] = (0.0, 0.0)
    gains: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    observation_quantiles: tuple[tuple[float, ...], ...] = ()
    safeguard: SafeguardTerms | None = None
    schema: int = SCHEMA

    @property
    def period_s(self) -> float:
        """Control period [s]."""
        return 1.0 / self.rate_hz

    @property
    def input_sizes(self) -> dict[str, int]:
        """Graph inputs: width by name, in order."""
        return {signal.name: signal.size for signal in (*self.sensors, *self.commands)} | {"memory": self.memory_size}

    @property
    def output_sizes(self) -> dict[str, int]:
        """Graph outputs: width by name, in order; the reserved outputs come last."""
        reserved = {"safe_distance": 1, "intervention": 1, "feasible": 1, "risk": 1}
        if self.safeguard is not None:
            reserved["unguarded"] = self.safeguard.action_size
        signals = {signal.name: signal.size for signal in self.actuation}
        return signals | {"next_memory": self.memory_size, "observation": len(self.observation)} | reserved

    def to_json(self) -> str:
        """JSON that `from_json` reads back to an equal contract."""
        data = dataclasses.asdict(self)
        if self.safeguard is None:
            del data["safeguard"]  # what older versions read too
        return json.dumps(data, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Contract:
        """Parse and check; raises `TetherError` saying which key is missing, unknown or of another schema."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise TetherError(f"the contract is not JSON: {error}; export the policy again") from error
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else None
            raise TetherError(f"the contract has schema {found!r}, this version reads {SCHEMA}; export the policy again")
        data["sensors"] = tuple(_build(Sensor, entry, "contract.sensors") for entry in data.get("sensors", ()))
        data["commands"] = tuple(_build(Command, entry, "contract.commands") for entry in data.get("commands", ()))
        data["actuation"] = tuple(_build(Actuation, entry, "contract.actuation") for entry in data.get("actuation", ()))
        data["limits"] = _build(Limits, data.get("limits", {}), "contract.limits")
        if data.get("safeguard") is not None:
            data["safeguard"] = _build(SafeguardTerms, data["safeguard"], "contract.safeguard")
        return _build(cls, data, "contract")


def _build(kind: Any, data: Any, where: str) -> Any:
    """A dataclass from parsed JSON, with lists turned into tuples and keys checked by name."""
    if not isinstance(data, dict):
        raise TetherError(f"{where}: expected an object, found {type(data).__name__}")
    fields = {item.name: item for item in dataclasses.fields(kind)}
    optional = {
        name for name, item in fields.items() if item.default is not dataclasses.MISSING or item.default_factory is not dataclasses.MISSING
    }
    for key in data:
        if key not in fields:
            raise TetherError(f"{where}: unknown key {key!r}; known: {', '.join(fields)}")
    for key in fields.keys() - data.keys() - optional:
        raise TetherError(f"{where}: missing key {key!r}")
    return kind(**{key: _tuples(value) for key, value in data.items()})


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
