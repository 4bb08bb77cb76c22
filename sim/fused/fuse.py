"""`Fused`: a function of tensors that runs as one kernel where it can, and eagerly, with one warning, where it cannot."""

from __future__ import annotations

import math
import operator
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sim.fused.build import BuildError, count_time
from sim.fused.graph import Graph, Untraceable
from sim.fused.kernel import Kernel, Rows, spacing
from sim.fused.source import BLOCK, Body
from sim.fused.structure import count_leaves, flatten, kind_of, map_tensors, unflatten
from sim.fused.traced import Traced

SWITCH = "TETHER_FUSE"  # 0 runs everything eagerly
_warned: set[str] = set()


class Fused:
    """``function`` as one kernel, forward and backward.

    Arguments and results are tensors in nested dicts, tuples and NamedTuples; ``None``, numbers and text among the arguments are fixed
    when a kernel is made. Tensors that the function reaches in other ways are constants; results that depend on no argument come back as
    they were when the kernel was made. Every tensor has the same environments along
    ``batch_axis``, or one row for all. Fewer environments than `BLOCK` are not worth a kernel and run eagerly.

    With ``steps`` the function maps ``(carry, of_step, constants)`` to the next carry and runs so many times; tensors in ``of_step`` have
    a leading axis of that length. Only the final carry comes back.

    Args:
        function: pure; of operations in `sim.fused.functions.FUNCTIONS`. Anything else is no error: it runs eagerly, after a warning.
        name: for the warning.
        batch_axis: 0, or −1 for feature-major tensors.
        result_axis: the same for results; by default as for arguments.
        steps: how often to run; None for once.
    """

    def __init__(
        self, function: Callable[..., Any], name: str, *, batch_axis: int = 0, result_axis: int | None = None, steps: int | None = None
    ) -> None:
        self.function, self.name, self.steps = function, name, steps
        self.batch_axis, self.result_axis = batch_axis, batch_axis if result_axis is None else result_axis
        self._plans: dict[Any, _Plan | None] = {}
        self._seen: dict[Any, tuple[_Plan | None, int]] = {}  # the same by the exact shapes of the arguments, for speed
        self._off = os.environ.get(SWITCH) == "0"
        self.pads = False  # fill up to `BLOCK` environments where there are fewer, and no gradients: for one robot in real time

    def __call__(self, *args: Any) -> Any:
        if self._off:
            return self.eager(*args)
        leaves: list[Any] = []
        structure = flatten(args, leaves)
        if self.pads and (few := self._few(leaves)):
            return self._padded(structure, leaves, few)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        seen = (structure, *[(leaf.dtype, leaf.shape) if isinstance(leaf, Tensor) else leaf for leaf in leaves], tensors[0].device)
        try:
            if seen not in self._seen:
                self._seen[seen] = self._plan(structure, leaves, tensors)
            plan, count = self._seen[seen]
            return self.eager(*args) if plan is None else self._run(plan, tensors, count, args)
        except BuildError as error:
            self._seen[seen] = None, 0
            self._warn(error)
            return self.eager(*args)

    def _few(self, leaves: list[Any]) -> int:
        """How many environments there are, if that is fewer than a kernel wants and no gradient is; else 0."""
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        count = max(tensor.shape[self.batch_axis] for tensor in tensors)
        return 0 if count >= BLOCK or any(tensor.requires_grad for tensor in tensors) else count

    def _padded(self, structure: Any, leaves: list[Any], count: int) -> Any:
        """The same for `BLOCK` environments of which the last are repeated; results of the first ``count``."""
        chosen = torch.arange(BLOCK).clamp(max=count - 1)
        wide = [
            leaf.expand(*_with(leaf, self.batch_axis, BLOCK))
            if leaf.shape[self.batch_axis] == 1
            else leaf.index_select(self.batch_axis, chosen)
            for leaf in leaves
            if isinstance(leaf, Tensor)
        ]
        filled = iter(wide)
        args = unflatten(structure, iter([next(filled) if isinstance(leaf, Tensor) else leaf for leaf in leaves]))
        return map_tensors(self(*args), lambda tensor: tensor.narrow(self.result_axis, 0, count))

    def _run(self, plan: _Plan, tensors: list[Tensor], count: int, args: Any) -> Any:
        return plan.run(tensors, count)

    def eager(self, *args: Any) -> Any:
        """The function itself."""
        if self.steps is None:
            return self.function(*args)
        carry, of_step, constants = args
        for step in range(self.steps):
            carry = self.function(carry, map_tensors(of_step, operator.itemgetter(step)), constants)
        return carry

    def _plan(self, structure: Any, leaves: list[Any], tensors: list[Tensor]) -> tuple[_Plan | None, int]:
        """The plan for these arguments, whatever the number of environments, and that number; no plan where there is no kernel."""
        count = max(tensor.shape[self.batch_axis] for tensor in tensors)
        if count < BLOCK:
            return None, count
        key = (structure, *[kind_of(leaf, self.batch_axis) for leaf in leaves], tensors[0].device)
        if key not in self._plans:
            begin = time.perf_counter()
            try:
                self._plans[key] = _Plan(self, structure, leaves)
            except (Untraceable, BuildError) as error:
                self._plans[key] = None
                self._warn(error)
            count_time(time.perf_counter() - begin)
        return self._plans[key], count

    def _warn(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, BuildError) else f"{self.name}: {error}"
        if reason not in _warned:
            _warned.add(reason)
            warnings.warn(f"running eagerly, several times slower, for there is no fused kernel: {reason}", RuntimeWarning, stacklevel=3)


