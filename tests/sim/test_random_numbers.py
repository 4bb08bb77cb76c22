"""Random numbers by position: the published vectors, the same with and without a kernel, independent of everything but where they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sim.fused.fuse import Fused
from sim.fused.source import BLOCK
from sim.random_numbers import FEW, Key, RandomNumbers, normal, philox, uniform

ONES = 0xFFFFFFFF
VECTORS = [  # of Random123 (Salmon et al. 2011), ten rounds: counter, key, words
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_published_vectors(counter: tuple[int, ...], key: tuple[int, ...], words: tuple[int, ...]) -> None:
    assert philox(counter, key, rounds=10) == words
    tensors = philox(tuple(map(torch.tensor, counter)), tuple(map(torch.tensor, key)), rounds=10)
    assert tuple(int(word) for word in tensors) == words, "64-bit products overflow in tensors"


def keys(num_envs: int, count: int, seed: int = 3) -> list[Key]:
    numbers = RandomNumbers(num_envs, seed)
    return [numbers.advance() for _ in range(count)]


@pytest.mark.parametrize("seed", [0, 1, -5, (1 << 40) + 7])
def test_a_kernel_draws_the_same(seed: int) -> None:
    fused = Fused(lambda key, like: (uniform(key, 2, 7) * like, normal(key, 1, 5) * like), "draws")
    for key in keys(3 * BLOCK + 5, 3, seed):
        like = torch.ones(len(key.environment), 1)
        for found, expected in zip(fused(key, like), fused.eager(key, like), strict=True):
            torch.testing.assert_close(found, expected, rtol=0.0, atol=2e-6)
    assert fused._last is not None
    assert fused._last.plan is not None, "it ran eagerly"


def test_the_number_of_environments_does_not_matter() -> None:
    many = FEW  # drawn one tick at a time, while few are drawn ahead
    for few, all_of_them in zip(keys(5, 70), keys(many, 70), strict=True):
        assert torch.equal(uniform(few, 0, 6), uniform(all_of_them, 0, 6)[:5])


def test_moments_and_independence() -> None:
    first, second = keys(40_000, 2)
    drawn = torch.cat([normal(first, 0, 3), normal(second, 0, 3), normal(first, 1, 3)], dim=1).numpy()
    np.testing.assert_allclose(drawn.mean(0), 0.0, atol=0.025)
    np.testing.assert_allclose(drawn.std(0), 1.0, atol=0.02)
    np.testing.assert_allclose((drawn**4).mean(0), 3.0, atol=0.25)
    np.testing.assert_allclose(np.corrcoef(drawn.T) - np.eye(9), 0.0, atol=0.025)
    assert abs(np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]) < 0.025, "neighbouring environments"
    flat = uniform(first, 0, 4)
    assert flat.min() >= 0.0
    assert flat.max() < 1.0
    np.testing.assert_allclose(np.histogram(flat, 10, (0.0, 1.0))[0], 16_000, rtol=0.04)


def test_saved_and_restarted() -> None:
    numbers, other = RandomNumbers(3, 1), RandomNumbers(3, 2)
    first = [normal(numbers.advance(), 0, 2) for _ in range(3)]
    other.load_state_dict(numbers.state_dict())
    assert torch.equal(normal(other.advance(), 0, 2), normal(numbers.advance(), 0, 2))
    numbers.restart(1)
    again: list[Tensor] = [normal(numbers.advance(), 0, 2) for _ in range(3)]
    assert all(map(torch.equal, first, again))
    numbers.restart(2)
    assert not torch.equal(normal(numbers.advance(), 0, 2), first[0])


@pytest.mark.gpu
def test_a_gpu_draws_the_same() -> None:
    fused = Fused(lambda key, like: normal(key, 1, 5) * like, "draws")
    ours, theirs = (RandomNumbers(300, 9, device).advance() for device in ("cpu", "cuda"))
    found, expected = fused(theirs, torch.ones(300, 1, device="cuda")).cpu(), normal(ours, 1, 5)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=2e-6)
    torch.testing.assert_close(normal(theirs, 1, 5).cpu(), expected, rtol=0.0, atol=2e-6)
