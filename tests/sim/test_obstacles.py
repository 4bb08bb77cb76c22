"""Obstacles as they are sensed: a slow sort, a rotation of one's own, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import torch

from robots.signals import FAR_M
from sim.obstacles import ABSENT_M, RANGE_M, around, nearest, rank


def scene(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Positions, attitudes and nine obstacles each, half of them pillars, one of them absent."""
    generator = torch.Generator().manual_seed(seed)
    position = torch.rand(count, 3, generator=generator) * 4.0 - 2.0
    rotation, _ = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator))
    obstacles = torch.rand(count, 9, 5, generator=generator) * torch.tensor([8.0, 8.0, 3.0, 0.4, 2.0]) - torch.tensor(
        [4.0, 4.0, 0.0, -0.1, 0.0]
    )
    obstacles[:, :, 4] = obstacles[:, :, 4].floor()
    obstacles[:, 4] = torch.tensor([0.0, 0.0, -ABSENT_M, 0.0, 0.0])
    return position, rotation, obstacles


def test_the_nearest_come_first_in_the_body_frame() -> None:
    position, rotation, obstacles = scene(50, 0)
    found = nearest(around(position, obstacles), rotation, 4).view(50, 4, 4).numpy()
    for n in range(50):
        rows = []
        for x, y, z, radius, upright in obstacles[n].numpy():
            centre = np.array([x, y, position[n, 2] if upright else z])
            offset = centre - position[n].numpy()
            rows.append((np.linalg.norm(offset) - radius, *(rotation[n].numpy().T @ offset), radius))
        expected = [row[1:] if row[0] <= RANGE_M else (FAR_M, 0.0, 0.0, 0.0) for row in sorted(rows)[:4]]
        np.testing.assert_allclose(found[n], expected, atol=1e-5)


def test_ranks_are_those_of_a_stable_sort() -> None:
    values = torch.tensor([[3.0, 1.0, 3.0, -2.0, 1.0]])
    assert rank(values).tolist() == [[3.0, 1.0, 4.0, 0.0, 2.0]]


def test_readings_have_finite_gradients_even_in_a_centre() -> None:
    position = torch.zeros(2, 3, requires_grad=True)
    obstacles = torch.tensor([[[0.0, 0.0, 0.0, 0.2, 0.0], [1.0, 0.0, 0.0, 0.2, 1.0]]]).expand(2, -1, -1)
    nearest(around(position, obstacles), torch.eye(3).expand(2, 3, 3), 2).sum().backward()
    assert position.grad is not None
    assert torch.isfinite(position.grad).all()
