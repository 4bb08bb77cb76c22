"""Warp beside torch: quiet, on torch's device and stream, with what is repeated recorded once and replayed as one graph."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
import warp as wp


def start() -> None:
    """Initialise Warp without its report on this machine, and have it speak only to warn."""
    wp.config.log_level = wp.LOG_WARNING
    with contextlib.nullcontext() if torch.cuda.is_available() else _no_stderr():  # where its C++ complains that there is no GPU
        wp.init()


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """Nobody hears what anybody says, C++ included."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def device_of(device: torch.device) -> Any:
    """Warp's name for torch's ``device``."""
    return wp.device_from_torch(device)


@contextlib.contextmanager
def beside_torch(device: torch.device) -> Iterator[None]:
    """Warp's launches happen on ``device``, in order with torch's."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(wp.ScopedDevice(device_of(device)))
        if device.type == "cuda":
            stack.enter_context(wp.ScopedStream(wp.stream_from_torch(device)))
        yield


class Recorded:
    """A function of nothing that launches kernels on arrays which stay where they are: run once, recorded, then replayed as one graph.

    Memory that it allocates belongs to the graph. On a GPU a replay is one launch on torch's stream; on the CPU it is a loop in C++.

    Args:
        function: what to record; it also runs once, so that its kernels are there.
        device: where it runs.
    """

    def __init__(self, function: Callable[[], None], device: torch.device) -> None:
        self.device = device
        with beside_torch(device):
            function()
        with wp.ScopedDevice(device_of(device)):  # on Warp's own stream, for CUDA does not record the default one, which is torch's
            wp.synchronize_device()
            with wp.ScopedCapture() as capture:
                function()
        self.graph = capture.graph

    def __call__(self) -> None:
        """Replay."""
        wp.capture_launch(self.graph, stream=wp.stream_from_torch(self.device) if self.device.type == "cuda" else None)
