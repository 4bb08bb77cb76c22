"""Disturbances of sensors, alike for every kind of robot: constant bias, drift, and readings that stand still.

One number scales a table of offsets that are about equally bad, by sensor. Directions and times are random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from robustness.disturbance import Disturbance
from sim.sensor_faults import Drift, Freeze
from tasks.draw import Draw
from tasks.task import Start, Task

BEGINS = (0.2, 0.7)  # share of the episode, uniform, at which a fault begins


def bias(scale: Mapping[str, float], high: float) -> Disturbance:
    """Every sensor of ``scale`` is off by a constant of that size in a random direction, times the number."""

    def apply(task: Task, start: Start, value: float, draw: Draw) -> Start:
        extra = {name: value * size * _direction(task, name, draw) for name, size in scale.items()}
        old = dict(start.sensor_bias or {})
        return start._replace(sensor_bias=old | {name: old.get(name, 0.0) + offset for name, offset in extra.items()})

    return Disturbance("bias", "×", f"sensors off by a constant: {told(scale)}", 0.0, 0.0, high, apply)


def drift(scale: Mapping[str, float], high: float) -> Disturbance:
    """Every sensor of ``scale`` drifts linearly through the episode, to that size in a random direction, times the number."""

    def apply(task: Task, start: Start, value: float, draw: Draw) -> Start:
        begins, lasts = (
            torch.zeros(draw.num_envs, 1, device=draw.device),
            torch.full((draw.num_envs, 1), task.episode_s, device=draw.device),
        )
        extra = {name: Drift(value * size * _direction(task, name, draw), begins, lasts) for name, size in scale.items()}
        return start._replace(sensor_drift=dict(start.sensor_drift or {}) | extra)

    return Disturbance("drift", "×", f"sensors drift, by the end of the episode to: {told(scale)}", 0.0, 0.0, high, apply)


def freeze(sensors: Sequence[str], high: float) -> Disturbance:
    """``sensors`` repeat their last reading for a while that begins at a random time."""

    def apply(task: Task, start: Start, value: float, draw: Draw) -> Start:
        begins, lasts = begin(task, draw), torch.full((draw.num_envs, 1), value, device=draw.device)
        return start._replace(sensor_freeze=dict(start.sensor_freeze or {}) | {name: Freeze(begins, lasts) for name in sensors})

    return Disturbance(
        "freeze", "s", f"{' and '.join(map(_short, sensors))} stand still for so long, from a random time on", 0.0, 0.0, high, apply
    )


def begin(task: Task, draw: Draw) -> Tensor:
    """When a fault begins [s], ``[num_envs, 1]``."""
    return draw.uniform(BEGINS[0] * task.episode_s, BEGINS[1] * task.episode_s)


def told(scale: Mapping[str, float]) -> str:
    """The table in words."""
    return ", ".join(f"{_short(name)} {size:g}" for name, size in scale.items()) + " (SI)"


def _short(name: str) -> str:
    return name.partition("_base")[0].replace("_", " ")


def _direction(task: Task, name: str, draw: Draw) -> Tensor:
    """A random direction of a sensor's error: of length 1 for a vector or quaternion, ± 1 in each channel for joints."""
    channels = task.robot.sensor(name).channels
    return draw.direction() if len(channels) in (3, 4) else torch.where(draw.uniform(0.0, 1.0, len(channels)) < 0.5, -1.0, 1.0)
