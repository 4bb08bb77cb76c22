"""The pictures of a report: what the robot did, what it was told, when, and how well the evidence holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deploy.guards.trips import Trip, names
from deploy.replay.case import Array, Case, Rows
from deploy.replay.checks.envelope import Margin
from deploy.replay.checks.tracking import SETTLED_M, pairs
from deploy.replay.svg import BOTTOM, FULL, HALF, LEFT, RIGHT, TOP, Plot
from deploy.runtime.state_machine import State

MARKS = 40  # trips drawn at most; a runtime that trips every tick would draw a wall
STYLES = {State.POLICY: "policy", State.HOLD: "hold", State.DAMPING: "stopped", State.ESTOP: "stopped"}


def sections(case: Case) -> list[tuple[str, str, list[Plot]]]:
    """(title, one explaining line, pictures) of every section that this log has something to show for."""
    if not case.rows:
        return []
    found = [
        (
            "Flight",
            "Goals are dots and dashed lines. Shaded: the time the policy was in charge.",
            [timeline(case), *_path(case), *_tracking(case)],
        ),
        ("Envelope", "Limits are the robot's, tightened by the policy file.", _envelope(case)),
        ("Actuation", "What the policy asked for, and what was sent after the guards. Shaded red: outside the limits.", _actuation(case)),
        ("Timing", "From the receipt of an observation to the end of the step that answers it.", _timing(case)),
        ("Evidence", "The policy file, run again on the logged inputs, against what was logged.", _parity(case)),
    ]
    return [(title, words, pictures) for title, words, pictures in found if pictures]


def _axes(case: Case, title: str, **options: object) -> Plot:
    """A plot over the whole log, with the policy's time shaded and trips marked."""
    plot = Plot(title, (0.0, float(case.time_s[-1])), **options)  # type: ignore[arg-type]
    for start, stop in _runs(case.ran):
        plot.span(case.time_s[start], case.time_s[stop], "charge")
    for row in np.flatnonzero(case.tripped())[:MARKS]:
        plot.mark(case.time_s[row], _trip_names(case, int(row)))
    return plot


def _trip_names(case: Case, row: int) -> str:
    return ", ".join(names(Trip, int(case.mask("trips")[row])))


