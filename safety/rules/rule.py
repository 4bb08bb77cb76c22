"""Safety rules over logged flights: what must hold, how far it was from failing, where it failed first and worst.

A rule bounds a signal over the rows it applies to. Its robustness at a row, in the signal's unit, is

    ρ(t) = minᵢ min(upperᵢ − xᵢ(t), xᵢ(t) − lowerᵢ)

so ρ ≥ 0 is satisfied. A verdict is ``violated`` if ρ < 0 at any row that can be judged; else ``not judged`` if a row that matters is not a
number, time is missing, or the rule's window was not reached; else ``satisfied``. Absence of evidence never satisfies a rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from robots.contract import Contract
from robots.description import Limits, Robot
from robots.errors import TetherError
from safety.envelope import tighten
from safety.rules.signals import NEEDS, Columns, Samples, samples

When = Literal["policy", "sent", "always"]
Verdict = Literal["satisfied", "violated", "not judged"]

GAP_PERIODS = 5.0  # a longer gap would have tripped the clock guard: what happened in it is unknown
TIME_EPS_S = 1e-6  # stamps are subtracted in floating point
FLOAT32_EPS = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A bound on a signal.

    Attributes:
        name: for reports.
        signal: ``tilt``, ``speed``, ``body_rate``, ``distance``, a column of the log, or a signal such as ``actuation.body_rates``.
        lower, upper: one bound for all channels or one for each; empty for none.
        absolute: bound |x| instead of x.
        rate: bound the change per second between consecutive rows.
        from_s, to_s: window since the policy took control [s].
        when: rows it applies to: while the ``policy`` ran, when an actuation was ``sent``, or ``always``.
    """

    name: str
    signal: str
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()
    absolute: bool = False
    rate: bool = False
    from_s: float = 0.0
    to_s: float = np.inf
    when: When = "policy"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a log says about a rule.

    Attributes:
        rule: the rule.
        verdict: see the module's docstring.
        reason: why it was not judged, or in one line what broke it.
        robustness: ρ at every row ``[T]``; NaN where the rule does not apply or cannot be judged.
        first_row: first row with ρ < 0, or None.
        worst_row: row of the smallest ρ, or None.
        first_s, worst_s: time of those rows since the policy took control [s].
        worst, channel: value and channel at ``worst_row``; the value of a rate rule is a rate.
        count: rows with ρ < 0.
    """

    rule: Rule
    verdict: Verdict
    reason: str = ""
    robustness: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    first_row: int | None = None
    worst_row: int | None = None
    first_s: float | None = None
    worst_s: float | None = None
    worst: float | None = None
    channel: str = ""
    count: int = 0


def built_in(contract: Contract, robot: Robot | None = None) -> tuple[Rule, ...]:
    """The rules that every flight is held to: limits of the contract, tightened by the robot's own if it is installed.

    A limit whose sensors the contract lacks has no rule.
    """
    limits, lower, upper = _limits(contract, robot)
    blocks = {f"sensor.{sensor.name}" for sensor in contract.sensors} | {f"command.{command.name}" for command in contract.commands}
    bounds = {"tilt": limits.tilt_rad, "speed": limits.speed_m_s, "body_rate": limits.body_rate_rad_s, "distance": limits.distance_m}
    found = [
        Rule(name=name.replace("_", " "), signal=name, upper=(bound,))
        for name, bound in bounds.items()
        if blocks.issuperset(NEEDS[name]) and np.isfinite(bound)
    ]
    found += [
        Rule(name=f"range of {sensor.name}", signal=f"sensor.{sensor.name}", lower=sensor.lower, upper=sensor.upper)
        for sensor in contract.sensors
        if sensor.lower or sensor.upper
    ]
    start = 0
    for signal in contract.actuation:
        part = slice(start, start + signal.size)
        start = part.stop
        name, low, high = f"actuation.{signal.name}", tuple(lower[part].tolist()), tuple(upper[part].tolist())
        found.append(Rule(name=f"range of {signal.name}", signal=name, lower=low, upper=high, when="sent"))
        rates = tuple(limits.action_rate.get(channel, np.inf) for channel in signal.channels)
        if np.isfinite(rates).any():
            found.append(Rule(name=f"rate of {signal.name}", signal=name, upper=rates, absolute=True, rate=True))
    return tuple(found)


def judge(rule: Rule, columns: Columns, period_s: float) -> Judgement:
    """Hold a log's columns, arrays ``[T]`` by name as `deploy.record.Log.columns` has them, against a rule.

    Args:
        rule: what must hold.
        columns: of the log.
        period_s: control period, for rates and gaps.

    Raises:
        TetherError: if the log lacks the signal, or it has another number of channels than the rule has bounds.
    """
    found = samples(columns, rule.signal)
    for bounds in (rule.lower, rule.upper):
        if len(bounds) > 1 and len(bounds) != len(found.channels):
            raise TetherError(
                f"rule {rule.name!r} has {len(bounds)} bounds for {len(found.channels)} channels: {', '.join(found.channels)}"
            )
    elapsed = elapsed_s(columns)
    applies = _applies(rule, columns)
    with np.errstate(invalid="ignore"):
        inside = applies & ~(
            (elapsed < rule.from_s - TIME_EPS_S) | (elapsed > rule.to_s + TIME_EPS_S)
        )  # a time that is not a number stays in, and in doubt
    if rule.rate:
        found, inside = _rates(found, inside, applies, columns, period_s)
    margins = _margins(rule, found)
    robustness = np.where(inside, margins.min(axis=1, initial=np.inf), np.nan)
    doubts = _doubts(rule, robustness, inside, applies, elapsed, period_s)
    finite = inside & ~np.isnan(robustness)
    if not finite.any():
        return Judgement(rule=rule, verdict="not judged", reason=doubts or "no rows to judge", robustness=robustness)
    worst = int(np.flatnonzero(finite)[np.argmin(robustness[finite])])
    which = int(np.argmin(margins[worst]))
    bad = np.flatnonzero(finite & (robustness < 0))
    value = float(found.values[worst, which])
    return Judgement(
        rule=rule,
        verdict="violated" if len(bad) else "not judged" if doubts else "satisfied",
        reason=f"{found.channels[which]} reached {value:.6g}" if len(bad) else doubts,
        robustness=robustness,
        first_row=int(bad[0]) if len(bad) else None,
        worst_row=worst,
        first_s=float(elapsed[bad[0]]) if len(bad) else None,
        worst_s=float(elapsed[worst]),
        worst=value,
        channel=found.channels[which],
        count=len(bad),
    )


def elapsed_s(columns: Columns) -> np.ndarray:
    """Time since the policy last took control [s], ``[T]``; since the first row before that. By the observations' stamps."""
    seconds, ran = columns["stamp_s"], columns["policy_ran"] == 1
    if not len(seconds):
        return np.zeros(0)
    finite = np.isfinite(seconds)
    time = seconds - (seconds[finite][0] if finite.any() else 0.0) + columns["stamp_ns"] * 1e-9
    starts = ran & ~np.concatenate(([False], ran[:-1]))
    starts[0] = True
    return np.asarray(time - time[np.maximum.accumulate(np.where(starts, np.arange(len(time)), 0))])


