"""The MuJoCo model of a legged robot: its MJCF, ground, motors as described, and sensors for what tasks read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import mujoco
import numpy as np

from robots.description import Joint, JointActuator, LearnedActuator, LeggedRobot
from robots.errors import TetherError

GEOM, SITE, HINGE = mujoco.mjtObj.mjOBJ_GEOM, mujoco.mjtObj.mjOBJ_SITE, mujoco.mjtTrn.mjTRN_JOINT
FOUND, FORCE = (1 << int(field) for field in (mujoco.mjtConDataField.mjCONDATA_FOUND, mujoco.mjtConDataField.mjCONDATA_FORCE))
NETFORCE = 3  # reduction of a contact sensor, see the XML reference

# Where a DC motor keeps its numbers in ``actuator_gainprm``. With a motor constant of 1 the resistance R is the speed that torque costs,
# 1 / (dτ/dq̇), and the voltage limit is the speed without load.
RESISTANCE, MOTOR_CONSTANT, KP, KD, VOLTAGE = 0, 1, 4, 6, 7


class Terrain(NamedTuple):
    """A height field under the robots, shared by all environments.

    Attributes:
        heights_m: ``[rows, columns]``; rows along y, columns along x, both rising.
        size_m: extent along x and y, centred on the world's origin.
    """

    heights_m: np.ndarray
    size_m: tuple[float, float]


def build(robot: LeggedRobot, physics_dt: float, terrain: Terrain | None = None, *, by_torque: bool = False) -> mujoco.MjModel:
    """The model to simulate.

    Motors take position targets; those of learned actuators take torques, which an engine must say that it gives (``by_torque``).

    Bodies that are welded together become one, exactly, which saves 10 % of the time.

    Raises:
        TetherError: for a model file that MuJoCo does not load, one without the robot's base, joints, feet or parts, in another order, or a
            robot whose actuators nobody has described, or are learned and the engine does not know such.
    """
    spec = _spec(robot)
    _check_names(robot, spec)
    spec.compiler.fusestatic = True
    spec.option.timestep = physics_dt
    _add_ground(spec, terrain)
    if len(robot.actuators) != len(robot.joints):
        raise TetherError(f"{robot.name} describes {len(robot.actuators)} actuators for {len(robot.joints)} joints; give it one a joint")
    for joint, actuator in zip(robot.joints, robot.actuators, strict=True):
        if not isinstance(actuator, LearnedActuator):
            _add_motor(spec, joint, actuator)
        elif by_torque:
            spec.add_actuator(name=joint.name, target=joint.name, trntype=HINGE)
        else:
            raise TetherError(f"{robot.name} has learned actuators, and this engine has none; use --sim mujoco_cpu")
    _add_sensors(spec, robot)
    try:
        model = spec.compile()
    except ValueError as error:
        raise TetherError(f"{robot.model}: MuJoCo does not compile it: {error}") from error
    _check_order(robot, model)
    return model


def bodies_of(robot: LeggedRobot, geoms: Iterable[str]) -> list[str]:
    """The body that each of ``geoms`` belongs to, welded ones apart."""
    spec = _spec(robot)
    return [spec.geom(name).parent.name for name in geoms]


def _spec(robot: LeggedRobot) -> mujoco.MjSpec:
    if not robot.model.is_file():
        raise TetherError(f"{robot.name}: there is no model file {robot.model}")
    try:
        spec = mujoco.MjSpec.from_file(str(robot.model))
    except ValueError as error:
        raise TetherError(f"{robot.model}: MuJoCo does not load it: {error}") from error
    if spec.actuators:
        raise TetherError(f"{robot.model} has actuators of its own; leave them out, the description of {robot.name} says what they are")
    return spec


def _check_names(robot: LeggedRobot, spec: mujoco.MjSpec) -> None:
    """Everything the description names is in the model."""
    parts = [name for names in robot.parts.values() for name in names]
    wanted = {
        "body": ([robot.base], [body.name for body in spec.bodies]),
        "joint": ([joint.name for joint in robot.joints], [joint.name for joint in spec.joints]),
        "geom": ([*robot.feet, *parts], [geom.name for geom in spec.geoms]),
        "site": (list(robot.feet), [site.name for site in spec.sites]),
    }
    for kind, (names, there) in wanted.items():
        missing = [name for name in names if name not in there]
        if missing:
            raise TetherError(f"{robot.model} has no {kind} {', '.join(missing)}; it has: {', '.join(filter(None, there))}")


def _check_order(robot: LeggedRobot, model: mujoco.MjModel) -> None:
    """The free base comes first, then the joints in the robot's order, so that the engine need not sort."""
    kinds, names = model.jnt_type.tolist(), [model.joint(i).name for i in range(model.njnt)]
    expected = [joint.name for joint in robot.joints]
    free = bool(kinds) and kinds[0] == int(mujoco.mjtJoint.mjJNT_FREE) and model.body(robot.base).jntadr[0] == 0
    if not free:
        raise TetherError(f"{robot.model}: body {robot.base} needs a free joint, the first of the model")
    if names[1:] != expected:
        raise TetherError(f"{robot.model} has joints {', '.join(names[1:])}; {robot.name} describes {', '.join(expected)}: use one order")


