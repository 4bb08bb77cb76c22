"""Kernels as differentiable functions of tensors."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sim.fused.build import Build, BuildError
from sim.fused.source import Body, backward, forward, output_kinds

SMALLEST_SHARE = 1024  # environments that a thread must have to be worth starting
LINE = 16  # elements of a cache line
THREADS_PER_BLOCK = 128  # of a GPU
Rows = tuple[Tensor, int]  # a tensor, and the distance from one of its rows to the next
Run = Callable[[Sequence[Rows], Sequence[tuple[Tensor, int, int]], int, bool], None]


def spacing(count: int) -> int:
    """Elements from one row of an output to the next: an odd number of cache lines, for rows a power of two apart would all fall into the
    same few sets of a cache.
    """
    return (-(-count // LINE) | 1) * LINE


class Kernel:
    """A `Body` compiled for one precision and device. Tensors are rows of contiguous environments.

    Compiling runs in the background until the first call. The backward kernel is made when gradients are first wanted.

    Raises:
        BuildError: when it cannot be compiled; maybe only at the first call.
    """

    def __init__(self, body: Body, dtype: torch.dtype, device: torch.device) -> None:
        self.body, self.dtype, self.device = body, dtype, device
        self.real = {torch.float32: "float", torch.float64: "double"}[dtype]
        results = [len(output) for output in body.outputs] or [body.rows[tensor] for tensor in body.tensors("carry")]
        self.totals: dict[torch.dtype, int] = {}
        self.places: list[tuple[torch.dtype, int]] = []
        for rows, kind in zip(results, output_kinds(body), strict=True):
            own = torch.bool if kind == "bool" else dtype
            self.places.append((own, self.totals.get(own, 0)))
            self.totals[own] = self.totals.get(own, 0) + rows
        self._forward = self._program(forward(body, self.real))
        self._backward: dict[tuple[int, ...], Callable[[], Run]] = {}

    def _program(self, source: str) -> Callable[[], Run]:
        return _Processor(source) if self.device.type == "cpu" else _Graphics(source)

    def prepare(self, wanted: tuple[int, ...]) -> None:
        """Start compiling the gradients of the inputs ``wanted``."""
        if wanted not in self._backward:
            self._backward[wanted] = self._program(backward(self.body, wanted, self.real))

    def forward(self, inputs: Sequence[Rows], count: int) -> dict[torch.dtype, Tensor]:
        """Buffers with all outputs of a type one after the other; rows are `spacing` apart."""
        apart = spacing(count)
        buffers = {dtype: torch.empty(rows * apart, dtype=dtype, device=self.device) for dtype, rows in self.totals.items()}
        self._forward()(inputs, [(buffers[dtype], offset * apart, apart) for dtype, offset in self.places], count, False)
        return buffers

    def update(self, inputs: Sequence[Rows], outputs: Sequence[Rows], count: int) -> None:
        """Write outputs over tensors that are there already, in blocks in which the first input, a mask, is set anywhere."""
        self._forward()(inputs, [(tensor, 0, apart) for tensor, apart in outputs], count, True)

    def backward(self, inputs: Sequence[Rows], gradients: Sequence[Rows], wanted: tuple[int, ...], count: int) -> Tensor:
        """A buffer with the gradients of the inputs ``wanted`` one after the other, from those of all outputs."""
        self.prepare(wanted)
        ends = [0, *itertools.accumulate(self.sizes(wanted))]
        apart = spacing(count)
        buffer = torch.empty(ends[-1] * apart, dtype=self.dtype, device=self.device)
        self._backward[wanted]()([*inputs, *gradients], [(buffer, end * apart, apart) for end in ends[:-1]], count, False)
        return buffer

    def sizes(self, inputs: Sequence[int]) -> list[int]:
        """How many rows the inputs have."""
        body = self.body
        return [body.rows[tensor] * (body.steps if body.roles[tensor] == "step" else 1) for tensor in inputs]


class _Processor:
    """A program for the CPU."""

    def __init__(self, source: str) -> None:
        self._build = Build(source)
        self._run: Run | None = None

    def __call__(self) -> Run:
        if self._run is None:
            function = self._build.load().run
            function.restype, function.argtypes = None, [*[ctypes.c_void_p] * 4, ctypes.c_long, ctypes.c_int, ctypes.c_int]
            self._run = lambda inputs, outputs, count, sparse: _call(function, inputs, outputs, count, sparse)
        return self._run


def _call(function: Any, inputs: Sequence[Rows], outputs: Sequence[tuple[Tensor, int, int]], count: int, sparse: bool) -> None:
    threads = max(1, min(torch.get_num_threads(), count // SMALLEST_SHARE))
    given, taken = len(inputs), len(outputs)
    function(
        (ctypes.c_void_p * given)(*[tensor.data_ptr() for tensor, _ in inputs]),
        (ctypes.c_long * given)(*[apart for _, apart in inputs]),
        (ctypes.c_void_p * taken)(*[tensor.data_ptr() + offset * tensor.itemsize for tensor, offset, _ in outputs]),
        (ctypes.c_long * taken)(*[apart for _, _, apart in outputs]),
        count,
        1 if sparse else threads,
        sparse,
    )


class _Graphics:
    """A program for a CUDA device, compiled by the runtime compiler that torch brings."""

    def __init__(self, source: str) -> None:
        try:
            self._kernel = torch.cuda._compile_kernel(source, "run")
        except Exception as error:  # torch raises whatever its compiler does
            raise BuildError(f"the CUDA kernel does not compile: {str(error).splitlines()[0]}") from error

    def __call__(self) -> Run:
        return self._launch

    def _launch(self, inputs: Sequence[Rows], outputs: Sequence[tuple[Tensor, int, int]], count: int, sparse: bool) -> None:
        arguments: list[Any] = [item for rows in inputs for item in rows]
        for buffer, offset, apart in outputs:
            arguments += [buffer[offset:] if offset else buffer, apart]
        self._kernel(((count + THREADS_PER_BLOCK - 1) // THREADS_PER_BLOCK, 1, 1), (THREADS_PER_BLOCK, 1, 1), (*arguments, count))
