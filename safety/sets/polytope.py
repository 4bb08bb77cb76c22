"""Polytopes as half-spaces, {x : H x ≤ h}, and the linear programs over them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robots.errors import TetherError


class Maximum(NamedTuple):
    """Answer of a linear program max {g·x : H x ≤ h}.

    Attributes:
        value: as the solver has it; ∞ when unbounded, −∞ when empty, NaN when the solver gave up.
        point: a maximiser ``[n]``.
        multipliers: of the half-spaces, ≥ 0 ``[m]``: Hᵀ y = g, to the solver's tolerance.
    """

    value: float
    point: np.ndarray
    multipliers: np.ndarray


class Polytope(NamedTuple):
    """{x : H x ≤ h}.

    Attributes:
        H: ``[m, n]``.
        h: ``[m]``.
    """

    H: np.ndarray
    h: np.ndarray

    @classmethod
    def box(cls, low: np.ndarray, high: np.ndarray) -> Polytope:
        """low ≤ x ≤ high."""
        identity = np.eye(len(low))
        return cls(np.vstack((identity, -identity)), np.concatenate((high, -np.asarray(low))))

    def slack(self, x: np.ndarray) -> np.ndarray:
        """h − H x of states ``[..., n]``, ``[..., m]``; the smallest is negative outside."""
        return self.h - x @ self.H.T

    def contains(self, x: np.ndarray, tolerance: float = 0.0) -> np.ndarray:
        """Whether H x ≤ h + tolerance, by state ``[..., n]``."""
        return np.asarray((self.slack(x) >= -tolerance).all(-1))

    def maximise(self, direction: np.ndarray) -> Maximum:
        """max {direction·x : H x ≤ h}, by HiGHS' dual simplex."""
        try:
            from scipy.optimize import linprog
        except ImportError as error:
            raise TetherError("making or checking a safe set needs scipy: pip install 'tether[sets]'") from error
        count, width = self.H.shape
        found = linprog(-direction, A_ub=self.H, b_ub=self.h, bounds=(None, None), method="highs-ds")
        if found.status == 0:
            return Maximum(-found.fun, found.x, np.maximum(-found.ineqlin.marginals, 0.0))
        value = {2: -np.inf, 3: np.inf}.get(found.status, np.nan)
        return Maximum(value, np.zeros(width), np.zeros(count))

    def support(self, direction: np.ndarray) -> float:
        """sup {direction·x : x in the polytope}."""
        return self.maximise(direction).value

    def intersection(self, other: Polytope) -> Polytope:
        """What is in both."""
        return Polytope(np.vstack((self.H, other.H)), np.concatenate((self.h, other.h)))

    def scaled(self, factor: float) -> Polytope:
        """factor · polytope, about the origin."""
        return Polytope(self.H, factor * self.h)

    def shifted(self, by: np.ndarray) -> Polytope:
        """Polytope + by."""
        return Polytope(self.H, self.h + self.H @ by)

    def irredundant(self, tolerance: float = 1e-9) -> Polytope:
        """The same set without the half-spaces that the others imply, to ``tolerance``; the first of equals stays."""
        kept = list(range(len(self.h)))
        for index in reversed(range(len(self.h))):
            others = [other for other in kept if other != index]
            if self._subset(others).implies(self.H[index], self.h[index] + tolerance):
                kept = others
        return self._subset(kept)

    def implies(self, row: np.ndarray, bound: float) -> bool:
        """Whether row·x ≤ bound throughout; the program is bounded a little beyond, so that an open set needs no case of its own."""
        reach = bound + 1.0
        return bool(self.intersection(Polytope(row[None], np.array([reach]))).support(row) <= bound)

    def chebyshev(self) -> tuple[np.ndarray, float]:
        """Centre ``[n]`` and radius of the largest ball inside: max {r : H x + |Hᵢ| r ≤ h}."""
        lifted = Polytope(np.column_stack((self.H, np.linalg.norm(self.H, axis=1))), self.h)
        found = lifted.maximise(np.append(np.zeros(self.H.shape[1]), 1.0))
        return found.point[:-1], float(found.point[-1])

    def _subset(self, rows: list[int]) -> Polytope:
        return Polytope(self.H[rows], self.h[rows])
