"""Reads a URDF or MJCF into the numbers of a robot description.

What a model file does not hold (a motor's time constant, an MJCF joint's speed limit) gets a cautious value and is named in
`Draft.assumed`, for a person to replace.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from cli.legs_from_model import Legs, legs
from robots.errors import TetherError

CONTINUOUS_RAD = 1000.0  # bound of a joint that turns for ever: finite, so that JSON can hold it
FREE, SLIDE, HINGE = (int(kind) for kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE))
ON_JOINT, ON_SITE = int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_SITE)
GRAIN_KG, GRAIN_KG_M2 = 1e-3, 1e-9
ASSUMED_EFFORT, ASSUMED_SPEED = 1.0, 1.0  # N·m and rad/s: too little to break anything


@dataclass(frozen=True)
class Joints:
    """Actuated joints in the model's order, one row of (name, lower, upper, effort, speed) each."""

    rows: tuple[tuple[str, float, float, float, float], ...]
    unit: str
    rest: tuple[float, ...]
    floating: bool


@dataclass(frozen=True)
class Rotors:
    """Rotors as the model's site actuators: hub position in the body frame at its centre of mass [m], spin, and what they share."""

    positions_m: tuple[tuple[float, float, float], ...]
    spins: tuple[int, ...]
    thrust_max_n: float
    torque_per_thrust_m: float
    inertia_kg_m2: tuple[float, float, float]


@dataclass(frozen=True)
class Draft:
    """Everything read from one model file.

    Attributes:
        spec: MuJoCo's editable form of it.
        legs: of a robot that walks, whose ``spec`` is made ready for engines.
        assumed: what the file does not hold.
        notes: what was mended, or may have been meant otherwise.
    """

    spec: mujoco.MjSpec
    mass_kg: float
    body: Joints | Rotors
    assumed: tuple[str, ...]
    legs: Legs | None = None
    notes: tuple[str, ...] = ()


def read(path: Path, floating_base: bool = False) -> Draft:
    """Read ``path``; with ``floating_base``, free the root body, which URDF cannot say.

    Raises:
        TetherError: for a file that MuJoCo does not load, or a model with neither joints nor rotors.
    """
    spec, model, notes = _compile(path, floating_base)
    mass = _rounded(float(np.sum(model.body_mass)))
    if mass <= 0:
        raise TetherError(f"{path}: the model has no mass; give its bodies inertial elements")
    rotors = [index for index in range(model.nu) if model.actuator_trntype[index] == ON_SITE]
    moving = [index for index in range(model.njnt) if model.jnt_type[index] in (HINGE, SLIDE)]
    if not moving and len(rotors) >= 4:
        body, assumed = _rotors(path, model, rotors)
        return Draft(spec, mass, body, assumed)
    if moving:
        joints, assumed = _joints(path, model, moving)
        walker = legs(spec, model, tuple(row[3] for row in joints.rows))
        assumed += walker.guesses if walker else ()
        notes += _doubts(joints, walker)
        return Draft(spec, mass, joints, assumed, walker, notes)
    remedy = "a quadrotor needs one motor per rotor on a site (<motor site=… gear='0 0 1 0 0 κ' ctrlrange='0 MAX'/>)"
    raise TetherError(f"{path}: the model has neither hinge or slide joints nor rotors; {remedy}")


def _doubts(joints: Joints, walker: Legs | None) -> tuple[str, ...]:
    """What may have been meant otherwise."""
    if not joints.floating:
        return ("its base is fixed; if it moves, say so with --floating-base",)
    if walker is None:
        return ("it is not taken for a robot that walks: no two chains of hinges end in a ball, a sphere that collides",)
    return ()


def _compile(path: Path, floating_base: bool) -> tuple[mujoco.MjSpec, mujoco.MjModel, tuple[str, ...]]:
    if not path.is_file():
        raise TetherError(f"there is no file {path}")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        spec.compiler.fusestatic = False  # a URDF's root link would vanish into the world, and its mass with it
        if floating_base and not any(joint.type == mujoco.mjtJoint.mjJNT_FREE for joint in spec.joints):
            spec.worldbody.first_body().add_freejoint()
        _find_packages(path, spec)
        notes = tuple(_mended(spec))
        return spec, spec.compile(), notes
    except (ValueError, AttributeError) as error:
        raise TetherError(f"{path}: MuJoCo does not load it as URDF or MJCF: {error}") from error


def _find_packages(path: Path, spec: mujoco.MjSpec) -> None:
    """``package://NAME/…`` of a mesh is looked for under every directory above the model, as it lies in a ROS workspace or a wheel."""
    for mesh in spec.meshes:
        if mesh.file.startswith("package:"):
            inside = mesh.file.removeprefix("package:").lstrip("/")
            places = [above / part for above in path.resolve().parents for part in (inside, inside.partition("/")[2])]
            found = next((place for place in places if place.is_file()), None)
            if found is None:
                raise TetherError(
                    f"{path}: no directory above it holds the mesh {inside}; lay the model beside its package, or edit its path"
                )
            mesh.file = str(found)


def _mended(spec: mujoco.MjSpec) -> Iterator[str]:
    """Links of next to no mass with an impossible inertia, which some URDFs have as their root, get that of a grain; says which."""
    for body in spec.bodies:
        xx, yy, zz, xy, xz, yz = body.fullinertia
        if body.mass < GRAIN_KG and np.isfinite(xx) and np.linalg.eigvalsh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])[0] <= 0:
            body.fullinertia, body.inertia = [math.nan, 0, 0, 0, 0, 0], [GRAIN_KG_M2] * 3
            yield f"the inertia of {body.name} ({body.mass:g} kg) was impossible and is now {GRAIN_KG_M2:g} kg·m²"


