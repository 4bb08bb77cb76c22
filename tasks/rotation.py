"""Rotations as tasks need them: batched, branch-free and exportable. Quaternions are (w, x, y, z), body to world."""

from __future__ import annotations

import torch
from torch import Tensor


def _products_to_matrix() -> Tensor:
    """``[16, 9]``: the entries of q qᵀ to those of R. One product beats thirty small operations several times over."""
    # R row by row, each entry a sum of (sign, i, j) over q_i q_j
    entries = (
        ((1, 0, 0), (1, 1, 1), (-1, 2, 2), (-1, 3, 3)), ((2, 1, 2), (-2, 0, 3)), ((2, 1, 3), (2, 0, 2)),
        ((2, 1, 2), (2, 0, 3)), ((1, 0, 0), (-1, 1, 1), (1, 2, 2), (-1, 3, 3)), ((2, 2, 3), (-2, 0, 1)),
        ((2, 1, 3), (-2, 0, 2)), ((2, 2, 3), (2, 0, 1)), ((1, 0, 0), (-1, 1, 1), (-1, 2, 2), (1, 3, 3)),
    )  # fmt: skip
    matrix = torch.zeros(16, 9)
    for column, terms in enumerate(entries):
        for factor, i, j in terms:
            matrix[4 * i + j, column] = factor
    return matrix


PRODUCTS_TO_MATRIX = _products_to_matrix()


def rotation_matrix(quaternion: Tensor) -> Tensor:
    """Body-to-world matrix ``[batch, 3, 3]`` of unit quaternions ``[batch, 4]``; its third row is the world's up axis in the body frame."""
    products = (quaternion.unsqueeze(2) * quaternion.unsqueeze(1)).reshape(-1, 16)
    return (products @ PRODUCTS_TO_MATRIX.to(quaternion)).reshape(-1, 3, 3)


def to_body(rotation: Tensor, vectors: Tensor) -> Tensor:
    """World vectors ``[batch, count, 3]`` in body coordinates, v_b = Rᵀ v, by a body-to-world matrix ``[batch, 3, 3]``."""
    return torch.bmm(vectors, rotation)


def from_yaw_tilt(yaw: Tensor, tilt: Tensor, direction: Tensor) -> Tensor:
    """Quaternion ``[batch, 4]`` that turns by ``yaw`` about the vertical, then leans by ``tilt`` towards ``direction``; rad ``[batch]``."""
    turn = torch.stack([(yaw / 2).cos(), yaw * 0, yaw * 0, (yaw / 2).sin()], dim=1)
    half = (tilt / 2).sin()
    lean = torch.stack([(tilt / 2).cos(), -direction.sin() * half, direction.cos() * half, tilt * 0], dim=1)
    return multiply(lean, turn)


def multiply(left: Tensor, right: Tensor) -> Tensor:
    """Hamilton product ``[batch, 4]``: first ``right``, then ``left``."""
    a, b, c, d = left.unbind(1)
    e, f, g, h = right.unbind(1)
    product = (a * e - b * f - c * g - d * h, a * f + b * e + c * h - d * g, a * g - b * h + c * e + d * f, a * h + b * g - c * f + d * e)
    return torch.stack(product, dim=1)
