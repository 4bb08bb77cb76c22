"""Physical parameters by name, and the model fields that they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import mujoco
import numpy as np
from mujoco.batch import Batch

from robots.description import LeggedRobot
from sim.mujoco_cpu.inertia import combined, principal
from sim.mujoco_cpu.latency import MAX_LATENCY_S
from sim.mujoco_cpu.model import KD, KP, RESISTANCE

POSITIVE, NOT_NEGATIVE, ANY = (0.0, math.inf), (-1e-9, math.inf), (-math.inf, math.inf)
BOUNDS = {  # exclusive
    "friction": NOT_NEGATIVE,
    "base_mass": POSITIVE,
    "base_centre_of_mass_offset": ANY,
    "payload_mass": NOT_NEGATIVE,
    "kp_scale": POSITIVE,
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


class Fields:
    """Writes parameters into a batch's models; a field becomes every environment's own when it is first asked for.

    Args:
        robot, batch: what is simulated.
    """

    def __init__(self, robot: LeggedRobot, batch: Batch) -> None:
        self.batch, self.model = batch, batch.model
        self.base, self.joints = self.model.body(robot.base).id, len(robot.joints)
        self.geoms = np.flatnonzero(self.model.geom_bodyid > 0)
        self.writers: dict[str, Callable[[np.ndarray, Mapping[str, np.ndarray]], None]] = {
            "friction": self._friction,
            "armature": self._armature,
            "joint_friction": self._joint_friction,
            **dict.fromkeys(BASE, self._base),
            **dict.fromkeys(MOTOR, self._motor),
        }

    def write(self, ids: np.ndarray, changed: set[str], values: Mapping[str, np.ndarray]) -> None:
        """Make the models of environments ``ids`` follow the parameters ``changed``.

        Args:
            values: all parameters of these environments, ``[len(ids), width]`` by name.
        """
        writers = {self.writers[name].__name__: self.writers[name] for name in sorted(changed) if name in self.writers}
        for writer in writers.values():
            writer(ids, values)
        if changed & DERIVED:
            self.batch.set_const(ids)

    def _friction(self, ids: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        self.batch.expand("geom_friction")[np.ix_(ids, self.geoms, np.zeros(1, dtype=int))] = values["friction"][:, :, None]

    def _armature(self, ids: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        self.batch.expand("dof_armature")[ids, -self.joints :] = values["armature"]

    def _joint_friction(self, ids: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        self.batch.expand("dof_frictionloss")[ids, -self.joints :] = values["joint_friction"]

    def _motor(self, ids: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Strength s makes τ = s · clip(PD) of the motor: limits and gains times s, and speed costs 1/s of the voltage."""
        strength, model = values["strength_scale"], self.model
        parameters = self.batch.expand("actuator_gainprm")
        parameters[ids, :, RESISTANCE] = model.actuator_gainprm[:, RESISTANCE] / strength
        parameters[ids, :, KP] = model.actuator_gainprm[:, KP] * values["kp_scale"] * strength
        parameters[ids, :, KD] = model.actuator_gainprm[:, KD] * values["kd_scale"] * strength
        self.batch.expand("actuator_forcerange")[ids] = model.actuator_forcerange * strength[:, :, None]

    def _base(self, ids: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        mass, payload = values["base_mass"][:, 0], values["payload_mass"][:, 0]
        body, model = self.base, self.model
        inertia = principal(model.body_inertia[body], model.body_iquat[body]) * (mass / model.body_mass[body])[:, None, None]
        centre = model.body_ipos[body] + values["base_centre_of_mass_offset"]
        total, at, moments, axes = combined(mass, centre, inertia, payload, np.array(PAYLOAD_AT_M))
        self.batch.expand("body_mass")[ids, body] = total
        self.batch.expand("body_ipos")[ids, body] = at
        self.batch.expand("body_inertia")[ids, body] = moments
        self.batch.expand("body_iquat")[ids, body] = axes
