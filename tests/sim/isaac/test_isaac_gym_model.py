"""What the worker for Isaac Gym reads of a model, and where it says that bodies are, against MuJoCo."""

from __future__ import annotations

import sys
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from robots.crazyflie import crazyflie
from robots.go2 import go2
from sim.isaac.workers import protocol

# Classes in classes, degrees, Euler angles, anchors off the origin, a slide, turned inertial frames, and geoms that meet nothing.
OTHER = """
<mujoco>
  <default>
    <joint armature="0.02" axis="0 2 0"/>
    <geom type="sphere" mass="0" conaffinity="0"/>
    <default class="foot">
      <geom type="capsule" size="0.05 0.1" conaffinity="1" friction="0.6"/>
      <default class="tip"><geom size="0.03 0.2"/></default>
    </default>
  </default>
  <worldbody>
    <light pos="0 0 3"/>
    <body name="trunk" pos="0 0 1" childclass="foot">
      <joint type="free"/>
      <inertial pos="0.1 0 0" mass="3" diaginertia="0.1 0.2 0.25" euler="10 20 30"/>
      <geom class="main" size="0.2"/>
      <body name="arm" pos="0.3 0.1 0" euler="0 90 45">
        <inertial pos="0 0 0.1" mass="1" fullinertia="0.01 0.02 0.02 0.001 0.002 0.003"/>
        <joint name="elbow" pos="0.02 0.03 -0.04" range="-90 45"/>
        <geom class="tip" pos="0 0 0.2" euler="0 30 60"/>
        <body name="hand" pos="0 0 0.3" quat="0.8 0 0.6 0">
          <inertial pos="0 0 0" mass="0.2" diaginertia="0.001 0.001 0.001"/>
          <joint name="grip" type="slide" axis="1 1 0" range="0 0.1" limited="false" armature="0.5"/>
          <body name="palm" pos="0.05 0 0" axisangle="0 0 1 30">
            <inertial pos="0 0 0" mass="0.1" diaginertia="0.001 0.001 0.001"/>
          </body>
        </body>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.fixture(params=["go2", "crazyflie", "other"])
def path(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    """A model's file."""
    if request.param != "other":
        return str({"go2": go2, "crazyflie": crazyflie}[request.param].model)
    (tmp_path / "other.xml").write_text(OTHER)
    return str(tmp_path / "other.xml")


@pytest.fixture
def mjcf(worker_module: Any) -> Any:
    worker_module.make()
    return sys.modules["mjcf"]


def tensor(model: mujoco.MjModel, body: int) -> np.ndarray:
    """Inertia about the centre of mass, along the body's axes ``[3, 3]``."""
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, model.body_iquat[body])
    return axes.reshape(3, 3) @ np.diag(model.body_inertia[body]) @ axes.reshape(3, 3).T


def test_terrain_is_the_surface_that_mujoco_has(worker_module, mjcf):
    """Between the given heights too, where cells are cut in two; normals up."""
    random = np.random.default_rng(2)
    heights = random.uniform(0.0, 1.0, (4, 5))
    heights[0, 0], heights[0, 1] = 0.0, 1.0  # MuJoCo scales to 0…1
    spec = mujoco.MjSpec()
    spec.add_hfield(name="h", nrow=4, ncol=5, size=[2.0, 1.5, 1.0, 0.1], userdata=heights.ravel())
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname="h")
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    vertices, triangles = protocol.surface(heights, (4.0, 3.0))
    a, b, c = (vertices[triangles[:, corner].astype(int)].astype(float) for corner in range(3))
    normals = np.cross(b - a, c - a)
    assert (normals[:, 2] > 0).all()
    assert normals[:, 2].sum() / 2 == pytest.approx(12.0)
    for x, y in random.uniform([-1.9, -1.4], [1.9, 1.4], (50, 2)):
        weights = np.linalg.solve(np.stack([a, b, c], axis=2) * [[1], [1], [0]] + [[0], [0], [1]], np.array([[x], [y], [1.0]]))[:, :, 0]
        (inside,) = np.flatnonzero((weights >= 0).all(axis=1))
        height = weights[inside] @ [a[inside, 2], b[inside, 2], c[inside, 2]]
        down = mujoco.mj_ray(model, data, np.array([x, y, 3.0]), np.array([0.0, 0.0, -1.0]), None, 1, -1, np.zeros(1, np.int32))
        assert height == pytest.approx(3.0 - down, abs=1e-5)


