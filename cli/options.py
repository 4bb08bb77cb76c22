"""Options that several verbs share, so that they mean the same everywhere."""

from __future__ import annotations

import argparse
from typing import Any

from robots.errors import TetherError


def seed(parser: argparse.ArgumentParser) -> None:
    """``--seed``: everything random follows from it."""
    parser.add_argument("--seed", type=int, default=0, help="everything random follows from it (default: 0)")


def device(parser: argparse.ArgumentParser) -> None:
    """``--device``: where tensors live; check it with `torch_device`."""
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")


def torch_device(name: str) -> Any:
    """``name`` as a `torch.device` that exists here.

    Raises:
        TetherError: naming the devices of this machine.
    """
    import torch

    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if name not in devices:
        remedy = "" if len(devices) > 1 else " (PyTorch finds no CUDA device; see tether doctor)"
        raise TetherError(f"device {name!r} is not available; choose one of: {', '.join(devices)}{remedy}")
    return torch.device(name)
