"""One axis of an uncertainty set: which quantity, from where to where."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robots.errors import TetherError

FORMS = "friction=LOW:HIGH, mass.BODY=LOW:HIGH (kg) or force.BODY.AXIS=LOW:HIGH (N, AXIS one of x y z)"
AXES = ("x", "y", "z")
MOST_CELLS = 20_000

Cell = dict[str, float]


@dataclass(frozen=True)
class Parameter:
    """A quantity of the dynamics and its range.

    | name | quantity | unit |
    |---|---|---|
    | ``friction`` | sliding friction of every contact | 1 |
    | ``mass.BODY`` | mass of a body, its inertia in proportion | kg |
    | ``force.BODY.AXIS`` | constant force on a body's centre of mass, along an axis of the world | N |

    Raises:
        TetherError: for a name of another form, and for a range that is not one, or in which a mass or friction is not positive.
    """

    name: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if not _well_formed(self.name):
            raise TetherError(f"{self.name!r} is no parameter; write {FORMS}")
        if not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
            raise TetherError(f"{self.name} from {self.low:g} to {self.high:g} is no range; give a low end below a high one")
        if self.kind != "force" and self.low <= 0.0:
            raise TetherError(f"{self.name} from {self.low:g}: a {self.kind} must be positive")

    @property
    def kind(self) -> str:
        """``friction``, ``mass`` or ``force``."""
        return self.name.partition(".")[0]

    @property
    def unit(self) -> str:
        """Of the two ends."""
        return {"friction": "1", "mass": "kg", "force": "N"}[self.kind]

    def points(self, count: int) -> np.ndarray:
        """``count`` values, evenly spaced, both ends among them: ``[count]``."""
        return np.linspace(self.low, self.high, count)


def parse(text: str) -> Parameter:
    """The parameter that ``NAME=LOW:HIGH`` names; raises `TetherError` with the forms that there are."""
    name, _, ends = text.partition("=")
    low, _, high = ends.partition(":")
    try:
        return Parameter(name, float(low), float(high))
    except ValueError:
        raise TetherError(f"{text!r} is no parameter with its range; write {FORMS}") from None


def grid(parameters: Sequence[Parameter], points: int) -> list[Cell]:
    """Every combination of ``points`` values of each parameter; the last one turns fastest.

    Raises:
        TetherError: for less than two points, the ends, and for a grid too large to be played.
    """
    if points < 2:
        raise TetherError(f"a grid of {points} points has no two ends; give at least 2")
    if points ** len(parameters) > MOST_CELLS:
        raise TetherError(
            f"{points}^{len(parameters)} cells are more than the {MOST_CELLS} that are played; give fewer points or parameters"
        )
    values = itertools.product(*(parameter.points(points).tolist() for parameter in parameters))
    return [dict(zip([parameter.name for parameter in parameters], cell)) for cell in values]


def draw(parameters: Sequence[Parameter], generator: np.random.Generator) -> Cell:
    """One cell, uniform over the set, for training under randomisation."""
    return {parameter.name: float(generator.uniform(parameter.low, parameter.high)) for parameter in parameters}


def _well_formed(name: str) -> bool:
    kind, *rest = name.split(".")
    if kind == "force":
        return len(rest) == 2 and bool(rest[0]) and rest[1] in AXES
    return (kind == "mass" and len(rest) == 1 and bool(rest[0])) or name == "friction"
