"""Rotations against rotation vectors and each other."""

from __future__ import annotations

import torch

from tasks.rotation import from_yaw_tilt, multiply, rotation_matrix, to_body

BATCH = 64


def random_quaternions(seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(BATCH, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_matrix_of_a_rotation_vector() -> None:
    vector = torch.randn(BATCH, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    angle = vector.norm(dim=1, keepdim=True)
    quaternion = torch.cat([(angle / 2).cos(), (angle / 2).sin() * vector / angle], dim=1)
    x, y, z = vector.unbind(1)
    cross = torch.stack([x * 0, -z, y, z, x * 0, -x, -y, x, x * 0], dim=1).reshape(-1, 3, 3)
    torch.testing.assert_close(rotation_matrix(quaternion), torch.linalg.matrix_exp(cross))


def test_product_of_quaternions_is_product_of_matrices() -> None:
    left, right = random_quaternions(1), random_quaternions(2)
    torch.testing.assert_close(rotation_matrix(multiply(left, right)), rotation_matrix(left) @ rotation_matrix(right))


def test_to_body_is_the_transpose() -> None:
    matrix = rotation_matrix(random_quaternions(3))
    vectors = torch.randn(BATCH, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(to_body(matrix, vectors), torch.einsum("nji,nkj->nki", matrix, vectors))


def test_yaw_then_tilt() -> None:
    yaw, tilt, direction = (torch.rand(BATCH, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6, 7))
    up = rotation_matrix(from_yaw_tilt(yaw, tilt, direction))[:, :, 2]
    expected = torch.stack([tilt.sin() * direction.cos(), tilt.sin() * direction.sin(), tilt.cos()], dim=1)
    torch.testing.assert_close(up, expected)
    level = rotation_matrix(from_yaw_tilt(yaw, tilt * 0, direction))
    torch.testing.assert_close(level[:, 0, 0], yaw.cos())
    torch.testing.assert_close(level[:, 1, 0], yaw.sin())