def _joints(path: Path, model: mujoco.MjModel, moving: list[int]) -> tuple[Joints, tuple[str, ...]]:
    speeds = _urdf_speeds(path)
    assumed, rows = [], []
    for index in moving:
        name = model.joint(index).name or f"joint_{index}"
        effort, speed = _effort(model, index), speeds.get(name)
        assumed += [f"effort of {name}"] if effort is None else []
        assumed += [f"speed of {name}"] if speed is None else []
        lower, upper = model.jnt_range[index] if model.jnt_limited[index] else (-CONTINUOUS_RAD, CONTINUOUS_RAD)
        rows.append((name, _rounded(lower), _rounded(upper), effort or ASSUMED_EFFORT, speed or ASSUMED_SPEED))
    slides = [model.jnt_type[index] == SLIDE for index in moving]
    unit = "m" if all(slides) else "rad or m" if any(slides) else "rad"
    rest = tuple(_rounded(min(max(model.qpos0[model.jnt_qposadr[index]], row[1]), row[2])) for index, row in zip(moving, rows))
    floating = bool(np.any(model.jnt_type == FREE))
    return Joints(tuple(rows), unit, rest, floating), tuple(assumed)


def _effort(model: mujoco.MjModel, joint: int) -> float | None:
    """Largest force or torque: of the joint, else of an actuator on it, else unknown."""
    if model.jnt_actfrclimited[joint]:
        return _rounded(float(np.abs(model.jnt_actfrcrange[joint]).max())) or None
    for index in range(model.nu):
        if model.actuator_trntype[index] == ON_JOINT and model.actuator_trnid[index, 0] == joint:
            gear = abs(float(model.actuator_gear[index, 0]))
            if model.actuator_forcelimited[index]:
                return _rounded(gear * float(np.abs(model.actuator_forcerange[index]).max())) or None
            if model.actuator_ctrllimited[index] and model.actuator_biastype[index] == int(mujoco.mjtBias.mjBIAS_NONE):
                gain = abs(float(model.actuator_gainprm[index, 0]))
                return _rounded(gear * gain * float(np.abs(model.actuator_ctrlrange[index]).max())) or None
    return None


def _urdf_speeds(path: Path) -> dict[str, float]:
    """Speed limits by joint name; MuJoCo drops them, and MJCF has none."""
    root = ElementTree.parse(path).getroot()
    limits = {joint.get("name", ""): joint.find("limit") for joint in root.findall("joint")}  # not those of transmissions
    speeds = {name: limit.get("velocity") for name, limit in limits.items() if limit is not None}
    return {name: float(speed) for name, speed in speeds.items() if speed and float(speed) > 0}


def _rotors(path: Path, model: mujoco.MjModel, indices: list[int]) -> tuple[Rotors, tuple[str, ...]]:
    """A body with upward rotors: hubs relative to its centre of mass, along its own axes."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    root = int(model.site_bodyid[model.actuator_trnid[indices[0], 0]])
    rotation = data.xmat[root].reshape(3, 3)
    hubs = [(data.site_xpos[model.actuator_trnid[index, 0]] - data.subtree_com[root]) @ rotation for index in indices]
    gears = np.array([model.actuator_gear[index] * abs(model.actuator_gainprm[index, 0]) for index in indices])
    if np.any(gears[:, 2] <= 0) or not all(model.actuator_ctrllimited[index] for index in indices):
        raise TetherError(f"{path}: every rotor needs thrust along its site's +z (gear='0 0 1 0 0 κ') and a ctrlrange")
    if np.any(gears[:, 5] == 0):
        raise TetherError(f"{path}: every rotor needs its reaction torque as the last number of gear, with the sign of its spin")
    thrust = min(float(gear[2] * model.actuator_ctrlrange[index, 1]) for gear, index in zip(gears, indices))
    spins = tuple(int(math.copysign(1, gear[5])) for gear in gears)
    kappa = _rounded(float(np.mean(np.abs(gears[:, 5] / gears[:, 2]))))
    inertia = _triple(np.diag(_inertia(model, data, root, rotation)))
    assumed = ("motor time constants", "rotor speed and inertia", "rate-loop gains", "largest body rates", "drag")
    return Rotors(tuple(_triple(hub) for hub in hubs), spins, _rounded(thrust), kappa, inertia), assumed


def _inertia(model: mujoco.MjModel, data: mujoco.MjData, root: int, rotation: np.ndarray) -> np.ndarray:
    """Inertia of everything on ``root`` about its centre of mass, in the body's axes ``[3, 3]``."""
    total = np.zeros((3, 3))
    for body in range(model.nbody):
        if model.body_rootid[body] != model.body_rootid[root]:
            continue
        axes = data.ximat[body].reshape(3, 3)
        arm = data.xipos[body] - data.subtree_com[root]
        total += axes @ np.diag(model.body_inertia[body]) @ axes.T + model.body_mass[body] * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    return rotation.T @ total @ rotation


def _triple(values: Any) -> tuple[float, float, float]:
    x, y, z = (_rounded(float(value)) for value in values)
    return x, y, z


def _rounded(value: float) -> float:
    """Six significant digits: more than anyone measures."""
    return float(f"{value:.6g}") if abs(value) > 1e-12 else 0.0
