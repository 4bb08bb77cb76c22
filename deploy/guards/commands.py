"""What the user asks: checked on arrival, defaulted before it, and replaced when it grows old."""

from __future__ import annotations

from typing import Any

import numpy as np

from deploy.guards.intake import Intake
from deploy.guards.trips import Warn
from deploy.record.layout import NEVER
from robots.contract import Contract
from robots.errors import TetherError
from robots.signals import Command
from safety.envelope import FLOAT32_MAX, GOAL, POSITION


class CommandBox:
    """Latest commands.

    Attributes:
        commands: graph inputs by name, float32 ``[1, size]``, views of ``flat``; set by `fill`.
        flat: all commands in contract order, float32.
        ages: since receipt [s], in contract order; -1 before the first command.
        refused, bounded: commands refused, and brought within the contract's bounds, so far.

    Raises:
        TetherError: if a command without a default has no sensor that says where the robot is.
    """

    def __init__(self, contract: Contract, intake: Intake, distance_m: float) -> None:
        self._contract = contract
        self._intake = intake
        self._distance_m = distance_m
        self._blocks: dict[str, slice] = {}
        start = 0
        for command in contract.commands:
            self._blocks[command.name] = slice(start, start + command.size)
            start += command.size
        self.flat = np.zeros(start, dtype=np.float32)
        self.ages = np.full(len(contract.commands), NEVER)
        self.commands = {name: self.flat[block].reshape(1, -1) for name, block in self._blocks.items()}
        self._default_sensors = {command.name: _measured(command, contract) for command in contract.commands if not command.default}
        self._defaults = np.zeros_like(self.flat)
        self._latest = np.zeros_like(self.flat)
        self._receipt_s: list[float | None] = [None] * len(contract.commands)
        self._bounds = {command.name: _bounds(command) for command in contract.commands}
        self.refused = self.bounded = 0

    def forget(self) -> None:
        """Forget every command received: a goal from before an activation is not one for after it."""
        self._receipt_s = [None] * len(self._receipt_s)

    def capture_defaults(self) -> None:
        """Take the defaults from where the robot is now."""
        for command in self._contract.commands:
            sensor = self._default_sensors.get(command.name)
            self._defaults[self._blocks[command.name]] = command.default if sensor is None else self._intake.sensors[sensor][0]

    def take(self, name: str, value: Any, receipt_s: float) -> int:
        """Accept a command: 0, or a `Warn`: brought within bounds, or refused (wrong name, width, number; a goal beyond the geofence)."""
        values = self._checked(name, value)
        if values is None:
            self.refused += 1
            return Warn.COMMAND_REFUSED.value
        within = np.clip(values, *self._bounds[name])
        bounded = bool((within != values).any())
        self.bounded += bounded
        self._latest[self._blocks[name]] = within
        self._receipt_s[list(self._blocks).index(name)] = receipt_s
        return Warn.COMMAND_BOUNDED.value if bounded else 0

    def drop_too_far(self) -> bool:
        """Drop a goal that came before the first position, if it turns out to lie beyond the geofence; true if one was."""
        number = list(self._blocks).index(GOAL) if GOAL in self._blocks else -1
        if number < 0 or self._receipt_s[number] is None or not self._too_far(GOAL, self._latest[self._blocks[GOAL]]):
            return False
        self._receipt_s[number] = None
        self.refused += 1
        return True

    def fill(self, now_s: float, *, hold: bool) -> bool:
        """Set the graph's command inputs for this tick, the defaults if ``hold``; true if a command was too old and zeroed."""
        zeroed = False
        for number, command in enumerate(self._contract.commands):
            block, receipt_s = self._blocks[command.name], self._receipt_s[number]
            age = NEVER if receipt_s is None else max(0.0, now_s - receipt_s)
            self.ages[number] = age
            if hold or receipt_s is None:
                self.flat[block] = self._defaults[block]
            elif command.on_stale == "zero" and age > command.stale_after_s:
                self.flat[block] = 0.0
                zeroed = True
            else:
                self.flat[block] = self._latest[block]
        return zeroed

    def summary(self) -> dict[str, str]:
        """Counts, as text by name."""
        return {"commands_refused": str(self.refused), "commands_bounded": str(self.bounded)}

    def _checked(self, name: str, value: Any) -> np.ndarray | None:
        block = self._blocks.get(name)
        try:
            values = np.asarray(value, dtype=np.float64).ravel()
        except (TypeError, ValueError, OverflowError):
            return None
        if block is None or values.size != block.stop - block.start or not np.abs(values).max() <= FLOAT32_MAX:
            return None
        return None if self._too_far(name, values) else values

    def _too_far(self, name: str, values: np.ndarray) -> bool:
        if name != GOAL or POSITION not in self._intake.sensors or not self._intake.complete:
            return False
        offset = values - self._intake.sensors[POSITION][0]
        return not float(np.sqrt(offset @ offset)) <= self._distance_m


def _bounds(command: Command) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest value of each channel; infinite where the contract has none."""
    lower, upper = command.lower or (-np.inf,) * command.size, command.upper or (np.inf,) * command.size
    return np.array(lower), np.array(upper)


def _measured(command: Command, contract: Contract) -> str:
    """The sensor that says where the robot is in the terms of a goal: ``goal_position_in_world`` ← ``position_base_in_world``."""
    for sensor in contract.sensors:
        if command.name == "goal_" + sensor.name.replace("_base", "", 1) and sensor.size == command.size:
            return sensor.name
    raise TetherError(f"command {command.name!r} has no default and no sensor measures it; give it a default and export the policy again")
