"""Torch functions on object arrays of graph nodes: what a fused kernel can compute, by name, in `FUNCTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from sim.fused.graph import Graph, Node, Untraceable

# --- arithmetic, element by element ---


def scalar_array(value: Any) -> np.ndarray:
    """An array of no axes around a node."""
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def _graph(*values: Any) -> Graph:
    for value in values:
        if isinstance(value, Node):
            return value.graph
    raise TypeError


def _lift(op: str, count: int) -> Any:
    """``op`` on arrays of nodes and numbers; of numbers alone it is computed here and now."""

    def scalar(*values: Any) -> Any:
        if not any(isinstance(value, Node) for value in values):
            return NUMBERS.make(op, *values).value
        return _graph(*values).make(op, *values)

    return np.frompyfunc(scalar, count, 1)


NUMBERS = Graph()
_add, _sub, _mul, _div = (_lift(op, 2) for op in ("add", "sub", "mul", "div"))
_lt, _le, _eq, _and, _or = (_lift(op, 2) for op in ("lt", "le", "eq", "and", "or"))
_neg, _abs, _sqrt, _exp, _log, _sin, _cos, _tanh, _floor, _not, _finite, _stop = (
    _lift(op, 1) for op in ("neg", "abs", "sqrt", "exp", "log", "sin", "cos", "tanh", "floor", "not", "finite", "stop")
)
_minimum, _maximum, _where = _lift("min", 2), _lift("max", 2), _lift("where", 3)


def _clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    if min is not None:
        x = _maximum(x, min)
    return x if max is None else _minimum(x, max)


def _power(x: Any, exponent: Any) -> Any:
    if exponent == 2:
        return _mul(x, x)
    if exponent == 0.5:
        return _sqrt(x)
    raise Untraceable(f"a power of {exponent} has no counterpart in a fused kernel; use square, sqrt or exp")


# --- along axes ---


def _axes(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, (list, tuple)) else dim


def _sum(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
    if dim is None:
        raise Untraceable("a sum over everything mixes environments; name the axis")
    return _add.reduce(x, axis=_axes(dim), keepdims=keepdim) if not isinstance(dim, (list, tuple)) else _sum_several(x, dim, keepdim)


def _sum_several(x: np.ndarray, dims: Sequence[int], keepdim: bool) -> Any:
    for axis in sorted((dim % x.ndim for dim in dims), reverse=True):
        x = _sum(x, axis, keepdim)
    return x


def _mean(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
    total = _sum(x, dim, keepdim)
    return _mul(total, 1.0 / x.shape[dim])


def _norm(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
    """As torch's, with a gradient of zero at zero."""
    square = _sum(_mul(x, x), dim, keepdim)
    zero = _eq(square, 0.0)
    return _where(zero, 0.0, _sqrt(_where(zero, 1.0, square)))


