"""Physical parameters by name, and the model fields that they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import mujoco
import numpy as np
import torch
from torch import Tensor

from robots.description import LeggedRobot
from sim.legged.inertia import combined, diagonalised, principal
from sim.legged.latency import MAX_LATENCY_S
from sim.legged.model import KD, KP, RESISTANCE

POSITIVE, NOT_NEGATIVE, ANY = (0.0, math.inf), (-1e-9, math.inf), (-math.inf, math.inf)
BOUNDS = {  # exclusive
    "friction": NOT_NEGATIVE,
    "base_mass": POSITIVE,
    "base_centre_of_mass_offset": ANY,
    "payload_mass": NOT_NEGATIVE,
    "kp_scale": NOT_NEGATIVE,  # 0 is damping
    "kd_scale": NOT_NEGATIVE,
    "strength_scale": POSITIVE,
    "armature": NOT_NEGATIVE,
    "joint_friction": NOT_NEGATIVE,
    "action_delay": (-1e-9, MAX_LATENCY_S + 1e-9),
    "action_delay_jitter": (-1e-9, MAX_LATENCY_S + 1e-9),
}
PAYLOAD_AT_M = (0.0, 0.0, 0.1)  # in the base frame: on its back
MOTOR = ("kp_scale", "kd_scale", "strength_scale")
BASE = ("base_mass", "base_centre_of_mass_offset", "payload_mass")
DERIVED = {*BASE, "armature"}  # constants of the model follow from these


def nominal(robot: LeggedRobot, model: mujoco.MjModel) -> dict[str, np.ndarray]:
    """Every parameter as the model has it, ``[width]`` by name.

    ``friction``: of everything on the robot with the ground, 1. ``base_mass``: kg, the base's inertia scales with it.
    ``base_centre_of_mass_offset``: m. ``payload_mass``: kg, a point on the back. ``kp_scale``, ``kd_scale``: factors of the gains.
    ``strength_scale``: factor of the torque that comes out, after gains and limits. ``armature``: kg·m². ``joint_friction``: N·m.
    ``action_delay``, ``action_delay_jitter``: s.
    """
    joints = len(robot.joints)
    one = np.ones(joints)
    base, feet = model.body(robot.base).id, model.geom(robot.feet[0]).id
    return {
        "friction": np.array([model.geom_friction[feet, 0]]),
        "base_mass": np.array([model.body_mass[base]]),
        "base_centre_of_mass_offset": np.zeros(3),
        "payload_mass": np.zeros(1),
        "kp_scale": one,
        "kd_scale": one,
        "strength_scale": one,
        "armature": model.dof_armature[-joints:].copy(),
        "joint_friction": model.dof_frictionloss[-joints:].copy(),
        "action_delay": np.array([robot.latency_s]),
        "action_delay_jitter": np.zeros(1),
    }


class Change(NamedTuple):
    """New values of a model field.

    Attributes:
        field: its name in MuJoCo.
        at: which part of every environment's field, as an index.
        value: ``[n, …]``, float64, as that part is shaped or to be spread over it.
    """

    field: str
    at: tuple[Any, ...]
    value: Tensor


class Fields:
    """What parameters mean for the fields of a model.

    Args:
        robot, model: what is simulated.
        device: of the parameters.
        diagonalised: `sim.legged.inertia.diagonalised`, or the engine's own.
    """

    def __init__(
        self,
        robot: LeggedRobot,
        model: mujoco.MjModel,
        device: torch.device,
        diagonalised: Callable[[Tensor], tuple[Tensor, Tensor]] = diagonalised,
    ) -> None:
        self.base, self.diagonalised = model.body(robot.base).id, diagonalised
        self.joints = slice(model.nv - len(robot.joints), None)
        self.geoms = slice(int((model.geom_bodyid > 0).argmax()), None)  # all but the ground's, which come first
        inertia = principal(model.body_inertia[self.base], model.body_iquat[self.base])
        at_rest = (model.body_mass[self.base], model.body_ipos[self.base], inertia, PAYLOAD_AT_M)
        numbers = [torch.as_tensor(value, dtype=torch.float64).to(device) for value in at_rest]
        self.mass, self.centre, self.inertia, self.payload_at = numbers
        self.gains, self.limits = (torch.from_numpy(v.copy()).to(device) for v in (model.actuator_gainprm, model.actuator_forcerange))
        self.makers: dict[str, Callable[[Mapping[str, Tensor]], list[Change]]] = {
            "friction": self._friction,
            "armature": self._armature,
            "joint_friction": self._joint_friction,
            **dict.fromkeys(BASE, self._base),
            **dict.fromkeys(MOTOR, self._motor),
        }

    def changes(self, changed: set[str], values: Mapping[str, Tensor]) -> list[Change]:
        """What becomes of the model's fields when the parameters ``changed`` have.

        Args:
            values: all parameters, ``[n, width]`` by name, float64.
        """
        makers = {self.makers[name].__name__: self.makers[name] for name in sorted(changed) if name in self.makers}
        return [change for maker in makers.values() for change in maker(values)]

    def base_body(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The base with what is on its back: mass ``[n]``, centre ``[n, 3]`` in its frame, inertia about that ``[n, 3, 3]``."""
        mass = values["base_mass"][:, 0]
        inertia = self.inertia * (mass / self.mass)[:, None, None]
        centre = self.centre + values["base_centre_of_mass_offset"]
        return combined(mass, centre, inertia, values["payload_mass"][:, 0], self.payload_at)

    def _friction(self, values: Mapping[str, Tensor]) -> list[Change]:
        return [Change("geom_friction", (self.geoms, 0), values["friction"])]

    def _armature(self, values: Mapping[str, Tensor]) -> list[Change]:
        return [Change("dof_armature", (self.joints,), values["armature"])]

    def _joint_friction(self, values: Mapping[str, Tensor]) -> list[Change]:
        return [Change("dof_frictionloss", (self.joints,), values["joint_friction"])]

    def _motor(self, values: Mapping[str, Tensor]) -> list[Change]:
        """Strength s makes τ = s · clip(PD) of the motor: limits and gains times s, and speed costs 1/s of the voltage."""
        strength = values["strength_scale"]
        gains = {
            RESISTANCE: self.gains[:, RESISTANCE] / strength,
            KP: self.gains[:, KP] * values["kp_scale"] * strength,
            KD: self.gains[:, KD] * values["kd_scale"] * strength,
        }
        limits = Change("actuator_forcerange", (), self.limits * strength[:, :, None])
        return [Change("actuator_gainprm", (slice(None), column), value) for column, value in gains.items()] + [limits]

    def _base(self, values: Mapping[str, Tensor]) -> list[Change]:
        total, at, about = self.base_body(values)
        moments, axes = self.diagonalised(about)
        new = {"body_mass": total, "body_ipos": at, "body_inertia": moments, "body_iquat": axes}
        return [Change(field, (self.base,), value) for field, value in new.items()]
