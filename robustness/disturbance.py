"""A disturbance: one number that says how bad, in a unit, and what it makes of the start of an episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from robots.description import EquationRobot, LeggedRobot, Quadrotor
from robots.errors import TetherError, unknown
from tasks.draw import Draw
from tasks.task import Start, Task
from training.environment import Amend

Apply = Callable[[Task, Start, float, Draw], Start]


@dataclass(frozen=True)
class Disturbance:
    """What may go wrong, as a family of episodes that are alike but for one number.

    Attributes:
        name: of the family, and of the axis of a grid.
        unit: of the number.
        words: what it means.
        rest: the number that changes nothing.
        low, high: range of a sweep over it; ``rest`` is often an end of it.
        apply: changes a start. How many random numbers it draws does not depend on the number, so that episodes of two cells differ in
            nothing else.
        family: whether it is swept by default; if not, it is an axis of grids only.
    """

    name: str
    unit: str
    words: str
    rest: float
    low: float
    high: float
    apply: Apply
    family: bool = True

    def severities(self, count: int) -> list[float]:
        """``count`` numbers from ``rest`` to the end farther from it, the first of which changes nothing."""
        worst = self.high if abs(self.high - self.rest) >= abs(self.low - self.rest) else self.low
        return np.linspace(self.rest, worst, count).tolist()

    def checked(self, value: float) -> float:
        """``value``, which must be within the range; raises `TetherError`."""
        if not self.low - 1e-9 <= value <= self.high + 1e-9:
            raise TetherError(f"{self.name} is {value:g} {self.unit}; its range here is {self.low:g}…{self.high:g}".replace("  ", " "))
        return float(np.clip(value, self.low, self.high))


Cell = tuple[tuple[Disturbance, float], ...]  # disturbances, and how much of each


def amendment(task: Task, cell: Cell) -> Amend:
    """What the cell makes of a start that ``task`` drew; disturbances act in the order given, later ones on top of earlier."""

    def amend(start: Start, generator: torch.Generator) -> Start:
        draw = Draw(len(next(iter(start.state.values()))), generator)
        for disturbance, value in cell:
            start = disturbance.apply(task, start, value, draw)
        return start

    return amend


def disturbances(task: Task) -> dict[str, Disturbance]:
    """What may befall the task's robot, by name; raises `TetherError` for a kind of robot that has no disturbances here."""
    return {disturbance.name: disturbance for disturbance in _kind(task).disturbances(task)}


def default_grid(task: Task) -> tuple[str, ...]:
    """The axes of a grid for the task's robot if nothing else is asked for, as `robustness.grid.axis` takes them."""
    axes: tuple[str, ...] = _kind(task).default_grid(task)
    return axes


def _kind(task: Task) -> Any:
    """The module of the robot's kind, which gives `disturbances` and `default_grid`."""
    from robustness import equations, legged, quadrotor

    kinds = {Quadrotor: quadrotor, LeggedRobot: legged, EquationRobot: equations}
    for kind, module in kinds.items():
        if isinstance(task.robot, kind):
            return module
    raise TetherError(
        f"{task.robot.name} is a {type(task.robot).__name__}; disturbances are known for quadrotors, legged robots and equations"
    )


def chosen(task: Task, names: Sequence[str], known: Mapping[str, Disturbance]) -> list[Disturbance]:
    """Those of ``known`` that are asked for; raises `TetherError` naming what the task's robot can have."""
    for name in names:
        if name not in known:
            raise unknown(f"disturbance of {task.robot.name} in {task.name}", name, list(known))
    return [known[name] for name in names]
