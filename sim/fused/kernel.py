"""Kernels as differentiable functions of tensors."""

from __future__ import annotations

import ctypes
import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import torch
from torch import Tensor

from sim.fused.build import Build, BuildError, count_time, workers
from sim.fused.source import Body, backward, forward, output_kinds

SMALLEST_SHARE = 1024  # environments that a thread must have to be worth starting
LINE = 16  # elements of a cache line
THREADS_PER_BLOCK = 128  # of a GPU
Rows = tuple[Tensor, int]  # a tensor, and the distance from one of its rows to the next
Run = Callable[["Arguments", int, bool], None]


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
        self.totals: dict[torch.dtype, int] = {}
        self.places: list[tuple[torch.dtype, int]] = []
        for output, kind in zip(body.outputs, output_kinds(body), strict=True):
            own = torch.bool if kind == "bool" else dtype
            self.places.append((own, self.totals.get(own, 0)))
            self.totals[own] = self.totals.get(own, 0) + len(output)
        self._forward = self._program(forward(body, self.real))
        self._backward: dict[tuple[int, ...], Callable[[], Run]] = {}

    def _program(self, source: str) -> Callable[[], Run]:
        return _Processor(source) if self.device.type == "cpu" else _Graphics(source, self.device)

    def prepare(self, wanted: tuple[int, ...]) -> None:
        """Start compiling the gradients of the inputs ``wanted``."""
        if wanted not in self._backward:
            self._backward[wanted] = self._program(backward(self.body, wanted, self.real))

    def arguments(self, count: int) -> Arguments:
        """Of the forward kernel."""
        return Arguments(len(self.body.rows), len(self.places))

    def forward(self, arguments: Arguments, count: int) -> dict[torch.dtype, Tensor]:
        """All outputs of a type side by side ``[count, any]``, columns `spacing` apart. The arguments are for so many environments."""
        apart = spacing(count)
        buffers = {dtype: self._buffer(count, rows, dtype) for dtype, rows in self.totals.items()}
        begins = {dtype: (buffer.data_ptr(), apart * buffer.itemsize) for dtype, buffer in buffers.items()}
        arguments.give([begins[dtype][0] + offset * begins[dtype][1] for dtype, offset in self.places], apart)
        self._forward()(arguments, count, False)
        return buffers

    def _buffer(self, count: int, rows: int, dtype: torch.dtype) -> Tensor:
        return torch.empty_strided((count, rows), (1, spacing(count)), dtype=dtype, device=self.device)

    def update(self, arguments: Arguments, count: int) -> None:
        """Write outputs over the inputs after the first, a mask, in blocks in which it is set anywhere."""
        arguments.overwrite(1)
        self._forward()(arguments, count, True)

    def backward(self, inputs: Sequence[Rows], gradients: Sequence[Rows], wanted: tuple[int, ...], count: int) -> Tensor:
        """The gradients of the inputs ``wanted`` side by side ``[count, any]``, from those of all outputs."""
        self.prepare(wanted)
        ends = [0, *itertools.accumulate(self.body.rows[tensor] for tensor in wanted)]
        apart = spacing(count)
        buffer = self._buffer(count, ends[-1], self.dtype)
        arguments = Arguments(len(inputs) + len(gradients), len(wanted))
        for k, rows in enumerate([*inputs, *gradients]):
            arguments.take(k, rows)
        arguments.give([buffer.data_ptr() + end * apart * buffer.itemsize for end in ends[:-1]], apart)
        self._backward[wanted]()(arguments, count, False)
        return buffer


class Arguments:
    """``Arguments`` of `sim.fused.source`, all of whose members have the size of a pointer.

    Args:
        inputs, outputs: how many tensors a kernel takes and gives.

    Attributes:
        memory: the addresses of inputs and of outputs, the strides of both, and three numbers.
        outputs: where the addresses of outputs begin.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        self.outputs, self._strides = inputs, inputs + outputs
        self.memory: Any = (ctypes.c_long * (2 * self._strides + 3))()

    def take(self, k: int, rows: Rows) -> None:
        """Read input ``k`` from there."""
        tensor, self.memory[self._strides + k] = rows
        self.memory[k] = tensor.data_ptr()

    def give(self, addresses: list[int], apart: int) -> None:
        """Write outputs there, all in rows so many elements apart."""
        strides, end = self._strides, 2 * self._strides
        self.memory[self.outputs : strides], self.memory[strides + self.outputs : end] = addresses, [apart] * len(addresses)

    def overwrite(self, k: int) -> None:
        """Write all outputs over the inputs from ``k`` on."""
        for begin in (0, self._strides):
            first, end = begin + self.outputs, begin + self._strides
            self.memory[first:end] = self.memory[begin + k : begin + k + end - first]

    def numbers(self, count: int, threads: int, sparse: bool) -> None:
        """See `sim.fused.source.TEMPLATE`."""
        self.memory[-3:] = [count, threads, sparse]


class _Processor:
    """A program for the CPU."""

    def __init__(self, source: str) -> None:
        self._build = Build(source)
        self._function: Any = None

    def __call__(self) -> Run:
        if self._function is None:
            self._function = self._build.load().run
            self._function.restype, self._function.argtypes = None, [ctypes.c_void_p]
        return self._run

    def _run(self, arguments: Arguments, count: int, sparse: bool) -> None:
        arguments.numbers(count, 1 if sparse else max(1, min(torch.get_num_threads(), count // SMALLEST_SHARE)), sparse)
        self._function(arguments.memory)


class _Graphics:
    """A program for a CUDA device, compiled by the runtime compiler that torch brings, and launched by the driver itself: torch's launcher
    takes Python a microsecond an argument.
    """

    def __init__(self, source: str, device: torch.device) -> None:
        self._compiling: Future[Any] = workers().submit(_compile_for_cuda, source, device)
        self._device = device
        self._kernel: Any = None

    def __call__(self) -> Run:
        if self._kernel is None:
            begin = time.perf_counter()
            try:
                self._kernel, self._launch = self._compiling.result()
            except Exception as error:  # torch raises whatever its compiler does
                raise BuildError(f"the CUDA kernel does not compile: {str(error).splitlines()[0]}") from error
            finally:
                count_time(time.perf_counter() - begin)
        return self._run

    def _run(self, arguments: Arguments, count: int, sparse: bool) -> None:
        arguments.numbers(count, 1, sparse)
        blocks = (count + THREADS_PER_BLOCK - 1) // THREADS_PER_BLOCK
        stream = ctypes.c_void_p(torch.cuda.current_stream(self._device).cuda_stream)
        given = (ctypes.c_void_p * 1)(ctypes.addressof(arguments.memory))
        failed = self._launch(self._kernel.func, blocks, 1, 1, THREADS_PER_BLOCK, 1, 1, 0, stream, given, None)
        if failed:
            raise RuntimeError(f"the CUDA driver refuses a kernel: error {failed}")


def _compile_for_cuda(source: str, device: torch.device) -> tuple[Any, Any]:
    """The kernel, and the driver's function that launches it."""
    torch.cuda.set_device(device)  # of this thread
    return torch.cuda._compile_kernel(source, "run"), ctypes.CDLL("libcuda.so.1").cuLaunchKernel
