"""Sticks become commands: scaled, no faster than a robot can take them, within what a policy file and its geofence allow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robots.contract import Contract
from robots.errors import TetherError
from robots.signals import Command
from safety.envelope import GOAL
from training.sticks import Sticks

RISE_S = 1.0  # from rest to the largest command
GOAL_SPEED_M_S = 1.5  # of a goal whose velocity has no bounds
NEAR = 0.8  # of the geofence
LOWEST_M = 0.3  # goals stay above it
SCALE = 3  # of 9, at the start: policies are seldom trained to the bounds of their commands


class Commander:
    """Commands of a policy from sticks.

    Velocities follow the sticks at ``scale`` ninths of their bounds, in the frame they are declared in; a goal moves with them, along the
    world's axes, and stays within `NEAR` of the geofence about the robot. What is neither is left at its default.

    Args:
        contract: of the policy.
        start: commands to begin with, by name; where a goal is.

    Raises:
        TetherError: for a policy that takes neither a velocity nor a goal.
    """

    def __init__(self, contract: Contract, start: Mapping[str, np.ndarray]) -> None:
        self.scale = SCALE
        self._velocities = [command for command in contract.commands if command.unit in ("m/s", "rad/s")]
        self._goal = None if GOAL not in start else np.array(start[GOAL], dtype=np.float64)
        if not self._velocities and self._goal is None:
            names = ", ".join(command.name for command in contract.commands) or "none"
            raise TetherError(f"play commands velocities and {GOAL}; this policy's commands are: {names}")
        self._reach_m = NEAR * contract.limits.distance_m
        self._linear, self._turn = np.zeros(3), np.zeros(1)
        self._fastest, self._fastest_turn = _bounds(self._velocities, "m/s", 3), _bounds(self._velocities, "rad/s", 1)

    def command(self, sticks: Sticks, period_s: float, position: np.ndarray) -> dict[str, np.ndarray]:
        """Commands by name, one control period later.

        Args:
            position: of the robot in the world [m], ``[3]``.
        """
        share = self.scale / 9.0
        wanted = share * self._fastest * np.array([sticks.forward, sticks.left, sticks.up])
        self._linear = _towards(self._linear, wanted, self._fastest * period_s / RISE_S)
        self._turn = _towards(self._turn, share * self._fastest_turn * sticks.turn, self._fastest_turn * period_s / RISE_S)
        found = {item.name: (self._linear[: item.size] if item.unit == "m/s" else self._turn).copy() for item in self._velocities}
        if self._goal is not None:
            self._goal = self._within(self._goal + self._linear * period_s, position)
            found[GOAL] = self._goal.copy()
        return found

    def _within(self, goal: np.ndarray, position: np.ndarray) -> np.ndarray:
        offset = goal - position
        distance = float(np.linalg.norm(offset))
        near = goal if distance <= self._reach_m else position + offset * (self._reach_m / distance)
        return np.array([near[0], near[1], max(near[2], LOWEST_M)])


def _bounds(commands: list[Command], unit: str, size: int) -> np.ndarray:
    """Largest command of a unit along each axis ``[size]``: the nearer of its two bounds."""
    fastest = np.full(size, GOAL_SPEED_M_S)
    for command in commands:
        if command.unit == unit and command.upper and command.lower:
            fastest[: command.size] = np.minimum(np.abs(command.lower), np.abs(command.upper))
    return fastest


def _towards(value: np.ndarray, wanted: np.ndarray, step: np.ndarray) -> np.ndarray:
    return value + np.clip(wanted - value, -step, step)
