"""Proves that a set is safe, on the exact non-linear map, from the stored numbers alone; knows nothing of how they were found.

Claim: for every x with H x ≤ h and every |w| ≤ w_max,  H (f(x, c(x)) + w) ≤ h,  |x| ≤ state box − estimation error,  u_low ≤ c(x) ≤ u_high,
and w_max is at least what the system's disturbance, the estimation error and the delay amount to (`System.disturbance_bound`).

Proof. f is affine but for one state s. X is cut into cells by s; on a cell f(x, u) = F x + B u + c + T ρ with |ρ| ≤ r, for all inputs of
the box −1…1 (`System.enclosure`, Taylor's theorem; c(x) is in the box by the claim above), so for a facet g of H

    sup g·(f + w) ≤ max {g·(F + B K) x : x ∈ X, low ≤ s ≤ high} + g·(B (u0 − K x0) + c) + |g·T| r + |g| w_max.

The maximum is bounded by weak duality, whatever the solver did: for any y ≥ 0,  a·x ≤ y·m + |a − Mᵀ y|·|x|max  on {M x ≤ m}. The cells
cover the bounding box of X, so the largest of their bounds is a bound. |x|max is proved by the same duality: with rows y₊, y₋ ≥ 0 for
±eⱼ and ε = max |±eⱼ − Hᵀ y|₁ < 1, a direction d with H d ≤ 0 has |d|∞ ≤ ε |d|∞, hence X is bounded, and |x|∞ ≤ max y·h/(1 − ε).
Cells with the largest bound are halved (best first) until the facet is proved, or a state of X shows that it is false. Every sum has
under 200 terms, so float64 errs by less than 1e-13 of the sum of their absolute values; `ROUNDING` of that is added to every bound.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from safety.sets.polytope import Polytope
from safety.sets.safe_set import RESERVE, SafeSet
from safety.sets.systems import Enclosure

ROUNDING = 1e-12
FEASIBLE = 1e-7  # a witness is in X to the tolerance of the solver
FIRST_CELLS = 8
MAX_CELLS = 4096  # of one facet
TOLERANCE = 1e-4  # gap between proved and attained value, relative to h, at which a settled facet is left


class Facet(NamedTuple):
    """One inequality.

    Attributes:
        name: what it is.
        margin: proved: bound minus largest value; the claim holds when it is at least ``required``.
        attained: a margin that some state of X has, by evaluation; below ``required``, the claim is false.
        required: what float32 needs (`SafeSet.float32_margin`); 0 for what is not a facet of X.
        cells: that the proof took.
        witness: the state with the attained margin ``[n]``.
    """

    name: str
    margin: float
    attained: float
    required: float
    cells: int
    witness: np.ndarray

    @property
    def holds(self) -> bool:
        return self.margin >= self.required


class Certificate(NamedTuple):
    """All inequalities of one set, facets of X first.

    Attributes:
        facets: of X, by row of H, each for one step of the closed loop.
        limits: X in the state box, c(X) in the input box, the disturbance bound, by coordinate.
        wall_time_s: that it took.
    """

    facets: tuple[Facet, ...]
    limits: tuple[Facet, ...]
    wall_time_s: float

    @property
    def holds(self) -> bool:
        """Whether the set is proved safe."""
        return all(item.holds for item in (*self.facets, *self.limits))

    @property
    def worst(self) -> Facet:
        """The facet with the least to spare."""
        return min(self.facets, key=lambda facet: facet.margin - facet.required)

    @property
    def cells(self) -> int:
        """Of all facets."""
        return sum(facet.cells for facet in self.facets)


def certify(s: SafeSet) -> Certificate:
    """Judge a set. Sound: ``holds`` is a proof, its absence only the lack of one unless an attained margin is below what is required."""
    begun = time.perf_counter()
    reach = bounding_box(s.polytope)
    if reach is None:
        nothing = Facet("X is bounded", -np.inf, -np.inf, 0.0, 0, np.zeros(len(s.x0)))
        return Certificate((), (nothing,), time.perf_counter() - begun)
    limits = judge_limits(s, reach)
    enclosure = cache(s.dynamics.enclosure)
    required = RESERVE * s.float32_margin()
    facets = tuple(_facet(s, reach, index, float(required[index]), enclosure) for index in range(len(s.h)))
    return Certificate(facets, limits, time.perf_counter() - begun)


def bounding_box(polytope: Polytope) -> np.ndarray | None:
    """A proved bound of |x| on the polytope, by state ``[n]``; None where there is no proof that it is bounded."""
    width = polytope.H.shape[1]
    units = np.vstack((np.eye(width), -np.eye(width)))
    multipliers = np.array([polytope.maximise(unit).multipliers for unit in units])
    errors = np.abs(units - multipliers @ polytope.H).sum(1) + ROUNDING
    if not errors.max() < 0.5:
        return None
    values = multipliers @ polytope.h
    furthest = max(float(values.max()), 0.0) / (1.0 - errors.max())
    bounds = values + errors * furthest
    return np.maximum(bounds[:width], bounds[width:]) * (1.0 + ROUNDING)


def upper_bound(polytope: Polytope, direction: np.ndarray, reach: np.ndarray) -> tuple[float, np.ndarray]:
    """A proved bound of direction·x on the polytope, where |x| ≤ reach, and the state at which the solver sees the maximum."""
    found = polytope.maximise(direction)
    y = found.multipliers
    rest = direction - polytope.H.T @ y
    terms = y @ np.abs(polytope.h) + (np.abs(direction) + np.abs(polytope.H.T) @ y) @ reach
    return float(y @ polytope.h + np.abs(rest) @ reach + ROUNDING * terms), found.point


def _facet(s: SafeSet, reach: np.ndarray, index: int, required: float, enclosure: Callable[[float, float], Enclosure]) -> Facet:
    """Branch and bound of sup over X of H[index]·f(x, c(x)), best cell first."""
    row, curved = s.H[index], s.dynamics.curved
    reserve = np.abs(row) @ s.w_max + ROUNDING * (np.abs(row) @ (s.dynamics.magnitude() + reach) + abs(s.h[index]))
    goal, gap = s.h[index] - reserve - required, TOLERANCE * abs(s.h[index])
    best, witness, cells = -np.inf, np.zeros(len(reach)), 0
    edges = np.linspace(-reach[curved], reach[curved], FIRST_CELLS + 1)
    queue: list[tuple[float, float, float]] = []
    waiting = list(zip(edges[:-1].tolist(), edges[1:].tolist()))
    while True:
        for low, high in waiting:
            bound, point = _cell(s, reach, row, low, high, enclosure(low, high))
            cells += 1
            heapq.heappush(queue, (-bound, low, high))
            value = float(row @ s.dynamics.step(point, s.centre(point))) if s.polytope.contains(point, FEASIBLE) else -np.inf
            if value > best:
                best, witness = value, point
        top, low, high = queue[0]
        settled = -top <= goal or best > goal
        if (settled and -top - best <= gap) or cells >= MAX_CELLS:
            return Facet(f"facet {index}", float(s.h[index] + top - reserve), float(s.h[index] - best - reserve), required, cells, witness)
        heapq.heappop(queue)
        waiting = [(low, 0.5 * (low + high)), (0.5 * (low + high), high)]


def _cell(s: SafeSet, reach: np.ndarray, row: np.ndarray, low: float, high: float, e: Enclosure) -> tuple[float, np.ndarray]:
    """A proved bound of row·f(x, c(x)) on the part of X where the curved state is in low…high, and the relaxation's maximiser."""
    plant = s.dynamics
    pushed = row @ plant.position
    direction = row @ plant.coast + pushed @ (e.A + e.B @ s.K)
    constant = pushed @ (e.B @ (s.u0 - s.K @ s.x0) + e.c) + np.abs(pushed) @ e.r
    side = np.eye(len(reach))[plant.curved]
    inside = s.polytope.intersection(Polytope(np.array([side, -side]), np.array([high, -low])))
    bound, point = upper_bound(inside, direction, reach)
    return bound + float(constant), point