def test_it_reads_what_mujoco_reads(mjcf, path):
    ours, theirs = mjcf.read(path), mujoco.MjModel.from_xml_path(path)
    assert [body.name for body in ours.bodies] == [theirs.body(index).name for index in range(1, theirs.nbody)]
    for index, body in enumerate(ours.bodies, start=1):
        assert body.parent == theirs.body_parentid[index] - 1
        assert body.mass == pytest.approx(theirs.body_mass[index])
        np.testing.assert_allclose(body.centre, theirs.body_ipos[index], atol=1e-9)
        np.testing.assert_allclose(body.inertia, tensor(theirs, index), atol=1e-9)
    for joint in ours.joints:
        there = theirs.joint(joint.name)
        assert (joint.kind == "slide") == (there.type[0] == mujoco.mjtJoint.mjJNT_SLIDE)
        assert joint.armature == theirs.dof_armature[there.dofadr[0]]
        assert (joint.limits is not None) == bool(there.limited[0])
        np.testing.assert_allclose(joint.limits or there.range, there.range)
    assert ours.friction == theirs.geom_friction[theirs.geom_conaffinity > 0][0, 0]


def test_what_it_writes_is_the_same_robot(mjcf, path, tmp_path):
    """With principal moments, explicit limits, and geoms in the same places, of those that meet the ground."""
    ours = mjcf.read(path)
    mjcf.write(ours, str(tmp_path / "robot.xml"))
    before, after = (mujoco.MjModel.from_xml_path(name) for name in (path, str(tmp_path / "robot.xml")))
    assert after.njnt == before.njnt
    np.testing.assert_allclose(after.jnt_limited, before.jnt_limited)
    limited = before.jnt_limited.astype(bool)
    np.testing.assert_allclose(after.jnt_range[limited], before.jnt_range[limited], atol=1e-9)
    np.testing.assert_allclose(after.body_mass, before.body_mass)
    for index in range(1, before.nbody):
        np.testing.assert_allclose(tensor(after, index), tensor(before, index), atol=1e-9)
    touching = np.flatnonzero(before.geom_conaffinity & 1)
    for field in ("geom_type", "geom_size", "geom_pos", "geom_bodyid"):
        np.testing.assert_allclose(getattr(after, field), getattr(before, field)[touching], atol=1e-9)
    same = (np.abs(after.geom_quat) - np.abs(before.geom_quat[touching])).max(initial=0.0)
    assert same < 1e-6


def test_bodies_are_where_mujoco_says_and_as_fast(worker_module, mjcf, path):
    """In random states, fast and far from rest."""
    model, ours = mujoco.MjModel.from_xml_path(path), mjcf.read(path)
    data, random = mujoco.MjData(model), np.random.default_rng(1)
    joints = [joint.name for joint in ours.joints]
    chain = sys.modules["chain"].Chain(ours, joints, torch.device("cpu"))
    states = [(random.normal(size=model.nq), random.normal(size=model.nv)) for _ in range(4)]
    for qpos, _ in states:
        qpos[3:7] /= np.linalg.norm(qpos[3:7])
    places, speeds = chain(*(torch.tensor(np.array(part), dtype=torch.float32) for part in zip(*states)))
    for row, (qpos, qvel) in enumerate(states):
        data.qpos[:], data.qvel[:] = qpos, qvel
        mujoco.mj_forward(model, data)
        for body in range(model.nbody - 1):
            velocity = np.zeros(6)
            mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, body + 1, velocity, 0)
            np.testing.assert_allclose(places[row, body], data.xpos[body + 1], atol=1e-5)
            np.testing.assert_allclose(speeds[row, body], velocity[3:], atol=1e-4)
