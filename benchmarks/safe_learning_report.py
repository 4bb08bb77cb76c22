"""Tables and plots of `benchmarks.safe_learning`: interquartile means over seeds with bootstrap intervals, beside the published figures.

*Settled* is the number of interactions after which the interquartile mean of the return stays within `SETTLED` of its range above the
final value. A seed is *stuck* whose final return is worse than the unsafe median by more than `STUCK` of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training_report import interquartile_interval, interquartile_mean

Result = Mapping[str, Any]
SETTLED, STUCK = 0.05, 0.5
LOST = 3.0  # times the best return below it, an end is not drawn
# Walter et al. 2025, arXiv 2506.01665: final return, by task, algorithm and variant; where they publish one.
PUBLISHED: dict[tuple[str, str], dict[str, float]] = {
    ("pendulum", "shac"): {"none": -8, "BP": -8, "RM": -8, "HRM": -11.8},
    ("pendulum", "sac"): {"none": -14, "BP": -1083, "RM": -424},
    ("pendulum", "ppo"): {"none": -596, "BP": -10, "RM": -12},
    ("planar_quadrotor", "shac"): {
        "none": -157,
        "BP": -333,
        "BP regularised": -177,
        "RM": -251,
        "RM regularised": -228,
        "RM pass-through": -157,
        "HRM": -372,
        "HRM regularised": -171,
    },
    ("planar_quadrotor", "sac"): {"none": -1046, "BP": -338, "RM": -377},
    ("planar_quadrotor", "ppo"): {"none": -1710, "BP": -402, "RM": -379},
}
COLOURS = {"none": "#555555", "BP": "#33658a", "RM": "#0b6e4f", "HRM": "#c8553d"}
DASHES = {"plain": "-", "regularised": "--", "pass-through": ":"}


def one_line(result: Result) -> str:
    """The return, and what left the safe states."""
    low, high = interquartile_interval(np.array(result["final"]["return"]))
    middle, outside = interquartile_mean(np.array(result["final"]["return"])), np.mean(result["final"]["outside_episodes"])
    return f"return {middle:.1f} ({low:.1f} – {high:.1f}), {outside:.1%} of episodes outside, {result['wall_time_s']:.0f} s"


def settled(result: Result) -> int:
    """Interactions until the return stays where it ends; see the module's docstring."""
    curve = np.array([interquartile_mean(np.array(returns)) for returns in result["curve"]["return"]])
    far = np.abs(curve - curve[-1]) > SETTLED * max(float(curve[-1] - curve[0]), 1e-9)
    last = int(np.nonzero(far)[0][-1]) + 1 if far.any() else 0
    return int(result["curve"]["env_steps"][min(last, len(curve) - 1)])


def stuck(result: Result, reference: Result | None) -> int:
    """Seeds that are; see the module's docstring."""
    if reference is None:
        return 0
    goal = np.median(reference["final"]["return"])
    return int((np.array(result["final"]["return"]) < goal - STUCK * abs(goal)).sum())


def text(results: Sequence[Result]) -> str:
    """A table for each task and algorithm."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result["task"], result["algorithm"]), []).append(result)
    return "\n\n".join(_table(key, group) for key, group in groups.items())


def _table(key: tuple[str, str], group: Sequence[Result]) -> str:
    task, algorithm = key
    first = group[0]
    reference = next((result for result in group if result["variant"] == "none"), None)
    heads = [
        "safeguard",
        "return, IQM",
        "95 % interval",
        "stuck",
        "settled",
        "outside, episodes",
        "intervention",
        "off: return",
        "off: outside",
    ]
    heads += ["wall time", "ratio", "published"]
    lines = [
        f"{task}, {algorithm}: {len(first['seeds'])} seeds, {first['num_envs']} environments, {first['env_steps'] / 1e3:.0f} k interactions"
    ]
    lines += ["", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for result in group:
        returns, off = np.array(result["final"]["return"]), result["safeguard_off"]
        low, high = interquartile_interval(returns)
        ratio = f"{result['processor_time_s'] / reference['processor_time_s']:.2f}" if reference else "–"
        cells = [result["variant"], f"{interquartile_mean(returns):.2f}", f"{low:.2f} – {high:.2f}"]
        cells += [f"{stuck(result, reference)} / {len(returns)}", f"{settled(result) / 1e3:.0f} k"]
        cells += [f"{np.mean(result['final']['outside_episodes']):.1%}", f"{np.mean(result['final']['intervention']):.3f}"]
        cells += [f"{interquartile_mean(np.array(off['return'])):.2f}", f"{np.mean(off['outside_episodes']):.1%}"] if off else ["–", "–"]
        cells += [f"{result['wall_time_s']:.0f} s", ratio, str(PUBLISHED.get(key, {}).get(result["variant"], "–"))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(results: Sequence[Result], directory: Path) -> list[Path]:
    """One picture a task: return over interactions, a panel an algorithm."""
    directory.mkdir(parents=True, exist_ok=True)
    tasks = list(dict.fromkeys(result["task"] for result in results))
    return [_draw([result for result in results if result["task"] == task], directory / f"safe_learning_{task}.png") for task in tasks]


def _draw(results: Sequence[Result], path: Path) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    algorithms = list(dict.fromkeys(result["algorithm"] for result in results))
    figure, panels = pyplot.subplots(1, len(algorithms), figsize=(5.4 * len(algorithms), 4.2), squeeze=False, layout="constrained")
    for axes, algorithm in zip(panels[0], algorithms, strict=True):
        drawn = [each for each in results if each["algorithm"] == algorithm]
        for result in drawn:
            _curve(axes, result)
        axes.set_ylim(*_range(results))
        axes.set_xlabel("interactions [thousand]")
        axes.set_title(f"{algorithm}, {len(drawn[0]['seeds'])} seeds", fontsize=10)
        axes.grid(True, linewidth=0.5, alpha=0.4)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("return: IQM, 95 % interval")
    most = max(panels[0], key=lambda axes: len(axes.lines))
    figure.legend(*most.get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside lower center", ncols=5)
    figure.suptitle(f"{results[0]['task']}: episodes of `full` that training never sees", fontsize=10)
    figure.savefig(path, dpi=160)
    pyplot.close(figure)
    return path


def _range(results: Sequence[Result]) -> tuple[float, float]:
    """Of the ordinate: about where trainings end, which is what differs; they begin far below, and some end there."""
    finals = [interquartile_mean(np.array(result["final"]["return"])) for result in results]
    least = min(final for final in finals if final >= max(finals) - LOST * abs(max(finals)))
    return least - 0.4 * abs(least), max(finals) + 0.1 * abs(max(finals))


def _curve(axes: Any, result: Result) -> None:
    kind, _, gradient = result["variant"].partition(" ")
    x = np.array(result["curve"]["env_steps"]) / 1e3
    returns = [np.array(values) for values in result["curve"]["return"]]
    low, high = np.array([interquartile_interval(values) for values in returns]).T
    middle = [interquartile_mean(values) for values in returns]
    axes.plot(x, middle, DASHES[gradient or "plain"], color=COLOURS[kind], linewidth=1.6, label=result["variant"])
    axes.fill_between(x, low, high, color=COLOURS[kind], alpha=0.08, linewidth=0)
