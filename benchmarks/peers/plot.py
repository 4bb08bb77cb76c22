"""The sweep over environments as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers.cases import OURS
from benchmarks.peers.report import human
from robots.errors import TetherError

STYLES = {
    (OURS, "ctbr"): ("Tether, body rates, RK4", "#0b6e4f", "o", "-"),
    ("crazyflow", "first_principles, body_rate, rk4"): ("crazyflow, body rates, RK4", "#c8553d", "s", "-"),
    ("crazyflow", "so_rpy, attitude, euler"): ("crazyflow, its default so_rpy, Euler", "#c8553d", "s", "--"),
}


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Steps per second over environments, both logarithmic."""
    groups = [group for group in report["groups"] if group["kind"] == "throughput" and group["rows"]]
    if not groups:
        raise TetherError("there is no sweep to draw; measure with --only throughput, or without --only")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, NullFormatter

    figure, axes = pyplot.subplots(figsize=(7.2, 4.4), layout="constrained")
    for (engine, label), (name, colour, marker, line) in STYLES.items():
        rows = [row for group in groups for row in group["rows"] if (row["engine"], row["label"]) == (engine, label)]
        if rows:
            counts, speeds = [row["num_envs"] for row in rows], [row[group_metric(groups)] for row in rows]
            axes.plot(counts, speeds, line, color=colour, marker=marker, markersize=5, linewidth=1.8, label=name)
            offset, align = ((0, 7), "bottom") if engine == OURS else ((0, -7), "top")
            if line == "-":
                axes.annotate(
                    human(speeds[-1]),
                    (counts[-1], speeds[-1]),
                    offset,
                    textcoords="offset points",
                    ha="center",
                    va=align,
                    fontsize=8,
                    color=colour,
                )
    sizes = sorted({row["num_envs"] for group in groups for row in group["rows"]})
    axes.set_xscale("log", base=4)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: human(value)))
    axes.margins(y=0.12)
    axes.set_xlabel("environments")
    axes.set_ylabel("physics steps per second")
    machine, row = report["machine"], groups[0]["rows"][0]
    where = f"{machine['cpu']}, {cores(machine['cores_used'])}" if report["device"] == "cpu" else str(report.get("gpu", report["device"]))
    axes.set_title(f"Quadrotor physics, {1e3 * row['case']['physics_dt']:g} ms steps, {row['substeps']} a call; {where}", fontsize=10)
    axes.grid(True, which="major", linewidth=0.5, alpha=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=160)
    pyplot.close(figure)


def cores(count: int) -> str:
    """In words."""
    return "one core" if count == 1 else f"{count} cores"


def group_metric(groups: list[Mapping[str, Any]]) -> str:
    """What a sweep compares; the same in all of its groups."""
    metric: str = groups[0]["metric"]
    return metric
