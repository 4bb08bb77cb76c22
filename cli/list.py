"""``tether list``: everything that is registered, yours included."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from typing import Any

from cli.main import Result
from robots import registry
from robots.errors import TetherError

HELP = "List robots, tasks with their suites, algorithms and engines that are installed."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beyond what every verb has."""


def run(args: argparse.Namespace) -> Result:
    """Print four tables."""
    from training.algorithms import ALGORITHMS
    from training.simulators import SIMULATORS

    data = {
        "robots": _entries(registry.ROBOTS, _robot),
        "tasks": _entries(registry.TASKS, _task),
        "algorithms": {name: {"about": _first_line(kind.make)} for name, kind in ALGORITHMS.items()},
        "engines": _modules(SIMULATORS),
    }
    for title, rows in data.items():
        print(title)
        _print(rows)
    return Result(data)


def _entries(group: str, describe: Any) -> dict[str, Any]:
    """What is registered under ``group``; an entry that does not import says why, and does not hide the others."""
    found = {}
    for name in registry.names(group):
        try:
            found[name] = describe(registry.load(group, name))
        except TetherError as error:
            found[name] = {"error": str(error)}
        except Exception as error:  # a user's package may fail in any way
            found[name] = {"error": f"{type(error).__name__}: {error}"}
    return found


def _robot(robot: Any) -> dict[str, Any]:
    return {
        "kind": type(robot).__name__,
        "mass_kg": robot.mass_kg,
        "actuations": list(robot.actuations),
        "sensors": [sensor.name for sensor in robot.sensors],
        "source": robot.source,
    }


def _task(kind: Any) -> dict[str, Any]:
    task = kind()
    return {"robot": task.robot.name, "rate_hz": task.rate_hz, "suites": list(task.suites), "about": _first_line(kind)}


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().partition("\n")[0]


def _modules(table: Mapping[str, str]) -> dict[str, Any]:
    """Modules by name, as ``module`` or ``module:class``: what they are for, or what keeps them from working here."""
    found = {}
    for name, target in table.items():
        module, _, kind = target.partition(":")
        try:
            imported = importlib.import_module(module)
            found[name] = {"about": _first_line(getattr(imported, kind) if kind else imported)}
        except ModuleNotFoundError as error:
            found[name] = {"error": f"needs the Python package {error.name}"}
    return found


def _print(rows: dict[str, Any]) -> None:
    width = max(map(len, rows), default=0)
    for name, row in rows.items():
        print(f"  {name:<{width}}  {_line(row)}")
    if not rows:
        print("  (none)")
    print()


def _line(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"not usable: {row['error']}"
    if "kind" in row:
        return f"{row['kind']}, {row['mass_kg']:g} kg; {', '.join(row['actuations'])}; {row['source']}"
    if "suites" in row:
        return f"{row['rate_hz']:g} Hz on {row['robot']}; suites {', '.join(row['suites'])}; {row['about']}"
    return str(row["about"])
