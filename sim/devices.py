"""Devices by name, with an error a user can act on."""

from __future__ import annotations

import torch

from robots.errors import TetherError


def available_device(device: torch.device | str) -> torch.device:
    """The device called ``device``; raises `TetherError` for a name torch does not know or a GPU that is not there."""
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise TetherError(f"unknown device {device!r}; choose cpu, cuda or cuda:N") from None
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise TetherError(f"device {str(chosen)!r} is not there: torch sees {torch.cuda.device_count()} CUDA devices; use --device cpu")
    return chosen
