"""Left–right symmetry of a robot, as signed permutations of named vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Reflection(NamedTuple):
    """y = sign ∘ x[place], along the last axis; twice is nothing.

    Attributes:
        place: where each element comes from, int64 ``[size]``.
        sign: ±1 ``[size]``.
    """

    place: Tensor
    sign: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """The mirror image of ``x`` ``[…, size]``."""
        return x.index_select(-1, self.place.to(x.device)) * self.sign.to(x.device)


class Mirror(NamedTuple):
    """How a task looks from the other side: what is right for an observation is, mirrored, right for the mirrored one."""

    observation: Reflection
    action: Reflection


def reflection(names: Sequence[str], swapped: Sequence[tuple[str, str]], flips: Callable[[str], bool]) -> Reflection:
    """The reflection of elements called ``names``.

    Args:
        names: one for each element, all different.
        swapped: parts of a name that stand for each other's side, for example ``("FR", "FL")``.
        flips: whether an element changes its sign.

    Raises:
        ValueError: where the name on the other side is missing, or both sides do not agree about the sign.
    """
    places = {name: place for place, name in enumerate(names)}
    if len(places) != len(names):
        raise ValueError("names of a reflected vector must differ")
    index, sign = [], []
    for name in names:
        other = _other(name, swapped)
        if other not in places:
            raise ValueError(f"{name} has no mirror image: {other} is missing")
        if flips(name) != flips(other):
            raise ValueError(f"{name} and {other} disagree about the sign")
        index.append(places[other])
        sign.append(-1.0 if flips(name) else 1.0)
    return Reflection(torch.tensor(index), torch.tensor(sign))


def _other(name: str, swapped: Sequence[tuple[str, str]]) -> str:
    """``name`` with left for right."""
    for left, right in swapped:
        if left in name:
            return name.replace(left, right)
        if right in name:
            return name.replace(right, left)
    return name
