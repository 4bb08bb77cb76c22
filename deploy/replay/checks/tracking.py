"""How well the goal was held: notes, not a verdict, for what is good enough is the task's business (a rules file can say so)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from deploy.replay.case import Array, Case
from deploy.replay.report import Finding

SETTLED_M = 0.10  # within this of the goal is arrived; the hover suites' success bound
LAST_S = 1.0


class Pair(NamedTuple):
    """A command and the sensor that measures what it asks for."""

    command: str
    sensor: str
    unit: str


def check(case: Case) -> list[Finding]:
    """RMS error, time to arrive and settled error of every command that a sensor measures, while the policy ran."""
    findings = []
    for pair in pairs(case):
        distance = np.linalg.norm(case.block(f"sensor.{pair.sensor}") - case.block(f"command.{pair.command}"), axis=1)
        error = np.where(case.ran, distance, np.nan)
        case.traces[f"error.{pair.command}"] = error
        findings += _describe(case, pair, error)
    return findings


def pairs(case: Case) -> list[Pair]:
    """Match by name: ``goal_position_in_world`` is measured by ``position_base_in_world`` (same quantity, same frame, same size)."""
    found = []
    for command in case.contract.commands:
        quantity, _, frame = command.name.removeprefix("goal_").rpartition("_in_")
        for sensor in case.contract.sensors:
            if quantity and sensor.name.startswith(quantity + "_") and sensor.name.endswith("_in_" + frame) and sensor.size == command.size:
                found.append(Pair(command.name, sensor.name, sensor.unit))
                break
    return found


def _describe(case: Case, pair: Pair, error: Array) -> list[Finding]:
    rows = np.flatnonzero(np.isfinite(error))
    if not len(rows):
        return []
    time, error = case.time_s[rows], error[rows]
    rms = float(np.sqrt(np.mean(error**2)))
    settled = float(error[time >= time[-1] - LAST_S].mean())
    case.summary[f"rms_{pair.command}"] = rms
    case.summary[f"settled_{pair.command}"] = settled
    outside = np.flatnonzero(error > SETTLED_M)
    if not len(outside):
        arrival = f"never more than {SETTLED_M:g} {pair.unit} away"
    elif outside[-1] == len(error) - 1:
        arrival = f"not within {SETTLED_M:g} {pair.unit} at the end"
    else:
        arrival = f"within {SETTLED_M:g} {pair.unit} for good after {time[outside[-1] + 1] - time[0]:.2f} s"
    what = f"error {rms:.3f} {pair.unit} RMS, {settled:.3f} {pair.unit} over the last second, {arrival}"
    return [Finding(severity="note", check="tracking", what=what, channel=pair.sensor, value=settled, unit=pair.unit)]
