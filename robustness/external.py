"""Disturbances by an external force on the base, alike for every robot that has one. Headings are random and horizontal."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from robustness.coupled import walk
from robustness.disturbance import Apply, Disturbance
from tasks.draw import Draw
from tasks.task import Start, Task, Wave

WAVE_HZ = 1.0


def forces(weight_n: float, most_bursts: float = 0.2) -> list[Disturbance]:
    """Bursts, a constant force, one that swings and one that wanders, scaled by the robot's weight [N]; bursts of ``most_bursts`` of it."""
    wave_n, hz = _round(0.15 * weight_n), f"frequency of the wave; of {_round(0.15 * weight_n):g} N if there is none yet"
    return [
        _from_zero("bursts", "bursts of force with heavy tails, one a second, of at least this size", most_bursts * weight_n, bursts),
        _from_zero("force", "a constant horizontal force", 0.2 * weight_n, force),
        _from_zero("wave", f"a horizontal force that swings, at {WAVE_HZ:g} Hz if not said otherwise", 0.3 * weight_n, wave),
        _from_zero(
            "walk", "a force that wanders within a ball of this radius, by a fifth of it a control step at most", 0.3 * weight_n, walk
        ),
        Disturbance("wave_hz", "Hz", hz, WAVE_HZ, 0.0, 4.0, functools.partial(wave_hz, wave_n), family=False),
    ]


def _from_zero(name: str, words: str, high_n: float, apply: Apply) -> Disturbance:
    return Disturbance(name, "N", words, 0.0, 0.0, _round(high_n), apply)


def bursts(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """See `training.bursts`."""
    return start._replace(burst_n=torch.full((draw.num_envs, 1), value, device=draw.device))


def force(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Beside the force that is there already."""
    extra = value * heading(draw)
    return start._replace(force_in_world=extra if start.force_in_world is None else start.force_in_world + extra)


def wave(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """At `WAVE_HZ`."""
    return start._replace(wave=Wave(value * heading(draw), torch.full((draw.num_envs, 1), WAVE_HZ, device=draw.device), _phase(draw)))


def wave_hz(force_n: float, task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Of the wave that is there, or of one with ``force_n``."""
    new = start.wave or Wave(force_n * heading(draw), torch.zeros(draw.num_envs, 1, device=draw.device), _phase(draw))
    return start._replace(wave=new._replace(frequency_hz=torch.full_like(new.frequency_hz, value)))


def heading(draw: Draw) -> Tensor:
    """Horizontal unit vectors ``[num_envs, 3]``."""
    angle = draw.uniform(-math.pi, math.pi)
    return torch.cat([angle.cos(), angle.sin(), angle * 0.0], dim=1)


def _phase(draw: Draw) -> Tensor:
    return draw.uniform(-math.pi, math.pi)


def _round(value: float) -> float:
    """Two significant digits."""
    return float(f"{value:.2g}")
