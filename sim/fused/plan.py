"""Plans: a function traced for arguments of one structure, its kernel, and how tensors are handed to it."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sim.fused.graph import Graph, Untraceable
from sim.fused.kernel import Kernel, Rows
from sim.fused.source import Body
from sim.fused.structure import flatten, maker, taker, unflatten
from sim.fused.traced import Traced, recording


class Plan:
    """A kernel for arguments of one structure.

    Args:
        function: of traced arguments. axis, result_axis: as of `sim.fused.fuse.Fused`.
        structure, leaves: of the arguments; only the leaves' kinds matter.
    """

    def __init__(self, function: Callable[..., Any], axis: int, result_axis: int, structure: Any, leaves: list[Any]) -> None:
        self.axis, self.result_axis = axis, result_axis
        graph, tensors = Graph(), [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)
        self.device = tensors[0].device
        shapes = [self._one(tensor) for tensor in tensors]
        kinds = [_stored(tensor, dtype) for tensor in tensors]
        self.shared = tuple([tensor.shape[self.axis] == 1 for tensor in tensors])
        like = torch.empty(0, dtype=dtype, device=self.device)
        symbols = iter([_symbols(graph, k, shape, kind, like) for k, (shape, kind) in enumerate(zip(shapes, kinds, strict=True))])
        args = unflatten(structure, iter([next(symbols) if isinstance(leaf, Tensor) else leaf for leaf in leaves]))
        results: list[Any] = []
        with recording.raised():
            self._make = maker(flatten(function(*args), results))
        traced = [result for result in results if isinstance(result, Traced)]
        self.fixed = [None if isinstance(result, Traced) else (result,) for result in results]
        self._some_fixed = len(traced) < len(results)
        self.shapes = [self._result_shape(result) for result in traced]
        nodes = tuple(tuple(graph.constant(node) for node in result.nodes.reshape(-1)) for result in traced)
        rows = tuple(int(np.prod(shape)) for shape in shapes)
        self.kernel = Kernel(Body(graph, rows, tuple(kinds), self.shared, nodes), dtype, self.device)
        self.outputs = list(zip(self.shapes, [own for own, _ in self.kernel.places], strict=True))
        by_type = {dtype: [shape for shape, own in self.outputs if own == dtype] for dtype in self.kernel.totals}
        self._divisions = {dtype: Division(shapes, result_axis) for dtype, shapes in by_type.items()}
        self._zeros = torch.zeros(0, dtype=dtype, device=self.device)

    def _one(self, tensor: Tensor) -> list[int]:
        """The shape of a tensor for one environment."""
        shape = list(tensor.shape)
        shape[self.axis] = 1
        return shape

    def _result_shape(self, result: Traced) -> tuple[int, ...]:
        """The shape of a result without its environments."""
        shape = list(result.shape)
        if not shape or shape.pop(self.result_axis) != 1:
            raise Untraceable("a result mixes environments")
        return tuple(shape)

    def run(self, call: Call, leaves: list[Any]) -> Any:
        """Results in the function's structure."""
        if call.differentiable and torch.is_grad_enabled():
            tensors = call.tensors(leaves)
            outputs: Sequence[Tensor] = _Differentiable.apply(self, call, call.rows(tensors), *tensors)
        else:
            copies = call.copies(leaves)
            outputs = self.forward(call)
            del copies  # only now
        if self._some_fixed:
            computed = iter(outputs)
            outputs = [next(computed) if fixed is None else fixed[0] for fixed in self.fixed]
        return self._make(outputs)

    def update(self, call: Call, leaves: list[Any]) -> bool:
        """Write results over the arguments after the first, a mask; False, with nothing done, if they do not fit there."""
        if not call.in_place:
            return False
        copies = call.copies(leaves)
        self.kernel.update(call.arguments, call.count)
        del copies  # only now
        torch.autograd.graph.increment_version(call.tensors(leaves)[1 : 1 + len(self.shapes)])
        return True

    def fits(self, tensors: list[Tensor], apart: list[int | None]) -> bool:
        """Whether results can be written over the ``tensors`` after the first; their rows are so far ``apart``, None where copied."""
        size = len(self.shapes)
        written = slice(1, 1 + size)
        enough = len(tensors) > size and not any(self.shared[: 1 + size]) and tensors[0].is_contiguous()
        return enough and None not in apart[written]

    def forward(self, call: Call) -> list[Tensor]:
        """Outputs in the function's shapes."""
        buffers = self.kernel.forward(call.arguments, call.count)
        parts = {dtype: iter(self._divisions[dtype].parts(buffer)) for dtype, buffer in buffers.items()}
        return [next(parts[dtype]) for _, dtype in self.outputs]

    def silence(self, count: int) -> Rows:
        """The gradient of an output that nobody used: one row of zeros for all its rows."""
        if len(self._zeros) < count:
            self._zeros = torch.zeros(count, dtype=self.kernel.dtype, device=self.device)
        return self._zeros, 0

    def input(self, k: int, tensor: Tensor, count: int) -> Rows:
        """One of the arguments as the kernel takes it."""
        return (tensor.contiguous(), 1) if self.shared[k] else self.rows(tensor, count, self.axis)

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
        wide = tensor.detach()
        wide = wide.t() if wide.ndim == 2 and axis == 0 else wide.movedim(axis, -1)
        wide = wide if wide.shape[-1] == count else wide.expand(*wide.shape[:-1], count)
        # numpy transposes a few columns several times faster than torch
        return torch.from_numpy(np.ascontiguousarray(wide.numpy())) if tensor.device.type == "cpu" else wide.contiguous(), count

    @staticmethod
    def _even(shape: Sequence[int], strides: Sequence[int]) -> int:
        """The stride of the last of several axes, if the others follow from it; −1 if not. Axes of one element do not count."""
        wide = [(size, stride) for size, stride in zip(shape, strides, strict=True) if size > 1]
        if not wide:
            return 0
        expected = apart = wide[-1][1]
        for size, stride in reversed(wide):
            if stride != expected:
                return -1
            expected *= size
        return apart


