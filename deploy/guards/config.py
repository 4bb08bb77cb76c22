"""How sensitive the guards are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from robots.errors import TetherError


@dataclass(frozen=True)
class GuardConfig:
    """Thresholds. ``.inf`` turns a timing guard off; checks for NaN, width and hard limits cannot be turned off.

    Attributes:
        clock_warn_periods, clock_trip_periods: age of the clock sensor, in control periods; the second also that of any other source for
            which the contract says nothing.
        envelope_ticks: consecutive ticks outside a state limit that trip.
        missed_in_row: missed deadlines in a row that trip.
        missed_fraction: fraction of a second's periods that trip when missed (and never fewer than ``missed_in_row`` of them).
        period_tolerance: a period further off than this fraction counts as missed.
        dead_man_s: age of the last ``enable`` at which the policy loses control.
        hold_s: longest HOLD before DAMPING (a quadrotor's: the autopilot's failsafe).
    """

    clock_warn_periods: float = 2.0
    clock_trip_periods: float = 5.0
    envelope_ticks: int = 3
    missed_in_row: int = 3
    missed_fraction: float = 0.01
    period_tolerance: float = 0.2
    dead_man_s: float = 0.3
    hold_s: float = 5.0

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise TetherError(f"guards: {item.name} is {value!r}; it must be a number above 0 (.inf turns a timing guard off)")
            if item.name in ("envelope_ticks", "missed_in_row") and not isinstance(value, int):
                raise TetherError(f"guards: {item.name} is {value!r}; it must be a whole number")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GuardConfig:
        """Defaults with ``data`` on top; raises `TetherError` naming an unknown key and the valid ones."""
        valid = [item.name for item in dataclasses.fields(cls)]
        for key in data:
            if key not in valid:
                raise TetherError(f"guards: unknown key {key!r}; known: {', '.join(valid)}")
        return cls(**data)

    @classmethod
    def from_yaml(cls, path: str | Path) -> GuardConfig:
        """Read a YAML file of these names; raises `TetherError` for one that cannot be read or understood."""
        try:
            data = yaml.safe_load(Path(path).read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise TetherError(f"cannot read the guards file {path}: {' '.join(str(error).split())}") from error
        if not isinstance(data or {}, dict):
            raise TetherError(f"the guards file {path} must map names to numbers, found {type(data).__name__}")
        return cls.from_dict(data or {})
