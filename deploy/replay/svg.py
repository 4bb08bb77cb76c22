"""A small plotter: time series, bands, spans and bars as inline SVG, styled by the page's CSS so that light, dark and print all work.

Coordinates are rounded to a tenth of a pixel and long series are reduced to their minimum and maximum per pixel column, so the size of a
plot depends on its width and not on the length of the log, and no spike is lost.
"""

from __future__ import annotations

import math
from html import escape

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray

FULL, HALF = 964, 474  # px; two halves stand side by side
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 30, 24  # px
LARGEST = 1e30  # of anything drawn


def decimate(x: Array, y: Array, columns: int) -> tuple[Array, Array]:
    """Reduce a series to at most two points a column, the minimum and the maximum in the order they occur; NaN rows break the line.

    Args:
        x: ``[n]``, not decreasing.
        y: ``[n]``; a non-finite value is a break.
        columns: number of buckets over the range of ``x``.
    """
    if len(x) <= 2 * columns:
        return x, np.where(np.isfinite(y), y, np.nan)
    span = max(float(x[-1] - x[0]), 1e-300)
    bucket = np.minimum(((x - x[0]) / span * columns).astype(int), columns - 1)
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    finite = np.isfinite(y)
    low = np.minimum.reduceat(np.where(finite, y, np.inf), starts)
    high = np.maximum.reduceat(np.where(finite, y, -np.inf), starts)
    broken = ~np.logical_and.reduceat(finite, starts)
    low, high = np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)
    rising = np.asarray(y)[starts] <= (low + high) / 2
    out_x = np.repeat(x[starts], 2)
    out_y = np.column_stack([np.where(rising, low, high), np.where(rising, high, low)]).ravel()
    if broken.any():  # keep the extremes, then lift the pen
        at = np.flatnonzero(broken) * 2 + 2
        out_x, out_y = np.insert(out_x, at, out_x[at - 1]), np.insert(out_y, at, np.nan)
    return out_x, out_y


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) inside ``[low, high]``."""
    step = _nice((high - low) / max(about, 1))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _nice(step: float) -> float:
    if not (step > 0 and math.isfinite(step)):
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


def label(value: float) -> str:
    """A number as short as it can be said."""
    if value == 0 or not math.isfinite(value):
        return str(value) if value else "0"
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.6g}".replace("-", "−")
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")


def _drawable(y: ArrayLike) -> Array:
    """Values whose differences are finite too; what is not a number stays so."""
    values = np.asarray(y, float)
    return np.where(np.isfinite(values), np.clip(values, -LARGEST, LARGEST), np.nan)


class Plot:
    """One set of axes. Add marks in any order; `render` returns an ``<svg>`` element.

    Args:
        title: what is drawn, with its unit.
        x: (lowest, highest) of the horizontal axis.
        width, height: of the whole picture [px].
        log: logarithmic vertical axis.
        x_unit: drawn once at the end of the horizontal axis.
        y: (lowest, highest) of the vertical axis; what is drawn decides if not given.
        y_axis: whether to draw the vertical axis; a plot of spans alone has none.
    """

    def __init__(
        self,
        title: str,
        x: tuple[float, float],
        *,
        width: int = HALF,
        height: int = 160,
        log: bool = False,
        x_unit: str = "s",
        y: tuple[float, float] | None = None,
        y_axis: bool = True,
    ) -> None:
        self.title, self.width, self.height, self.log, self.x_unit, self.y_axis = title, width, height, log, x_unit, y_axis
        self.x0, self.x1 = (float(edge) for edge in _drawable(x))
        if not self.x1 > self.x0:
            self.x1 = self.x0 + max(1.0, abs(self.x0) * 0.1)
        self._series: list[tuple[Array, Array, str, str]] = []
        self._bars: list[tuple[Array, Array]] = []
        self._bands: list[tuple[Array, Array, Array, str]] = []
        self._dots: list[tuple[float, float, str]] = []
        self._limits: list[tuple[float, str]] = []
        self._outside: list[tuple[float, float]] = []
        self._spans: list[tuple[float, float, str, str]] = []
        self._marks: list[tuple[float, str, bool]] = []
        self._y: list[float] = []
        self._fixed = y
        self._top = TOP if y_axis else TOP + 12  # names of events stand above a plot of spans

    def line(self, x: ArrayLike, y: ArrayLike, name: str = "", style: str = "s0") -> Plot:
        """A series ``[n]``; ``style`` is a CSS class (``s0``…``s5``, ``goal``, ``faint``)."""
        px, py = decimate(np.asarray(x, float), _drawable(y), self.width - LEFT - RIGHT)
        if self.log:
            py = np.where(py > 1 / LARGEST, py, np.nan)
        self._series.append((px, py, name, style))
        self._see(py)
        return self

    def curve(self, x: ArrayLike, y: ArrayLike, name: str = "", style: str = "s0") -> Plot:
        """A path ``[n]`` that may turn back, thinned evenly."""
        few = np.linspace(0, len(np.asarray(x)) - 1, min(len(np.asarray(x)), 4 * self.width)).astype(int)
        self._series.append((_drawable(x)[few], _drawable(y)[few], name, style))
        self._see(np.asarray(y, float)[few])
        return self

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, style: str = "s0") -> Plot:
        """What lies between two series ``[n]``, shaded in the colour of the line ``style``."""
        self._bands.append((_drawable(x), _drawable(low), _drawable(high), style))
        self._see(np.append(np.asarray(low, float), np.asarray(high, float)))
        return self

    def dot(self, x: float, y: float, name: str) -> Plot:
        """A place worth marking; its name is a tooltip."""
        self._dots.append((x, y, name))
        self._see(np.array([y], dtype=float))
        return self

    def bars(self, edges: ArrayLike, heights: ArrayLike) -> Plot:
        """A histogram: ``edges`` ``[n + 1]``, ``heights`` ``[n]``."""
        self._bars.append((np.asarray(edges, float), np.asarray(heights, float)))
        self._see(np.append(np.asarray(heights, float), np.nan if self.log else 0.0))
        return self

    def limit(self, y: float, name: str) -> Plot:
        """A horizontal limit that belongs in view."""
        self._limits.append((y, name))
        self._see(np.array([y], dtype=float))
        return self

    def allowed(self, low: float, high: float) -> Plot:
        """Shade what lies outside ``[low, high]`` where it is in view."""
        self._outside.append((low, high))
        return self

    def span(self, start: float, stop: float, style: str, name: str = "") -> Plot:
        """A vertical band, for example the time the policy was in charge."""
        self._spans.append((start, stop, style, name))
        return self

    def mark(self, x: float, name: str, *, shown: bool = False) -> Plot:
        """A vertical line at an event; its name is written above it if ``shown``, else it is a tooltip."""
        self._marks.append((x, name, shown))
        return self

    def see(self, *values: float) -> Plot:
        """Make sure ``values`` are inside the vertical range."""
        self._see(np.asarray(values, float))
        return self

    def _see(self, y: Array) -> None:
        good = _drawable(y)[np.isfinite(y) & ((y > 1 / LARGEST) | (not self.log))]
        if len(good):
            self._y += [float(good.min()), float(good.max())]

    def _range(self) -> tuple[float, float]:
        low, high = (min(self._y), max(self._y)) if self._y else (0.0, 1.0)
        if self.log and self._bars:
            return -0.3, math.log10(max(high, 2.0)) * 1.06
        if self.log:
            low, high = math.floor(math.log10(low) - 1e-9) if low > 0 else -1.0, math.ceil(math.log10(high) + 1e-9) if high > 0 else 1.0
            return low, max(high, low + 1)
        pad = 0.06 * (high - low) or max(abs(high) * 0.1, 1e-3)
        return (low if low == 0 and self._bars else low - pad), high + pad

    def render(self) -> str:
        """The ``<svg>`` element."""
        self._low, self._high = self._fixed or self._range()
        parts = [f'<svg class="plot" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.title)}">']
        parts += [self._span(*span) for span in self._spans]
        parts += [self._grid()]
        parts += [self._shade(low, high) for low, high in self._outside]
        parts += [self._histogram(edges, heights) for edges, heights in self._bars]
        parts += [self._between(*band) for band in self._bands]
        parts += [self._path(x, y, style) for x, y, _, style in self._series]
        parts += [self._dot(x, y, name) for x, y, name in self._dots]
        parts += [self._limit(y, name) for y, name in self._limits]
        parts += [self._event(*mark) for mark in self._marks]
        parts += [f'<text class="title" x="{LEFT}" y="17">{escape(self.title)}</text>', self._legend(), "</svg>"]
        return "".join(parts)

    def _px(self, x: ArrayLike) -> Array:
        fraction = (np.asarray(x, float) - self.x0) / (self.x1 - self.x0)
        return LEFT + np.clip(fraction, 0.0, 1.0) * (self.width - LEFT - RIGHT)

    def _py(self, y: ArrayLike) -> Array:
        value = np.asarray(y, float)
        if self.log:
            value = np.log10(np.maximum(value, 1e-300))
        fraction = (value - self._low) / (self._high - self._low)
        return self.height - BOTTOM - np.clip(fraction, 0.0, 1.0) * (self.height - BOTTOM - self._top)

    def _path(self, x: Array, y: Array, style: str) -> str:
        px, py = self._px(x), self._py(np.where(np.isfinite(y), y, 1.0))
        pen, drawn = False, []
        for column, row, down in zip(px.round(1).tolist(), py.round(1).tolist(), np.isfinite(y).tolist()):
            if down:
                drawn.append(f"{'' if pen else 'M'}{column:g} {row:g}")
            pen = down
        return f'<path class="{style}" d="{" ".join(drawn)}"/>'

    def _between(self, x: Array, low: Array, high: Array, style: str) -> str:
        corners = zip(self._px(np.append(x, x[::-1])).tolist(), self._py(np.append(low, high[::-1])).tolist())
        return f'<polygon class="band {style}" points="{" ".join(f"{column:.1f},{row:.1f}" for column, row in corners)}"/>'

    def _dot(self, x: float, y: float, name: str) -> str:
        at = f'cx="{float(self._px(x)):.1f}" cy="{float(self._py(y)):.1f}"'
        return f'<circle class="dot" {at} r="4"><title>{escape(name)}</title></circle>'

    def _histogram(self, edges: Array, heights: Array) -> str:
        left, right = self._px(edges[:-1]), self._px(edges[1:])
        base = self.height - BOTTOM
        tops = np.where(heights > 0, self._py(np.maximum(heights, 1e-300)), base)
        boxes = zip(left.tolist(), right.tolist(), tops.tolist())
        steps = "".join(f"M{a:.1f} {base}V{top:.1f}H{max(b - 0.6, a + 0.3):.1f}V{base}Z" for a, b, top in boxes if top < base)
        return f'<path class="bar" d="{steps}"/>'

    def _grid(self) -> str:
        bottom, right = self.height - BOTTOM, self.width - RIGHT
        parts = []
        for value in self._y_ticks() if self.y_axis else []:
            at = float(self._py(value))
            parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{right}"/>')
            parts.append(f'<text class="tick end" x="{LEFT - 8}" y="{at + 3.5:.1f}">{label(value)}</text>')
        marks = ticks(self.x0, self.x1, self.width // 60)
        for value in marks:
            at = float(self._px(value))
            unit = f" {self.x_unit}" if value == marks[-1] else ""
            parts.append(f'<path class="axis" d="M{at:.1f} {bottom}v4"/>')
            anchor = "end" if at > right - 12 else "mid"
            parts.append(f'<text class="tick {anchor}" x="{at:.1f}" y="{bottom + 17}">{label(value)}{escape(unit)}</text>')
        return "".join([*parts, f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>'])

    def _y_ticks(self) -> list[float]:
        if not self.log:
            return ticks(self._low, self._high, max(2, (self.height - self._top - BOTTOM) // 32))
        every = max(1, math.ceil((self._high - self._low) / 6))
        return [10.0**power for power in range(math.ceil(self._low), math.floor(self._high) + 1, every)]

    def _shade(self, low: float, high: float) -> str:
        top, bottom, width = self._top, self.height - BOTTOM, self.width - LEFT - RIGHT
        over, under = float(self._py(high)), float(self._py(low))
        boxes = [(top, over - top), (under, bottom - under)]
        return "".join(f'<rect class="outside" x="{LEFT}" y="{y:.1f}" width="{width}" height="{h:.1f}"/>' for y, h in boxes if h > 0.5)

    def _limit(self, y: float, name: str) -> str:
        at = float(self._py(y))
        below = at + (-4 if at > self._top + 14 else 12)
        text = f'<text class="limit-name end" x="{self.width - RIGHT - 4}" y="{below:.1f}">{escape(name)}</text>'
        return f'<path class="limit" d="M{LEFT} {at:.1f}H{self.width - RIGHT}"/>{text}'

    def _span(self, start: float, stop: float, style: str, name: str) -> str:
        left, right = (float(self._px(edge)) for edge in (start, stop))
        tall = self.height - self._top - BOTTOM
        box = f'<rect class="{style}" x="{left:.1f}" y="{self._top}" width="{max(right - left, 0.8):.1f}" height="{tall}"/>'
        if name and right - left > 6.2 * len(name) + 10:
            box += f'<text class="span-name" x="{left + 6:.1f}" y="{(self.height + self._top - BOTTOM) / 2 + 4:.1f}">{escape(name)}</text>'
        return box

    def _event(self, x: float, name: str, shown: bool) -> str:
        at = float(self._px(x))
        line = f'<path class="event" d="M{at:.1f} {self._top}V{self.height - BOTTOM}"><title>{escape(name)}</title></path>'
        if not shown:
            return line
        side, shift = ("end", -5) if at > self.width / 2 else ("", 5)
        return line + f'<text class="event-name {side}" x="{at + shift:.1f}" y="{self._top - 4}">{escape(name)}</text>'

    def _legend(self) -> str:
        named = [(name, style) for _, _, name, style in self._series if name]
        if len(named) < 2:
            return ""
        parts, at = [], self.width - RIGHT
        for name, style in reversed(named):
            at -= int(6.3 * len(name)) + 4
            parts.append(f'<text class="key" x="{at}" y="17">{escape(name)}</text><path class="{style}" d="M{at - 22} 13h16"/>')
            at -= 34
        return "".join(parts)
