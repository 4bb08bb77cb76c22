"""What a rule can be about: columns of a log, and quantities computed from them, vectorised over its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from robots.errors import TetherError
from safety.envelope import BODY_RATE, GOAL, ORIENTATION, POSITION, UNIT_TOLERANCE, VELOCITY

Columns = Mapping[str, np.ndarray]


class Samples(NamedTuple):
    """Values ``[T, channels]`` and the name of each channel."""

    values: np.ndarray
    channels: tuple[str, ...]


def samples(columns: Columns, signal: str) -> Samples:
    """``tilt``, ``speed``, ``body_rate``, ``distance``, one column, or every column that starts with ``signal.``.

    Raises:
        TetherError: if the log has nothing of that name.
    """
    if signal in DERIVED:
        return Samples(DERIVED[signal](columns)[:, None], (signal,))
    channels = (signal,) if signal in columns else tuple(name for name in columns if name.startswith(signal + "."))
    if not channels:
        raise TetherError(f"the log has no signal {signal!r}; it has {', '.join([*DERIVED, *_blocks(columns)])}")
    return Samples(np.column_stack([columns[name] for name in channels]), channels)


def tilt(columns: Columns) -> np.ndarray:
    """Angle between the body's z axis and the vertical [rad], arccos(1 − 2(x² + y²)/|q|²); NaN where q is not of unit length."""
    w, x, y, z = (columns[f"sensor.{ORIENTATION}.{axis}"] for axis in "wxyz")
    with np.errstate(all="ignore"):
        square = w * w + x * x + y * y + z * z
        cosine = np.clip(1.0 - 2.0 * (x * x + y * y) / square, -1.0, 1.0)
        return np.where(np.abs(square - 1.0) <= 2.0 * UNIT_TOLERANCE, np.arccos(cosine), np.nan)


def speed(columns: Columns) -> np.ndarray:
    """|v| [m/s]."""
    return _norm(_vector(columns, f"sensor.{VELOCITY}"))


def body_rate(columns: Columns) -> np.ndarray:
    """maxᵢ |ωᵢ| [rad/s]."""
    return np.abs(_vector(columns, f"sensor.{BODY_RATE}")).max(axis=1)


def distance(columns: Columns) -> np.ndarray:
    """|p − g| [m]."""
    return _norm(_vector(columns, f"sensor.{POSITION}") - _vector(columns, f"command.{GOAL}"))


def _norm(vectors: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.sqrt((vectors * vectors).sum(axis=1))


def _vector(columns: Columns, name: str) -> np.ndarray:
    """Along the axes that the log has: a robot in a plane has two."""
    return np.column_stack([columns[f"{name}.{axis}"] for axis in "xyz" if f"{name}.{axis}" in columns])


def _derived(names: tuple[str, ...], function: Callable[[Columns], np.ndarray]) -> Callable[[Columns], np.ndarray]:
    """``function``, with an error that says which columns a log lacks for it."""

    def checked(columns: Columns) -> np.ndarray:
        missing = [name for name in names if not any(column.startswith(name + ".") for column in columns)]
        if missing:
            raise TetherError(f"{function.__name__} needs {', '.join(missing)}, which the log does not have")
        return function(columns)

    return checked


def _blocks(columns: Columns) -> list[str]:
    """Names of the log's signals: columns without their channel."""
    return list(dict.fromkeys(".".join(name.split(".")[:2]) for name in columns))


NEEDS = {
    "tilt": (f"sensor.{ORIENTATION}",),
    "speed": (f"sensor.{VELOCITY}",),
    "body_rate": (f"sensor.{BODY_RATE}",),
    "distance": (f"sensor.{POSITION}", f"command.{GOAL}"),
}
DERIVED = {function.__name__: _derived(NEEDS[function.__name__], function) for function in (tilt, speed, body_rate, distance)}