def _reduction(op: Any) -> Callable[..., Any]:
    def reduce(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
        if dim is None:
            raise Untraceable("a reduction over everything mixes environments; name the axis")
        return op.reduce(x, axis=dim, keepdims=keepdim)

    return reduce


def _position(better: Any) -> Callable[..., Any]:
    """The first place along an axis that no other is better than, counted in real numbers, as a kernel does."""

    def position(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> Any:
        if dim is None:
            raise Untraceable("a place among everything mixes environments; name the axis")
        first, *others = np.moveaxis(x, dim, 0)
        best, place = first, _full(np.asarray(first, dtype=object), 0.0)
        for index, other in enumerate(others, start=1):
            wins = better(other, best)
            best, place = _where(wins, other, best), _where(wins, float(index), place)
        return np.expand_dims(place, dim) if keepdim else _rows(place)

    return position


def _gather(x: np.ndarray, dim: int, index: np.ndarray) -> Any:
    """As torch's; the places are numbers that `_position` made."""
    along = dim % x.ndim
    if x.ndim != index.ndim or any(have < wanted for axis, (have, wanted) in enumerate(zip(x.shape, index.shape)) if axis != along):
        raise Untraceable(f"gather takes {index.shape} along axis {dim} of {x.shape}")
    box = tuple(slice(None) if axis == along else slice(0, size) for axis, size in enumerate(index.shape))
    first, *others = np.moveaxis(x[box], along, 0)
    places = np.moveaxis(index, along, 0)
    chosen = np.broadcast_to(np.asarray(first, dtype=object), places.shape)
    for place, other in enumerate(others, start=1):
        chosen = _where(_eq(places, float(place)), other, chosen)
    return np.moveaxis(chosen, 0, along)


def _product(a: Any, b: Any) -> Any:
    """Matrix product; numpy's own, since nodes add and multiply."""
    return np.matmul(np.asarray(a, dtype=object), np.asarray(b, dtype=object))


def _split(x: np.ndarray, sizes: Any, dim: int = 0) -> tuple[np.ndarray, ...]:
    ends = np.cumsum(sizes)[:-1] if isinstance(sizes, (list, tuple)) else range(sizes, x.shape[dim], sizes)
    return tuple(np.split(x, list(ends), axis=dim))


def _unbind(x: np.ndarray, dim: int = 0) -> tuple[np.ndarray, ...]:
    return tuple(_rows(part) for part in np.moveaxis(x, dim, 0))


def _rows(part: Any) -> np.ndarray:
    return part if isinstance(part, np.ndarray) else scalar_array(part)


def _sizes(sizes: Sequence[Any]) -> tuple[int, ...]:
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (list, tuple, torch.Size)) else tuple(sizes)


def _expand(x: np.ndarray, *sizes: Any) -> np.ndarray:
    shape = list(_sizes(sizes))
    lead = len(shape) - x.ndim
    return np.broadcast_to(x, [x.shape[axis - lead] if size == -1 else size for axis, size in enumerate(shape)])


def _flatten(x: np.ndarray, start_dim: int = 0, end_dim: int = -1) -> np.ndarray:
    end = end_dim % x.ndim
    return x.reshape(*x.shape[:start_dim], -1, *x.shape[end + 1 :])


def _unflatten(x: np.ndarray, dim: int, sizes: Sequence[int]) -> np.ndarray:
    axis = dim % x.ndim
    return x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :])


def _full(x: np.ndarray, value: Any) -> np.ndarray:
    filled = np.empty(x.shape, dtype=object)
    filled[...] = value
    return filled


def _masked_fill(x: Any, mask: Any, value: Any) -> Any:
    return _where(mask, value, x)


def _cross(a: Any, b: Any, dim: int = -1) -> Any:
    (ax, ay, az), (bx, by, bz) = np.moveaxis(a, dim, 0), np.moveaxis(b, dim, 0)
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=dim)


def _diff(x: np.ndarray, dim: int = -1) -> Any:
    ends, count = np.moveaxis(x, dim, 0), x.shape[dim]
    return np.moveaxis(_sub(ends[1:count], ends[: count - 1]), 0, dim)


