"""The plotter keeps every extreme however long the log, and the report holds nothing but what we put there."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.policy import Policy
from deploy.record import Log
from deploy.replay import examine, svg
from deploy.replay.fleet import Fleet
from deploy.replay.html import fleet_page, page, sentence
from deploy.replay.svg import Plot, decimate, label, ticks

quick = settings(max_examples=100, deadline=None, derandomize=True)
slow = settings(max_examples=15, deadline=None, derandomize=True)
numbers = st.floats(-1e9, 1e9)
HOSTILE = '<script>alert("x")</script><img src=x onerror=y>&amp;"\''


# the plotter


@quick
@given(st.lists(numbers | st.just(float("nan")), min_size=1, max_size=400), st.integers(1, 50))
def test_decimation_keeps_the_extremes_and_the_order(values: list[float], columns: int) -> None:
    y = np.array(values)
    x = np.arange(len(y), dtype=float)
    fewer_x, fewer_y = decimate(x, y, columns)
    assert len(fewer_x) == len(fewer_y) <= max(3 * columns, 2 * columns + 1, min(len(y), 2 * columns))
    assert (np.diff(fewer_x) >= 0).all()
    finite, kept = y[np.isfinite(y)], fewer_y[np.isfinite(fewer_y)]
    assert set(kept) <= set(finite)
    if len(finite):
        assert (kept.min(), kept.max()) == (finite.min(), finite.max())
    assert np.isnan(fewer_y).any() == np.isnan(y).any()


def test_a_single_spike_in_a_long_log_is_drawn() -> None:
    x = np.linspace(0, 600, 300_000)
    y = np.sin(x)
    y[123_456] = 50.0
    _, kept = decimate(x, y, 880)
    assert kept.max() == 50.0
    assert len(kept) <= 1760
    assert len(Plot("spike", (0, 600)).line(x, y).render()) < 40_000


@quick
@given(numbers, st.floats(1e-6, 1e9), st.integers(1, 12))
def test_ticks_are_round_and_inside(low: float, width: float, about: int) -> None:
    high = low + width
    if high > low and width > 1e-9 * abs(low):
        found = ticks(low, high, about)
        assert len(found) <= about + 1
        slack = 1e-6 * width + 1e-12
        assert all(low - slack <= value <= high + slack for value in found)


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (-0.5, "−0.5"), (1e-5, "1e−5"), (2.27, "2.27"), (1e6, "1e6")])
def test_labels(value: float, text: str) -> None:
    assert label(value) == text


@quick
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30),
    st.booleans(),
    st.floats(-1e3, 1e3),
)
def test_any_data_gives_well_formed_svg_with_finite_coordinates(values: list[float], log: bool, limit: float) -> None:
    with np.errstate(all="ignore"):
        x = np.arange(len(values), dtype=float)
        plot = Plot(HOSTILE, (0.0, float(x[-1])), log=log).line(x, values, HOSTILE).line(x, values, "other", "s1").limit(limit, HOSTILE)
        text = plot.allowed(-1, 1).span(0, 1, "charge", HOSTILE).mark(0.5, HOSTILE, shown=True).render()
    ElementTree.fromstring(text)
    assert not re.search(r"\b(nan|inf)\b", text)


def test_coordinates_are_where_they_should_be() -> None:
    """Two points at the corners of the axes."""
    text = Plot("corners", (0.0, 2.0), height=100).line([0.0, 2.0], [0.0, 1.0], style="s0").render()
    (drawn,) = re.findall(r'class="s0" d="M(\S+) (\S+) (\S+) (\S+)"', text)
    left, low, right, high = map(float, drawn)
    assert (left, right) == (svg.LEFT, svg.HALF - svg.RIGHT)
    assert low > high  # upwards is up
    assert (low + high) / 2 == pytest.approx((100 - svg.BOTTOM + svg.TOP) / 2)


# the page


class Tags(HTMLParser):
    """Counts tags and checks that they close."""

    VOID = ("meta", "br", "wbr", "path", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert not tags.open
    return tags


def test_the_report_is_one_file_without_scripts_or_links(log: Log, policy: Policy) -> None:
    text = page(*examine(log, policy), "flight.mcap")
    tags = parsed(text)
    assert not tags.links
    assert not tags.seen & {"script", "link", "img", "iframe", "object"}
    assert "url(" not in text
    assert "@import" not in text
    assert "Replay is open-loop after the first divergence; it is evidence, not a proof." in text
    assert policy.digest in text


def test_the_report_shows_every_section(log: Log, policy: Policy) -> None:
    text = page(*examine(log, policy), "flight.mcap")
    for title in ("Flight", "Envelope", "Actuation", "Timing", "Evidence", "Provenance"):
        assert f"<h2>{title}</h2>" in text
    for title in ("Position base in world, z [m]", "Distance from the goal [m]", "Tilt [°]", "Collective thrust [N]", "Latency [ms]"):
        assert f'aria-label="{title}"' in text


def test_text_from_a_log_is_escaped(log: Log, policy: Policy) -> None:
    metadata = {**log.metadata, "robot": HOSTILE, "policy_digest": HOSTILE, "versions": '{"' + "<script>" + '": "<b>"}', "note": HOSTILE}
    hostile = dataclasses.replace(log, metadata=metadata, problems=[HOSTILE], path=Path(HOSTILE))
    case, report = examine(hostile, policy)
    tags = parsed(page(case, report, HOSTILE))
    assert not tags.seen & {"script", "img"}
    fleet = fleet_page(Fleet.of([report.verdict]), [(HOSTILE, report)], [HOSTILE])
    assert not parsed(fleet).seen & {"script", "img"}


@pytest.mark.parametrize("rows", [0, 1, 2, 12])
def test_there_is_a_report_of_however_little(log: Log, policy: Policy, rows: int) -> None:
    short = dataclasses.replace(log, rows=log.rows[:rows], path=Path("nowhere.mcap"))
    case, report = examine(short, policy)
    parsed(page(case, report, "short"))
    assert report.verdict == "inconclusive"
    assert sentence(report).endswith(".")


@slow
@given(seed=st.integers(0, 10_000))
def test_there_is_a_report_of_any_nonsense(seed: int, log: Log, policy: Policy) -> None:
    generator = np.random.default_rng(seed)
    rows = log.rows.copy()
    cells = generator.random(rows.shape) < generator.choice([0.001, 0.1, 1.0])
    rows[cells] = generator.choice([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300, -1e300, 1e-300, 5.0], cells.sum())
    case, report = examine(dataclasses.replace(log, rows=rows), policy)
    assert report.verdict != "pass"
    parsed(page(case, report, "nonsense"))


def test_ten_minutes_at_500_hz_make_a_small_report(log: Log, policy: Policy) -> None:
    """The size is bounded by the width of the plots, whatever the log holds."""
    generator = np.random.default_rng(0)
    rows = np.repeat(log.rows[10:], 250, axis=0)[:100_000]
    rows[:, log.layout.index("tick")] = np.arange(len(rows))
    rows[:, log.layout.index("receipt_s")] = rows[:, log.layout.index("started_s")] = np.arange(len(rows)) * 0.002
    rows[:, log.layout.index("finished_s")] = rows[:, log.layout.index("receipt_s")] + generator.random(len(rows)) * 1e-3
    rows[:, log.layout.blocks["sensor"]] += generator.normal(size=(len(rows), 13))
    memory = [(tick, vector) for tick, vector in zip(range(0, len(rows), 500), [log.memory[0][1]] * len(rows))]
    case, report = examine(dataclasses.replace(log, rows=rows, memory=memory), policy)
    assert len(page(case, report, "long")) < 1_500_000
