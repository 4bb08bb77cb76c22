"""Nested dicts and tuples of tensors, taken apart and put together."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
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


@functools.lru_cache(maxsize=1024)
def taker(structure: Any) -> Callable[[Any], list[Any] | None]:
    """`flatten` for values of exactly this structure, several times faster: their leaves; None for any other value.

    A leaf may be anything. A mapping that is no dict counts as another structure.
    """
    lines: list[str] = []
    leaves: list[str] = []
    names: dict[str, Any] = {}

    def take(part: Any, name: str) -> None:
        if part is None:
            leaves.append(name)
            return
        kind, *keys, parts = part
        names[f"kind_{name}"] = kind
        if keys:
            names[f"keys_{name}"] = keys[0]
        other = f"tuple({name}) != keys_{name}" if keys else f"len({name}) != {len(parts)}"
        lines.append(f"    if type({name}) is not kind_{name} or {other}: return None")
        own = [f"{name}_{k}" for k in range(len(parts))]
        if own:
            lines.append(f"    {', '.join(own)}, = {name}{'.values()' if keys else ''}")
        for inner, each in zip(parts, own, strict=True):
            take(inner, each)

    take(structure, "v")
    return _compiled([*lines, f"    return [{', '.join(leaves)}]"], names)


@functools.lru_cache(maxsize=1024)
def maker(structure: Any) -> Callable[[Sequence[Any]], Any]:
    """`unflatten` for this structure, several times faster: a value from its leaves."""
    names: dict[str, Any] = {"new": tuple.__new__}
    leaves: list[str] = []

    def make(part: Any) -> str:
        if part is None:
            leaves.append(f"v_{len(leaves)}")
            return leaves[-1]
        kind, *keys, parts = part
        own = [make(inner) for inner in parts]
        if keys:
            named = [f"key_{len(names) + k}" for k in range(len(own))]
            names.update(zip(named, keys[0], strict=True))
            return f"{{{', '.join(f'{key}: {each}' for key, each in zip(named, own, strict=True))}}}"
        inside = f"({', '.join(own)}{',' if own else ''})"
        if kind is tuple:
            return inside
        names[f"kind_{len(names)}"] = kind
        return f"new(kind_{len(names) - 1}, {inside})"

    value = make(structure)
    return _compiled(([f"    {', '.join(leaves)}, = v"] if leaves else []) + [f"    return {value}"], names)


def _compiled(lines: list[str], names: dict[str, Any]) -> Any:
    """A function of ``v`` with this body."""
    exec("\n".join(["def function(v):", *lines]), names)  # of our own making, as dataclasses are
    return names["function"]


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