def _to(x: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
    return x


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b, alpha=1: _add(a, b if alpha == 1 else _mul(b, alpha)),
    "sub": lambda a, b, alpha=1: _sub(a, b if alpha == 1 else _mul(b, alpha)),
    "rsub": lambda a, b: _sub(b, a),
    "mul": _mul,
    "multiply": _mul,
    "div": _div,
    "truediv": _div,
    "true_divide": _div,
    "reciprocal": lambda x: _div(1.0, x),
    "neg": _neg,
    "pow": _power,
    "square": lambda x: _mul(x, x),
    "sqrt": _sqrt,
    "rsqrt": lambda x: _div(1.0, _sqrt(x)),
    "exp": _exp,
    "log": _log,
    "floor": _floor,
    "sin": _sin,
    "cos": _cos,
    "tanh": _tanh,
    "sigmoid": lambda x: _add(0.5, _mul(0.5, _tanh(_mul(0.5, x)))),
    "abs": _abs,
    "sign": lambda x: _where(_lt(x, 0.0), -1.0, _where(_lt(0.0, x), 1.0, 0.0)),
    "clamp": _clamp,
    "clip": _clamp,
    "minimum": _minimum,
    "maximum": _maximum,
    "lerp": lambda a, b, weight: _add(a, _mul(weight, _sub(b, a))),
    "addcmul": lambda a, b, c, value=1: _add(a, _mul(_mul(b, c), value)),
    "addmm": lambda a, b, c: _add(a, _product(b, c)),
    "matmul": _product,
    "mm": _product,
    "bmm": _product,
    "linalg_cross": _cross,
    "cross": _cross,
    "lt": _lt,
    "le": _le,
    "gt": lambda a, b: _lt(b, a),
    "ge": lambda a, b: _le(b, a),
    "eq": _eq,
    "ne": lambda a, b: _not(_eq(a, b)),
    "and": _and,
    "or": _or,
    "bitwise_and": _and,
    "bitwise_or": _or,
    "bitwise_not": _not,
    "invert": _not,
    "logical_and": _and,
    "logical_or": _or,
    "logical_not": _not,
    "isfinite": _finite,
    "isnan": lambda x: _not(_eq(x, x)),
    "where": _where,
    "masked_fill": _masked_fill,
    "sum": _sum,
    "mean": _mean,
    "norm": _norm,
    "linalg_vector_norm": _norm,
    "amax": _reduction(_maximum),
    "amin": _reduction(_minimum),
    "argmax": _position(lambda a, b: _lt(b, a)),
    "argmin": _position(_lt),
    "gather": _gather,
    "all": _reduction(_and),
    "any": _reduction(_or),
    "diff": _diff,
    "cat": lambda parts, dim=0: np.concatenate(parts, axis=dim),
    "concatenate": lambda parts, dim=0: np.concatenate(parts, axis=dim),
    "stack": lambda parts, dim=0: np.stack(parts, axis=dim),
    "split": _split,
    "unbind": _unbind,
    "chunk": lambda x, count, dim=0: tuple(np.array_split(x, count, axis=dim)),
    "unsqueeze": lambda x, dim: np.expand_dims(x, dim),
    "squeeze": lambda x, dim: np.squeeze(x, dim),
    "view": lambda x, *sizes: x.reshape(_sizes(sizes)),
    "reshape": lambda x, *sizes: x.reshape(_sizes(sizes)),
    "flatten": _flatten,
    "unflatten": _unflatten,
    "movedim": lambda x, source, destination: np.moveaxis(x, source, destination),
    "narrow": lambda x, dim, start, length: np.take(x, range(start, start + length), axis=dim),
    "outer": lambda a, b: _mul(a[:, None], b[None, :]),
    "expand": _expand,
    "expand_as": lambda x, other: np.broadcast_to(x, other.shape),
    "repeat": lambda x, *sizes: np.tile(x, _sizes(sizes)),
    "t": lambda x: x.T,
    "transpose": lambda x, a, b: np.swapaxes(x, a, b),
    "permute": lambda x, *axes: x.transpose(_sizes(axes)),
    "zeros_like": lambda x: _full(x, 0.0),
    "ones_like": lambda x: _full(x, 1.0),
    "full_like": _full,
    "new_tensor": lambda x, value: np.asarray(value, dtype=object),
    "detach": _stop,
    "clone": _to,
    "contiguous": _to,
    "to": _to,
    "type_as": _to,
    "float": _to,
    "double": _to,
    "bool": _to,
    **{name: _lift(name, 2) for name in ("word_hi", "word_lo", "word_xor", "word_add")},
    "word_unit": _lift("word_unit", 1),
    "dim": lambda x: x.ndim,
    "size": lambda x, axis: x.shape[axis],
}
