"""Can the data be judged at all? Whatever is wrong here is inconclusive, never a pass, and its rows support no verdict."""

from __future__ import annotations

import numpy as np

from deploy.guards.trips import Trip
from deploy.record.layout import HEAD
from deploy.replay.case import Array, Case, Rows
from deploy.replay.report import Finding

SHORTEST_S = 1.0  # of the policy in charge
GAP_PERIODS = 5.0  # a longer silence is a gap: nobody knows what the robot did; the state-age guard's default
PERIOD_TOLERANCE = 0.2
OFF_SHARE = 0.1  # of stamp intervals more than 20 % off; more is another rate, or a sensor that cannot be relied on
RATE_TOLERANCE = 0.05
CLOCK_JUMP_S = 0.02
CLOCK_READ_S = 1e-3  # receipt may be stamped a little after the runtime looked at its clock
UNIT_TOLERANCE = 5e-4
FROZEN_PERIODS = 10
RECORD = "find out what wrote this value, then record the run again"
SENSOR = "check the sensor's driver and the link it arrives over, then record the run again"


def check(case: Case) -> list[Finding]:
    """Length, missing and repeated records, numbers that are not finite or not possible, stamps, rate and clocks."""
    if not case.rows:
        return [_doubt("the log holds no steps")]
    findings = [*_length(case), *_ticks(case), *_finite(case), *_flags(case), *_unit(case), *_monotonic(case)]
    return [*findings, *_stamps(case), *_rate(case), *_clock_jump(case), *_frozen(case)]


def _doubt(what: str, **details: object) -> Finding:
    return Finding(severity="inconclusive", check="quality", what=what, remedy="record a longer run with the policy in charge", **details)  # type: ignore[arg-type]


def _length(case: Case) -> list[Finding]:
    ran = float(case.ran.sum()) * case.contract.period_s
    case.summary["policy_s"] = ran
    if ran == 0:
        return [_doubt("the policy never ran in this log")]
    if ran < SHORTEST_S:
        return [_doubt("the policy ran for too short a time to say anything", unit="s", value=ran, limit=SHORTEST_S)]
    return []


def _ticks(case: Case) -> list[Finding]:
    """The tick counter starts at 0 and counts every record."""
    tick = case.column("tick")
    jump = np.diff(tick, prepend=-1.0) != 1.0
    row = int(np.argmax(jump))
    step = float(tick[row] - (tick[row - 1] if row else -1.0))
    what = "ticks do not count by one: records are missing, repeated or out of order"
    return case.doubt(
        jump, check="quality", what=what, channel="tick", value=step, limit=1.0, remedy="the file has lost records; copy it again"
    )


def _finite(case: Case) -> list[Finding]:
    """Each column against where it must hold a number and where it must not."""
    findings = []
    for names, needed, absent in _expected(case):
        block = np.column_stack([case.column(name) for name in names])
        number = np.isfinite(block)
        wrong = (needed[:, None] & ~number) | (absent[:, None] & number)
        rows = wrong.any(axis=1)
        if rows.any():
            row = int(np.argmax(rows))
            channel = names[int(np.argmax(wrong[row]))]
            what = "a value is not a finite number" if not number[row][wrong[row]].all() else "a value where there can be none"
            findings += case.doubt(rows, check="quality", what=what, channel=channel, value=float(block[row][wrong[row]][0]), remedy=RECORD)
    return findings


def _expected(case: Case) -> list[tuple[tuple[str, ...], Rows, Rows]]:
    """(columns, rows in which they must be finite, rows in which they must not)."""
    always, never = np.ones(case.rows, dtype=bool), np.zeros(case.rows, dtype=bool)
    given = [*HEAD, *(name for kind in ("sensor", "age", "command", "command_age") for name in case.names(kind))]
    refused = case.tripped(Trip.NON_FINITE_OUTPUT, Trip.BAD_OUTPUT)  # what the graph gave is recorded, but it does not count as run
    outputs = [name for kind in ("policy", "reserved", "observation") for name in case.names(kind)]
    return [
        (tuple(given), always, never),
        (tuple(outputs), case.ran, ~case.ran & ~refused),
        (case.names("actuation"), case.sent, ~case.sent),
    ]


def _flags(case: Case) -> list[Finding]:
    """Columns that count or choose hold whole numbers in range."""
    findings = []
    for name, highest in (("sent", 1), ("policy_ran", 1), ("state", 255), ("trips", 2**32), ("warnings", 2**32)):
        values = case.column(name)
        wrong = ~((values >= 0) & (values <= highest) & (values == np.floor(values)))
        what = "a flag is not a whole number in its range"
        value = float(values[np.argmax(wrong)])
        findings += case.doubt(wrong, check="quality", what=what, channel=name, value=value, limit=float(highest), remedy=RECORD)
    return findings


def _unit(case: Case) -> list[Finding]:
    """Orientations keep their length: near upright, an error in the scalar part changes nothing else that anybody computes."""
    findings = []
    for sensor in case.contract.sensors:
        if sensor.name.startswith("orientation_") and sensor.size == 4:
            length = np.linalg.norm(case.block(f"sensor.{sensor.name}"), axis=1)
            off = np.abs(length - np.median(length[case.ran])) if case.ran.any() else np.zeros(case.rows)
            wrong = case.ran & ~(off <= UNIT_TOLERANCE)
            value = float(off[np.argmax(wrong)])
            what = "the length of an orientation quaternion is unlike the rest of the log"
            findings += case.doubt(wrong, check="quality", what=what, channel=sensor.name, value=value, limit=UNIT_TOLERANCE, remedy=RECORD)
    return findings


