"""What one step of the log holds: one float64 per column, in an order computed from the contract.

| columns | meaning |
|---|---|
| ``tick`` | counts from 0, one per record |
| ``stamp_s``, ``stamp_ns`` | stamp of the observation answered: whole seconds, and the nanoseconds beyond them |
| ``receipt_s``, ``started_s``, ``finished_s`` | monotonic clock [s]: observation received, step begun, step done |
| ``state`` | `deploy.runtime.state_machine.State` after the step |
| ``trips``, ``warnings`` | bit masks of `deploy.guards.trips.Trip` and `Warn` raised in this step |
| ``sent`` | 1 if an actuation was sent |
| ``policy_ran`` | 1 if the graph ran; else ``policy``, ``observation`` and the four reserved outputs are NaN |
| ``sensor.<name>.<channel>`` | exactly what the graph was or would have been given (float32 values) |
| ``age.<source>`` | since receipt [s]; -1 before the first reading |
| ``command.<name>.<channel>`` | exactly what the graph was given, after defaults and staleness |
| ``command_age.<name>`` | since receipt [s]; -1 before the first command |
| ``policy.<actuation>.<channel>`` | what the graph asked for |
| ``actuation.<actuation>.<channel>`` | what was sent; NaN when nothing was |
| ``safe_distance``, ``intervention``, ``feasible``, ``risk`` | the graph's reserved outputs |
| ``observation.<name>`` | the graph's observation |
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from robots.contract import Contract
from robots.errors import TetherError
from robots.signals import Signal

HEAD = ("tick", "stamp_s", "stamp_ns", "receipt_s", "started_s", "finished_s", "state", "trips", "warnings", "sent", "policy_ran")
RESERVED = ("safe_distance", "intervention", "feasible", "risk")
NEVER = -1.0  # an age before the first arrival


@dataclass(frozen=True)
class StepLayout:
    """Column names in order, and where each block of them lies.

    Attributes:
        columns: one name per float64 of the record.
        blocks: slices by ``sensor.<name>``, ``command.<name>``, ``policy.<actuation>``, ``actuation.<actuation>``, and by ``sensor``,
            ``command``, ``policy``, ``actuation``, ``age``, ``command_age``, ``reserved``, ``observation`` for all of a kind.
    """

    columns: tuple[str, ...]
    blocks: dict[str, slice]

    @classmethod
    def from_contract(cls, contract: Contract) -> StepLayout:
        """The layout that every log of this contract has."""
        columns = list(HEAD)
        blocks: dict[str, slice] = {}

        def add(kind: str, names: Iterable[str]) -> None:
            start = len(columns)
            columns.extend(names)
            blocks[kind] = slice(start, len(columns))

        def add_signals(kind: str, signals: Iterable[Signal]) -> None:
            start = len(columns)
            for signal in signals:
                add(f"{kind}.{signal.name}", [f"{kind}.{signal.name}.{channel}" for channel in signal.channels])
            blocks[kind] = slice(start, len(columns))

        add_signals("sensor", contract.sensors)
        add("age", [f"age.{source}" for source in sources(contract)])
        add_signals("command", contract.commands)
        add("command_age", [f"command_age.{command.name}" for command in contract.commands])
        add_signals("policy", contract.actuation)
        add_signals("actuation", contract.actuation)
        add("reserved", RESERVED)
        add("observation", [f"observation.{name}" for name in contract.observation])
        return cls(tuple(columns), blocks)

    @property
    def size(self) -> int:
        """Number of columns."""
        return len(self.columns)

    def index(self, column: str) -> int:
        """Position of ``column``; raises `ValueError` if there is none of that name."""
        return self.columns.index(column)

    def to_json(self) -> str:
        """The column names, for the channel's metadata."""
        return json.dumps(self.columns)

    def check(self, text: str) -> None:
        """Raise `TetherError` naming the first column in which a log's recorded layout ``text`` differs from this one."""
        try:
            found = json.loads(text)
        except ValueError as error:
            raise TetherError(f"the log's column layout is not JSON ({error}); the file is damaged, record it again") from error
        if not isinstance(found, list) or tuple(found) != self.columns:
            raise TetherError(f"the log's columns do not fit its contract: {self._difference(found)}; it is damaged or of another version")

    def _difference(self, found: object) -> str:
        if not isinstance(found, list):
            return f"expected a list, found {type(found).__name__}"
        for number, (mine, other) in enumerate(zip(self.columns, found)):
            if mine != other:
                return f"column {number} is {other!r}, expected {mine!r}"
        return f"{len(found)} columns, expected {self.size}"


def sources(contract: Contract) -> tuple[str, ...]:
    """The messages that a policy's sensors arrive in, the clock first."""
    return tuple(dict.fromkeys((contract.clock, *(sensor.source for sensor in contract.sensors))))
