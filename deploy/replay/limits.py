"""The limits that were in force: the tighter of the robot's, as the log recorded them, and the policy file's."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from deploy.guards import GuardConfig
from deploy.replay.case import Array, Case
from robots.description import Limits
from robots.errors import TetherError


class Unreadable(TetherError):
    """The log's own limits or guard thresholds cannot be read."""


def in_force(case: Case) -> Limits:
    """The tighter of what the robot allowed and what the policy file asks for; raises `Unreadable`."""
    robot, asked = _recorded(case, "robot_limits"), case.contract.limits
    try:
        rates: Mapping[str, float] = robot.get("action_rate", {})
        scalars = {
            field.name: min(getattr(asked, field.name), float(robot.get(field.name, math.inf)))
            for field in dataclasses.fields(Limits)
            if field.name != "action_rate"
        }
        names = {**rates, **asked.action_rate}
        both = {name: min(float(rates.get(name, math.inf)), asked.action_rate.get(name, math.inf)) for name in names}
    except (AttributeError, TypeError, ValueError) as error:
        raise Unreadable(f"the log's robot_limits make no sense ({error})") from error
    return Limits(**scalars, action_rate=both)


def guards(case: Case) -> GuardConfig:
    """The thresholds the runtime used, the defaults where the log names none; raises `Unreadable`."""
    try:
        return GuardConfig.from_dict(_recorded(case, "guards"))
    except (TetherError, TypeError) as error:
        raise Unreadable(f"the log's guard thresholds make no sense ({error})") from error


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


def _recorded(case: Case, key: str) -> dict[str, Any]:
    try:
        data = json.loads(case.log.metadata.get(key, "{}"))
    except ValueError as error:
        raise Unreadable(f"the log's {key} is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise Unreadable(f"the log's {key} is not an object")
    return data