def _runs(where: Rows) -> Iterator[tuple[int, int]]:
    """(first, last) row of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(int)))
    yield from zip(edges[::2].tolist(), (edges[1::2] - 1).tolist())


def _time(case: Case) -> Array:
    return case.time_s


def _whole(case: Case, values: Array) -> Array:
    """``values`` with the pen lifted where the log has a gap of more than a few periods."""
    late = np.diff(case.time_s, prepend=case.time_s[:1]) > 5 * case.contract.period_s
    return np.where(late, np.nan, values)


def timeline(case: Case) -> Plot:
    """Who was in control, and what took control away."""
    plot = Plot("Who is in control", (0.0, float(case.time_s[-1])), width=FULL, height=104, y_axis=False).see(0.0, 1.0)
    state = case.column("state")
    edges = np.flatnonzero(np.concatenate([[True], state[1:] != state[:-1]]))
    for start, stop in zip(edges, np.append(edges[1:], case.rows - 1)):
        known = state[start] in [item.value for item in State]
        name = State(int(state[start])).name if known else "?"
        plot.span(case.time_s[start], case.time_s[stop], STYLES.get(State[name], "idle") if known else "stopped", name)
    for row in np.flatnonzero(case.tripped())[:MARKS]:
        plot.mark(case.time_s[row], _trip_names(case, int(row)), shown=True)
    return plot


def _tracking(case: Case) -> list[Plot]:
    pictures = []
    for pair in pairs(case):
        sensor, command = case.block(f"sensor.{pair.sensor}"), case.block(f"command.{pair.command}")
        goal = np.where(case.ran[:, None], command, np.nan)
        for number, name in enumerate(case.names(f"sensor.{pair.sensor}")):
            channel = name.rsplit(".", 1)[-1]
            plot = _axes(case, f"{_words(pair.sensor)}, {channel} [{pair.unit}]")
            plot.line(_time(case), goal[:, number], "goal", "goal")
            pictures.append(plot.line(_time(case), _whole(case, sensor[:, number]), "measured", f"s{number % 4}"))
        error = case.traces.get(f"error.{pair.command}")
        if error is not None:
            plot = _axes(case, f"Distance from the goal [{pair.unit}]").line(_time(case), error)
            pictures.append(plot.limit(SETTLED_M, f"settled, {SETTLED_M:g} {pair.unit}").see(0.0))
    return pictures


def _path(case: Case) -> list[Plot]:
    """Where a robot with a three-dimensional position flew, from above and from the side; metres are equally long both ways."""
    pictures = []
    for pair in (pair for pair in pairs(case) if pair.unit == "m" and case.block(f"sensor.{pair.sensor}").shape[1] == 3):
        flown, goals = case.block(f"sensor.{pair.sensor}")[case.ran], case.block(f"command.{pair.command}")[case.ran]
        flown, goals = flown[np.isfinite(flown).all(axis=1)], np.unique(goals[np.isfinite(goals).all(axis=1)], axis=0)
        if len(flown):
            pictures += [
                _view(flown, goals, 0, 1, "Path from above, y over x [m]"),
                _view(flown, goals, 0, 2, "Path from the side, z over x [m]"),
            ]
    return pictures


def _view(flown: Array, goals: Array, across: int, up: int, title: str) -> Plot:
    height = 300
    both = np.concatenate([flown, goals])
    low, high = both.min(axis=0), both.max(axis=0)
    middle, size = (low + high) / 2, high - low
    room = np.array([HALF - LEFT - RIGHT, height - TOP - BOTTOM])
    metres = 1.15 * max(size[across] / room[0], size[up] / room[1], 1e-3) / 2 * room
    x, y = ((middle[axis] - half, middle[axis] + half) for axis, half in ((across, metres[0]), (up, metres[1])))
    plot = Plot(title, x, y=y, height=height, x_unit="m").curve(flown[:, across], flown[:, up])
    for goal in goals[:MARKS]:
        plot.dot(goal[across], goal[up], f"goal {goal[across]:.2f}, {goal[up]:.2f} m")
    return plot


def _envelope(case: Case) -> list[Plot]:
    margins: list[Margin] = case.traces.get("margins", [])
    pictures = []
    for margin in margins:
        plot = _axes(case, f"{margin.title} [{margin.unit}]").line(_time(case), _whole(case, margin.values))
        pictures.append(plot.limit(margin.limit, f"limit {margin.limit:.4g}{'' if margin.unit == '°' else ' '}{margin.unit}").see(0.0))
    return pictures


def _actuation(case: Case) -> list[Plot]:
    pictures, column = [], 0
    asked, sent, again = case.block("policy"), case.block("actuation"), case.traces.get("rerun")
    differs = case.summary.get("parity_max", 0.0) > case.tolerance
    for signal in case.contract.actuation:
        for number, channel in enumerate(signal.channels):
            plot = _axes(case, f"{_words(channel)} [{signal.unit}]")
            plot.line(_time(case), sent[:, column], "sent", "s1").line(_time(case), asked[:, column], "policy", "thin")
            if differs and again is not None:
                plot.line(_time(case), again[:, column], "policy, run again", "s2")
            if signal.lower and signal.upper:
                plot.allowed(signal.lower[number], signal.upper[number])
            pictures.append(plot)
            column += 1
    return pictures


def _timing(case: Case) -> list[Plot]:
    latency = case.traces.get("latency_s")
    if latency is None or not np.isfinite(latency).any():
        return []
    deadline = case.contract.period_s * 1e3
    milliseconds = latency * 1e3
    series = _axes(case, "Latency [ms]").line(_time(case), milliseconds).limit(deadline, f"deadline {deadline:g} ms").see(0.0)
    good = milliseconds[np.isfinite(milliseconds)]
    edges = np.linspace(0.0, max(float(np.percentile(good, 99.9)) * 1.1, 1e-3), 81)
    counts, _ = np.histogram(np.minimum(good, edges[-1]), edges)
    histogram = Plot("Steps by latency; the last bar holds all longer ones", (0.0, edges[-1]), log=True, x_unit="ms")
    return [series, histogram.bars(edges, counts)]


def _parity(case: Case) -> list[Plot]:
    error = case.traces.get("parity")
    if error is None or not np.isfinite(error).any():
        return []
    shown = np.maximum(error, 1e-9)
    plot = _axes(case, "Largest relative error of any output", width=FULL, log=True).line(
        _time(case), np.where(np.isfinite(error), shown, np.nan)
    )
    allowed = case.traces["parity tolerance"]
    if (allowed[np.isfinite(allowed)] > case.tolerance).any():
        plot.line(_time(case), allowed, "", "goal")
    return [plot.limit(case.tolerance, f"tolerance {case.tolerance:g}").see(1e-8)]


def _words(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]
