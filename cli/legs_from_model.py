"""Finds the legs of a jointed model, and makes of it what a legged engine simulates.

A leg is a chain of at least two hinges from the free base to a link that ends in a ball (a sphere that collides). What no model file says
is guessed, for a person to check:

- **Stand**: every foot below its leg's last but one joint, at `CROUCH` of the leg's length, knees backward where their range allows it.
- **Gains**: kp = m g h, h the height of the base as it stands; makers take half of it and more. A Go1's or ANYmal's joints then give way by
  0.15 to 0.18 rad under their own weight. kd = kp / 50 s, what makers and trainers commonly take (Go2: 25 and 0.5, ANYmal: 80 and 2).
- **Armature**, where the file has none: that of the Go2 (0.01 kg·m² at 23.7 N·m), in proportion to the joint's effort.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np

from robots.description import GRAVITY

CROUCH = 0.72  # of the stretched leg, from its last but one joint to the foot; the Go2's usual stand has 0.73
DAMPING_S = 0.02  # kd over kp
ARMATURE_PER_EFFORT = 0.01 / 23.7  # kg·m² per N·m
UPRIGHT = 0.9  # |y| of the axis of a joint that swings a leg forward
FREE, HINGE, SPHERE = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtGeom.mjGEOM_SPHERE)


@dataclass(frozen=True)
class Legs:
    """What a `LeggedRobot` says beyond its joints; ``guesses`` names what a person must check."""

    base: str
    base_mass_kg: float
    feet: tuple[str, ...]
    parts: dict[str, tuple[str, ...]]
    stand: tuple[float, ...]
    kp: float
    kd: float
    armature: tuple[float, ...]
    guesses: tuple[str, ...]


@dataclass(frozen=True)
class Leg:
    """Joints by number, from the base down, and the geom that stands."""

    joints: tuple[int, ...]
    foot: int


def legs(spec: mujoco.MjSpec, model: mujoco.MjModel, efforts: tuple[float, ...]) -> Legs | None:
    """The legs of ``model``, None where it has not two; ``spec``, which compiles to it, becomes what engines take.

    Args:
        efforts: of the joints in the model's order [N·m].
    """
    found = _find(model)
    if len(found) < 2:
        return None
    stand, height, unsure = _stand(model, found)
    base = model.body(1)
    armature = _armature(model, efforts)
    names = _name(spec, model, found)
    _prepare(spec, found, names, height, armature)
    parts = _parts(model, found, names)
    kp = float(model.body_mass.sum()) * GRAVITY * height
    guesses = ("kp and kd", "stand", "torque–speed curve", *(["armature"] if not model.dof_armature[6:].any() else []), *unsure)
    return Legs(
        base=base.name,
        base_mass_kg=float(model.body_mass[model.body_weldid == 1].sum()),
        feet=tuple(names[leg.foot] for leg in found),
        parts=parts,
        stand=tuple(float(round(value, 4)) for value in stand),
        kp=float(f"{kp:.3g}"),
        kd=float(f"{DAMPING_S * kp:.3g}"),
        armature=armature,
        guesses=guesses,
    )


def _find(model: mujoco.MjModel) -> list[Leg]:
    """Chains of hinges under a free base, which is the model's first body, that end in a ball."""
    if model.njnt < 3 or model.jnt_type[0] != FREE or model.jnt_bodyid[0] != 1 or np.any(model.jnt_type[1:] != HINGE):
        return []
    inner = {int(model.body_weldid[model.body_parentid[body]]) for body in model.jnt_bodyid[1:]}
    found = []
    for tip in dict.fromkeys(int(body) for body in model.jnt_bodyid[1:] if int(body) not in inner):
        balls = [g for g in _colliding(model) if model.body_weldid[model.geom_bodyid[g]] == tip and model.geom_type[g] == SPHERE]
        joints = _chain(model, tip)
        if balls and len(joints) >= 2:
            data = _posed(model)
            reach = [float(np.linalg.norm(data.geom_xpos[ball] - data.xanchor[joints[-1]])) for ball in balls]
            found.append(Leg(joints, balls[int(np.argmax(reach))]))
    return found


def _colliding(model: mujoco.MjModel) -> list[int]:
    """Geoms of the robot that are not only to be looked at."""
    return [g for g in range(model.ngeom) if model.geom_bodyid[g] > 0 and (model.geom_contype[g] or model.geom_conaffinity[g])]


def _chain(model: mujoco.MjModel, body: int) -> tuple[int, ...]:
    joints: list[int] = []
    while body > 1:
        first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
        joints = [*range(first, first + count), *joints]
        body = int(model.body_parentid[body])
    return tuple(joints)


def _posed(model: mujoco.MjModel, joints: np.ndarray | None = None) -> mujoco.MjData:
    """The level base at the origin, joints at ``joints`` (at zero by default)."""
    data = mujoco.MjData(model)
    data.qpos[:7] = [0, 0, 0, 1, 0, 0, 0]
    data.qpos[7:] = 0.0 if joints is None else joints
    mujoco.mj_kinematics(model, data)
    return data


# --- how it stands ---


def _stand(model: mujoco.MjModel, found: list[Leg]) -> tuple[np.ndarray, float, list[str]]:
    """Joint positions, the height of the base over the ground, and the joints that no pose was found for."""
    lower, upper = _ranges(model)
    stand = np.clip(np.zeros(model.njnt - 1), lower, upper)
    straight = stand.copy()
    for leg in found:
        straight[[joint - 1 for joint in leg.joints[-2:]]] = 0.0
    data, unsure = _posed(model, straight), []
    for leg in found:
        pair = np.array(leg.joints[-2:]) - 1
        bent = _bend(data, leg, lower[pair], upper[pair])
        if bent is None:
            unsure.append(f"stand of {model.joint(leg.joints[-2]).name} and {model.joint(leg.joints[-1]).name} (no pose found)")
        else:
            stand[pair] = bent
    data = _posed(model, stand)
    height = -min(float(data.geom_xpos[leg.foot][2] - model.geom_size[leg.foot][0]) for leg in found)
    return stand, height, unsure