def _limits(contract: Contract, robot: Robot | None) -> tuple[Limits, np.ndarray, np.ndarray]:
    if robot is not None:
        tightened = tighten(contract, robot)
        return tightened.limits, tightened.lower, tightened.upper
    lower = [bound for signal in contract.actuation for bound in signal.lower or (-np.inf,) * signal.size]
    upper = [bound for signal in contract.actuation for bound in signal.upper or (np.inf,) * signal.size]
    return contract.limits, np.array(lower), np.array(upper)


def _applies(rule: Rule, columns: Columns) -> np.ndarray:
    if rule.when == "always":
        return np.ones(len(columns["tick"]), dtype=bool)
    # Anything but a plain 0 applies: a damaged flag must not excuse its row.
    return np.asarray(columns["policy_ran" if rule.when == "policy" else "sent"] != 0)


def _rates(found: Samples, inside: np.ndarray, applies: np.ndarray, columns: Columns, period_s: float) -> tuple[Samples, np.ndarray]:
    """Changes per second from row to row; a row without a predecessor that applies has none."""
    if not len(inside):
        return found, inside
    with np.errstate(all="ignore"):
        change = np.diff(found.values, axis=0, prepend=found.values[:1])
        size = np.abs(found.values)
    # Values are float32 on the robot: a change is known to no better than their rounding.
    change = np.sign(change) * np.maximum(
        np.abs(change) - 4 * FLOAT32_EPS * np.where(np.isfinite(size), size, 0.0), np.minimum(np.abs(change), 0)
    )
    started = np.concatenate(([False], applies[1:] & applies[:-1]))
    return Samples(change / period_s, found.channels), inside & started


def _margins(rule: Rule, found: Samples) -> np.ndarray:
    """Distance to the nearest bound, ``[T, channels]``; NaN where the value is."""
    values = np.abs(found.values) if rule.absolute else found.values
    margins = np.where(np.isnan(values), np.nan, np.inf)
    with np.errstate(invalid="ignore"):
        if rule.upper:
            margins = np.minimum(margins, _outward(rule.upper, 1) - values)
        if rule.lower:
            margins = np.minimum(margins, values - _outward(rule.lower, -1))
    return margins


def _outward(bounds: tuple[float, ...], side: int) -> np.ndarray:
    """Bounds as the robot holds them, in float32, if that is wider: a value clamped to a bound has not broken it."""
    exact = np.array(bounds)
    rounded = exact.astype(np.float32).astype(np.float64)
    return np.maximum(exact, rounded) if side > 0 else np.minimum(exact, rounded)


def _doubts(rule: Rule, robustness: np.ndarray, inside: np.ndarray, applies: np.ndarray, elapsed: np.ndarray, period_s: float) -> str:
    """Why a rule that is not violated cannot be called satisfied; empty if it can."""
    if not applies.any():
        return "the log has no rows it applies to"
    if not inside.any():
        return f"the log holds nothing from {rule.from_s:g} s on"
    times = elapsed[applies]
    if not np.isfinite(times).all():
        return f"{int((~np.isfinite(times)).sum())} stamps are not finite"
    if np.isnan(robustness[inside]).any():
        return f"{int(np.isnan(robustness[inside]).sum())} samples are not finite"
    if np.isfinite(rule.to_s) and times.max() < rule.to_s - 1.5 * period_s:
        return f"the log ends at {times.max():.3g} s, before {rule.to_s:g} s"
    gap = np.diff(times, prepend=times[0]).max()
    return f"{gap:.3g} s are missing" if gap > GAP_PERIODS * period_s else ""
