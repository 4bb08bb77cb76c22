"""`benchmarks.engines` as a table: for a terminal, or to be drawn on a page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A line of the table: what it says, the factor to its unit, and how it is written."""

    words: str
    scale: float
    form: str


MEASURES = {
    "standing_height_m": Row("standing height", 1e3, "{:.1f} mm"),
    "contact_force_over_weight": Row("contact force over weight", 1.0, "{:.4f}"),
    "flight_energy_drift": Row("energy gained in flight", 100.0, "{:+.2f} %"),
    "motor_energy_j": Row("motors, a second of crouching", 1.0, "{:.2f} J"),
    "push_displacement_m": Row("moved half a second after a push", 1e3, "{:.1f} mm"),
    "push_lean_rad": Row("leaned at most", 180.0 / math.pi, "{:.2f}°"),
    "hover_drift_m": Row("drift in two seconds of hover", 1e3, "{:.3f} mm"),
    "fall_speed_error_m_s": Row("speed after a fall, off by", 1e3, "{:.3f} mm/s"),
    "fall_position_error_m": Row("position after a fall, off by", 1e3, "{:.3f} mm"),
    "response_rms_rad": Row("joints after a step, RMS difference", 180.0 / math.pi, "{:.3f}°"),
    "response_max_rad": Row("joints after a step, largest difference", 180.0 / math.pi, "{:.3f}°"),
    "response_rms_rad_s": Row("rates after a step, RMS difference", 180.0 / math.pi, "{:.3f}°/s"),
    "response_max_rad_s": Row("rates after a step, largest difference", 180.0 / math.pi, "{:.3f}°/s"),
    "env_steps_per_second": Row("control steps/s", 1.0, "{:,.0f}"),
    "steps_per_second": Row("physics steps/s", 1.0, "{:,.0f}"),
}


def table(result: Mapping[str, Any]) -> list[list[str]]:
    """A row a measure, a column an engine, the first row and column their names."""
    engines: Mapping[str, Mapping[str, float]] = result["engines"]
    there = [name for name in MEASURES if any(name in measures for measures in engines.values())]
    rows = [[MEASURES[name].words, *(_value(measures.get(name), MEASURES[name]) for measures in engines.values())] for name in there]
    return [["", *engines], *rows]


def _value(value: float | None, row: Row) -> str:
    return "–" if value is None else row.form.format(value * row.scale)


def text(result: Mapping[str, Any]) -> str:
    """The table, and what is missing, for a terminal."""
    rows = table(result)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{row[0]:<{widths[0]}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:])) for row in rows]
    lines = lines if result["engines"] else []
    return "\n".join([headline(result), *lines, *missing(result)])


def headline(result: Mapping[str, Any]) -> str:
    """What was compared, in one line."""
    counts = f"{result['robot']}, {result['num_envs']} environments, {1e3 * result['control_dt']:g} ms a control step"
    return counts + (f"; differences are from {result['reference']}" if result["reference"] else "")


def missing(result: Mapping[str, Any]) -> list[str]:
    """A line for each engine that could not be made."""
    return [f"{name} could not be measured: {' '.join(reason.split())}" for name, reason in result["unavailable"].items()]