FORGOTTEN = object()


class Call:
    """How arguments were handed over, for the next call: mostly it has the same tensors again, or others that lie in memory alike.

    Args:
        structure, leaves: of the arguments.
        plan: for them; None to run eagerly.
        count: of environments.

    Attributes:
        leaves: of other arguments, None if their structure is another one.
        arguments: of the kernel.
        differentiable: whether any tensor asks for gradients.
        in_place: whether `Plan.update` can do its work.
    """

    def __init__(self, structure: Any, leaves: list[Any], plan: Plan | None, count: int) -> None:
        self.structure, self.plan, self.count, self.leaves = structure, plan, count, taker(structure)
        tensors = self.tensors(leaves)
        self.differentiable = any(tensor.requires_grad for tensor in tensors)
        self._known = [FORGOTTEN if isinstance(leaf, Tensor) and leaf.requires_grad else leaf for leaf in leaves]
        places = itertools.count()
        self._places = [next(places) if isinstance(leaf, Tensor) else -1 for leaf in leaves]
        self._layouts = [
            (leaf.shape, leaf.stride(), leaf.dtype, leaf.device, leaf.requires_grad) if isinstance(leaf, Tensor) else None
            for leaf in leaves
        ]
        self._apart: list[int | None] = []
        self.in_place = False
        if plan:
            self.arguments = plan.kernel.arguments(count)
            rows = [plan.input(k, tensor, count) for k, tensor in enumerate(tensors)]
            self._apart = [apart if own is tensor else None for tensor, (own, apart) in zip(tensors, rows, strict=True)]
            for k, row in enumerate(rows):
                self.arguments.take(k, row)
            self.in_place = plan.fits(tensors, self._apart)

    @staticmethod
    def tensors(leaves: list[Any]) -> list[Tensor]:
        """Those among the arguments."""
        return [leaf for leaf in leaves if isinstance(leaf, Tensor)]

    def takes(self, leaves: list[Any]) -> bool:
        """Whether the same plan does for these arguments, and their tensors lie in memory as the last ones did; if so, the kernel is told
        where: of most only the address is new, if anything.
        """
        known, memory = self._known, self.arguments.memory if self.plan is not None else None
        for k in itertools.compress(itertools.count(), map(operator.is_not, leaves, known)):
            leaf, layout = leaves[k], self._layouts[k]
            if layout is None:
                if isinstance(leaf, Tensor) or leaf != known[k]:
                    return False
            elif not isinstance(leaf, Tensor) or layout != (leaf.shape, leaf.stride(), leaf.dtype, leaf.device, leaf.requires_grad):
                return False
            else:
                known[k] = FORGOTTEN if layout[-1] else leaf  # or its graph would live on
                if memory is not None:
                    memory[self._places[k]] = leaf.data_ptr()
        return True

    def copies(self, leaves: list[Any]) -> list[Tensor]:
        """Copy what the kernel cannot read as it lies, and have it read the copies; they are to live until it has run."""
        if None not in self._apart:
            return []
        tensors = self.tensors(leaves)
        return [self._copy(k, tensors[k])[0] for k, apart in enumerate(self._apart) if apart is None]

    def _copy(self, k: int, tensor: Tensor) -> Rows:
        assert self.plan is not None
        rows = self.plan.input(k, tensor, self.count)
        self.arguments.take(k, rows)
        return rows

    def rows(self, tensors: list[Tensor]) -> list[Rows]:
        """How the kernel takes the tensors among the arguments; copies what it cannot read as it lies."""
        pairs = zip(tensors, self._apart, strict=True)
        return [self._copy(k, tensor) if apart is None else (tensor, apart) for k, (tensor, apart) in enumerate(pairs)]


