"""Tables and curves over algorithms and seeds.

Over seeds: median and range, since there are few; for returns the interquartile mean with a bootstrap interval (Agarwal et al., NeurIPS
2021), which one lucky or lost seed does not move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robots.errors import TetherError
from training.statistics import CONFIDENCE, RESAMPLES

Result = Mapping[str, Any]
COLOURS = {"ppo": "#33658a", "shac": "#0b6e4f", "bptt": "#c8553d"}
POINTS = 400


def interquartile_mean(values: np.ndarray) -> float:
    """Mean of the middle half of ``values`` ``[n]``; the two values at its edges count by the share of them that is inside.

    With n values in order, value i covers [i, i + 1] of [0, n]; its weight is what of that lies within [n/4, 3n/4].
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    start = np.arange(len(ordered))
    weight = np.clip(np.minimum(start + 1, 0.75 * len(ordered)) - np.maximum(start, 0.25 * len(ordered)), 0.0, 1.0)
    return float((weight * ordered).sum() / weight.sum())


def interquartile_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the interquartile mean, seeds resampled."""
    values, generator = np.asarray(values, dtype=float), np.random.default_rng([seed, 0x109])
    means = [interquartile_mean(generator.choice(values, len(values))) for _ in range(RESAMPLES)]
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return float(low), float(high)


def by_algorithm(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Results of each algorithm, in the order of their first."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result["algorithm"], []).append(result)
    return found


def seeds_table(results: Sequence[Result]) -> str:
    """A row a seed, as Markdown; the RMS where the evaluation has it."""
    rms = any("tracking_rms" in result for result in results)
    heads = ["algorithm", "seed", "success on `full`", "95 % interval", "crashes", "wall time", "processor time", "control steps"]
    lines = ["| " + " | ".join(heads + ["RMS"] * rms) + " |", "|---" * (len(heads) + rms) + "|"]
    for result in results:
        low, high = result["success_interval"]
        cells = [result["algorithm"], str(result["seed"]), f"{result['success_rate']:.1%}", f"{low:.1%} – {high:.1%}"]
        cells += [f"{result['crashes']} / {result['episodes']}", f"{result['wall_time_s']:.1f} s", f"{result['processor_time_s']:.1f} s"]
        cells += [f"{result['env_steps'] / 1e6:.2f} M"] + ([rms_text(result)] if rms else [])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rms_text(result: Result) -> str:
    """Mean RMS of the tracking error over the episodes that did not crash, in the task's unit."""
    mean = result.get("tracking_rms", {}).get("mean")
    return "–" if mean is None else f"{mean:.3f}"


def summary_table(results: Sequence[Result]) -> str:
    """A row an algorithm, as Markdown: median (least – most) over seeds, and the interquartile mean of the return with its interval."""
    columns: list[tuple[str, Callable[[Result], float | None], str]] = [
        ("success on `full`", lambda result: 100.0 * result["success_rate"], "{:.1f} %"),
        ("wall time", lambda result: result["wall_time_s"], "{:.1f} s"),
        ("of it compiling", lambda result: result["compile_time_s"], "{:.1f} s"),
        ("processor time", lambda result: result["processor_time_s"], "{:.1f} s"),
        ("control steps", lambda result: result["env_steps"] / 1e6, "{:.2f} M"),
        ("RMS", lambda result: result.get("tracking_rms", {}).get("mean"), "{:.3f}"),
    ]
    heads = ["algorithm", "seeds", *(name for name, _, _ in columns), "return, interquartile mean"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for algorithm, group in by_algorithm(results).items():
        cells = [algorithm, str(len(group))]
        for _, value, form in columns:
            values = [number for result in group if (number := value(result)) is not None]
            low, middle, high = (form.format(np.percentile(values, share)) for share in (0, 50, 100)) if values else ("–",) * 3
            cells.append(f"{middle} ({low} – {high})" if values else "–")
        returns = np.array([result["return_mean"] for result in group])
        low_return, high_return = interquartile_interval(returns)
        cells.append(f"{interquartile_mean(returns):.1f} ({low_return:.1f} – {high_return:.1f})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def text(results: Sequence[Result]) -> str:
    """Both tables."""
    ordered = [result for group in by_algorithm(results).values() for result in group]
    return f"{seeds_table(ordered)}\n\nMedian (least – most) over seeds:\n\n{summary_table(results)}"


def learning_curve(result: Result, axis: str) -> tuple[np.ndarray, np.ndarray]:
    """(``axis``, success) of a run: its checks without exploration noise, and before the first of them its own episodes."""
    curve = result["curve"]
    points = []
    checked = False
    for x, own, check in zip(curve[axis], curve["success"], curve["check_success"], strict=True):
        checked = checked or check is not None
        if (value := check if checked else own) is not None:
            points.append((x, value))
    return np.array([x for x, _ in points]), np.array([y for _, y in points])


def band(runs: Sequence[Result], axis: str) -> tuple[np.ndarray, np.ndarray]:
    """Abscissae ``[points]``, and least, median and most success over runs ``[3, points]``.

    A run that has ended keeps its last success; before its first figure a run counts as zero.
    """
    curves = [curve for run in runs if len((curve := learning_curve(run, axis))[0])]
    if not curves:
        return np.zeros(0), np.zeros((3, 0))
    x = np.linspace(0.0, max(at[-1] for at, _ in curves), POINTS)
    values = np.stack([np.interp(x, at, success, left=0.0) for at, success in curves])
    return x, np.percentile(values, [0, 50, 100], axis=0)


def draw(results: Sequence[Result], path: Path) -> None:
    """Success against wall time and against samples: median and range over seeds; a dot is a seed's evaluation on `full`."""
    if not any("curve" in result for result in results):
        raise TetherError("these results have no learning curves; measure them anew, without --read")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, both = pyplot.subplots(1, 2, figsize=(9.6, 3.8), sharey=True, layout="constrained")
    for axes, axis, scale, label in zip(both, ("wall_time_s", "env_steps"), (1.0, 1e-6), ("wall time [s]", "control steps [million]")):
        for index, (algorithm, runs) in enumerate(by_algorithm(results).items()):
            colour = COLOURS.get(algorithm, f"C{index}")
            x, (low, middle, high) = band([run for run in runs if "curve" in run], axis)
            axes.plot(scale * x, middle, color=colour, linewidth=1.8, label=f"{algorithm}, {len(runs)} seeds")
            axes.fill_between(scale * x, low, high, color=colour, alpha=0.18, linewidth=0)
            axes.plot([scale * run[axis] for run in runs], [run["success_rate"] for run in runs], "o", color=colour, markersize=4)
        axes.set_xlabel(label)
        axes.set_xlim(left=0.0)
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(True, linewidth=0.5, alpha=0.4)
        axes.spines[["top", "right"]].set_visible(False)
    both[0].set_ylabel("success")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"{results[0]['task']}: training (line, range over seeds) and evaluation on `full` (dots)", fontsize=10)
    figure.savefig(path, dpi=160)
    pyplot.close(figure)
