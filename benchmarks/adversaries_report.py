"""What `benchmarks.adversaries` found, as text: interquartile means over seeds with 95 % bootstrap intervals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.training_report import interquartile_interval, interquartile_mean

Result = Mapping[str, Any]
COLUMNS = [(where, what, form) for where in ("worst", "mean", "middle") for what, form in (("return", ".1f"), ("success", ".1%"))]
HEADS = ("opponent", *(f"{where}: {what}" for where, what, _ in COLUMNS), "processor time")


def spread(values: Sequence[float], form: str) -> str:
    """``mean (low – high)``."""
    found = np.array(values)
    low, high = interquartile_interval(found)
    return f"{interquartile_mean(found):{form}} ({low:{form}} – {high:{form}})"


def one_line(result: Result) -> str:
    """The worst cell, and elsewhere."""
    found = [f"{where} {spread(result[where]['return'], '.1f')}" for where in ("worst", "mean", "middle")]
    success = spread(result["worst"]["success"], ".1%")
    return f"{result['task']} {result['variant']}: return {', '.join(found)}; worst success {success}; {result['processor_time_s']:.0f} s"


def text(results: Sequence[Result]) -> str:
    """A table for each task."""
    tasks: dict[str, list[Result]] = {}
    for result in results:
        tasks.setdefault(result["task"], []).append(result)
    return "\n\n".join(_table(task, group) for task, group in tasks.items())


def _table(task: str, group: Sequence[Result]) -> str:
    seeds, steps, labels = len(group[0]["seeds"]), group[0]["env_steps"] / 1e3, ", ".join(group[0]["labels"])
    lines = [f"{task}: {seeds} seeds, {steps:.0f} k control steps each, over {labels}", ""]
    lines += ["| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    for result in group:
        cells = [spread(result[where][what], form) for where, what, form in COLUMNS]
        lines.append(f"| {result['variant']} | " + " | ".join(cells) + f" | {result['processor_time_s']:.0f} s |")
    return "\n".join([*lines, *_differences(group)])


def _differences(group: Sequence[Result]) -> list[str]:
    """How much better than randomisation each of the others is, seed by seed."""
    base = next((result for result in group if result["variant"] == "random"), None)
    others = [result for result in group if base is not None and result is not base and result["seeds"] == base["seeds"]]
    lines = [""] if others else []
    for result, (where, what, form) in itertools.product(others, COLUMNS):
        if base is not None and where != "middle":
            gained = (np.array(result[where][what]) - np.array(base[where][what])).tolist()
            lines.append(f"- {result['variant']} − random, of the same seed, {where} {what}: {spread(gained, form)}")
    return lines
