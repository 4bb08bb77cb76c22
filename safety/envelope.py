"""The envelope: what a robot must stay inside whatever a policy says. numpy only; it believes nothing that the graph reports.

State is judged from sensors alone: orientation q = (w, x, y, z), position p and velocity v in the world, body rate ω, goal g:

    tilt      = arccos(1 − 2(x² + y²)/|q|²)  ≤ tilt_rad
    speed     = |v|                          ≤ speed_m_s
    body rate = maxᵢ |ωᵢ|                    ≤ body_rate_rad_s
    distance  = |p − g|                      ≤ distance_m

Actuation is clamped to its hard limits and, against what was sent one period ago, to its rate limits. Limits are the installed robot
description's; a policy file may only tighten them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from robots.contract import Contract
from robots.description import Limits, Robot
from robots.errors import TetherError
from robots.signals import Actuation

POSITION = "position_base_in_world"
ORIENTATION = "orientation_base_in_world"
VELOCITY = "linear_velocity_base_in_world"
BODY_RATE = "angular_velocity_base_in_base"
GOAL = "goal_position_in_world"
UNIT_TOLERANCE = 0.05  # a quaternion further than this from unit length is not an orientation
FLOAT32_MAX = float(np.finfo(np.float32).max)


class Violation(IntFlag):
    """What was found outside the envelope."""

    NON_FINITE = 1
    WRONG_WIDTH = 2
    TILT = 4
    SPEED = 8
    BODY_RATE = 16
    DISTANCE = 32
    IMPLAUSIBLE = 64


STATE_CHECKS = (Violation.TILT, Violation.SPEED, Violation.BODY_RATE, Violation.DISTANCE, Violation.IMPLAUSIBLE)


@dataclass(frozen=True)
class Tightened:
    """Limits in force: the tighter of robot and policy file, and a line for each that the file tried to loosen."""

    limits: Limits
    lower: np.ndarray
    upper: np.ndarray
    refused: tuple[str, ...]


class Envelope:
    """Checks one robot's state and actuation, tick by tick.

    Args:
        contract: names, widths and the limits the policy file asks for.
        robot: the installed description, whose limits cannot be loosened.
        trip_after: consecutive ticks outside a state limit before `state` reports it as a trip.

    Attributes:
        tightened: limits in force and what was refused.
        unchecked: limits that cannot be judged because the contract lacks the sensor.
        clamped: actuation samples clamped so far.
        outside: consecutive ticks outside, by state check.

    Raises:
        TetherError: if the policy's actuation is not the robot's.
    """

    def __init__(self, contract: Contract, robot: Robot, *, trip_after: int = 3) -> None:
        self.tightened = tighten(contract, robot)
        self.trip_after = trip_after
        self.clamped = 0
        self.outside = [0] * len(STATE_CHECKS)
        self._slices = _slices(contract.actuation)
        self._sensors = {sensor.name for sensor in contract.sensors}
        self._goal = GOAL if POSITION in self._sensors and any(command.name == GOAL for command in contract.commands) else ""
        self._ranges = [
            (s.name, np.array(s.lower or [-np.inf] * s.size), np.array(s.upper or [np.inf] * s.size))
            for s in contract.sensors
            if s.lower or s.upper
        ]
        self._w = 3 if contract.quaternion_order == "xyzw" else 0
        self._lower = self.tightened.lower.astype(np.float32)
        self._upper = self.tightened.upper.astype(np.float32)
        self._step = _rate_steps(contract, self.tightened.limits)
        self._previous = np.zeros(len(self._lower), dtype=np.float32)
        self._has_previous = False
        self._before = np.zeros_like(self._previous)

    @property
    def size(self) -> int:
        """Actuation channels."""
        return len(self._lower)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Limits that this contract has no sensor for."""
        needs = {"tilt_rad": ORIENTATION, "speed_m_s": VELOCITY, "body_rate_rad_s": BODY_RATE}
        missing = [name for name, sensor in needs.items() if sensor not in self._sensors]
        return tuple(missing if self._goal else [*missing, "distance_m"])

    def reset(self) -> None:
        """Forget counts of consecutive ticks and what was sent last."""
        self.outside = [0] * len(STATE_CHECKS)
        self._has_previous = False

    def state(self, sensors: Mapping[str, np.ndarray], command: Mapping[str, np.ndarray]) -> tuple[int, int]:
        """Judge one tick: ``(outside now, tripped)`` as `Violation` masks; sensors and commands are ``[1, size]`` or ``[size]``."""
        found = self._outside(sensors, command)
        tripped = found & (Violation.NON_FINITE | Violation.WRONG_WIDTH).value
        for number, check in enumerate(STATE_CHECKS):
            self.outside[number] = self.outside[number] + 1 if found & check.value else 0
            if self.outside[number] >= self.trip_after:
                tripped |= check.value
        return found, tripped

    def take(self, actuation: Mapping[str, np.ndarray], into: np.ndarray) -> int:
        """Copy a policy's outputs, in contract order, to ``into`` ``[size]``; the mask is 0, `WRONG_WIDTH` or `NON_FINITE`."""
        for name, block, size in self._slices:
            values = actuation.get(name)
            if values is None or np.size(values) != size:
                return Violation.WRONG_WIDTH.value
            into[block] = np.reshape(values, size)
        return 0 if np.abs(into).max() <= FLOAT32_MAX else Violation.NON_FINITE.value

    def clamp(self, values: np.ndarray) -> bool:
        """Bring finite float32 ``values`` ``[size]`` within hard and rate limits, in place; true if anything changed."""
        self._before[:] = values
        if self._has_previous and self._step is not None:
            np.maximum(values, self._previous - self._step, out=values)
            np.minimum(values, self._previous + self._step, out=values)
        np.maximum(values, self._lower, out=values)  # last, so that no rate limit can carry a value outside the hard ones
        np.minimum(values, self._upper, out=values)
        changed = int(np.count_nonzero(values != self._before))
        self.clamped += changed
        return changed > 0

    def sent(self, values: np.ndarray) -> None:
        """Remember what was sent, for the next rate check."""
        self._previous[:] = values
        self._has_previous = True

    def _outside(self, sensors: Mapping[str, np.ndarray], command: Mapping[str, np.ndarray]) -> int:
        """Every comparison is written so that a NaN is outside."""
        limits, found = self.tightened.limits, 0
        if ORIENTATION in self._sensors:
            tilt = tilt_rad(sensors[ORIENTATION].ravel().tolist(), self._w)
            found |= Violation.IMPLAUSIBLE.value if math.isnan(tilt) else 0
            found |= 0 if math.isnan(tilt) or tilt <= limits.tilt_rad else Violation.TILT.value
        if VELOCITY in self._sensors:
            speed = math.hypot(*sensors[VELOCITY].ravel().tolist())
            found |= 0 if speed <= limits.speed_m_s else Violation.SPEED.value
        if BODY_RATE in self._sensors:
            rates = sensors[BODY_RATE].ravel().tolist()
            found |= 0 if all(abs(rate) <= limits.body_rate_rad_s for rate in rates) else Violation.BODY_RATE.value
        if self._goal:
            distance = math.dist(sensors[POSITION].ravel().tolist(), command[GOAL].ravel().tolist())
            found |= 0 if distance <= limits.distance_m else Violation.DISTANCE.value
        for name, lower, upper in self._ranges:
            values = sensors[name].ravel()
            found |= 0 if ((values >= lower) & (values <= upper)).all() else Violation.IMPLAUSIBLE.value
        return found