def _monotonic(case: Case) -> list[Finding]:
    """On the monotonic clock a step is received, then begun, then finished, and steps follow each other."""
    receipt, started, finished = (case.column(name) for name in ("receipt_s", "started_s", "finished_s"))
    wrong = (np.diff(receipt, prepend=receipt[:1]) < 0) | (started < receipt - CLOCK_READ_S) | (finished < started)
    what = "the monotonic clock runs backwards"
    return case.doubt(wrong, check="quality", what=what, channel="receipt_s", remedy="the recorder's clock is broken; record the run again")


def _intervals(case: Case) -> tuple[Array, Array]:
    """Rows that answer an observation during or right after the policy's time in charge, and the stamp interval that ends at each [s]."""
    rows = np.flatnonzero(case.answers)
    flown = case.ran[rows[:-1]]
    return rows[1:][flown], np.diff(case.stamp_s[rows])[flown]


def _stamps(case: Case) -> list[Finding]:
    """Stamps rise, and no interval is a gap."""
    rows, intervals = _intervals(case)
    period = case.contract.period_s
    backwards, gap = np.zeros(case.rows, dtype=bool), np.zeros(case.rows, dtype=bool)
    backwards[rows] = intervals <= 0
    gap[rows] = intervals > GAP_PERIODS * period
    worst = float(np.fmin.reduce(intervals, initial=0.0)), float(np.fmax.reduce(intervals, initial=0.0))
    late, early = "stamps are repeated or out of order", "a gap in the observations: nobody knows what the robot did meanwhile"
    return [
        *case.doubt(backwards, check="quality", unit="s", what=late, channel="stamp_s", value=worst[0], limit=0.0, remedy=SENSOR),
        *case.doubt(
            gap, check="quality", unit="s", what=early, channel="stamp_s", value=worst[1], limit=GAP_PERIODS * period, remedy=SENSOR
        ),
    ]


def _rate(case: Case) -> list[Finding]:
    """The mean rate, and how many intervals are off."""
    _, intervals = _intervals(case)
    period = case.contract.period_s
    usable = intervals[(intervals > 0) & (intervals <= GAP_PERIODS * period)]
    if len(usable) < 10:
        return []
    rate, off = 1.0 / float(np.median(usable)), float((np.abs(usable - period) > PERIOD_TOLERANCE * period).mean())
    case.summary["rate_hz"] = rate
    findings = []
    if abs(rate * period - 1) > RATE_TOLERANCE:
        what = f"observations came at {rate:.1f} Hz, the policy is made for {case.contract.rate_hz:g} Hz"
        limit = case.contract.rate_hz
        findings.append(_off(case, what, rate, limit, "Hz"))
    elif off > OFF_SHARE:
        findings.append(_off(case, "too many stamp intervals are more than 20 % off the period", 100 * off, 100 * OFF_SHARE, "%"))
    return findings


def _off(case: Case, what: str, value: float, limit: float, unit: str) -> Finding:
    return Finding(
        severity="inconclusive", check="quality", what=what, channel="stamp_s", value=value, limit=limit, unit=unit, remedy=SENSOR
    )


def _clock_jump(case: Case) -> list[Finding]:
    """Stamp against receipt: queues only ever delay, so the smallest delay of each second must stay where it was."""
    rows = np.flatnonzero(case.answers)
    delay = (case.column("receipt_s") - case.column("receipt_s")[:1] - case.stamp_s)[rows]
    window = max(round(case.contract.rate_hz), 2)
    starts = np.arange(0, max(len(rows) - window // 2, 1), window)
    if len(rows) < 2 * window:
        return []
    smallest = np.minimum.reduceat(np.where(np.isfinite(delay), delay, np.inf), starts)
    step = np.diff(smallest)
    jumped = np.zeros(case.rows, dtype=bool)
    jumped[rows[starts[1:]]] = np.abs(step) > CLOCK_JUMP_S
    what = "the clock that stamps observations jumped against the monotonic clock"
    worst = float(step[np.argmax(np.abs(step))])
    remedy = "let the clocks synchronise before the run (chrony, PTP), and slew them, never step"
    return case.doubt(jumped, check="quality", what=what, channel="stamp_s", value=worst, limit=CLOCK_JUMP_S, remedy=remedy)


def _frozen(case: Case) -> list[Finding]:
    """A note, for a robot at rest in a simulator without noise looks the same as a driver that repeats itself."""
    sensor = case.block("sensor")
    same = np.concatenate([[False], (sensor[1:] == sensor[:-1]).all(axis=1)]) & case.ran
    since = np.maximum.accumulate(np.where(same, 0, np.arange(case.rows)))
    length = np.arange(case.rows) - since
    if length.max() < FROZEN_PERIODS:
        return []
    last = int(np.argmax(length))
    what = "all sensors repeated themselves exactly: a simulation without noise, or a driver that is stuck"
    details = {"value": float(length[last]) * case.contract.period_s, "unit": "s", "count": int(length[last]), **case.at(int(since[last]))}
    return [Finding(severity="note", check="quality", what=what, channel="sensor", remedy=SENSOR, **details)]
