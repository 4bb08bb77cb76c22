"""`benchmarks.engines` as one HTML file: the table, and what followed each step, drawn for every engine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from benchmarks.engines_report import headline, missing, table
from deploy.replay.html import document
from deploy.replay.svg import FULL, Plot

SHOWN = 3  # channels of a response; of legs, those of the first one
STYLES = ("s0", "s1", "s2", "s3")


def page(result: Mapping[str, Any]) -> str:
    """The whole page."""
    body = [_table(result), *(_response(case, response) for case, response in result["responses"].items())]
    return document(f"Engines: {result['robot']}", ("tether bench engines", str(result["robot"])), body, escape(headline(result)) + ".")


def _table(result: Mapping[str, Any]) -> str:
    head, *rows = table(result)
    names = "".join(f'<th class="number">{escape(name)}</th>' for name in head[1:])
    lines = ["".join(f'<td class="number">{escape(cell)}</td>' for cell in row[1:]) for row in rows]
    body = "".join(f"<tr><td>{escape(row[0])}</td>{line}</tr>" for row, line in zip(rows, lines, strict=True))
    lost = "".join(f"<p>{escape(line)}</p>" for line in missing(result))
    filled = f"<table><thead><tr><th></th>{names}</tr></thead><tbody>{body}</tbody></table>"
    return f"<section><h1>Engines side by side</h1>{filled}{lost}</section>"


def _response(case: str, response: Mapping[str, Any]) -> str:
    figures = "".join(f'<figure class="full">{_plot(response, channel).render()}</figure>' for channel in range(SHOWN))
    return f'<section><h2>{escape(case.capitalize())}</h2><div class="plots">{figures}</div></section>'


def _plot(response: Mapping[str, Any], channel: int) -> Plot:
    time, degrees = response["time_s"], 180.0 / math.pi
    unit = "°/s" if response["channels"][channel].endswith("rate") else "°"
    plot = Plot(f"{response['channels'][channel]} [{unit}]", (0.0, float(time[-1])), width=FULL)
    plot.line(time[[0, -1]], np.full(2, response["asked"][channel] * degrees), "asked", "goal")
    for style, (name, readings) in zip(itertools.cycle(STYLES), response["engines"].items()):
        plot.line(time, readings[:, channel] * degrees, name, style)
    return plot
