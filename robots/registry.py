"""Robots, tasks and whatever else registers by entry point, so that a user's own live outside this tree."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from robots.errors import TetherError, unknown

ROBOTS = "tether.robots"
TASKS = "tether.tasks"


def names(group: str) -> list[str]:
    """Everything registered under ``group``, sorted."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: str, name: str) -> Any:
    """The object registered as ``name`` under ``group``.

    Raises:
        TetherError: for a name that is not registered, or one whose import fails.
    """
    points = list(entry_points(group=group, name=name))
    kind = group.rsplit(".", 1)[1].rstrip("s")
    if not points:
        raise unknown(kind, name, names(group))
    targets = {point.value for point in points}
    if len(targets) > 1:
        raise TetherError(f"{kind} {name!r} is registered twice, as {' and '.join(sorted(targets))}; uninstall one")
    try:
        return points[0].load()
    except Exception as error:  # a user's package may fail in any way
        raise TetherError(f"{kind} {name!r} ({points[0].value}) does not import: {type(error).__name__}: {error}") from error


def robot(name: str) -> Any:
    """The `Robot` registered as ``name``."""
    return load(ROBOTS, name)