def _ranges(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    limited = model.jnt_limited[1:].astype(bool)
    return np.where(limited, model.jnt_range[1:, 0], -math.pi), np.where(limited, model.jnt_range[1:, 1], math.pi)


def _bend(data: mujoco.MjData, leg: Leg, lower: np.ndarray, upper: np.ndarray) -> np.ndarray | None:
    """The last two joints for a foot below the first of them, by the law of cosines in the plane x–z; None if they do not swing in it.

    With thigh a, shank b and the distance d = `CROUCH` (a + b), the thigh leans by ±acos((a² + d² − b²) / 2ad) from the vertical, the
    shank by ∓acos((b² + d² − a²) / 2bd); + puts the knee behind.
    """
    swing, bend = leg.joints[-2:]
    turns = np.array([data.xaxis[swing][1], data.xaxis[bend][1]])
    hip, knee, foot = (point[[0, 2]] for point in (data.xanchor[swing], data.xanchor[bend], data.geom_xpos[leg.foot]))
    a, b = float(np.linalg.norm(knee - hip)), float(np.linalg.norm(foot - knee))
    if np.any(np.abs(turns) < UPRIGHT) or min(a, b) < 1e-3:
        return None
    d = min(max(CROUCH * (a + b), abs(a - b) + 1e-3), a + b)
    now = np.array([_lean(knee - hip), _lean(foot - knee)])
    ahead = np.array([math.acos((a**2 + d**2 - b**2) / (2 * a * d)), -math.acos((b**2 + d**2 - a**2) / (2 * b * d))])
    for side in (1.0, -1.0):
        change = side * ahead - now
        joints = _wrapped(np.array([change[0], change[1] - change[0]])) * np.sign(turns)
        if np.all((joints >= lower) & (joints <= upper)):
            return joints
    return None


def _lean(link: np.ndarray) -> float:
    """Angle of a link (x, z) from straight down about +y, which leans it backward."""
    return math.atan2(-link[0], -link[1])


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + math.pi) % (2 * math.pi) - math.pi


# --- what engines take ---


def _armature(model: mujoco.MjModel, efforts: tuple[float, ...]) -> tuple[float, ...]:
    given = model.dof_armature[6:]
    values = np.where(given > 0, given, ARMATURE_PER_EFFORT * np.array(efforts))
    return tuple(float(f"{value:.3g}") for value in values)


def _name(spec: mujoco.MjSpec, model: mujoco.MjModel, found: list[Leg]) -> dict[int, str]:
    """Names of geoms by number: feet by where they are, others as they are called or after their body."""
    taken = {geom.name for geom in spec.geoms if geom.name}
    names: dict[int, str] = dict(zip([leg.foot for leg in found], _feet(model, found)))
    for geom in spec.geoms:
        if geom.id in names or geom.id not in _colliding(model):
            continue
        stem, count = geom.parent.name or f"body_{geom.parent.id}", 1
        name = geom.name or stem
        while not geom.name and name in taken:
            count += 1
            name = f"{stem}_{count}"
        names[geom.id] = name
        taken.add(name)
    return names


def _feet(model: mujoco.MjModel, found: list[Leg]) -> list[str]:
    """``FR_foot``, … for one foot in every quarter; else ``leg_1_foot``, …"""
    data = _posed(model)
    places = [data.geom_xpos[leg.foot] for leg in found]
    named = [f"{'F' if x > 0 else 'R'}{'L' if y > 0 else 'R'}_foot" for x, y, _ in places]
    return named if len(set(named)) == len(found) else [f"leg_{k + 1}_foot" for k in range(len(found))]


def _prepare(spec: mujoco.MjSpec, found: list[Leg], names: dict[int, str], height: float, armature: tuple[float, ...]) -> None:
    """No ground, motors and sensors of its own; only the ground collides; feet have sites; it begins on its feet."""
    numbered, sites = {geom.id: geom for geom in spec.geoms}, {site.name for site in spec.sites}  # a change makes numbers void
    for number, name in names.items():
        geom = numbered[number]
        geom.name, geom.contype, geom.conaffinity, geom.condim, geom.priority = name, 0, 1, 3, 1
    for foot in (leg.foot for leg in found):
        if names[foot] not in sites:
            numbered[foot].parent.add_site(name=names[foot], pos=numbered[foot].pos)
    for element in (*spec.actuators, *spec.sensors, *spec.keys, *spec.pairs, *spec.worldbody.geoms):
        spec.delete(element)
    for joint, value in zip([joint for joint in spec.joints if joint.type != mujoco.mjtJoint.mjJNT_FREE], armature):
        joint.armature = value
    spec.worldbody.first_body().pos = [0.0, 0.0, height]
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST


def _parts(model: mujoco.MjModel, found: list[Leg], names: dict[int, str]) -> dict[str, tuple[str, ...]]:
    """Geoms of the last link of a leg (calf), the last but one (thigh), and all others (base)."""
    links = {"calf": -1, "thigh": -2}
    places = {int(model.jnt_bodyid[leg.joints[place]]): part for part, place in links.items() for leg in found}
    parts: dict[str, list[str]] = {"base": [], "thigh": [], "calf": []}
    for geom, name in names.items():
        if geom not in {leg.foot for leg in found}:
            parts[places.get(int(model.body_weldid[model.geom_bodyid[geom]]), "base")].append(name)
    return {part: tuple(found) for part, found in parts.items() if found}