class Update(Fused):
    """``function(old, …)`` gives new values for ``old``; ``update(mask, old, …)`` takes them where ``mask`` ``[n]`` is set.

    Without gradients, and where the memory of ``old`` allows it, it is changed in place, and only blocks in which the mask is set anywhere
    cost time: what remembers ``old``, remembers the new values. A graph that still needs the old ones complains when it is differentiated.
    """

    def __init__(self, function: Callable[..., Any], name: str, *, batch_axis: int = 0) -> None:
        def chosen(mask: Tensor, old: Any, *args: Any) -> Any:
            return choose(mask, function(old, *args), old, batch_axis)

        super().__init__(chosen, name, batch_axis=batch_axis)

    def _run(self, plan: _Plan, tensors: list[Tensor], count: int, args: Any) -> Any:
        old = tensors[1 : 1 + len(plan.shapes)]
        if not torch.is_grad_enabled() and not count % BLOCK and plan.update(tensors, old, count):
            return args[1]
        return plan.run(tensors, count)


def _with(tensor: Tensor, axis: int, size: int) -> list[int]:
    """The shape of ``tensor`` with another size along ``axis``."""
    shape = list(tensor.shape)
    shape[axis] = size
    return shape


def choose(mask: Tensor, new: Any, old: Any, batch_axis: int = 0) -> Any:
    """``new`` where ``mask`` ``[n]`` is set, ``old`` elsewhere, in nested dicts and tuples; what is no tensor is taken from ``new``."""
    if isinstance(new, Mapping):
        return {name: choose(mask, value, old[name], batch_axis) for name, value in new.items()}
    if isinstance(new, tuple):
        parts = [choose(mask, *pair, batch_axis) for pair in zip(new, old, strict=True)]
        return type(new)(*parts) if hasattr(new, "_fields") else tuple(parts)
    if not isinstance(new, (Tensor, Traced)):
        return new
    chosen: Any = torch.where(mask.view(-1, *[1] * (new.ndim - 1)) if batch_axis == 0 else mask, new, old)  # type: ignore[arg-type]
    return chosen


