"""Grids of disturbances: every combination flown on the same episodes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robots.errors import TetherError, unknown
from robustness.disturbance import Cell, Disturbance, amendment
from robustness.figures import of_cell, of_grid
from robustness.rollouts import FRESH, Outcome, Where, fly_cells


@dataclass(frozen=True)
class Axis:
    """A disturbance and the numbers of it that a grid has, both ends included."""

    disturbance: Disturbance
    values: tuple[float, ...]

    @property
    def low(self) -> float:
        """The first."""
        return self.values[0]

    @property
    def high(self) -> float:
        """The last."""
        return self.values[-1]


def axis(text: str, known: Mapping[str, Disturbance]) -> Axis:
    """An axis from ``NAME=LOW:HIGH:N``; raises `TetherError` for what is not one."""
    name, equals, numbers = text.partition("=")
    try:
        low, high, count = numbers.split(":")
        ends, number = (float(low), float(high)), int(count)
    except ValueError:
        equals = ""
    if not equals:
        raise TetherError(f"--grid {text!r} is no axis; write NAME=LOW:HIGH:N, for example mass=0.8:1.2:5")
    if name not in known:
        raise unknown("axis of a grid", name, list(known))
    if number < 2 or not ends[0] < ends[1]:
        raise TetherError(f"--grid {text!r} has no extent; give two numbers, the lower first, and at least 2 values")
    checked = [known[name].checked(end) for end in ends]
    return Axis(known[name], tuple(np.linspace(checked[0], checked[1], number).tolist()))


def all_axes(texts: Sequence[str], known: Mapping[str, Disturbance]) -> list[Axis]:
    """One a text, in the order in which they act; raises `TetherError` as `axis`, and for a name that comes twice."""
    found = {each.disturbance.name: each for each in (axis(text, known) for text in texts)}
    if len(found) < len(texts):
        raise TetherError(f"--grid {' '.join(texts)} names an axis twice; give it once, with more values")
    return [found[name] for name in known if name in found]


def cells(axes: Sequence[Axis]) -> list[Cell]:
    """Every combination, the last axis fastest."""
    return [cell(axes, values) for values in itertools.product(*[each.values for each in axes])]


def cell(axes: Sequence[Axis], values: Sequence[float]) -> Cell:
    """The disturbances of ``axes`` at these values."""
    return tuple((each.disturbance, float(value)) for each, value in zip(axes, values, strict=True))


def told(cell: Cell) -> dict[str, float]:
    """A cell by the names of its axes."""
    return {disturbance.name: value for disturbance, value in cell}


def fly_grid(where: Where, axes: Sequence[Axis], *, episodes: int, fresh: int) -> dict[str, Any]:
    """Fly every cell, and the worst one again on ``fresh`` other episodes.

    Returns:
        ``axes``, ``cells`` with their figures, those of `of_grid`, and ``worst``: the cell of least mean return, and what it is worth on
        fresh episodes (that it was chosen for bad luck does not count there).
    """
    every = cells(axes)
    outcome = fly_cells(where, [amendment(where.task, each) for each in every], episodes)
    figures = [{"at": told(each)} | of_cell(outcome, index, where.seed) for index, each in enumerate(every)]
    found = of_grid(outcome, where.seed)
    worst = every[found["worst_cell"]]
    return {
        "axes": [{"name": each.disturbance.name, "unit": each.disturbance.unit, "values": list(each.values)} for each in axes],
        "rollouts": outcome.returns.size,
        **found,
        "worst": {"at": told(worst), "chosen_return": found["return_worst"], **again(where, worst, fresh)},
        "cells": figures,
    }


def again(where: Where, cell: Cell, fresh: int) -> dict[str, Any]:
    """Figures of ``cell`` on ``fresh`` episodes that chose nothing."""
    outcome: Outcome = fly_cells(where, [amendment(where.task, cell)], fresh, draw=FRESH)
    return of_cell(outcome, 0, where.seed)
