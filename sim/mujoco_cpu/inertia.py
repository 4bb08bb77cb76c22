"""Rigid bodies joined to points, many at a time."""

from __future__ import annotations

import mujoco
import numpy as np


def principal(moments: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """The tensor ``[3, 3]`` of principal ``moments`` ``[3]`` about axes given as a quaternion ``[4]``."""
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, axes)
    turned = rotation.reshape(3, 3)
    tensor: np.ndarray = turned @ np.diag(moments) @ turned.T
    return tensor


def combined(
    mass: np.ndarray, centre: np.ndarray, inertia: np.ndarray, point: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """n bodies, each with a point mass on it: total mass ``[n]``, centre ``[n, 3]``, principal moments ``[n, 3]``, axes ``[n, 4]``.

    I = I₀ + μ (|d|² 1 − d dᵀ), with d from the body's centre to the point and μ = m p / (m + p) the reduced mass.

    Args:
        mass, centre, inertia: of the bodies, ``[n]``, ``[n, 3]``, and about their centres ``[n, 3, 3]``.
        point, at: mass of the points ``[n]``, and where they are ``[3]``.
    """
    total, arm = mass + point, at - centre
    reduced = (mass * point / total)[:, None, None]
    spread = np.square(arm).sum(1)[:, None, None] * np.eye(3) - arm[:, :, None] * arm[:, None, :]
    moments, axes = np.linalg.eigh(inertia + reduced * spread)
    axes[:, :, 0] *= np.linalg.det(axes)[:, None]  # right-handed
    return total, centre + (point / total)[:, None] * arm, moments, quaternions(axes)


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """Unit quaternions ``[n, 4]`` (w, x, y, z) of rotations ``[n, 3, 3]``: eigenvectors of Bar-Itzhack's matrix, safe for every angle."""
    r = np.moveaxis(rotations, 0, 2)
    matrix = np.empty((len(rotations), 4, 4))
    trace = r[0, 0] + r[1, 1] + r[2, 2]
    matrix[:, 0, 0] = trace
    matrix[:, 1:, 1:] = (r + r.transpose(1, 0, 2)).transpose(2, 0, 1) - trace[:, None, None] * np.eye(3)
    skew = np.stack([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]], axis=1)
    matrix[:, 0, 1:] = matrix[:, 1:, 0] = skew
    largest: np.ndarray = np.linalg.eigh(matrix)[1][:, :, -1]
    return largest