def _add_ground(spec: mujoco.MjSpec, terrain: Terrain | None) -> None:
    """A plane or a height field, with which the robot's geoms collide as they say; friction is theirs (priority 1)."""
    if terrain is None:
        spec.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], contype=1, conaffinity=0, priority=0)
        return
    heights = np.asarray(terrain.heights_m, dtype=float)
    if heights.ndim != 2 or min(heights.shape) < 2 or not np.isfinite(heights).all():
        raise TetherError(f"terrain heights have shape {list(heights.shape)}; give finite heights [rows, columns], at least 2 × 2")
    (rows, columns), low = heights.shape, float(heights.min())
    x, y = terrain.size_m
    size = [x / 2, y / 2, max(float(heights.max()) - low, 1e-3), 0.1]
    spec.add_hfield(name="terrain", nrow=rows, ncol=columns, size=size, userdata=(heights - low).ravel())  # MuJoCo scales it to 0…1
    kind = mujoco.mjtGeom.mjGEOM_HFIELD
    spec.worldbody.add_geom(name="floor", type=kind, hfieldname="terrain", pos=[0, 0, low], contype=1, conaffinity=0, priority=0)


def _add_motor(spec: mujoco.MjSpec, joint: Joint, actuator: JointActuator) -> None:
    """MuJoCo's DC motor under its position controller is `JointActuator` exactly, at physics rate, in C."""
    motor = spec.add_actuator(name=joint.name, target=joint.name, trntype=HINGE)
    motor.set_to_dcmotor(
        motorconst=[1.0, 1.0],
        resistance=(joint.speed - actuator.knee_speed) / joint.effort,
        saturation=[joint.effort, 0.0, 0.0],
        inductance=[0.0, actuator.lag_s],
        controller=[actuator.kp, 0.0, actuator.kd, 0.0, 0.0, joint.speed],
        ctrlspec=int(mujoco.mjtCtrlInput.mjINPUT_POS),
    )


def _add_sensors(spec: mujoco.MjSpec, robot: LeggedRobot) -> None:
    """In the order of `sim.legged.readout.widths`: forces, positions and velocities of feet, then contacts of parts."""
    for foot in robot.feet:
        _add_contact(spec, f"{foot}_force", foot, FORCE, NETFORCE)
    for kind in (mujoco.mjtSensor.mjSENS_FRAMEPOS, mujoco.mjtSensor.mjSENS_FRAMELINVEL):
        for foot in robot.feet:
            spec.add_sensor(name=f"{foot}_{kind.name}", type=kind, objtype=SITE, objname=foot)
    for part, names in robot.parts.items():
        for name in names:
            _add_contact(spec, f"{part}_{name}_contact", name, FOUND, 0)


def _add_contact(spec: mujoco.MjSpec, name: str, geom: str, data: int, reduction: int) -> None:
    spec.add_sensor(name=name, type=mujoco.mjtSensor.mjSENS_CONTACT, objtype=GEOM, objname=geom, intprm=[data, reduction, 1])
