"""What `benchmarks.adversaries` found, as text: interquartile means over seeds with 95 % bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.training_report import interquartile_interval, interquartile_mean

Result = Mapping[str, Any]
HEADS = ("opponent", "worst cell: return", "worst cell: success", "grid: return", "grid: success", "middle: return", "middle: success", "processor time")


def spread(values: Sequence[float], form: str) -> str:
    """``mean (low – high)``."""
    found = np.array(values)
    low, high = interquartile_interval(found)
    return f"{interquartile_mean(found):{form}} ({low:{form}} – {high:{form}})"


def one_line(result: Result) -> str:
    """The worst cell."""
    worst, processor = result["worst"], result["processor_time_s"]
    figures = f"return {spread(worst['return'], '.1f')}, success {spread(worst['success'], '.1%')}"
    return f"{result['task']} {result['variant']}: worst cell: {figures}; {processor:.0f} s of processor time"


def text(results: Sequence[Result]) -> str:
    """A table for each task."""
    tasks: dict[str, list[Result]] = {}
    for result in results:
        tasks.setdefault(result["task"], []).append(result)
    return "\n\n".join(_table(task, group) for task, group in tasks.items())


def _table(task: str, group: Sequence[Result]) -> str:
    first = group[0]
    lines = [f"{task}: {len(first['seeds'])} seeds, {first['env_steps'] / 1e3:.0f} k control steps each, over {', '.join(first['labels'])}", ""]
    lines += ["| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    for result in group:
        cells = [spread(result[where][what], form) for where in ("worst", "mean", "middle") for what, form in (("return", ".1f"), ("success", ".1%"))]
        lines.append(f"| {result['variant']} | " + " | ".join(cells) + f" | {result['processor_time_s']:.0f} s |")
    return "\n".join(lines)