def judge_limits(s: SafeSet, reach: np.ndarray) -> tuple[Facet, ...]:
    """X in the state box, c(X) in the input box and that in −1…1, w_max large enough, by coordinate."""
    plant, found = s.dynamics, []

    def judge(name: str, margin: float, witness: np.ndarray) -> None:
        found.append(Facet(name, margin, margin, 0.0, 1, witness))

    for name, unit, high, error in zip(plant.states, np.eye(len(reach)), plant.box, s.estimation_error):
        for sign in (1.0, -1.0):
            bound, point = upper_bound(s.polytope, sign * unit, reach)
            judge(f"{'+-'[sign < 0]}{name}", float(high - error - bound - ROUNDING * high), point)
    for index, name in enumerate(plant.inputs):
        for sign, edge in ((1.0, min(s.u_high[index], 1.0)), (-1.0, -max(s.u_low[index], -1.0))):
            bound, point = upper_bound(s.polytope, sign * s.K[index], reach)
            offset = sign * (s.u0[index] - s.K[index] @ s.x0)
            judge(f"{'+-'[sign < 0]}{name}", float(edge - offset - bound - ROUNDING), point)
    spare = s.w_max * (1.0 + ROUNDING) - plant.disturbance_bound(s.estimation_error, s.action_delay_s)
    for name, margin in zip(plant.states, spare):
        judge(f"disturbance of {name}", float(margin), np.zeros(len(reach)))
    judge("estimation error ≥ 0", float(s.estimation_error.min()), np.zeros(len(reach)))
    judge("delay in 0…dt", min(s.action_delay_s, plant.dt - s.action_delay_s), np.zeros(len(reach)))
    judge("step", -abs(s.dt - plant.dt), np.zeros(len(reach)))
    return tuple(found)
