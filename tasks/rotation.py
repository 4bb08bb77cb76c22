"""Rotations as tasks need them: batched, branch-free and exportable. Quaternions are (w, x, y, z), body to world."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_matrix(quaternion: Tensor) -> Tensor:
    """Body-to-world matrix ``[batch, 3, 3]`` of unit quaternions ``[batch, 4]``; its third row is the world's up axis in body coordinates."""
    w, x, y, z = quaternion.unbind(1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def to_body(rotation: Tensor, vectors: Tensor) -> Tensor:
    """World vectors ``[batch, count, 3]`` in body coordinates, v_b = Rᵀ v, by a body-to-world matrix ``[batch, 3, 3]``."""
    return (vectors.unsqueeze(3) * rotation.unsqueeze(1)).sum(2)


def from_yaw_tilt(yaw: Tensor, tilt: Tensor, direction: Tensor) -> Tensor:
    """Quaternion ``[batch, 4]`` that turns by ``yaw`` about the vertical, then leans by ``tilt`` towards the horizontal ``direction``, all rad ``[batch]``."""
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
