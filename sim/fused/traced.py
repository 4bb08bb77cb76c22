"""A stand-in for a tensor that records arithmetic instead of doing it.

Its elements are graph nodes in an object array of numpy, whose environment axis has length 1: numpy's own broadcasting, views and
reductions then do for symbols what torch does for numbers. `sim.fused.functions` has the torch functions that work; anything else raises
`Untraceable` with its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sim.fused.flag import Flag
from sim.fused.functions import FUNCTIONS, scalar_array
from sim.fused.graph import Graph, Node, Untraceable

recording = Flag()  # up while a function is being traced


class Traced:
    """Symbols in the shape of a tensor; see the module's docstring.

    Args:
        graph: what the symbols belong to.
        nodes: of them, in an object array.
        like: dtype and device that code may ask for.
    """

    def __init__(self, graph: Graph, nodes: np.ndarray, like: Tensor) -> None:
        self.graph, self.nodes, self.like = graph, nodes, like

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.__name__
        if name == "__get__":
            raise Untraceable(f"a property of a tensor: {function}")
        return record(name, args, kwargs or {})

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__") or _plain(name) not in FUNCTIONS:
            raise Untraceable(f"Tensor.{name} has no counterpart in a fused kernel")
        return lambda *args, **kwargs: record(name, (self, *args), kwargs)

    @property
    def shape(self) -> torch.Size:
        """As of a tensor with one environment."""
        return torch.Size(self.nodes.shape)

    @property
    def device(self) -> torch.device:
        """The device of the numbers this stands for."""
        return self.like.device

    @property
    def dtype(self) -> torch.dtype:
        """Real or bool."""
        return torch.bool if self.nodes.size and _node(self.nodes.flat[0], self.graph).is_boolean else self.like.dtype

    @property
    def requires_grad(self) -> bool:
        """Never asked for while recording."""
        return False

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.nodes.ndim

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[Traced]:
        return (self._new(part) for part in self.nodes)

    def __getitem__(self, key: Any) -> Traced:
        return self._new(self.nodes[key])

    def __neg__(self) -> Traced:
        return self._new(FUNCTIONS["neg"](self.nodes))

    def __invert__(self) -> Traced:
        return self._new(FUNCTIONS["logical_not"](self.nodes))

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise Untraceable("a branch in Python depends on the value of a tensor; use torch.where")

    def _new(self, nodes: Any) -> Traced:
        return Traced(self.graph, nodes if isinstance(nodes, np.ndarray) else scalar_array(nodes), self.like)


for _operator in ("add", "sub", "mul", "truediv", "matmul", "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "pow"):
    for _side in ("", "r"):

        def _operation(self: Traced, other: Any, name: str = _operator, reflected: bool = bool(_side)) -> Any:
            return record(name, (other, self) if reflected else (self, other))

        setattr(Traced, f"__{_side}{_operator}__", _operation)


def _node(value: Any, graph: Graph) -> Node:
    return graph.constant(value)


def _plain(name: str) -> str:
    """The function behind ``__add__`` and the like."""
    return name.strip("_")


def record(name: str, args: Sequence[Any], kwargs: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """Record one function of `FUNCTIONS`; every tensor among the arguments becomes an array of constants."""
    function = FUNCTIONS.get(_plain(name))
    if function is None:
        raise Untraceable(f"torch.{name} has no counterpart in a fused kernel")
    first = next(found for found in _traced(args) if found is not None)
    result = function(*(_array(arg) for arg in args), **{key: _array(value) for key, value in kwargs.items()})
    if isinstance(result, tuple):
        return tuple(first._new(part) for part in result)
    if isinstance(result, int):
        return result
    return first._new(result)


def _traced(args: Any) -> Iterator[Traced | None]:
    for arg in args:
        if isinstance(arg, Traced):
            yield arg
        elif isinstance(arg, (list, tuple)):
            yield from _traced(arg)
    yield None


def _array(value: Any) -> Any:
    if isinstance(value, Traced):
        return value.nodes
    if isinstance(value, Tensor):
        return value.detach().cpu().double().numpy().astype(object)
    if isinstance(value, (list, tuple)) and any(isinstance(item, (Traced, Tensor, list, tuple)) for item in value):
        return [_array(item) for item in value]
    return value
