"""What `evaluate` found, as a short table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text(result: Mapping[str, Any]) -> str:
    """One line a figure, with its 95 % interval and the episodes behind it; of one or two parameters, the means of all cells."""
    axes = ", ".join("{name} {low:g} … {high:g} {unit}".format(**axis).removesuffix(" 1") for axis in result["parameters"])
    grid, worst = result["grid"], result["worst"]
    rows = [
        ("task", f"{result['environment']}: {axes}; {len(result['cells'])} cells of {result['episodes']} episodes, seed {result['seed']}"),
        ("pristine", _figure(result["nominal"])),
        ("mean over grid", _figure(grid)),
        ("interquartile mean", _with_interval(grid["iqm"], grid["iqm_interval"])),
        (
            f"worst {result['cvar']['level']:.0%} of cells",
            f"{_figure(result['cvar'])}, fresh; {result['cvar']['grid_mean']:.1f} on the grid",
        ),
        ("worst cell", f"{_figure(worst)}, fresh; {worst['grid_mean']:.1f} on the grid"),
        ("", "at " + ", ".join(f"{name} = {value:.4g}" for name, value in worst["cell"].items())),
    ]
    if result["unstable"]:
        rows.append(("unstable", f"{result['unstable']} episodes ended because the simulation exploded"))
    rows += _certified(result)
    return "\n".join([*(f"{name:<20}{line}" for name, line in rows), *_map(result)])


def _map(result: Mapping[str, Any]) -> list[str]:
    """Mean returns of the cells: the last parameter across, the one before it, if there is one, down."""
    names = [axis["name"] for axis in result["parameters"]]
    if len(names) > 2:
        return []
    across = [f"{cell['values'][names[-1]]:.4g}" for cell in result["cells"][: result["points"]]]
    means = [f"{sum(cell['returns']) / len(cell['returns']):.1f}" for cell in result["cells"]]
    down = [f"{cell['values'][names[0]]:.4g}" if len(names) == 2 else "" for cell in result["cells"][:: result["points"]]]
    width = 2 + max(map(len, [*across, *means]))
    corner = " \\ ".join(names)
    head = f"{corner:<20}" + "".join(f"{value:>{width}}" for value in across)
    rows = [means[start : start + result["points"]] for start in range(0, len(means), result["points"])]
    return ["", head, *(f"{label:>20}" + "".join(f"{mean:>{width}}" for mean in row) for label, row in zip(down, rows))]


def _figure(found: Mapping[str, Any]) -> str:
    return f"{_with_interval(found['mean'], found['interval'])}   {found['played']} episodes"


def _with_interval(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:.1f}" + ("   (no interval of one episode a cell)" if interval is None else "   95 % {:.1f} … {:.1f}".format(*interval))


def _certified(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "certificates" not in result:
        return []
    found = result["certificates"]
    rows = [
        (
            "smoothing",
            f"σ = {result['sigma']:g}; P(return ≥ {found['threshold']:.1f}), {found['episodes']} episodes, and what is certain at 95 %:",
        )
    ]
    for name in ("pristine", "worst"):
        bounds = ", ".join(f"{bound['probability']:.2f} at ‖ε‖₂ ≤ {bound['budget']:g}" for bound in found[name]["certified"])
        rows.append((f"  {name}", f"{found[name]['share']:.2f}; {bounds}"))
    return rows
