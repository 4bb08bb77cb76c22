"""Tables and a picture of `benchmarks.risk`: interquartile means over seeds with their bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training_report import interquartile_interval, interquartile_mean

Result = Mapping[str, Any]
COLOURS = {"neutral": "#c8553d", "CVaR": "#0b6e4f", "Mean-CVaR": "#33658a", "Wang": "#8a6fb0"}
OTHER = "#555555"
LEVELS = {"levels": ("unseen", "#0b6e4f"), "levels_full": ("full", "#33658a")}


def text(results: Sequence[Result]) -> str:
    """Success, return and the task's measures of every variant on every suite, and by level."""
    lines = []
    for found in results:
        flown = f"{len(found['seeds'])} seeds, {found['episodes']} episodes each, coverage error {np.mean(found['coverage_error']):.2f}"
        lines.append(f"{found['variant']}: {flown}")
        for suite, values in found["suites"].items():
            lines.append(f"  {suite:<8} " + "   ".join(f"{name} {spread(each)}" for name, each in values.items()))
        for name in LEVELS:
            for level, values in found.get(name, {}).items():
                lines.append(f"  {name} {level:<5} " + "   ".join(f"{what} {spread(each)}" for what, each in values.items()))
            if name in found:
                lines.append(f"  {name}: rank correlation of level and tail {correlation(found[name]):.2f}")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Interquartile mean over seeds, with its bootstrap interval."""
    low, high = interquartile_interval(np.array(values))
    return f"{interquartile_mean(np.array(values)):.3g} ({low:.3g} … {high:.3g})"


def correlation(levels: Mapping[str, Mapping[str, Sequence[float]]]) -> float:
    """Spearman's, of the level and the interquartile mean over seeds of the return's tail."""
    tails = np.array([interquartile_mean(np.array(values["return_tail"])) for values in levels.values()])
    ranks = tails.argsort().argsort()
    return float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])


def draw(tasks: Mapping[str, Sequence[Result]], path: Path) -> None:
    """Success of each task's variants on every suite, a dot a seed, and of the variants that take a level over that.

    Args:
        tasks: results by the name of the task.
        path: of the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    by_level = [(task, found) for task, results in tasks.items() for found in results if "levels" in found]
    fixed = {task: [found for found in results if "levels" not in found] for task, results in tasks.items()}
    count = len(fixed) + len(by_level)
    figure, panels = pyplot.subplots(1, count, figsize=(5.0 * count, 3.9), squeeze=False, sharey=True, layout="constrained")
    for axes, (task, results) in zip(panels[0], fixed.items(), strict=False):
        _suites(axes, task, results)
    for axes, (task, found) in zip(panels[0][len(fixed) :], by_level, strict=True):
        _levels(axes, task, found)
    for axes in panels[0]:
        axes.set_ylim(0.0, 104.0)
        axes.grid(True, axis="y", linewidth=0.5, alpha=0.4)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False, loc="lower left")
    panels[0][0].set_ylabel("success [%]: IQM over seeds, 95 % interval")
    figure.savefig(path, dpi=160)
    pyplot.close(figure)


def _suites(axes: Any, task: str, results: Sequence[Result]) -> None:
    suites = list(results[0]["suites"])
    for place, found in enumerate(results):
        colour, shift = COLOURS.get(found["variant"], OTHER), 0.22 * (place - (len(results) - 1) / 2)
        for index, suite in enumerate(suites):
            values = 100.0 * np.array(found["suites"][suite]["success"])
            jitter = np.linspace(-0.05, 0.05, len(values))
            axes.plot(index + shift + jitter, values, ".", color=colour, alpha=0.35, markersize=5, markeredgewidth=0)
            _interval(axes, index + shift, values, colour, found["variant"] if not index else None)
    ticks = [f"{suite}\n{_measure([found['suites'][suite] for found in results])}" for suite in suites]
    axes.set_xticks(range(len(suites)), ticks, fontsize=8)
    axes.set_title(f"{task}, {len(results[0]['seeds'])} seeds", fontsize=10)


def _measure(flown: Sequence[Mapping[str, Sequence[float]]]) -> str:
    """How far from the danger, of each."""
    name = next(name for name in flown[0] if name.endswith("_m"))
    return " | ".join(f"{interquartile_mean(np.array(values[name])):.2f}" for values in flown) + " m"


def _levels(axes: Any, task: str, found: Result) -> None:
    for name, (suite, colour) in LEVELS.items():
        levels = [float(level) for level in found[name]]
        every = [100.0 * np.array(values["success"]) for values in found[name].values()]
        axes.plot(levels, [interquartile_mean(values) for values in every], "-", color=colour, linewidth=1.2)
        for place, (level, values) in enumerate(zip(levels, every, strict=True)):
            _interval(axes, level, values, colour, suite if not place else None)
    axes.set_xticks(
        levels, [f"{level:g}\n{_measure([values])}" for level, values in zip(levels, found["levels"].values(), strict=True)], fontsize=8
    )
    axes.set_title(f"{task}, one policy by its command risk_level, {len(found['seeds'])} seeds", fontsize=10)


def _interval(axes: Any, x: float, values: np.ndarray, colour: str, label: str | None) -> None:
    middle, (low, high) = interquartile_mean(values), interquartile_interval(values)
    axes.errorbar(x, middle, [[middle - low], [high - middle]], fmt="o", color=colour, markersize=6, capsize=3, linewidth=1.4, label=label)
