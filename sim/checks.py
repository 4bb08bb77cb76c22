"""What every engine refuses, and how it says so."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from robots.errors import TetherError, unknown

# Quadrotors: 0.01 mm from the reference after a second of random thrust, and a 200 Hz inner loop. Legs: what their controllers run at.
PHYSICS_DT_MAX_S = 0.005


def substeps(control_dt: float, physics_dt: float | None) -> int:
    """How many sub-steps make a control step; by default as few as keep each up to `PHYSICS_DT_MAX_S`."""
    if physics_dt is None:
        physics_dt = control_dt / math.ceil(control_dt / PHYSICS_DT_MAX_S - 1e-6)
    count = round(control_dt / physics_dt) if physics_dt > 0.0 else 0
    if count < 1 or not math.isclose(count * physics_dt, control_dt, rel_tol=1e-6):
        raise TetherError(f"physics_dt {physics_dt} s does not divide control_dt {control_dt} s; choose control_dt / n for a whole n")
    return count


def check_count(num_envs: int) -> None:
    """Refuse less than one environment."""
    if num_envs < 1:
        raise TetherError(f"num_envs is {num_envs}; give at least 1")


def check_names(names: Collection[str], known: Collection[str], kind: str) -> None:
    """Refuse a state or parameter that an engine does not have."""
    for name in names:
        if name not in known:
            raise unknown(kind, name, list(known))


def check_mask(mask: Tensor, num_envs: int) -> None:
    """Refuse what is not one bool per environment."""
    if mask.shape != (num_envs,) or mask.dtype != torch.bool:
        raise TetherError(f"mask has shape {list(mask.shape)} and type {mask.dtype}; expected bool [{num_envs}]")


def check_shape(value: Tensor, shape: tuple[int, int], name: str) -> None:
    """Refuse what is not ``shape`` (environments, width)."""
    if value.shape != shape:
        raise TetherError(f"{name} has shape {list(value.shape)}; expected {list(shape)} (environments, width)")


def refuse(mask: Tensor, bad: Mapping[str, Tensor]) -> None:
    """Raise the first complaint of those about environments in ``mask`` ``[num_envs]`` that are ``bad`` ``[num_envs]``; looks once."""
    if not bad or not (torch.stack(list(bad.values())) & mask).any():
        return
    for complaint, wrong in bad.items():
        if (wrong & mask).any():
            raise TetherError(f"{complaint} in environments {(wrong & mask).nonzero().flatten()[:8].tolist()}")
