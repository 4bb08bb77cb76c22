"""The Go2: what the description says is what MuJoCo and Pinocchio load, and both agree on its dynamics."""

from __future__ import annotations

import math
import re

import mujoco
import numpy as np
import pinocchio
import pytest

from robots.go2 import LEGS, NAMES, go2
from robots.go2_model import CALF, FOOT, HIP, THIGH, mirrored, mjcf


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(go2.model))


def test_model_file_is_the_one_written_from_the_numbers() -> None:
    assert go2.model.read_text(encoding="utf-8") == mjcf(), "run: python -m robots.go2_model"


def test_mass(model: mujoco.MjModel) -> None:
    assert model.body_mass.sum() == pytest.approx(go2.mass_kg, abs=1e-9)
    assert go2.mass_kg == pytest.approx(15.02, abs=0.005)


def test_joints_are_in_the_order_of_the_hardware(model: mujoco.MjModel) -> None:
    assert NAMES[:4] == ("FR_hip_joint", "FR_thigh_joint", "FR_calf_joint", "FL_hip_joint")
    assert [name[:2] for name in NAMES[::3]] == ["FR", "FL", "RR", "RL"]
    assert [model.joint(i).name for i in range(1, model.njnt)] == list(NAMES)
    assert go2.sensor("joint_position").channels == NAMES == go2.actuation("joint_position")[0].channels


def test_ranges_and_armature_are_those_described(model: mujoco.MjModel) -> None:
    np.testing.assert_allclose(model.jnt_range[1:], [(joint.lower, joint.upper) for joint in go2.joints], rtol=1e-9)
    np.testing.assert_allclose(model.dof_armature[6:], [actuator.armature for actuator in go2.actuators], rtol=1e-9)


def test_limits_are_the_safe_ones() -> None:
    calf = go2.joints[2]
    assert (calf.effort, calf.speed) == pytest.approx((35.55, 20.07))
    assert (go2.joints[0].effort, go2.joints[0].speed) == (23.7, 30.1)
    assert go2.limits.tilt_rad == pytest.approx(math.radians(70.0))
    assert go2.limits.distance_m == math.inf


def test_gains_go_with_position_targets() -> None:
    assert go2.gains("joint_position") == dict.fromkeys(NAMES, (25.0, 0.5))


def test_left_and_right_are_mirror_images(model: mujoco.MjModel) -> None:
    """The same pose on the other side has the same height, depth and inertia, and the opposite offset."""
    data = mujoco.MjData(model)
    data.qpos[7:] = go2.stand
    mujoco.mj_forward(model, data)
    for right, left in (("FR", "FL"), ("RR", "RL")):
        for body in ("hip", "thigh", "calf", "foot"):
            a, b = (data.body(f"{leg}_{body}") for leg in (right, left))
            np.testing.assert_allclose(a.xipos * [1, -1, 1], b.xipos, atol=1e-12)
            inertias = [full_inertia(model, data, f"{leg}_{body}") for leg in (right, left)]
            flip = np.diag([1.0, -1.0, 1.0])
            np.testing.assert_allclose(flip @ inertias[0] @ flip, inertias[1], atol=1e-12)


def full_inertia(model: mujoco.MjModel, data: mujoco.MjData, body: str) -> np.ndarray:
    axes = data.body(body).ximat.reshape(3, 3)
    return axes @ np.diag(model.body(body).inertia) @ axes.T


def test_mirroring_twice_changes_nothing() -> None:
    for link in (HIP, THIGH, CALF, FOOT):
        assert mirrored(mirrored(link, -1, -1), -1, -1) == link


def test_feet_are_below_and_nothing_else_touches_the_ground_standing(model: mujoco.MjModel) -> None:
    data = mujoco.MjData(model)
    data.qpos[7:] = go2.stand
    mujoco.mj_forward(model, data)
    heights = [data.geom(foot).xpos[2] - 0.022 for foot in go2.feet]
    assert max(heights) - min(heights) < 0.03
    for names in go2.parts.values():
        for name in names:
            assert data.geom(name).xpos[2] - model.geom(name).rbound[0] * 0.5 > max(heights)


def test_mass_matrix_and_bias_agree_with_pinocchio(model: mujoco.MjModel) -> None:
    """At random configurations, to 1e-6; Pinocchio's free joint has its linear velocity in the base frame, MuJoCo's in the world."""
    data, other = mujoco.MjData(model), pinocchio.buildModelFromMJCF(str(go2.model))
    assert list(other.names[2:]) == list(NAMES)
    scratch, random = other.createData(), np.random.default_rng(0)
    for _ in range(5):
        quaternion = random.normal(size=4)
        data.qpos[:] = [*random.normal(size=3), *(quaternion / np.linalg.norm(quaternion)), *random.uniform(-1.0, 1.0, 12)]
        mujoco.mj_forward(model, data)
        mass = np.zeros((18, 18))
        mujoco.mj_fullM(model, data, mass)
        turn = np.eye(18)
        turn[:3, :3] = data.body("base").xmat.reshape(3, 3)  # world velocity from velocity in the base frame
        q = np.concatenate([data.qpos[:3], data.qpos[4:7], data.qpos[3:4], data.qpos[7:]])
        crba = pinocchio.crba(other, scratch, q)
        np.testing.assert_allclose(turn.T @ mass @ turn, np.triu(crba) + np.triu(crba, 1).T, atol=1e-6)
        np.testing.assert_allclose(turn.T @ data.qfrc_bias, pinocchio.computeGeneralizedGravity(other, scratch, q), atol=1e-6)


def test_every_leg_has_a_foot_and_parts_name_geoms(model: mujoco.MjModel) -> None:
    assert [foot[:2] for foot in go2.feet] == list(LEGS)
    for name in (*go2.feet, *(name for names in go2.parts.values() for name in names)):
        assert model.geom(name).contype == 0
        assert re.fullmatch(r"(F|R)(R|L)_(hip|thigh|calf|foot)|base", name)