class _Plan:
    """A kernel for arguments of one structure."""

    def __init__(self, fused: Fused, structure: Any, leaves: list[Any]) -> None:
        self.axis, self.result_axis = fused.batch_axis, fused.result_axis
        graph, tensors = Graph(), [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        dtype = next(tensor.dtype for tensor in tensors if tensor.is_floating_point())
        self.device = tensors[0].device
        roles = _roles(structure, leaves) if fused.steps else ["constant"] * len(tensors)
        shapes = [self._one(tensor, role) for tensor, role in zip(tensors, roles, strict=True)]
        kinds = [_real_or_bool(tensor, dtype) for tensor in tensors]
        like = torch.empty(0, dtype=dtype, device=self.device)
        symbols = iter([_symbols(graph, k, shape, kind, like) for k, (shape, kind) in enumerate(zip(shapes, kinds, strict=True))])
        args = unflatten(structure, iter([next(symbols) if isinstance(leaf, Tensor) else leaf for leaf in leaves]))
        results: list[Any] = []
        self.structure = flatten(fused.function(*args), results)
        traced = [result for result in results if isinstance(result, Traced)]
        self.fixed = [None if isinstance(result, Traced) else (result,) for result in results]
        self.shapes = [self._result_shape(result) for result in traced]
        nodes = tuple(tuple(graph.constant(node) for node in result.nodes.reshape(-1)) for result in traced)
        carry = tuple(node for output in nodes for node in output) if fused.steps else ()
        rows = tuple(int(np.prod(shape)) for shape in shapes)
        body = Body(graph, tuple(roles), rows, tuple(kinds), carry, () if fused.steps else nodes, fused.steps or 1)
        self.kernel = Kernel(body, dtype, self.device)
        self.outputs = list(zip(self.shapes, [own for own, _ in self.kernel.places], strict=True))
        self._zeros = torch.zeros(0, dtype=dtype, device=self.device)

    def _one(self, tensor: Tensor, role: str) -> list[int]:
        """The shape of a tensor for one environment and step."""
        shape = list(tensor.shape[1:]) if role == "step" else list(tensor.shape)
        shape[self.axis] = 1
        return shape

    def _result_shape(self, result: Traced) -> tuple[int, ...]:
        """The shape of a result without its environments."""
        shape = list(result.shape)
        if not shape or shape.pop(self.result_axis) != 1:
            raise Untraceable("a result mixes environments")
        return tuple(shape)

    def run(self, tensors: list[Tensor], count: int) -> Any:
        """Results in the function's structure."""
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            outputs: Sequence[Tensor] = _Differentiable.apply(self, count, *tensors)
        else:
            outputs = self.forward([self.rows(tensor, count, self.axis) for tensor in tensors], count)
        computed = iter(outputs)
        return unflatten(self.structure, iter([next(computed) if fixed is None else fixed[0] for fixed in self.fixed]))

    def update(self, tensors: list[Tensor], old: list[Tensor], count: int) -> bool:
        """Write results over ``old``; False, with nothing done, if they do not fit there."""
        rows = [self.rows(tensor, count, self.axis) for tensor in tensors]
        places = rows[1 : 1 + len(old)]
        fits = len(old) == len(self.fixed) - sum(fixed is not None for fixed in self.fixed)
        if not fits or any(own is not place for own, (place, _) in zip(old, places, strict=True)) or not rows[0][0].is_contiguous():
            return False
        self.kernel.update(rows, places, count)
        torch.autograd.graph.increment_version(old)
        return True

    def forward(self, inputs: list[Rows], count: int) -> list[Tensor]:
        """Outputs in the function's shapes."""
        parts = {
            dtype: iter(views(buffer, [shape for shape, own in self.outputs if own == dtype], count, self.result_axis))
            for dtype, buffer in self.kernel.forward(inputs, count).items()
        }
        return [next(parts[dtype]) for _, dtype in self.outputs]

    def silence(self, count: int) -> Rows:
        """The gradient of an output that nobody used: one row of zeros for all its rows."""
        if len(self._zeros) < count:
            self._zeros = torch.zeros(count, dtype=self.kernel.dtype, device=self.device)
        return self._zeros, 0

    def rows(self, tensor: Tensor, count: int, axis: int) -> Rows:
        """The tensor itself if a kernel can read it as it lies in memory, else a copy in which rows of environments are contiguous."""
        shape, strides = tensor.shape, tensor.stride()
        if shape[axis] == count and strides[axis] == 1:
            if len(strides) == 2:
                return tensor, strides[1 + axis]
            spacing = 0 if len(strides) == 1 else self._even(*((shape[1:], strides[1:]) if axis == 0 else (shape[:-1], strides[:-1])))
            if spacing >= 0:
                return tensor, spacing
        if shape[axis] not in (1, count):
            raise ValueError(f"{shape[axis]} and {count} environments in one call")
        wide = tensor.movedim(axis, -1)
        return wide.expand(*wide.shape[:-1], count).contiguous(), count

    @staticmethod
    def _even(shape: Sequence[int], strides: Sequence[int]) -> int:
        """The stride of the last of several axes, if the others follow from it."""
        expected = strides[-1]
        for size, stride in zip(reversed(shape), reversed(strides), strict=True):
            if size > 1 and stride != expected:
                return -1
            expected *= size
        return strides[-1]


def views(buffer: Tensor, shapes: Sequence[Sequence[int]], count: int, axis: int) -> list[Tensor]:
    """Tensors of ``shapes`` with the environments along ``axis``, one after the other in ``buffer``."""
    apart, sizes = spacing(count), [math.prod(shape) for shape in shapes]
    if axis == 0:
        parts = buffer.as_strided((count, sum(sizes)), (1, apart)).split(sizes, dim=1)
        return [
            part if len(shape) == 1 else part.unflatten(1, shape) if shape else part[:, 0]
            for part, shape in zip(parts, shapes, strict=True)
        ]
    parts = buffer.as_strided((sum(sizes), count), (apart, 1)).split(sizes)
    return [part if len(shape) == 1 else part.unflatten(0, shape) if shape else part[0] for part, shape in zip(parts, shapes, strict=True)]


class _Differentiable(torch.autograd.Function):
    """The kernel in torch's graph; gradients once, not of gradients."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run, and keep the inputs; the backward kernel computes everything else again."""
        inputs = [plan.rows(tensor, count, plan.axis) for tensor in tensors]
        ctx.plan, ctx.count, ctx.shapes = plan, count, [tensor.shape for tensor in tensors]
        ctx.spacing = [spacing for _, spacing in inputs]
        ctx.wanted = tuple([k for k, needed in enumerate(ctx.needs_input_grad[2:]) if needed])
        plan.kernel.prepare(ctx.wanted)
        ctx.save_for_backward(*[tensor for tensor, _ in inputs])
        outputs = plan.forward(inputs, count)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*[output for output, (_, dtype) in zip(outputs, plan.outputs, strict=True) if dtype == torch.bool])
        return tuple(outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        """Gradients of what wants them."""
        plan, count, axis = ctx.plan, ctx.count, ctx.plan.axis
        inputs = list(zip(ctx.saved_tensors, ctx.spacing, strict=True))
        seeds = [plan.silence(count) if gradient is None else plan.rows(gradient, count, plan.result_axis) for gradient in gradients]
        buffer = plan.kernel.backward(inputs, seeds, ctx.wanted, count)
        shapes = [shape[1:] if axis == 0 else shape[:-1] for shape in (ctx.shapes[k] for k in ctx.wanted)]
        found = dict(zip(ctx.wanted, views(buffer, shapes, count, axis), strict=True))
        for k in ctx.wanted:  # environments that shared one row
            if ctx.shapes[k][axis] != count:
                found[k] = found[k].sum(axis, keepdim=True)
        return None, None, *[found.get(k) for k in range(len(ctx.shapes))]


def _symbols(graph: Graph, tensor: int, shape: list[int], kind: str, like: Tensor) -> Traced:
    nodes = np.empty(int(np.prod(shape)), dtype=object)
    nodes[:] = [graph.input(tensor, row, kind) for row in range(len(nodes))]
    return Traced(graph, nodes.reshape(shape), like)


def _real_or_bool(tensor: Tensor, dtype: torch.dtype) -> str:
    if tensor.dtype not in (dtype, torch.bool) or dtype not in (torch.float32, torch.float64):
        raise Untraceable(f"a tensor of type {tensor.dtype} beside {dtype}")
    return "bool" if tensor.dtype == torch.bool else "real"


def _roles(structure: Any, leaves: list[Any]) -> list[str]:
    """The role of every tensor, from which of the three arguments it is in."""
    roles, position = [], 0
    for role, part in zip(("carry", "step", "constant"), structure[1], strict=True):
        size = count_leaves(part)
        roles += [role for leaf in leaves[position : position + size] if isinstance(leaf, Tensor)]
        position += size
    return roles