def tilt_rad(quaternion: list[float], w: int = 0) -> float:
    """Angle between the body's z axis and the vertical [rad]; NaN if the quaternion is not of unit length.

    Args:
        quaternion: four numbers, w at index ``w`` (0 or 3).
        w: where the scalar part is.
    """
    _, x, y, _ = quaternion if w == 0 else (quaternion[3], *quaternion[:3])
    square = sum(value * value for value in quaternion)
    if not abs(square - 1.0) <= 2.0 * UNIT_TOLERANCE:
        return math.nan
    return math.acos(min(1.0, max(-1.0, 1.0 - 2.0 * (x * x + y * y) / square)))


def tighten(contract: Contract, robot: Robot) -> Tightened:
    """The limits in force for a policy on a robot: wherever the file asks for more than the robot allows, the robot's hold.

    Raises:
        TetherError: if the contract's actuation signals or channels are not those of the robot's actuation mode.
    """
    refused: list[str] = []

    def tighter(name: str, mine: float, asked: float) -> float:
        if asked <= mine:
            return asked
        refused.append(f"{name}: the policy file asks for {asked:g}, {robot.name} allows {mine:g}")
        return mine

    scalars = {
        name: tighter(name, getattr(robot.limits, name), getattr(contract.limits, name))
        for name in ("tilt_rad", "speed_m_s", "body_rate_rad_s", "distance_m")
    }
    mine, asked = robot.limits.action_rate, contract.limits.action_rate
    rates = {
        name: tighter(f"action_rate of {name}", mine.get(name, math.inf), asked.get(name, mine.get(name, math.inf)))
        for name in {**mine, **asked}
    }
    signals = _matching(contract, robot)
    lower, upper = [], []
    for ours, theirs in signals:
        for number, channel in enumerate(ours.channels):
            low, high = _bound(ours, "lower", number), _bound(ours, "upper", number)
            upper.append(tighter(f"upper limit of {channel}", high, _bound(theirs, "upper", number)))
            lower.append(-tighter(f"lower limit of {channel} (negated)", -low, -_bound(theirs, "lower", number)))
    return Tightened(Limits(**scalars, action_rate=rates), np.array(lower), np.array(upper), tuple(refused))


def _matching(contract: Contract, robot: Robot) -> list[tuple[Actuation, Actuation]]:
    """(robot's, contract's) actuation signals, pairwise."""
    ours = robot.actuation(contract.actuation_mode)
    names = [(signal.name, signal.channels) for signal in ours]
    asked = [(signal.name, signal.channels) for signal in contract.actuation]
    if names != asked:
        raise TetherError(f"the policy actuates {asked}, {robot.name} takes {names}; export it for this robot")
    return list(zip(ours, contract.actuation))


def _bound(signal: Actuation, side: str, number: int) -> float:
    bounds = getattr(signal, side)
    if bounds:
        return float(bounds[number])
    return math.inf if side == "upper" else -math.inf


def _slices(signals: tuple[Actuation, ...]) -> list[tuple[str, slice, int]]:
    found, start = [], 0
    for signal in signals:
        found.append((signal.name, slice(start, start + signal.size), signal.size))
        start += signal.size
    return found


def _rate_steps(contract: Contract, limits: Limits) -> np.ndarray | None:
    """Largest change per control period of every channel, or None if no channel is limited."""
    channels = [channel for signal in contract.actuation for channel in signal.channels]
    if not any(channel in limits.action_rate for channel in channels):
        return None
    return np.array([limits.action_rate.get(channel, math.inf) * contract.period_s for channel in channels], dtype=np.float32)