class Division:
    """How tensors of ``shapes``, environments along ``axis``, lie side by side in a buffer ``[environments, any]``."""

    def __init__(self, shapes: Sequence[Sequence[int]], axis: int) -> None:
        self.axis = axis
        self._groups: list[Sequence[int] | None] = []  # the shape of a part; None for scalars next to each other, which are one part
        self._sizes: list[int] = []
        for scalars, group in itertools.groupby(shapes, operator.not_):
            found = list(group)
            self._groups += [None] if scalars else found
            self._sizes += [len(found)] if scalars else [math.prod(shape) for shape in found]

    def parts(self, buffer: Tensor) -> list[Tensor]:
        """The tensors, by as few operations as possible: each costs as much as a small kernel."""
        dim = 1 if self.axis == 0 else 0
        whole = buffer if dim else buffer.t()
        parts = whole.split_with_sizes(self._sizes, dim) if len(self._sizes) > 1 else (whole,)
        found: list[Tensor] = []
        for part, shape in zip(parts, self._groups, strict=True):
            if shape is None:
                found.extend(part.unbind(dim))
            else:
                found.append(part if len(shape) == 1 else part.unflatten(dim, shape))
        return found


class _Differentiable(torch.autograd.Function):
    """The kernel in torch's graph; gradients once, not of gradients."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, call: Call, inputs: list[Rows], *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run, and keep the inputs; the backward kernel computes everything else again."""
        ctx.plan, ctx.count, ctx.shapes = plan, call.count, [tensor.shape for tensor in tensors]
        ctx.spacing = [spacing for _, spacing in inputs]
        ctx.wanted = tuple([k for k, needed in enumerate(ctx.needs_input_grad[3:]) if needed])
        plan.kernel.prepare(ctx.wanted)
        ctx.save_for_backward(*[tensor for tensor, _ in inputs])
        outputs = plan.forward(call)
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
        found = dict(zip(ctx.wanted, Division(shapes, axis).parts(buffer), strict=True))
        for k in ctx.wanted:  # environments that shared one row
            if ctx.shapes[k][axis] != count:
                found[k] = found[k].sum(axis, keepdim=True)
        return None, None, None, *[found.get(k) for k in range(len(ctx.shapes))]


def _symbols(graph: Graph, tensor: int, shape: list[int], kind: str, like: Tensor) -> Traced:
    nodes = np.empty(int(np.prod(shape)), dtype=object)
    nodes[:] = [graph.input(tensor, row, kind) for row in range(len(nodes))]
    return Traced(graph, nodes.reshape(shape), like)


def _stored(tensor: Tensor, dtype: torch.dtype) -> str:
    """What a kernel finds in a tensor's memory."""
    kinds = {torch.bool: "bool", torch.int32: "word", torch.int64: "count", dtype: "real"}
    if tensor.dtype not in kinds or dtype not in (torch.float32, torch.float64):
        raise Untraceable(f"a tensor of type {tensor.dtype} beside {dtype}")
    return kinds[tensor.dtype]
