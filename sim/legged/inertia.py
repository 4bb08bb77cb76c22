"""Rigid bodies joined to points, many at a time."""

from __future__ import annotations

import mujoco
import numpy as np
import torch
from torch import Tensor


def principal(moments: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """The tensor ``[3, 3]`` of principal ``moments`` ``[3]`` about axes given as a quaternion ``[4]``."""
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, axes)
    turned = rotation.reshape(3, 3)
    tensor: np.ndarray = turned @ np.diag(moments) @ turned.T
    return tensor


def combined(mass: Tensor, centre: Tensor, inertia: Tensor, point: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """n bodies, each with a point mass on it: total mass ``[n]``, centre ``[n, 3]``, and inertia about it ``[n, 3, 3]``.

    I = I₀ + μ (|d|² 1 − d dᵀ), with d from the body's centre to the point and μ = m p / (m + p) the reduced mass.

    Args:
        mass, centre, inertia: of the bodies, ``[n]``, ``[n, 3]``, and about their centres ``[n, 3, 3]``.
        point, at: mass of the points ``[n]``, and where they are ``[3]``.
    """
    total, arm = mass + point, at - centre
    reduced = (mass * point / total)[:, None, None]
    spread = arm.square().sum(1)[:, None, None] * torch.eye(3, dtype=arm.dtype, device=arm.device) - arm[:, :, None] * arm[:, None, :]
    return total, centre + (point / total)[:, None] * arm, inertia + reduced * spread


def diagonalised(inertia: Tensor) -> tuple[Tensor, Tensor]:
    """Principal moments ``[n, 3]`` and axes, as quaternions ``[n, 4]``, of tensors ``[n, 3, 3]``."""
    moments, axes = torch.linalg.eigh(inertia)
    axes[:, :, 0] *= torch.linalg.det(axes)[:, None]  # right-handed
    return moments, quaternions(axes)


def quaternions(rotations: Tensor) -> Tensor:
    """Unit quaternions ``[n, 4]`` (w, x, y, z) of rotations ``[n, 3, 3]``: eigenvectors of Bar-Itzhack's matrix, safe for every angle."""
    r = rotations.permute(1, 2, 0)
    trace = r[0, 0] + r[1, 1] + r[2, 2]
    matrix = rotations.new_empty(len(rotations), 4, 4)
    matrix[:, 0, 0] = trace
    matrix[:, 1:, 1:] = rotations + rotations.mT - trace[:, None, None] * torch.eye(3, dtype=trace.dtype, device=trace.device)
    skew = torch.stack([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]], dim=1)
    matrix[:, 0, 1:] = matrix[:, 1:, 0] = skew
    return torch.linalg.eigh(matrix)[1][:, :, -1]
