"""One log beside the policy file it is judged against: what every check works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from deploy.guards.trips import Trip
from deploy.policy import Policy
from deploy.record import Log
from deploy.replay.report import Finding
from robots.contract import Contract
from safety.rules import Rule

Array = np.ndarray
Rows = np.ndarray  # of bool, one per step record


@dataclass
class Case:
    """A log, a policy, and what the checks so far have learned.

    Attributes:
        log, policy: what is judged, against what.
        rules: what must hold besides the limits of robot and policy file.
        suspect: bool ``[rows]``, rows that a data-quality problem touches; the checks of file and data set it, before any that judges.
        summary: scalars worth showing, added by the checks.
        traces: arrays worth plotting, added by the checks.
        judged: every rule that was judged, as in `Report.rules`.
    """

    log: Log
    policy: Policy
    rules: tuple[Rule, ...] = ()
    suspect: Rows = field(init=False)
    summary: dict[str, Any] = field(default_factory=dict)
    traces: dict[str, Any] = field(default_factory=dict)
    judged: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.suspect = np.zeros(self.rows, dtype=bool)

    @property
    def contract(self) -> Contract:
        """Of the log; judging goes on only where it equals the policy file's."""
        return self.log.contract

    @property
    def same_policy(self) -> bool:
        """Whether the log is of this policy file."""
        return self.log.metadata.get("policy_digest") == self.policy.digest and self.log.contract == self.policy.contract

    @property
    def tolerance(self) -> float:
        """Largest relative error between two runs of the policy on one input; from the policy file, for the provider in use."""
        return float(self.policy.agreement.tolerance)

    @property
    def rows(self) -> int:
        """Number of step records."""
        return len(self.log.rows)

    def column(self, name: str) -> Array:
        """One column ``[rows]``."""
        return np.asarray(self.log.columns[name], dtype=float)

    def block(self, kind: str) -> Array:
        """All columns of a block of the layout, for example ``sensor.position_base_in_world`` or ``actuation``, ``[rows, width]``."""
        return np.asarray(self.log.block(kind), dtype=float)

    def names(self, kind: str) -> tuple[str, ...]:
        """Column names of a block."""
        return self.log.layout.columns[self.log.layout.blocks[kind]]

    @cached_property
    def ran(self) -> Rows:
        """Rows in which the graph ran."""
        return self.column("policy_ran") == 1

    @cached_property
    def starts(self) -> Rows:
        """Rows in which the policy took control, with zero memory."""
        return self.ran & ~np.concatenate([[False], self.ran[:-1]]) if self.rows else self.ran

    @cached_property
    def sent(self) -> Rows:
        """Rows in which an actuation was sent."""
        return self.column("sent") == 1

    @cached_property
    def answers(self) -> Rows:
        """Rows that answer a new observation; the others repeat the last stamp (silence), or hold 0 (nothing received yet)."""
        stamps = np.column_stack([self.column("stamp_s"), self.column("stamp_ns")])
        fresh = (stamps != 0).any(axis=1)
        fresh[1:] &= (stamps[1:] != stamps[:-1]).any(axis=1)
        return np.asarray(self.ran | fresh)

    @cached_property
    def stamp_s(self) -> Array:
        """Stamp of each observation [s] since the first; whole seconds are subtracted first, so that nanoseconds survive."""
        seconds = self.column("stamp_s")
        return seconds - (seconds[0] if self.rows else 0.0) + self.column("stamp_ns") * 1e-9

    @cached_property
    def time_s(self) -> Array:
        """Receipt time [s] since the first row, made fit for an axis: finite and never decreasing."""
        receipt = self.column("receipt_s")
        good = np.isfinite(receipt)
        if not good.any():
            return np.arange(self.rows) * self.contract.period_s
        elapsed = np.interp(np.arange(self.rows), np.flatnonzero(good), receipt[good] - receipt[good][0])
        return np.asarray(np.maximum.accumulate(elapsed))

    @cached_property
    def memory(self) -> tuple[Array, Array]:
        """Memory snapshots: ticks ``[k]`` and the vectors the graph was given at them, ``[k, memory size]``."""
        ticks = np.array([tick for tick, _ in self.log.memory], dtype=float)
        vectors = [np.asarray(vector, dtype=np.float32) for _, vector in self.log.memory]
        return ticks, np.array(vectors, dtype=np.float32).reshape(len(vectors), self.contract.memory_size)

    def tripped(self, *trips: Trip) -> Rows:
        """Rows in which one of ``trips``, or any if none is named, was raised."""
        wanted = int(sum(trip.value for trip in trips)) if trips else -1
        return np.asarray((self.mask("trips") & wanted) != 0)

    def mask(self, name: str) -> Array:
        """A column of bits, int64 ``[rows]``; 0 where it holds no whole number in range, which the quality check reports."""
        values = self.column(name)
        whole = (values >= 0) & (values <= 2**32) & (values == np.floor(values))
        return np.where(whole, values, 0.0).astype(np.int64)

    def at(self, row: int) -> dict[str, Any]:
        """``tick`` and ``time_s`` of a row, for a `Finding`."""
        tick = self.column("tick")[row]
        return {"tick": int(tick) if np.isfinite(tick) else None, "time_s": float(self.time_s[row])}

    def violation(self, where: Rows, **details: Any) -> list[Finding]:
        """A violation at the first row of ``where`` that can be trusted, or one that does not stand if none can; none if all is well."""
        if not where.any():
            return []
        trusted = where & ~self.suspect
        stands = bool(trusted.any())
        rows = np.flatnonzero(trusted if stands else where)
        return [Finding(severity="violation", count=len(rows), stands=stands, **self.at(rows[0]), **details)]

    def doubt(self, where: Rows, **details: Any) -> list[Finding]:
        """An inconclusive finding at the first row of ``where``, whose rows become suspect; none if all is well."""
        if not where.any():
            return []
        self.suspect |= where
        rows = np.flatnonzero(where)
        return [Finding(severity="inconclusive", count=len(rows), **self.at(rows[0]), **details)]


def rowwise(cells: Array) -> Rows:
    """Rows in which any of ``cells`` ``[rows, width]`` is true."""
    return np.asarray(cells.any(axis=1))
