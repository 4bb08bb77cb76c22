"""One robot: MuJoCo's physics, under Isaac Gym's conventions."""

from __future__ import annotations

import copy
import functools
from typing import Any

import mujoco
import numpy as np

from isaacgym import gymapi


@functools.cache
def compiled(asset: str) -> mujoco.MjModel:
    """What the importer's file says, over a ground that geoms meet, and they nothing else."""
    spec = mujoco.MjSpec.from_string(asset.replace("<body ", '<body simple="false" '))  # its masses will change
    for geom in spec.geoms:
        geom.contype, geom.conaffinity = 0, 1
    spec.worldbody.add_geom(name="ground", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], contype=1, conaffinity=0)
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
    return spec.compile()


def order(asset: str, kind: str) -> list[str]:
    """Bodies by name; joints by name backwards."""
    model = compiled(asset)
    if kind == "body":
        return sorted(model.body(index).name for index in range(1, model.nbody))
    return sorted((model.joint(index).name for index in range(1, model.njnt)), reverse=True)


class Robot:
    """State and properties."""

    def __init__(self, asset: str, pose: Any, ground: Any, dt: float) -> None:
        self.model = copy.copy(compiled(asset))
        self.model.opt.timestep, self.ground = dt, ground
        self.data, self.dead = mujoco.MjData(self.model), False
        self.bodies, self.joints = order(asset, "body"), order(asset, "joint")
        self.body_ids = np.array([self.model.body(name).id for name in self.bodies])
        joints = [self.model.joint(name) for name in self.joints]
        self.positions, self.velocities = [int(joint.qposadr[0]) for joint in joints], [int(joint.dofadr[0]) for joint in joints]
        self.joint_ids = [joint.id for joint in joints]
        self.base = self.bodies.index(self.model.body(1).name)
        self.dof = np.zeros(len(joints), gymapi.DOF)
        self.geoms = np.flatnonzero(self.model.geom_bodyid > 0)
        self.shapes = [gymapi.RigidShapeProperties() for _ in self.geoms]
        self.masses = [self._mass(index) for index in self.body_ids]
        self.data.qpos[:3] = [pose.p.x, pose.p.y, pose.p.z]
        mujoco.mj_forward(self.model, self.data)

    # --- properties ---

    def _mass(self, body: int) -> Any:
        found, axes = gymapi.RigidBodyProperties(), np.zeros(9)
        mujoco.mju_quat2Mat(axes, self.model.body_iquat[body])
        turned = axes.reshape(3, 3)
        tensor = turned @ np.diag(self.model.body_inertia[body]) @ turned.T
        found.mass, found.com = float(self.model.body_mass[body]), gymapi.Vec3(*self.model.body_ipos[body])
        found.inertia = gymapi.Mat33(*(gymapi.Vec3(*row) for row in tensor))
        return found

    def set_masses(self, masses: list[Any]) -> None:
        self.masses = masses
        for body, given in zip(self.body_ids, masses, strict=True):
            tensor = np.array([[row.x, row.y, row.z] for row in (given.inertia.x, given.inertia.y, given.inertia.z)])
            turn, (moments, axes) = np.zeros(4), np.linalg.eigh(tensor)
            axes[:, 0] *= np.linalg.det(axes)
            mujoco.mju_mat2Quat(turn, axes.ravel())
            self.model.body_mass[body], self.model.body_ipos[body] = given.mass, [given.com.x, given.com.y, given.com.z]
            self.model.body_inertia[body], self.model.body_iquat[body] = moments, turn
        self._settle()

    def set_shapes(self, shapes: list[Any]) -> None:
        """PhysX's mean of two materials, as friction of the robot's geoms alone."""
        self.shapes = shapes
        for geom, shape in zip(self.geoms, shapes, strict=True):
            self.model.geom_priority[geom] = 1
            self.model.geom_friction[geom, 0] = (shape.friction + self.ground.static_friction) / 2

    def set_dof(self, dof: np.ndarray) -> None:
        assert (dof["driveMode"] == gymapi.DOF_MODE_EFFORT).all()
        assert not dof["stiffness"].any()
        assert not dof["damping"].any()
        assert not dof["friction"].any(), "a share of the load, not a torque"
        assert (dof["effort"] > 1e3).all()
        self.dof = dof.copy()
        self.model.dof_armature[self.velocities] = dof["armature"]
        self.model.jnt_limited[self.joint_ids] = dof["hasLimits"]
        self.model.jnt_range[self.joint_ids] = np.stack([dof["lower"], dof["upper"]], axis=1)
        self._settle()

    def _settle(self) -> None:
        state = self.data.qpos.copy(), self.data.qvel.copy()
        mujoco.mj_setConst(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = state
        mujoco.mj_forward(self.model, self.data)

    # --- state: velocities of centres of mass, angular ones in the world, quaternions (x, y, z, w) ---

    def _state(self, body: int) -> np.ndarray:
        velocity = np.zeros(6)
        mujoco.mj_objectVelocity(self.model, self.data, mujoco.mjtObj.mjOBJ_BODY, body, velocity, 0)  # of the centre of mass
        return np.concatenate([self.data.xpos[body], np.roll(self.data.xquat[body], -1), velocity[3:], velocity[:3]])

    def _alive(self, rows: np.ndarray) -> np.ndarray:
        return (np.full_like(rows, np.nan) if self.dead else rows).astype(np.float32)

    def actor_root_state(self) -> np.ndarray:
        return self._alive(self._state(1)[None])

    def rigid_body_state(self) -> np.ndarray:
        return self._alive(np.stack([self._state(body) for body in self.body_ids]))

    def dof_state(self) -> np.ndarray:
        return self._alive(np.stack([self.data.qpos[self.positions], self.data.qvel[self.velocities]], axis=1))

    def net_contact_force(self) -> np.ndarray:
        forces, force = np.zeros((self.model.nbody, 3)), np.zeros(6)
        for index, contact in enumerate(self.data.contact):
            mujoco.mj_contactForce(self.model, self.data, index, force)
            world = contact.frame.reshape(3, 3).T @ force[:3]
            for geom, sign in ((contact.geom1, -1.0), (contact.geom2, 1.0)):
                forces[self.model.geom_bodyid[geom]] += sign * world
        return self._alive(forces[self.body_ids])

    def set_root(self, row: np.ndarray) -> None:
        self.dead = False
        assert np.isfinite(row).all()
        assert abs(np.linalg.norm(row[3:7]) - 1.0) < 1e-4
        turn, arm, local = np.roll(row[3:7], 1), np.zeros(3), np.zeros(3)
        mujoco.mju_rotVecQuat(arm, self.model.body_ipos[1], turn)
        mujoco.mju_rotVecQuat(local, row[10:13], turn * [1, -1, -1, -1])
        self.data.qpos[:7] = np.concatenate([row[:3], turn])
        self.data.qvel[:6] = np.concatenate([row[7:10] - np.cross(row[10:13], arm), local])

    def set_joints(self, rows: np.ndarray) -> None:
        assert np.isfinite(rows).all()
        self.data.qpos[self.positions], self.data.qvel[self.velocities] = rows[:, 0], rows[:, 1]

    # --- physics ---

    def step(self, force: np.ndarray, torque: np.ndarray, effort: np.ndarray = np.zeros(0)) -> None:  # noqa: B008
        for given in (force, torque, effort):
            assert np.isfinite(given).all()
        self.data.qfrc_applied[self.velocities] = effort
        self.data.xfrc_applied[self.body_ids] = np.concatenate([force, torque], axis=1)
        if not self.dead:
            mujoco.mj_step(self.model, self.data)
            mujoco.mj_forward(self.model, self.data)
