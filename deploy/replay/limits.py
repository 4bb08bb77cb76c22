"""The limits that were in force: the tighter of the robot's, as the log recorded them, and the policy file's."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from deploy.guards import GuardConfig
from deploy.replay.case import Array, Case
from robots.behaviour import Behaviour
from robots.description import Limits
from robots.errors import TetherError


def in_force(case: Case) -> Limits:
    """The tighter of what the robot allowed and what the policy file asks for; the latter alone where the log's cannot be read."""
    return _read(case, "robot_limits", lambda data: _tighter(data, case.contract.limits), case.contract.limits)[0]


def guards(case: Case) -> GuardConfig:
    """The thresholds the runtime used; the defaults where the log names none, or none that can be read."""
    return _read(case, "guards", GuardConfig.from_dict, GuardConfig())[0]


def behaviour(case: Case) -> Behaviour:
    """What the robot does while the policy is not in control; nothing where the log does not say, or nothing that can be read."""
    return _read(case, "behaviour", _behaviour, Behaviour())[0]


def problems(case: Case) -> list[str]:
    """What of it cannot be read."""
    limits = _read(case, "robot_limits", lambda data: _tighter(data, case.contract.limits), None)[1]
    others = (_read(case, "guards", GuardConfig.from_dict, None)[1], _read(case, "behaviour", _behaviour, None)[1])
    return [problem for problem in (limits, *others) if problem]


def bounds(case: Case) -> tuple[Array, Array]:
    """Lowest and highest value of every actuation channel, ``[actuation size]`` each; infinite where there is none."""
    signals = case.contract.actuation
    lower = [value for signal in signals for value in signal.lower or (-math.inf,) * signal.size]
    upper = [value for signal in signals for value in signal.upper or (math.inf,) * signal.size]
    return np.array(lower, dtype=np.float32).astype(float), np.array(upper, dtype=np.float32).astype(float)


def steps(case: Case, limits: Limits) -> Array:
    """Largest change of every actuation channel in one control period, ``[actuation size]``."""
    channels = [channel for signal in case.contract.actuation for channel in signal.channels]
    return np.array([limits.action_rate.get(channel, math.inf) * case.contract.period_s for channel in channels])


def _read(case: Case, key: str, parse: Callable[[dict[str, Any]], Any], otherwise: Any) -> tuple[Any, str]:
    """(what the log's metadata holds under ``key``, or ``otherwise``; why it could not be read)."""
    if key not in case.log.metadata:
        return otherwise, ""
    try:
        return parse(json.loads(case.log.metadata[key])), ""
    except (TetherError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        return otherwise, f"the log's {key} cannot be read: {' '.join(str(error).split())}"


def _behaviour(data: dict[str, Any]) -> Behaviour:
    stand = {name: tuple(map(float, values)) for name, values in data["stand"].items()}
    return Behaviour(**{**data, "stand": stand, "stand_s": float(data["stand_s"]), "blend_s": float(data["blend_s"])})


def _tighter(robot: dict[str, Any], asked: Limits) -> Limits:
    fields = {field.name for field in dataclasses.fields(Limits)}
    if set(robot) != fields:
        raise ValueError(f"found {', '.join(sorted(robot))}; expected {', '.join(sorted(fields))}")
    rates: Mapping[str, float] = robot["action_rate"]
    scalars = {name: min(getattr(asked, name), float(robot[name])) for name in fields - {"action_rate"}}
    names = {**rates, **asked.action_rate}
    both = {name: min(float(rates.get(name, math.inf)), asked.action_rate.get(name, math.inf)) for name in names}
    return Limits(**scalars, action_rate=both)
