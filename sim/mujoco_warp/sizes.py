"""How much room contacts and constraints need, and how much memory an environment."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import mujoco
import mujoco_warp as mjw
import numpy as np
import torch
import warp as wp

from sim.legged import memory

CONTACTS = 4  # the most that MuJoCo Warp keeps of two geoms
ON_A_PLANE = {mujoco.mjtGeom.mjGEOM_SPHERE: 1, mujoco.mjtGeom.mjGEOM_CAPSULE: 2}  # of these and a plane
ROWS = {1: 1, 3: 4, 4: 6, 6: 10}  # of a contact in a pyramidal cone, by its dimensions
SCRATCH = 2  # what a step needs for itself while it runs, per what stays


class Sizes(NamedTuple):
    """Room for one environment.

    Attributes:
        contacts: of all environments together they may be so many times the number of environments.
        constraints: rows of one environment.
        of_one_geom: contacts that a sensor may find.
    """

    contacts: int
    constraints: int
    of_one_geom: int = CONTACTS


def largest(model: mujoco.MjModel) -> Sizes:
    """What cannot be exceeded: every geom of the robot on the ground, every joint at its limit and with friction."""
    flat = model.nhfield == 0
    touching = np.flatnonzero(model.geom_bodyid > 0)
    each = np.array([ON_A_PLANE.get(mujoco.mjtGeom(model.geom_type[geom]), CONTACTS) if flat else CONTACTS for geom in touching])
    rows = np.array([ROWS[int(model.geom_condim[geom])] for geom in touching])
    return Sizes(int(each.sum()), int((each * rows).sum()) + int(model.jnt_limited.sum()) + model.nv)


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
