"""Every parameter of the legged engine changes what it names, and goes back to nominal."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

from robots.go2 import go2
from sim.legged.inertia import combined, diagonalised, principal, quaternions
from sim.legged.parameters import BOUNDS, PAYLOAD_AT_M
from sim.mujoco_cpu.simulator import MujocoCpuSimulator
from tests.sim.walkers import everyone, explicit_torque, simulator, stand


def only(name: str, value: float | list[float]) -> MujocoCpuSimulator:
    """Two environments, of which the second has another value of one parameter."""
    sim = simulator(2)
    width = sim.parameters()[name].shape[1]
    sim.randomize(torch.tensor([False, True]), {name: torch.tensor(value).expand(2, width)})
    sim.reset(everyone(sim), {})
    return sim


def model_of(sim: MujocoCpuSimulator, env: int) -> mujoco.MjModel:
    return sim.batch.get_model(env)


def test_every_parameter_has_bounds_and_a_nominal_value() -> None:
    assert set(simulator().parameters()) == set(BOUNDS)


def test_the_bases_inertia_scales_with_its_mass() -> None:
    sim = only("base_mass", 2.0 * 6.921)
    light, heavy = (model_of(sim, env).body("base") for env in range(2))
    np.testing.assert_allclose(np.sort(heavy.inertia), 2.0 * np.sort(light.inertia), rtol=1e-9)
    np.testing.assert_allclose(heavy.ipos, light.ipos, atol=1e-12)


def test_a_payload_is_a_point_on_the_back() -> None:
    """Mass, centre and inertia are those of MuJoCo's own merge of a body with a small sphere."""
    sim = only("payload_mass", 2.0)
    spec = mujoco.MjSpec.from_file(str(go2.model))
    box = spec.body("base").add_body(pos=PAYLOAD_AT_M)
    box.mass, box.ipos, box.inertia, box.explicitinertial = 2.0, [0.0] * 3, [1e-12] * 3, True
    spec.compiler.fusestatic = True
    reference, ours = spec.compile().body("base"), model_of(sim, 1).body("base")
    assert ours.mass[0] == pytest.approx(reference.mass[0])
    np.testing.assert_allclose(ours.ipos, reference.ipos, atol=1e-12)
    tensors = [principal(body.inertia, body.iquat) for body in (ours, reference)]
    np.testing.assert_allclose(*tensors, atol=1e-9)


def test_moving_the_centre_of_mass_moves_the_load() -> None:
    """Standing still, the centre of pressure is below the centre of mass, and that has moved forward by its share of the mass."""
    sim = only("base_centre_of_mass_offset", [0.05, 0.0, 0.0])
    seen = stand(sim, 300)
    force, feet = (seen[f"foot_{what}_in_world"].unflatten(1, (4, 3)).numpy() for what in ("force", "position"))
    for env in range(2):
        data = sim.batch.get_data(env)
        mujoco.mj_forward(model_of(sim, env), data)
        pressure = (force[env, :, 2] * feet[env, :, 0]).sum() / force[env, :, 2].sum()
        assert pressure == pytest.approx(data.subtree_com[1, 0], abs=3e-3)
    assert (force[1, :2, 2] > force[0, :2, 2]).all()
    np.testing.assert_allclose(model_of(sim, 1).body("base").ipos - model_of(sim, 0).body("base").ipos, [0.05, 0.0, 0.0], atol=1e-12)


def test_derived_constants_follow_the_mass() -> None:
    sim = only("base_mass", 9.921)
    changed = model_of(sim, 1)
    reference = model_of(sim, 0)
    for name in ("body_mass", "body_inertia", "body_iquat"):
        getattr(reference, name)[1] = getattr(changed, name)[1]
    mujoco.mj_setConst(reference, mujoco.MjData(reference))
    np.testing.assert_allclose(changed.dof_invweight0, reference.dof_invweight0, rtol=1e-9)
    np.testing.assert_allclose(changed.body_subtreemass, reference.body_subtreemass, rtol=1e-9)


def test_friction_bounds_what_feet_hold() -> None:
    """Thrown sideways, a slippery robot's feet give μ times their load and no more, |f_x| + |f_y| ≤ μ f_z in MuJoCo's pyramid."""
    sim = only("friction", 0.3)
    stand(sim, 20)
    sim.push(torch.tensor([[0.0, 1.0, 0.0]] * 2))
    largest = torch.zeros(2)
    for _ in range(5):
        force = stand(sim, 1)["foot_force_in_world"].unflatten(1, (4, 3))
        grip = torch.where(force[..., 2] > 5.0, force[..., :2].abs().sum(2) / force[..., 2], 0.0)
        largest = torch.maximum(largest, grip.amax(1))
    np.testing.assert_allclose(largest, [0.8, 0.3], rtol=0.01)


@pytest.mark.parametrize(("name", "scale"), [("kp_scale", 1.5), ("kd_scale", 2.0), ("strength_scale", 0.7)])
def test_motor_scales(name: str, scale: float) -> None:
    """Torques are those of the described actuator with this gain, or this strength times it, in and out of saturation."""
    sim = only(name, scale)
    model, random = model_of(sim, 1), np.random.default_rng(0)
    data = mujoco.MjData(model)
    for speed in (1.0, 20.0):
        data.qpos[7:], data.qvel[6:] = random.normal(size=12), speed * random.normal(size=12)
        data.ctrl[:] = random.normal(size=12)
        mujoco.mj_forward(model, data)
        error, velocity = data.ctrl - data.qpos[7:], data.qvel[6:]
        asked = 25.0 * (scale if name == "kp_scale" else 1.0) * error - 0.5 * (scale if name == "kd_scale" else 1.0) * velocity
        as_if = data.qpos[7:] + (asked + 0.5 * velocity) / 25.0  # the target at which nominal gains would ask for that
        expected = explicit_torque(data.qpos[7:], velocity, as_if) * (scale if name == "strength_scale" else 1.0)
        np.testing.assert_allclose(data.actuator_force, expected, atol=1e-9)


def test_one_motor_can_be_weak() -> None:
    scales = [1.0] * 12
    scales[2] = 0.7
    sim = only("strength_scale", scales)
    ranges = model_of(sim, 1).actuator_forcerange[:, 1]
    np.testing.assert_allclose(ranges / model_of(sim, 0).actuator_forcerange[:, 1], scales)


def test_combined_inertia_is_that_of_two_points() -> None:
    two = torch.tensor([2.0], dtype=torch.float64)
    at = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    total, centre, inertia = combined(two, torch.zeros(1, 3).double(), torch.zeros(1, 3, 3).double(), two, at)
    assert total[0] == 4.0
    np.testing.assert_allclose(centre, [[0.0, 0.0, 0.5]])
    moments, axes = diagonalised(inertia)
    np.testing.assert_allclose(np.sort(moments[0]), [0.0, 1.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(principal(moments[0].numpy(), axes[0].numpy()), np.diag([1.0, 1.0, 0.0]), atol=1e-12)


def test_quaternions_of_rotations() -> None:
    random = np.random.default_rng(0)
    expected = np.concatenate([random.normal(size=(20, 4)), np.eye(4)])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    rotations = np.empty((24, 9))
    for row, quaternion in zip(rotations, expected, strict=True):
        mujoco.mju_quat2Mat(row, quaternion)
    found = quaternions(torch.from_numpy(rotations.reshape(-1, 3, 3))).numpy()
    np.testing.assert_allclose(np.abs((found * expected).sum(1)), 1.0, atol=1e-12)
