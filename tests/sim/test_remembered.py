"""What is remembered while the very same tensors are given, and what is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sim.fused.remembered import Remembered


@pytest.fixture
def turned() -> Remembered:
    return Remembered(
        lambda given: {name: value.t().to(torch.float32) for name, value in given.items()}, torch.float32, torch.device("cpu")
    )


def test_the_same_tensors_are_looked_at_once_and_show_what_is_written_into_them(turned: Remembered) -> None:
    a = torch.zeros(3, 2)
    first = turned({"a": a})
    a[1, 0] = 5.0
    assert turned({"a": a}) is first
    assert first["a"][0, 1] == 5.0


@pytest.mark.parametrize("other", [{"b": torch.ones(3, 2)}, {"a": torch.ones(3, 2)}])
def test_other_tensors_or_names_are_another_result(turned: Remembered, other: dict[str, Tensor]) -> None:
    turned({"a": torch.zeros(3, 2)})
    (found,) = turned(other).values()
    assert torch.equal(found, torch.ones(2, 3))


def test_copies_and_what_gradients_are_wanted_of_are_not_remembered(turned: Remembered) -> None:
    for value in (torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, 2, requires_grad=True)):
        assert turned({"a": value}) is not turned({"a": value})
