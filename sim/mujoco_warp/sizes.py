"""How much memory an environment needs."""

from __future__ import annotations

import dataclasses
from typing import Any

import mujoco
import mujoco_warp as mjw
import torch
import warp as wp

from sim.legged import memory
from sim.legged.sizes import Sizes

SCRATCH = 2  # what a step needs for itself while it runs, per what stays


def make_data(model: mujoco.MjModel, num_envs: int, sizes: Sizes) -> Any:
    """MuJoCo Warp's data on Warp's present device."""
    return mjw.make_data(model, nworld=num_envs, nconmax=sizes.contacts, njmax=sizes.constraints)


def needed(model: mujoco.MjModel, sizes: Sizes) -> int:
    """Bytes of one environment: by how much two are more than one."""
    with wp.ScopedDevice("cpu"):
        one, two = (_bytes(make_data(model, num_envs, sizes)) for num_envs in (1, 2))
    return (1 + SCRATCH) * (two - one)


def available(device: torch.device) -> int | None:
    """Bytes that can be had there."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory.available()


def _bytes(holder: Any) -> int:
    """Of all arrays in nested dataclasses."""
    values = [getattr(holder, field.name) for field in dataclasses.fields(holder)]
    nested = sum(_bytes(value) for value in values if dataclasses.is_dataclass(value))
    return nested + sum(value.capacity for value in values if isinstance(value, wp.array))
