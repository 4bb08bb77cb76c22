"""Zonotopes ⟨c, G⟩ = {c + G ξ : |ξ|∞ ≤ 1}: what disturbances and remainders are, their support in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Zonotope(NamedTuple):
    """⟨c, G⟩.

    Attributes:
        centre: c ``[n]``.
        generators: G ``[n, q]``.
    """

    centre: np.ndarray
    generators: np.ndarray

    @classmethod
    def box(cls, half_widths: np.ndarray) -> Zonotope:
        """|x| ≤ half_widths."""
        return cls(np.zeros(len(half_widths)), np.diag(half_widths))

    def support(self, directions: np.ndarray) -> np.ndarray:
        """sup of directions ``[..., n]`` over the zonotope: d·c + Σ |d·gᵢ|, ``[...]``."""
        return directions @ self.centre + np.abs(directions @ self.generators).sum(-1)

    def plus(self, other: Zonotope) -> Zonotope:
        """Minkowski sum."""
        return Zonotope(self.centre + other.centre, np.column_stack((self.generators, other.generators)))
