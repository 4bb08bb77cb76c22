"""How much room contacts and constraints of a robot need, for engines that allocate it beforehand."""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np

CONTACTS = 4  # the most that MuJoCo Warp keeps of two geoms
ON_A_PLANE = {mujoco.mjtGeom.mjGEOM_SPHERE: 1, mujoco.mjtGeom.mjGEOM_CAPSULE: 2}  # of these and a plane
ROWS = {1: 1, 3: 4, 4: 6, 6: 10}  # of a contact in a pyramidal cone, by its dimensions


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
