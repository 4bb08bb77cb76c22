"""What `evaluate` found, as a short table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text(result: Mapping[str, Any]) -> str:
    """One line a figure, with its 95 % interval and the episodes behind it."""
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
    return "\n".join(f"{name:<20}{line}" for name, line in rows)


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
