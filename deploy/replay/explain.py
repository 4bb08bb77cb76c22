"""Say which mistake would explain a mismatch: channels in another order, a sign, a scale.

Two questions. *Outputs*: is what was logged a signed, scaled permutation of what the policy gives? Answered by correlation. *Inputs*:
would the policy have given what was logged if one sensor or command had reached it permuted, flipped or scaled? Answered by running it on
each candidate.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from deploy.replay import reinference
from deploy.replay.case import Array, Case, rowwise
from deploy.replay.reinference import Rerun, relative
from robots.signals import Signal

SCALES = {
    180 / np.pi: " (radians to degrees)",
    np.pi / 180: " (degrees to radians)",
    1000.0: "",
    0.001: "",
    9.81: " (g to m/s²)",
    1 / 9.81: " (m/s² to g)",
    -1.0: "",
}
ROWS = 64  # rows a candidate is tried on
FITTED = 2000  # rows a proportion is fitted to
EXPLAINED = 1e-3  # residual over signal; far above rounding, far below any other mistake


class Candidate(NamedTuple):
    """What may have been done to a signal: ``received = matrix @ logged``."""

    words: str
    matrix: Array


def outputs(logged: Array, expected: Array, names: tuple[str, ...]) -> str:
    """The signed, scaled permutation that turns ``expected`` ``[rows, n]`` into ``logged``, in words; empty if none does.

    Args:
        logged, expected: rows that differ; at least ten, or nothing can be said.
        names: of the channels.
    """
    wrong = np.flatnonzero(~(np.linalg.norm(logged - expected, axis=0) <= EXPLAINED * (1e-9 + np.linalg.norm(expected, axis=0))))
    if len(logged) < 10 or not len(wrong):
        return ""
    few = np.linspace(0, len(logged) - 1, min(len(logged), FITTED)).astype(int)
    logged, expected = logged[few], expected[few]
    source, scale = _fit(logged[:, wrong], expected[:, wrong])
    if (source < 0).any() or len(set(source.tolist())) < len(source):
        return ""
    short = [names[channel].rsplit(".", 1)[-1] for channel in wrong]
    parts = [f"{short[i]} holds {_times(scale[i])}{short[source[i]]}" for i in range(len(wrong))]
    return "explained by: " + ", ".join(parts)


def _fit(logged: Array, expected: Array) -> tuple[np.ndarray, Array]:
    """For each logged channel the expected channel it is proportional to (−1 if none) and the factor; its own channel is preferred."""
    power = (expected**2).sum(axis=0) + 1e-30
    scale = logged.T @ expected / power
    residual = np.linalg.norm(logged[:, :, None] - scale[None] * expected[:, None, :], axis=0)
    residual /= np.linalg.norm(logged, axis=0)[:, None] + 1e-30
    unit = np.abs(np.abs(scale) - 1) < EXPLAINED
    cost = residual + EXPLAINED * (~np.eye(len(scale), dtype=bool) * 0.5 + ~unit * 1.0)
    source = cost.argmin(axis=1)
    rows = np.arange(len(scale))
    return np.where(residual[rows, source] <= EXPLAINED, source, -1), scale[rows, source]


def _times(scale: float) -> str:
    if abs(scale - 1) < EXPLAINED:
        return ""
    if abs(scale + 1) < EXPLAINED:
        return "−"
    known = next((words for value, words in SCALES.items() if abs(scale / value - 1) < EXPLAINED), "")
    return f"{scale:.4g}{known} × "


def inputs(case: Case, run: Rerun) -> str:
    """The one change of one input that makes the policy reproduce the log, in words; empty if none does."""
    rows = np.array([row for row, _ in run.doubtful], dtype=int)
    if not len(rows):
        return ""
    chosen = np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).astype(int)
    rows, memory = rows[chosen], np.array([memory for _, memory in run.doubtful], dtype=np.float32)[chosen]
    given = {name: block[rows] for name, block in reinference.inputs(case).items()}
    logged = {kind: case.block(kind)[rows] for kind in ("policy", "observation")}
    for signal in (*case.contract.sensors, *case.contract.commands):
        for candidate in candidates(signal):
            changed = {**given, signal.name: (given[signal.name] @ candidate.matrix.T).astype(np.float32)}
            if _error(case, changed, memory, logged) <= 10 * case.tolerance and _confirmed(case, signal.name, candidate):
                return f"explained by: {signal.name} reached the policy {candidate.words}"
    return ""


def _error(case: Case, given: dict[str, np.ndarray], memory: np.ndarray, logged: dict[str, Array]) -> float:
    found = reinference.blocks(case, case.policy.step(given, {}, memory))
    return max(float(np.nan_to_num(relative(block, found[kind]), nan=np.inf).max(initial=0.0)) for kind, block in logged.items())


def _confirmed(case: Case, name: str, candidate: Candidate) -> bool:
    """Whether the change repairs at least nine in ten of the rows it was not tried on."""
    given = reinference.inputs(case)
    given[name] = (given[name] @ candidate.matrix.T).astype(np.float32)
    again = reinference.rerun(case, given)
    good = ~rowwise(~(relative(case.block("policy"), again.outputs["policy"]) <= 10 * case.tolerance))
    return bool(good[again.verified].mean() > 0.9)


def candidates(signal: Signal) -> Iterator[Candidate]:
    """Likely mistakes with a signal, simplest first: scales, signs, orders, and for up to four channels orders with signs."""
    size, names = signal.size, signal.channels
    identity = np.eye(size)
    for scale, words in SCALES.items():
        yield Candidate(f"multiplied by {scale:.4g}{words}", identity * scale)
    for flipped in range(size if size > 1 else 0):
        yield Candidate(f"with {names[flipped]} negated", identity * np.where(np.arange(size) == flipped, -1.0, 1.0))
    for order in orders(size):
        yield Candidate(f"with its channels in the order {', '.join(names[i] for i in order)}", identity[list(order)])
    if size <= 4:
        for order, signs in itertools.product([tuple(range(size)), *orders(size)], itertools.product((1.0, -1.0), repeat=size)):
            matrix = np.array(signs)[:, None] * identity[list(order)]
            if min(signs) < 0 and (matrix.diagonal() != 1).sum() > 1 and not np.array_equal(matrix, -identity):
                words = ", ".join(("−" if sign < 0 else "") + names[i] for i, sign in zip(order, signs))
                yield Candidate(f"with {words} for {', '.join(names)}", matrix)


def orders(size: int) -> list[tuple[int, ...]]:
    """All orders but the right one of up to five channels; of more, swaps of two, orders of up to five blocks, transpositions of a grid."""
    right = tuple(range(size))
    if size <= 5:
        return list(itertools.permutations(range(size)))[1:]
    found = [
        tuple(second if i == first else first if i == second else i for i in right) for first, second in itertools.combinations(right, 2)
    ]
    for count in (count for count in range(2, size) if size % count == 0):
        grid = np.arange(size).reshape(count, -1)
        found.append(tuple(grid.T.ravel().tolist()))
        if count <= 5:
            found += [tuple(grid[list(blocks)].ravel().tolist()) for blocks in itertools.permutations(range(count))]
    return [order for order in dict.fromkeys(found) if order != right]
