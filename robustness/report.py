"""The bench's result as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def text(result: Mapping[str, Any]) -> str:
    """All tables."""
    parts = [headline(result)]
    names = labels(result)
    if result["policies"][0]["families"]:
        parts.append(table(family_rows(result, names)))
    if "grid" in result["policies"][0]:
        parts += [grid_line(result), table(grid_rows(result, names))]
    if "force" in result["policies"][0]:
        parts += [force_line(result), table(force_rows(result, names))]
    return "\n\n".join(parts)


def headline(result: Mapping[str, Any]) -> str:
    """What was flown, in one line."""
    where = f"{result['robot']}, task {result['task']}, suite {result['suite']} ({result['suite_digest']}), engine {result['engine']}"
    return f"{where}, seed {result['seed']}; {result['episodes']} episodes at every severity"


def labels(result: Mapping[str, Any]) -> list[str]:
    """Of the policies, their files' names, or paths where those are alike."""
    paths = [one["policy"] for one in result["policies"]]
    stems = [Path(path).stem for path in paths]
    return stems if len(set(stems)) == len(stems) else paths


def family_rows(result: Mapping[str, Any], names: Sequence[str]) -> list[list[str]]:
    """A row a family and policy."""
    rows = [["disturbance", "up to", "policy", "success, none to most [%]", "half at", "return, IQM", "worst tenth", "worst severity"]]
    for index, family in enumerate(result["policies"][0]["families"]):
        for name, one in zip(names, result["policies"], strict=True):
            found = one["families"][index]
            success = " ".join(f"{100 * cell['success_rate']:3.0f}" for cell in found["cells"])
            half = "–" if found["bears"] is None else f"{found['bears']:.3g}"
            first = (
                [family["family"], f"{found['cells'][-1]['value']:.3g} {found['unit']}".strip()]
                if one is result["policies"][0]
                else ["", ""]
            )
            rows.append([*first, name, success, half, *[f"{found[key]:.0f}" for key in ("return_iqm", "return_cvar", "return_worst")]])
    return rows


def grid_line(result: Mapping[str, Any]) -> str:
    """What the grid was."""
    grid = result["policies"][0]["grid"]
    axes = ", ".join(f"{_extent(axis)} ({len(axis['values'])})" for axis in grid["axes"])
    each = grid["rollouts"] // len(grid["cells"])
    return f"grid: {axes}; {len(grid['cells'])} cells of {each} episodes; worst cases again on {grid['worst']['episodes']} fresh episodes"


def _extent(axis: Mapping[str, Any]) -> str:
    """An axis from end to end."""
    unit = "" if axis["unit"] == "×" else axis["unit"]
    return f"{axis['name']} {axis['values'][0]:g}…{axis['values'][-1]:g} {unit}".rstrip()


def grid_rows(result: Mapping[str, Any], names: Sequence[str]) -> list[list[str]]:
    """A row a policy, and one for its search."""
    rows = [["policy", "return, mean", "IQM", "CVaR of cells", "worst of", "at", "return there, fresh", "success there"]]
    for name, one in zip(names, result["policies"], strict=True):
        grid = one["grid"]
        figures = [f"{grid['return_mean']:.1f}", f"{grid['return_iqm']:.1f}", f"{grid['return_cvar']:.1f}"]
        rows.append([name, *figures, "grid", *_worst(grid["worst"])])
        if "search" in one:
            rows.append(["", "", "", "", "search", *_worst(one["search"])])
    return rows


def _worst(found: Mapping[str, Any]) -> list[str]:
    at = " ".join(f"{name}={value:.3g}" for name, value in found["at"].items())
    return [at, *_fresh(found)]


def _fresh(found: Mapping[str, Any]) -> list[str]:
    low, high = found["return_interval"]
    least, most = found["success_interval"]
    return [f"{found['return_mean']:.1f} ({low:.1f} … {high:.1f})", f"{found['success_rate']:.1%} ({least:.1%} … {most:.1%})"]


def force_line(result: Mapping[str, Any]) -> str:
    """What the searched force was."""
    force = result["policies"][0]["force"]
    words = f"forces of at most {force['radius_n']:.3g} N that change by at most a fifth of it a control step"
    return f"{words}; the search flew {force['rollouts']} episodes"


def force_rows(result: Mapping[str, Any], names: Sequence[str]) -> list[list[str]]:
    """A row a policy and kind of force."""
    rows = [["policy", "force", "return, fresh", "success"]]
    words = {"none": "none", "walk": "wandering at random", "searched": "searched"}
    for name, one in zip(names, result["policies"], strict=True):
        rows += [[name if kind == "none" else "", word, *_fresh(one["force"][kind])] for kind, word in words.items()]
    return rows


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
