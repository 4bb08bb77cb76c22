"""Run the policy again on what the log says it was given.

The recorder keeps the policy's memory every second, so a log falls into segments that each start from a known memory. All segments
advance together, one batched step at a time; the memory a segment ends with must be the one the next snapshot recorded, which ties the
chain together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from deploy.policy.policy import PolicyOutput
from deploy.replay.case import Array, Case, Rows, rowwise

OUTPUTS = ("policy", "observation", "reserved")

Inputs = Mapping[str, Array]


@dataclass(frozen=True)
class Segment:
    """Rows in which the graph ran, in order, from a recorded memory on.

    Attributes:
        rows: ``[n]`` indices.
        snapshot: index of the recorded memory that went into the first of them.
        chained: whether the memory after the last row must equal the next snapshot: the policy went on without a restart.
    """

    rows: Array
    snapshot: int
    chained: bool


@dataclass
class Rerun:
    """What the policy says now.

    Attributes:
        outputs: blocks ``policy``, ``observation`` and ``reserved``, ``[rows, width]``; NaN where nothing could be verified.
        verified: bool ``[rows]``, rows that were run again from a known memory.
        steps: int ``[rows]``, how many steps before it the memory was known; -1 where not verified.
        memory_error: relative error of each snapshot against the segment before it, by index of the snapshot.
        doubtful: the first row of each segment that differs from the log, and the memory that went into it.
    """

    outputs: dict[str, Array]
    verified: Rows
    steps: Array
    memory_error: dict[int, float] = field(default_factory=dict)
    doubtful: list[tuple[int, Array]] = field(default_factory=list)

    @classmethod
    def empty(cls, case: Case) -> Rerun:
        """Nothing run yet."""
        outputs = {kind: np.full(case.block(kind).shape, np.nan) for kind in OUTPUTS}
        return cls(outputs, np.zeros(case.rows, dtype=bool), np.full(case.rows, -1))

    def store(self, case: Case, rows: Array, step: int, values: Mapping[str, Array]) -> Rows:
        """Keep what one batched step gave for ``rows`` and tell which of them differ from the log."""
        differs = np.zeros(len(rows), dtype=bool)
        for kind, block in values.items():
            self.outputs[kind][rows] = block
            differs |= rowwise(~(relative(case.block(kind)[rows], block) <= case.tolerance))
        self.verified[rows] = True
        self.steps[rows] = step
        return differs


def relative(found: Array, expected: Array) -> Array:
    """|found − expected| / max(1, |expected|), elementwise; the error the policy file's tolerance is for."""
    with np.errstate(invalid="ignore"):
        return np.abs(found - expected) / np.maximum(1.0, np.abs(expected))


def inputs(case: Case) -> dict[str, Array]:
    """Graph inputs as logged, ``[rows, size]`` by name."""
    sensors = {signal.name: case.block(f"sensor.{signal.name}").astype(np.float32) for signal in case.contract.sensors}
    commands = {signal.name: case.block(f"command.{signal.name}").astype(np.float32) for signal in case.contract.commands}
    return {**sensors, **commands}


def segments(case: Case) -> list[Segment]:
    """Cut the log at its memory snapshots; a segment ends where a row is missing or unreadable, for memory is unknown from there on."""
    ticks, tick = case.memory[0], case.column("tick")
    unreadable, missing = _breaks(case)
    starts = np.searchsorted(tick, ticks) if case.rows else np.zeros(len(ticks), dtype=np.int64)
    found = []
    for index, start in enumerate(starts.tolist()):
        if start >= case.rows or tick[start] != ticks[index]:
            continue
        stop = int(starts[index + 1]) if index + 1 < len(starts) else case.rows
        bad = unreadable[start:stop].copy()
        bad[1:] |= missing[start + 1 : stop]
        length = int(np.argmax(bad)) if bad.any() else stop - start
        meets = stop < case.rows and not missing[stop] and tick[stop] == ticks[index + 1] and bool(case.ran[stop - 1])
        rows = start + np.flatnonzero(case.ran[start : start + length])
        found.append(Segment(rows, index, meets and length == stop - start))
    return found


def rerun(case: Case, given: Inputs | None = None, *, noise: float = 0.0) -> Rerun:
    """Run every segment again.

    Args:
        case: the log and the policy.
        given: graph inputs to use instead of the logged ones.
        noise: relative size of a random error added to memory after every step; the same in every run.
    """
    given = inputs(case) if given is None else given
    generator = np.random.default_rng(0)
    result = Rerun.empty(case)
    todo = sorted(segments(case), key=lambda segment: -len(segment.rows))
    lengths = np.array([len(segment.rows) for segment in todo], dtype=int)
    recorded = case.memory[1]
    memory = recorded[[segment.snapshot for segment in todo]]
    agreed = np.ones(len(todo), dtype=bool)
    for step in range(int(lengths.max(initial=0))):
        active = int((lengths > step).sum())
        rows = np.array([segment.rows[step] for segment in todo[:active]])
        output = case.policy.step({name: block[rows] for name, block in given.items()}, {}, memory[:active])
        differs = result.store(case, rows, step, blocks(case, output))
        result.doubtful += [(int(rows[at]), memory[at].copy()) for at in np.flatnonzero(differs & agreed[:active])]
        agreed[:active] &= ~differs
        memory[:active] = output.memory
        if noise:
            memory[:active] += noise * np.maximum(1.0, np.abs(output.memory)) * generator.uniform(-1, 1, output.memory.shape)
    for segment, after in zip(todo, memory):
        if segment.chained:
            errors = relative(recorded[segment.snapshot + 1].astype(float), after.astype(float))
            result.memory_error[segment.snapshot + 1] = float(errors.max(initial=0.0))
    return result


def blocks(case: Case, output: PolicyOutput) -> dict[str, Array]:
    """A policy's output laid out like the log's blocks, ``[batch, width]`` each."""
    return {
        "policy": np.concatenate([output.actuation[signal.name] for signal in case.contract.actuation], axis=1).astype(float),
        "observation": output.observation.astype(float),
        "reserved": np.concatenate([output.safe_distance, output.intervention, output.feasible, output.risk], axis=1).astype(float),
    }


def _breaks(case: Case) -> tuple[Rows, Rows]:
    """(rows whose step cannot be repeated, rows that do not follow the row before)."""
    tick = case.column("tick")
    whole = np.isfinite(case.block("sensor")).all(axis=1) & np.isfinite(case.block("command")).all(axis=1)
    known = np.isfinite(tick) & np.isin(case.column("policy_ran"), (0.0, 1.0))
    return ~known | (case.ran & ~whole), np.diff(tick, prepend=tick[:1] - 1) != 1
