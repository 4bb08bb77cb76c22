"""Quaternion algebra as one matrix product: quadratic forms are linear in the products of their arguments' elements."""

from __future__ import annotations

from collections.abc import Sequence

import torch

# Rows as sums of products of elements of q = (w, x, y, z) and of q or a vector (a, b, c).
ROTATION = (  # R(q) row by row, body to world, for a unit q
    "+ww +xx -yy -zz",
    "+xy +xy -wz -wz",
    "+xz +xz +wy +wy",
    "+xy +xy +wz +wz",
    "+ww -xx +yy -zz",
    "+yz +yz -wx -wx",
    "+xz +xz -wy -wy",
    "+yz +yz +wx +wx",
    "+ww -xx -yy +zz",
)
PRODUCT = ("-xa -yb -zc", "+wa +yc -zb", "+wb +za -xc", "+wc +xb -ya")  # q ⊗ (0, a, b, c)


def quadratic(rows: Sequence[str], second: str, device: torch.device | str, dtype: torch.dtype) -> torch.Tensor:
    """The matrix ``[len(rows), 4 · len(second)]`` from products of (w, x, y, z) with the elements named in ``second`` to ``rows``."""
    matrix = torch.zeros(len(rows), 4, len(second), device=device, dtype=dtype)
    for row, terms in enumerate(rows):
        for term in terms.split():
            sign, left, right = tuple(term)
            matrix[row, "wxyz".index(left), second.index(right)] += 1.0 if sign == "+" else -1.0
    return matrix.flatten(1)
