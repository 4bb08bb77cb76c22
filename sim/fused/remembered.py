"""What follows from the very same tensors again and again."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sim.fused.structure import flatten, taker


class Remembered:
    """``function`` of tensors in nested dicts and tuples, computed anew only for other tensors than the last time.

    For a function that only turns, expands and sorts: its result then shows what is written into the tensors. It may convert a tensor of
    another type or device than is wanted; that is a copy, and not remembered, nor is what gradients are wanted of.

    Args:
        function: see above.
        dtype, device: that it wants.
    """

    def __init__(self, function: Callable[..., Any], dtype: torch.dtype, device: torch.device) -> None:
        self.function, self.dtype, self.device = function, dtype, device
        self._known: tuple[Callable[[Any], list[Any] | None], list[Any], Any] | None = None

    def __call__(self, *args: Any) -> Any:
        known = self._known
        if known is not None and (given := known[0](args)) is not None and all(map(operator.is_, given, known[1])):
            return known[2]
        leaves: list[Any] = []
        structure, result = flatten(args, leaves), self.function(*args)
        self._known = (taker(structure), leaves, result) if all(map(self._lasts, leaves)) else None
        return result

    def _lasts(self, leaf: Any) -> bool:
        return not isinstance(leaf, Tensor) or (leaf.dtype == self.dtype and leaf.device == self.device and not leaf.requires_grad)
