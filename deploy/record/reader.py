"""Reads a log into columns, in bulk, and takes what it can from one that is damaged."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deploy.record import cdr, container
from deploy.record.layout import StepLayout
from deploy.record.writer import MEMORY_TOPIC, METADATA, STEP_TOPIC
from robots.contract import Contract
from robots.errors import TetherError


@dataclass
class Log:
    """A recorded run.

    Attributes:
        path: the file.
        contract: of the policy that ran.
        layout: names and blocks of the columns.
        rows: every step, float64 ``[T, layout.size]``.
        memory: (tick, vector) snapshots of the memory that the graph was given at that tick.
        metadata: policy digest, contract, robot, robot limits, guards, versions and notes.
        truncated: the file was cut or its recorder killed.
        problems: what is wrong with the file, one line each; a log with problems must not be judged a pass.
    """

    path: Path
    contract: Contract
    layout: StepLayout
    rows: np.ndarray
    memory: list[tuple[int, np.ndarray]]
    metadata: dict[str, str]
    truncated: bool = False
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.columns: dict[str, np.ndarray] = {name: self.rows[:, number] for number, name in enumerate(self.layout.columns)}

    def __len__(self) -> int:
        return len(self.rows)

    def block(self, name: str) -> np.ndarray:
        """All columns of one signal, ``[T, size]``, by a key of `StepLayout.blocks` such as ``sensor.position_base_in_world``."""
        return self.rows[:, self.layout.blocks[name]]

    @property
    def stamps_ns(self) -> np.ndarray:
        """Stamps of the observations, int64 ``[T]``; -1 where the record holds none that is finite."""
        seconds, rest = self.columns["stamp_s"], self.columns["stamp_ns"]
        good = (np.abs(seconds) < 9e9) & (np.abs(rest) < 2e9)
        return np.where(good, np.where(good, seconds, 0).astype(np.int64) * 1_000_000_000 + np.where(good, rest, 0).astype(np.int64), -1)


def read_log(path: str | Path) -> Log:
    """Read ``path``; whatever is whole in a truncated or damaged file is returned and the rest is named in `Log.problems`.

    Raises:
        TetherError: if there is no such file, it is not an MCAP file, or it lacks what is needed to make sense of it.
    """
    path = Path(path)
    try:
        found = container.read(path.read_bytes())
    except OSError as error:
        raise TetherError(f"cannot read the log {path}: {error.strerror}; name a file that `tether run --log` wrote") from error
    except TetherError as error:
        raise TetherError(f"cannot read the log {path}: {error}; name a file that `tether run --log` wrote") from error
    metadata = found.metadata.get(METADATA)
    if metadata is None or "contract" not in metadata:
        raise TetherError(f"{path} holds no `tether` metadata; it is not a log of a policy, or too little of it is left")
    contract = Contract.from_json(metadata["contract"])
    layout = StepLayout.from_contract(contract)
    steps = found.channel(STEP_TOPIC)
    if steps is None:
        raise TetherError(f"{path} holds no {STEP_TOPIC} channel; it is not a log of a policy, or too little of it is left")
    layout.check(steps.metadata.get("columns", ""))
    rows = _rows(steps.payloads, layout.size, STEP_TOPIC, found.problems)
    if not np.array_equal(rows[:, 0], np.arange(len(rows))):
        found.problems.append(f"steps are missing or out of place: {len(rows)} records, ticks do not count from 0 by ones")
    snapshots = found.channel(MEMORY_TOPIC)
    memory = _rows(snapshots.payloads if snapshots else [], 1 + contract.memory_size, MEMORY_TOPIC, found.problems)
    pairs = [(int(row[0]), row[1:].astype(np.float32)) for row in memory if np.isfinite(row[0])]
    return Log(path, contract, layout, rows, pairs, metadata, found.truncated, found.problems)


def _rows(payloads: list[bytes], width: int, topic: str, problems: list[str]) -> np.ndarray:
    """Decode all messages at once, leaving out any of the wrong size or header."""
    size, head = cdr.payload_size(width), cdr.header(width)
    good = [payload for payload in payloads if len(payload) == size and payload.startswith(head)]
    if len(good) < len(payloads):
        problems.append(f"{len(payloads) - len(good)} messages on {topic} do not decode")
    return cdr.decode_all(good, width)
