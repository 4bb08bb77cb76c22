"""The running normaliser against numpy over everything it has seen."""

from __future__ import annotations

import numpy as np
import torch

from training.normalizer import RunningNormalizer


def test_statistics_equal_numpys_over_all_batches() -> None:
    generator = np.random.default_rng(0)
    batches = [generator.normal(3.0, 2.0, size=(count, 4)).astype(np.float32) for count in (1, 7, 100, 33)]
    normalizer = RunningNormalizer(4)
    for batch in batches:
        normalizer.update(torch.from_numpy(batch))
    everything = np.concatenate(batches)
    np.testing.assert_allclose(normalizer.mean, everything.mean(0), rtol=1e-4)
    np.testing.assert_allclose(normalizer.variance, everything.var(0), rtol=1e-4)
    assert normalizer.count == 141


def test_leading_dimensions_are_all_samples() -> None:
    flat, deep = RunningNormalizer(2), RunningNormalizer(2)
    data = torch.randn(5, 6, 2, generator=torch.Generator().manual_seed(1))
    flat.update(data.reshape(30, 2))
    deep.update(data)
    assert torch.equal(flat.mean, deep.mean)
    assert torch.equal(flat.variance, deep.variance)


def test_untouched_it_is_the_identity() -> None:
    x = torch.randn(3, 2)
    assert torch.equal(RunningNormalizer(2)(x), x)


def test_inverse_undoes_it() -> None:
    normalizer = RunningNormalizer(3)
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(2)) * torch.tensor([1.0, 10.0, 0.1]) + 5
    normalizer.update(x)
    torch.testing.assert_close(normalizer.inverse(normalizer(x)), x)


def test_constant_input_and_outliers_stay_bounded() -> None:
    normalizer = RunningNormalizer(1, limit=5.0)
    normalizer.update(torch.full((100, 1), 2.0))
    assert normalizer(torch.tensor([[2.0], [1e9]])).flatten().tolist() == [0.0, 5.0]


def test_small_variance_far_from_zero_survives_many_batches() -> None:
    """A sum of squares would cancel here."""
    normalizer = RunningNormalizer(1)
    generator = torch.Generator().manual_seed(3)
    for _ in range(200):
        normalizer.update(1000.0 + 0.1 * torch.randn(100, 1, generator=generator))
    assert abs(normalizer.variance.item() - 0.01) < 0.002
