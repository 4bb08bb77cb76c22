"""Nested dicts and tuples of tensors, taken apart and put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor


def flatten(value: Any, leaves: list[Any]) -> Any:
    """Append the leaves of nested dicts and tuples to ``leaves``; returns a hashable description of the structure."""
    kind = type(value)
    if kind is Tensor or value is None:
        leaves.append(value)
        return None
    if kind is dict or isinstance(value, Mapping):
        return dict, tuple(value), tuple([flatten(item, leaves) for item in value.values()])
    if isinstance(value, tuple):
        return kind, tuple([flatten(item, leaves) for item in value])
    leaves.append(value)
    return None


def unflatten(structure: Any, leaves: Any) -> Any:
    """Inverse of `flatten`."""
    if structure is None:
        return next(leaves)
    kind, *_, parts = structure
    items = [unflatten(part, leaves) for part in parts]
    if kind is dict:
        return dict(zip(structure[1], items, strict=True))
    return kind(items) if kind is tuple else kind(*items)


def map_tensors(value: Any, change: Callable[[Any], Any], kinds: tuple[type, ...] = (Tensor,)) -> Any:
    """The same structure with every tensor changed, or whatever else is of one of ``kinds``."""
    leaves: list[Any] = []
    structure = flatten(value, leaves)
    return unflatten(structure, iter([change(leaf) if isinstance(leaf, kinds) else leaf for leaf in leaves]))


def kind_of(leaf: Any, axis: int) -> Any:
    """What of a leaf a kernel depends on: a tensor's type and shape but for the number of environments, or the value itself."""
    if not isinstance(leaf, Tensor):
        return leaf
    shape = list(leaf.shape)
    shape[axis] = min(shape[axis], 2)  # one row for all, or one for each
    return leaf.dtype, leaf.device, *shape
