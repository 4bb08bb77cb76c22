"""The bench's result as one HTML file: a matrix of all families, their curves, the grid, and what the searches found."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from deploy.replay.html import document
from deploy.replay.svg import FULL, HALF, Plot, label
from robustness.heatmap import heatmap
from robustness.report import family_rows, force_line, force_rows, grid_line, grid_rows, headline, labels

STYLES = ("s0", "s1", "s2", "s3")


def page(result: Mapping[str, Any]) -> str:
    """The whole page."""
    names, first = labels(result), result["policies"][0]
    body = [_opening(result, names)]
    if first["families"]:
        body += [_matrix(result, names), _curves(result, names)]
    if "grid" in first:
        body.append(_grid(result, names))
    if "search" in first:
        body.append(_search(result, names))
    if "force" in first:
        body.append(_force(result, names))
    if first["families"]:
        body.append(
            _section(
                "Figures",
                "Returns over all severities of a family; episodes are the same for every policy.",
                _table(family_rows(result, names)),
            )
        )
    header = ("tether bench robustness", f"{result['robot']} · {result['task']}")
    return document(f"Robustness: {result['task']}", header, body, escape(headline(result)) + ".")


def _opening(result: Mapping[str, Any], names: Sequence[str]) -> str:
    """Title, and three figures of every policy."""
    boxes = "".join(_tiles(name, one) for name, one in zip(names, result["policies"], strict=True))
    families = len(result["policies"][0]["families"])
    counted = "One family" if families == 1 else f"{families} families"
    words = f"{counted} of disturbances on top of {result['suite']}, each from nothing to severe."
    title = f"What {', '.join(names)} bear{'s' if len(names) == 1 else ''}"
    return f"<section><h1>{escape(title)}</h1><p class=lead>{escape(words if families else headline(result))}</p>{boxes}</section>"


def _tiles(name: str, one: Mapping[str, Any]) -> str:
    tiles = []
    if one["families"]:
        success = np.array([[cell["success_rate"] for cell in family["cells"]] for family in one["families"]])
        tiles += [
            ("undisturbed", f"{100 * success[:, 0].mean():.0f}", "% success"),
            ("over all severities", f"{100 * success.mean():.0f}", "%"),
        ]
        tiles += [("at the most severe", f"{100 * success[:, -1].mean():.0f}", "%")]
    if "grid" in one:
        tiles += [("worst cell of the grid", f"{one['grid']['worst']['return_mean']:.0f}", "return")]
    if "search" in one:
        tiles += [("found by search", f"{one['search']['return_mean']:.0f}", "return")]
    boxes = "".join(f"<div><dt>{escape(words)}</dt><dd>{value} <small>{escape(unit)}</small></dd></div>" for words, value, unit in tiles)
    return f'<h2 style="margin-top:14px">{escape(name)}</h2><dl class="tiles" style="margin-top:6px">{boxes}</dl>'


def _matrix(result: Mapping[str, Any], names: Sequence[str]) -> str:
    """Success of every family at every severity, a matrix a policy."""
    width = FULL if len(names) == 1 else HALF
    figures = "".join(_figure(_one_matrix(name, one, width), width) for name, one in zip(names, result["policies"], strict=True))
    return _section("At a glance", "Success [%], severity from none on the left to the most severe.", f'<div class="plots">{figures}</div>')


def _one_matrix(name: str, one: Mapping[str, Any], width: int) -> str:
    families = one["families"]
    shares = np.array([[cell["success_rate"] for cell in family["cells"]] for family in families])
    words = [[f"{100 * share:.0f}" for share in row] for row in shares.tolist()]
    hints = [[f"{family['family']} {cell['value']:.3g} {family['unit']}" for cell in family["cells"]] for family in families]
    columns = ["none", *[""] * (shares.shape[1] - 2), "most"]
    return heatmap(name, [family["family"] for family in families], columns, shares, words, hints, width=width)


def _curves(result: Mapping[str, Any], names: Sequence[str]) -> str:
    figures = "".join(_figure(_curve(result, names, index), HALF) for index in range(len(result["policies"][0]["families"])))
    return _section(
        "Families",
        "Success [%] with its 95 % Clopper–Pearson interval over how much there is of the disturbance.",
        f'<div class="plots">{figures}</div>',
    )


def _curve(result: Mapping[str, Any], names: Sequence[str], index: int) -> str:
    family = result["policies"][0]["families"][index]
    values = np.array([cell["value"] for cell in family["cells"]])
    order = np.argsort(values)
    ends = (float(values.min()), float(values.max()))
    plot = Plot(family["family"], ends, x_unit=family["unit"], y=(-3.0, 103.0))
    for name, one, style in zip(names, result["policies"], itertools.cycle(STYLES)):
        cells = [one["families"][index]["cells"][k] for k in order]
        low, high = (100 * np.array([cell["success_interval"][end] for cell in cells]) for end in (0, 1))
        plot.band(values[order], low, high, style)
        plot.line(values[order], [100 * cell["success_rate"] for cell in cells], name, style)
    return plot.render() + f"<figcaption class=lead>{escape(family['words'])}</figcaption>"


def _grid(result: Mapping[str, Any], names: Sequence[str]) -> str:
    """Every cell of the grid, a matrix a policy on one scale, and the table."""
    means = [[cell["return_mean"] for cell in one["grid"]["cells"]] for one in result["policies"]]
    scale = (min(map(min, means)), max(map(max, means)))
    figures = "".join(_figure(_one_grid(name, one["grid"], scale), FULL) for name, one in zip(names, result["policies"], strict=True))
    words = f"Mean return of every cell, {scale[0]:.0f} red to {scale[1]:.0f} green; the worst is framed. G{grid_line(result)[1:]}."
    return _section("Grid", words, f'<div class="plots">{figures}</div>{_table(grid_rows(result, names))}')


def _one_grid(name: str, grid: Mapping[str, Any], scale: tuple[float, float]) -> str:
    """The first half of the axes down, the others across; of each the last one fastest."""
    half = (len(grid["axes"]) + 1) // 2
    down, across = grid["axes"][:half], grid["axes"][half:]
    rows, columns = _ticks(down), _ticks(across)
    shape = (len(rows), len(columns))
    means = np.array([cell["return_mean"] for cell in grid["cells"]]).reshape(shape)
    hints = [[_cell(grid["cells"][row * shape[1] + column]) for column in range(shape[1])] for row in range(shape[0])]
    shares = (means - scale[0]) / max(scale[1] - scale[0], 1e-9)
    words = [[f"{value:.0f}" for value in row] for row in means.tolist()]
    title = f"{name}: {', '.join(axis['name'] for axis in down)} down, {', '.join(axis['name'] for axis in across) or 'one column'} across"
    chosen = divmod(grid["worst_cell"], shape[1])
    return heatmap(title, rows, columns, shares, words, hints, width=FULL, chosen=chosen)


def _ticks(axes: Sequence[Mapping[str, Any]]) -> list[str]:
    return [" ".join(label(float(f"{value:.3g}")) for value in values) for values in itertools.product(*[axis["values"] for axis in axes])]


def _cell(cell: Mapping[str, Any]) -> str:
    at = ", ".join(f"{name} {value:.3g}" for name, value in cell["at"].items())
    return f"{at}: return {cell['return_mean']:.1f}, success {cell['success_rate']:.0%}"


def _search(result: Mapping[str, Any], names: Sequence[str]) -> str:
    figures = "".join(_figure(_course(name, one), HALF) for name, one in zip(names, result["policies"], strict=True))
    words = "Least mean return so far while CMA-ES searches the box of the grid, beside the least of the grid, which took as many episodes."
    return _section("Search for worse", words, f'<div class="plots">{figures}</div>')


def _course(name: str, one: Mapping[str, Any]) -> str:
    course, rollouts = one["search"]["course"], one["search"]["rollouts"]
    plot = Plot(f"{name}: least return", (0.0, float(rollouts)), x_unit="episodes")
    plot.line(np.linspace(rollouts / len(course), rollouts, len(course)), course, "search")
    return plot.limit(one["grid"]["return_worst"], "least of the grid").render()


def _force(result: Mapping[str, Any], names: Sequence[str]) -> str:
    figures = "".join(_figure(_knots(name, one["force"]), HALF) for name, one in zip(names, result["policies"], strict=True))
    table = _table(force_rows(result, names))
    words = force_line(result)
    words = f"{words[:1].upper()}{words[1:]}. The worst that was found [N], along the axes of the world, over the share of the episode."
    return _section("Forces that change slowly", words, f'<div class="plots">{figures}</div>{table}')


def _knots(name: str, force: Mapping[str, Any]) -> str:
    knots = np.array(force["knots_n"])
    plot = Plot(f"{name}: the worst force found [N]", (0.0, 1.0), y=(-1.1 * force["radius_n"], 1.1 * force["radius_n"]))
    for axis, style in zip(range(3), STYLES):
        plot.line(np.linspace(0.0, 1.0, len(knots)), knots[:, axis], "xyz"[axis], style)
    return plot.render()


def _section(title: str, words: str, inside: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p class=lead>{escape(words)}</p>{inside}</section>"


def _figure(inside: str, width: int) -> str:
    return f'<figure class="{"full" if width == FULL else ""}">{inside}</figure>'


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows[1:])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
