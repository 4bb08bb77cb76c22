"""Kernels as differentiable functions of tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sim.fused.build import Build, BuildError
from sim.fused.source import Body, backward, forward, output_kinds

SMALLEST_SHARE = 1024  # environments that a thread must have to be worth starting
THREADS_PER_BLOCK = 128  # of a GPU
Rows = tuple[Tensor, int]  # a tensor, and the distance from one of its rows to the next
Run = Callable[[Sequence[Rows], Sequence[Rows], int], None]


class Kernel:
    """A `Body` compiled for one precision and device. Tensors are rows of contiguous environments.

    Compiling runs in the background until the first call. The backward kernel is made when gradients are first wanted.

    Raises:
        BuildError: when it cannot be compiled; maybe only at the first call.
    """

    def __init__(self, body: Body, dtype: torch.dtype, device: torch.device) -> None:
        self.body, self.dtype, self.device = body, dtype, device
        self.real = {torch.float32: "float", torch.float64: "double"}[dtype]
        self.kinds = output_kinds(body)
        results = [len(output) for output in body.outputs] or [body.rows[tensor] for tensor in body.tensors("carry")]
        self.shapes = list(zip(results, [torch.bool if kind == "bool" else dtype for kind in self.kinds], strict=True))
        self._forward = self._program(forward(body, self.real))
        self._backward: dict[tuple[int, ...], Callable[[], Run]] = {}

    def _program(self, source: str) -> Callable[[], Run]:
        return _Processor(source) if self.device.type == "cpu" else _Graphics(source)

    def prepare(self, wanted: tuple[int, ...]) -> None:
        """Start compiling the gradients of the inputs ``wanted``."""
        if wanted not in self._backward:
            self._backward[wanted] = self._program(backward(self.body, wanted, self.real))

    def forward(self, inputs: Sequence[Rows], count: int) -> list[Tensor]:
        """Outputs ``[rows, n]``."""
        outputs = [torch.empty(rows, count, dtype=dtype, device=self.device) for rows, dtype in self.shapes]
        self._forward()(inputs, [(output, count) for output in outputs], count)
        return outputs

    def backward(self, inputs: Sequence[Rows], gradients: Sequence[Rows], wanted: tuple[int, ...], count: int) -> list[Tensor]:
        """Gradients ``[rows, n]`` of the inputs ``wanted``, from those of all outputs."""
        self.prepare(wanted)
        body = self.body
        sizes = [body.rows[tensor] * (body.steps if body.roles[tensor] == "step" else 1) for tensor in wanted]
        found = [torch.empty(size, count, dtype=self.dtype, device=self.device) for size in sizes]
        self._backward[wanted]()([*inputs, *gradients], [(gradient, count) for gradient in found], count)
        return found


class _Processor:
    """A program for the CPU."""

    def __init__(self, source: str) -> None:
        self._build = Build(source)
        self._run: Run | None = None

    def __call__(self) -> Run:
        if self._run is None:
            function = self._build.load().run
            function.restype = None
            self._run = lambda inputs, outputs, count: _call(function, inputs, outputs, count)
        return self._run


def _call(function: Any, inputs: Sequence[Rows], outputs: Sequence[Rows], count: int) -> None:
    threads = max(1, min(torch.get_num_threads(), count // SMALLEST_SHARE))
    function(*_addresses(inputs), *_addresses(outputs), ctypes.c_long(count), threads)


def _addresses(tensors: Sequence[Rows]) -> tuple[Any, Any]:
    size = len(tensors)
    return (ctypes.c_void_p * size)(*[t.data_ptr() for t, _ in tensors]), (ctypes.c_long * size)(*[stride for _, stride in tensors])


class _Graphics:
    """A program for a CUDA device, compiled by the runtime compiler that torch brings."""

    def __init__(self, source: str) -> None:
        try:
            self._kernel = torch.cuda._compile_kernel(source, "run")
        except Exception as error:  # torch raises whatever its compiler does
            raise BuildError(f"the CUDA kernel does not compile: {str(error).splitlines()[0]}") from error

    def __call__(self) -> Run:
        return self._launch

    def _launch(self, inputs: Sequence[Rows], outputs: Sequence[Rows], count: int) -> None:
        arguments = [item for rows in (*inputs, *outputs) for item in rows]
        self._kernel(((count + THREADS_PER_BLOCK - 1) // THREADS_PER_BLOCK, 1, 1), (THREADS_PER_BLOCK, 1, 1), (*arguments, count))
