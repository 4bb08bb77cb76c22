"""A matrix of coloured cells as inline SVG: red is bad, green is good, every cell tells its number."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

RED, AMBER, GREEN = np.array([233, 120, 110]), np.array([247, 214, 130]), np.array([126, 200, 150])
LETTER = 7.0  # px, what one takes at most


def colour(share: float) -> str:
    """From red at 0 over amber to green at 1."""
    share = float(np.clip(share, 0.0, 1.0))
    mixed = RED + (AMBER - RED) * 2 * share if share < 0.5 else AMBER + (GREEN - AMBER) * (2 * share - 1)
    return f"rgb({','.join(str(round(part)) for part in mixed.tolist())})"


def heatmap(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    shares: np.ndarray,
    words: Sequence[Sequence[str]],
    hints: Sequence[Sequence[str]],
    *,
    width: int,
    tall: int = 22,
    chosen: tuple[int, int] | None = None,
) -> str:
    """The ``<svg>`` element.

    Args:
        title: above it.
        rows, columns: names of the ticks; an empty one is left out.
        shares: 0 for bad … 1 for good, ``[rows, columns]``.
        words, hints: written in a cell, and shown when pointed at.
        width, tall: of the picture and of a row [px].
        chosen: a cell to be framed.
    """
    left, top = 12 + max(int(LETTER * max(map(len, rows))), 20), 44
    wide = (width - left - 4) / len(columns)
    parts = [f'<text class="title" x="{left}" y="17">{escape(title)}</text>']
    parts += [
        f'<text class="tick mid" x="{left + (k + 0.5) * wide:.1f}" y="{top - 8}">{escape(name)}</text>' for k, name in enumerate(columns)
    ]
    parts += [
        f'<text class="tick end" x="{left - 8}" y="{top + (k + 0.5) * tall + 4:.1f}">{escape(name)}</text>' for k, name in enumerate(rows)
    ]
    for (row, column), share in np.ndenumerate(shares):
        x, y = left + column * wide, top + row * tall
        box = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall}"'
        parts.append(f'<rect class="cell" {box} fill="{colour(share)}"><title>{escape(hints[row][column])}</title></rect>')
        if len(words[row][column]) * LETTER < wide:
            parts.append(f'<text class="in-cell" x="{x + wide / 2:.1f}" y="{y + tall / 2 + 4:.1f}">{escape(words[row][column])}</text>')
    if chosen:
        x, y = left + chosen[1] * wide, top + chosen[0] * tall
        parts.append(f'<rect class="chosen" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall}"/>')
    height = top + tall * len(rows) + 4
    return f'<svg class="plot" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
