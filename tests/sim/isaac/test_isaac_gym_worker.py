"""The worker for Isaac Gym: closed forms, conventions and orders, around a stand-in that checks Isaac Gym's rules at every call.

Tests with ``make`` run around the real package too, where TETHER_ISAACGYM_PYTHON names an interpreter that has it: ``make test-isaacgym``.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from robots.crazyflie import crazyflie
from robots.go2 import go2
from sim.isaac.workers import protocol
from tests.sim.isaac.talk import STANDIN, WORKER, Talk, build_of, memory, process, quadrotor_build
from tests.sim.walkers import explicit_torque

WORKERS = WORKER.parents[1]
DT, SUBSTEPS, G = 0.005, 4, 9.81
STAND = np.array(go2.stand)
TILTED = np.array([np.cos(0.4), *(np.sin(0.4) * np.array([0.6, 0.0, 0.8]))])
CENTRE, INERTIA = np.array([0.021112, 0.0, -0.005366]), np.diag([0.02448, 0.098077, 0.107])


def limp(talk: Talk) -> Talk:
    """Without torques."""
    talk.a["kp"][:] = talk.a["kd"][:] = 0.0
    return talk


def turned(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """``vector`` in the world."""
    w, u = quaternion[0], quaternion[1:]
    return vector + 2 * w * np.cross(u, vector) + 2 * np.cross(u, np.cross(u, vector))


# --- physics and conventions ---


@pytest.mark.parametrize("spin", [[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
def test_it_falls_as_bodies_fall(make, spin):
    """Its centre of mass, whatever it does about it; the quadrotor has no joints, and its base is all of it."""
    talk = make(quadrotor_build(crazyflie.model)).start(qvel=[1.0, -0.5, 0.0, *spin]).run(5)
    time = 5 * SUBSTEPS * DT
    np.testing.assert_allclose(talk.a["qvel"][0], [1.0, -0.5, -G * time, *spin], atol=1e-4)
    np.testing.assert_allclose(talk.a["qpos"][0, :3], [time, -0.5 * time, 10.0 - G * time * (time + DT) / 2], atol=2e-3)
    assert not talk.a["lost"].any()


def test_quaternions_begin_with_their_scalar(make):
    """A spin about the body's own z axis changes no more than the angle about it."""
    talk = make(quadrotor_build(crazyflie.model)).start(qpos=[0, 0, 10, *TILTED], qvel=[0, 0, 0, 0, 0, 2.0]).run(10)
    quaternion, angle = talk.a["qpos"][0, 3:], 2.0 * 10 * SUBSTEPS * DT
    expected = np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])
    w, v = TILTED[0], TILTED[1:]
    product = [w * expected[0] - v @ expected[1:], *(w * expected[1:] + expected[0] * v + np.cross(v, expected[1:]))]
    np.testing.assert_allclose(quaternion * np.sign(quaternion[0]), np.array(product) * np.sign(product[0]), atol=2e-3)
    np.testing.assert_allclose(talk.a["qvel"][0, 3:], [0, 0, 2.0], atol=1e-3)  # in the base frame


def test_velocity_is_of_the_origin(make):
    """A base with its centre of mass to the side, spinning about that: the centre falls straight, and the origin circles it."""
    talk = make(quadrotor_build(crazyflie.model))
    talk.a["mask"][:] = 1
    talk.write(centre_of_mass=[0.05, 0.0, 0.0])
    talk.start(qvel=[0.0, -0.05 * 4.0, 0.0, 0.0, 0.0, 4.0]).run(1)
    quaternion = talk.a["qpos"][0, 3:].astype(float)
    arm = turned(quaternion, np.array([0.05, 0.0, 0.0]))
    np.testing.assert_allclose(talk.a["qpos"][0, :2] + arm[:2], [0.05, 0.0], atol=1e-3)
    np.testing.assert_allclose(talk.a["qvel"][0, :2], -np.cross([0, 0, 4.0], arm)[:2], atol=2e-3)


def test_a_wrench_lasts_all_of_a_step_and_acts_in_the_world(make):
    """At the centre of mass: Δv = F t / m, and I Δω = τ t in the base frame."""
    talk = make(quadrotor_build(crazyflie.model, 2)).start(qpos=[0, 0, 10, *TILTED])
    talk.a["applied"][1] = [0.02, 0.0, 0.01, 2e-6, 0.0, 4e-6]
    talk.run(2)
    time, change = 2 * SUBSTEPS * DT, talk.a["qvel"][1] - talk.a["qvel"][0]
    np.testing.assert_allclose(change[:3], np.array([0.02, 0.0, 0.01]) * time / 0.028, rtol=1e-3, atol=1e-6)
    conjugate = TILTED * [1, -1, -1, -1]
    expected = turned(conjugate, np.array([2e-6, 0.0, 4e-6])) * time / np.array([1.37e-5, 1.44e-5, 2.66e-5])
    np.testing.assert_allclose(change[3:], expected, rtol=0.02, atol=1e-5)


def test_every_joint_follows_its_own_target(make):
    """One environment a joint, and its own foot: the order of joints in the arrays is ours, whatever it is in Isaac Gym."""
    talk = make(num_envs=12).start()
    talk.a["target"][:] += 0.2 * np.eye(12, dtype=np.float32)
    before, feet = talk.a["qpos"][:, 7:].copy(), talk.a["foot_position"].copy()
    talk.run(1)
    moved, fell = talk.a["qpos"][:, 7:] - before, talk.a["qpos"][:, None, :3] - [0, 0, 10.0]
    strayed = np.linalg.norm((talk.a["foot_position"] - feet).reshape(12, 4, 3) - fell, axis=2)
    assert (strayed.argmax(axis=1) == np.arange(12) // 3).all()
    assert (np.abs(moved).argmax(axis=1) == np.arange(12)).all()
    assert (moved.diagonal() > 0.005).all()
    assert (talk.a["torque"].diagonal() > 0.1).all()


def test_torque_is_that_of_the_described_motor(make):
    """In the last physics step; here the only one of a control period."""
    talk = make(substeps=1).start(qvel=np.concatenate([np.zeros(6), np.linspace(-28, 28, 12)]))
    position, velocity = talk.a["qpos"][0, 7:].astype(float), talk.a["qvel"][0, 6:].astype(float)
    talk.a["strength"][:] = 0.8
    talk.a["target"][:] += np.linspace(1.5, -1.5, 12, dtype=np.float32)
    expected = 0.8 * explicit_torque(position, velocity, talk.a["target"][0, 0].astype(float))
    talk.run(1)
    np.testing.assert_allclose(talk.a["torque"][0], expected, rtol=1e-5, atol=1e-4)


def test_torque_lags_exactly(make):
    """τ approaches what is asked by 1 − exp(−dt / lag) a physics step, and strength comes after."""
    talk = make(substeps=1, lag_s=[0.02] * 12)
    talk.a["kp"][:], talk.a["kd"][:], talk.a["strength"][:] = 1e-3, 0.0, 0.5
    talk.start()
    talk.a["target"][:] += 1000.0  # so far that its own motion is nothing
    left = 1.0
    for _ in range(4):
        talk.run(1)
        left *= np.exp(-DT / 0.02)
        np.testing.assert_allclose(talk.a["torque"][0], 0.5 * (1.0 - left), rtol=1e-3)


def test_it_stands_on_its_feet(make):
    """The ground carries the robot at its feet, in the world, and touches nothing else."""
    talk = make(num_envs=2).start(height=0.33).run(100)
    force = talk.a["foot_force"].reshape(2, 4, 3)
    np.testing.assert_allclose(force[:, :, 2].sum(1), go2.mass_kg * G, rtol=0.02)
    assert (force[:, :, 2] > 10.0).all()
    np.testing.assert_allclose(talk.a["foot_position"].reshape(2, 4, 3)[:, :, 2], 0.022, atol=4e-3)
    np.testing.assert_allclose(talk.a["foot_velocity"], 0.0, atol=0.02)
    assert not talk.a["part_contact"].any()
    np.testing.assert_allclose(talk.a["qpos"][0], talk.a["qpos"][1], atol=1e-3)


def test_parts_tell_what_touches(make):
    """On its belly, thrown down: the base, and calves beside it."""
    talk = limp(make()).start(height=0.2).run(50)
    assert talk.a["part_contact"][0, 0] == 1.0
    assert set(np.unique(talk.a["part_contact"])) <= {0.0, 1.0}


def test_friction_is_of_robot_with_ground(make):
    """Pushed by 0.4 of its weight it stays on rough ground, and on smooth ground it slides as (0.4 − μ) g t."""
    talk = make(quadrotor_build(crazyflie.model, 2))
    talk.a["mask"][:] = 1
    talk.write(friction=[[0.8], [0.2]])
    talk.start(height=0.02).run(10)
    talk.a["applied"][:, 0] = 0.4 * 0.028 * G
    talk.run(10)
    np.testing.assert_allclose(talk.a["qvel"][:, 0], [0.0, 0.2 * G * 10 * SUBSTEPS * DT], atol=0.04)


def test_stops_hold(make):
    """Joints go no further than the model says, which the importer would not have read."""
    talk = make().start()
    talk.a["target"][:] += 3.0
    talk.run(40)
    upper = np.array([joint.upper for joint in go2.joints])
    assert (talk.a["qpos"][0, 7:] < upper + 0.1).all()


def test_joint_friction_brakes(make):
    """A torque beside the motor's."""
    talk = limp(make(num_envs=2))
    talk.a["mask"][:] = 1
    talk.write(joint_friction=[[0.0] * 12, [0.2] * 12])
    talk.start(qvel=[0.0] * 17 + [1.0]).run(1)
    free, braked = talk.a["qvel"][:, 17]
    assert 0.0 < braked < 0.8 * free
    assert not talk.a["torque"].any()


def test_armature_resists(make):
    """Of one joint in one environment."""
    talk = make(num_envs=2).start()
    talk.a["mask"][:] = [0, 1]
    talk.a["armature"][1, 3] = 1.0
    talk.write(armature=talk.a["armature"].copy())
    talk.a["target"][:] += 0.2
    before = talk.a["qpos"][:, 7:].copy()
    talk.run(1)
    light, heavy = talk.a["qpos"][:, 7:] - before
    assert heavy[3] < 0.1 * light[3]
    assert (heavy[6:] > 0.8 * light[6:]).all()


# --- requests ---


def test_a_reset_touches_no_other_environment(make):
    talk = make(num_envs=3).start(height=5.0).run(3)
    before = {name: talk.a[name].copy() for name in ("qpos", "qvel", "torque", "foot_position")}
    talk.a["mask"][:] = [0, 1, 0]
    talk.a["qpos"][1, :3], talk.a["qvel"][1] = [1.0, 2.0, 9.0], 0.0
    talk.ask("reset")
    for name, values in before.items():
        np.testing.assert_array_equal(talk.a[name][[0, 2]], values[[0, 2]])
    np.testing.assert_allclose(talk.a["qpos"][1, :3], [1.0, 2.0, 9.0])
    talk.run(1)
    np.testing.assert_allclose(talk.a["qvel"][:, 2], [-G * 0.08, -G * 0.02, -G * 0.08], atol=0.02)
    np.testing.assert_allclose(talk.a["qpos"][1, :2], [1.0, 2.0], atol=0.01)


def test_two_resets_before_a_step_both_hold(make):
    """Isaac Gym takes state once a physics step, and the later call would undo the earlier."""
    talk = make(num_envs=3).start(height=5.0).run(1)
    for index, height in ((0, 7.0), (2, 8.0), (0, 9.0)):
        talk.a["mask"][:] = np.arange(3) == index
        talk.a["qpos"][index, 2] = height
        talk.ask("reset")
    talk.run(1)
    np.testing.assert_allclose(talk.a["qpos"][[0, 2], 2], [9.0, 8.0], atol=0.02)


@pytest.mark.parametrize("link", ["foot", "calf"])
def test_what_is_read_back_from_a_reset_is_what_physics_begins_with(make, link):
    """Feet in particular, which Isaac Gym knows only after a step; calves have their centres of mass far from their origins."""
    random = np.random.default_rng(0)
    qpos = np.concatenate([[0, 0, 5.0], TILTED, STAND + random.uniform(-0.2, 0.2, 12)])
    talk = limp(make(substeps=1, feet=[f"{leg}_{link}" for leg in ("FR", "FL", "RR", "RL")])).start(
        qpos=qpos, qvel=random.uniform(-2, 2, 18)
    )
    place, speed = talk.a["foot_position"].copy(), talk.a["foot_velocity"].copy()
    talk.run(1)
    np.testing.assert_allclose(talk.a["foot_position"], place + DT * speed, atol=2e-3)
    np.testing.assert_allclose(talk.a["foot_velocity"], speed, atol=0.2)


def test_parameters_are_of_the_masked_environments(make):
    """Four times the mass of all but legs: a quarter of what a push does."""
    talk = make(quadrotor_build(crazyflie.model, 2))
    talk.a["mask"][:] = [0, 1]
    talk.a["mass"][:], talk.a["inertia"][:] = 0.112, np.eye(3).ravel() * 8e-5
    talk.ask("write", names=["mass", "inertia"])
    talk.start()
    talk.a["applied"][:] = [0.1, 0, 0, 0, 0, 2e-6]
    talk.run(1)
    np.testing.assert_allclose(talk.a["qvel"][:, 0], 0.1 * 0.02 / np.array([0.028, 0.112]), rtol=1e-3)
    np.testing.assert_allclose(talk.a["qvel"][:, 5], 2e-6 * 0.02 / np.array([2.66e-5, 8e-5]), rtol=1e-2)


def test_saved_and_loaded_it_goes_on(make):
    """To the bit around the stand-in in free flight; in contact PhysX forgets its warm starts."""
    talk = make(num_envs=2, lag_s=[0.01] * 12).start()
    talk.a["target"][:] += 0.3
    talk.run(2).ask("save")
    saved = {name: talk.a[name].copy() for name in ("qpos", "qvel", "memory")}
    talk.run(3)
    after = {name: talk.a[name].copy() for name in ("qpos", "qvel", "torque")}
    for name, value in saved.items():
        talk.a[name][:] = value
    talk.ask("load")
    talk.run(3)
    for name, value in after.items():
        np.testing.assert_allclose(talk.a[name], value, atol=1e-3)


def test_models_it_does_not_read_are_refused(make, tmp_path):
    text = go2.model.read_text()
    changes = {
        "<include>": ("<option ", '<include file="x"/><option '),
        "inertial": ('<inertial pos="0 0 0" mass="0.04" fullinertia="9.6e-06 9.6e-06 9.6e-06 0 0 0"/>', ""),
        "damping": ('<joint armature="0.01"/>', '<joint armature="0.01" damping="0.1"/>'),
        "mesh": ('type="sphere" size="0.022"', 'type="mesh"'),
        "free base": ('<freejoint name="base"/>', ""),
    }
    for what, (old, new) in changes.items():
        model = tmp_path / "other.xml"
        model.write_text(text.replace(old, new))
        with pytest.raises(Exception, match=f"{what}.*use another --sim"):
            make(model=str(model))
    with pytest.raises(Exception, match="wanted: FR_hip_joint"):
        make(joints=["FR_hip_joint"], effort=[1.0], speed=[1.0], knee_speed=[0.5], lag_s=[0.0])


# --- Isaac Gym's rules, which only the stand-in can show ---


def test_the_calls_of_a_step(make, standin, request):
    """State at most once, only in the first physics step after a reset; torques and wrenches fresh in each."""
    if "real" in request.node.name:
        pytest.skip("the real package records nothing")
    talk = make(num_envs=2).start()
    talk.ask("reset")
    talk.run(2)
    state = ["set_actor_root_state_tensor_indexed", "set_dof_state_tensor_indexed"]
    every = ["set_dof_actuation_force_tensor", "apply_rigid_body_force_tensors"]
    assert standin().history == [state + every, *[every] * 7]


def test_ground_and_robot_make_the_friction_asked_for(make, standin, request):
    if "real" in request.node.name:
        pytest.skip("looks into the stand-in")
    talk = make(num_envs=2)
    talk.a["mask"][:] = [0, 1]
    talk.write(friction=0.37)
    robots, ground = standin().robots, standin().ground
    assert {round((shape.friction + ground.dynamic_friction) / 2, 6) for shape in robots[1].shapes} == {0.37}
    assert {round((shape.friction + ground.static_friction) / 2, 6) for shape in robots[0].shapes} == {0.8}  # the model's


def test_a_lost_robot_has_finite_numbers_until_its_reset(worker_module, standin):
    with memory(build_of(num_envs=2)) as (build, arrays):
        engine = worker_module.make()
        worker_module.protocol.obey(engine, {"do": "build", "build": build._asdict()})
        talk = Talk(lambda request: worker_module.protocol.obey(engine, dict(request)), build, arrays).start()
        talk.run(1)
        standin().robots[1].dead = True
        talk.run(2)
        assert arrays["lost"].ravel().tolist() == [0.0, 1.0]
        assert all(np.isfinite(value).all() for value in arrays.values())
        assert arrays["qpos"][1, 3] == 1.0
        arrays["mask"][:] = [0, 1]
        arrays["qpos"][1] = arrays["qpos"][0]
        talk.ask("reset")
        talk.run(1)
        assert not arrays["lost"].any()


def test_on_a_gpu_nothing_is_fetched_and_centres_of_mass_stay(worker_module, standin):
    """The GPU's pipeline, with its tensors in a CPU's memory."""
    with memory(build_of(num_envs=2, device="cuda:0")) as (build, arrays):
        engine = worker_module.make()
        engine.build(build, arrays)
        assert standin().params.use_gpu_pipeline
        arrays["mask"][:], arrays["centre_of_mass"][:] = 1, [0.03, 0.0, 0.0]
        engine.write(["centre_of_mass"])  # nothing has moved yet
        arrays["qpos"][:] = [0, 0, 5, 1, 0, 0, 0, *go2.stand]
        engine.reset()
        engine.step()
        engine.write(["centre_of_mass"])  # as it is
        arrays["mass"][:], arrays["inertia"][:] = 8.0, INERTIA.ravel()
        engine.write(["mass", "inertia"])
        arrays["centre_of_mass"][1] = CENTRE
        with pytest.raises(worker_module.protocol.Refused, match="before the first step only"):
            engine.write(["mass", "centre_of_mass"])
        engine.step()


def test_terrain_is_given_as_a_mesh(worker_module, standin):
    """Heights where they are asked for; robots stand where they are put, not in a grid."""
    heights = np.array([[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]])
    terrain = {"heights_m": heights.tolist(), "size_m": [4.0, 2.0]}
    with memory(build_of(num_envs=3, terrain=terrain)) as (build, arrays):
        engine = worker_module.make()
        engine.build(build, arrays)
        assert not engine.scene.origins.any()
    vertices, triangles = standin().mesh
    assert vertices[4].tolist() == pytest.approx([0.0, 1.0, 0.4])
    assert len(triangles) == 4
    assert standin().ground.static_friction == standin().ground.dynamic_friction == 0.0


# --- as a process ---


def test_a_process_answers_until_its_stdin_ends():
    with memory(build_of()) as (build, arrays), process(PYTHONPATH=str(STANDIN)) as (ask, greeting):
        assert greeting["protocol"] == protocol.VERSION
        assert greeting["engine"] == "Isaac Gym"
        assert ask({"do": "build", "build": build._asdict()}).keys() == {"seconds"}
        talk = Talk(ask, build, arrays).start().run(1)
        np.testing.assert_allclose(talk.a["qvel"][0, 2], -G * SUBSTEPS * DT, atol=0.02)
        with pytest.raises(RuntimeError, match="unknown request dance; known: build"):
            ask({"do": "dance"})
        assert ask({"do": "step"}).keys() == {"seconds"}


def test_without_isaac_gym_it_says_so(tmp_path):
    (tmp_path / "isaacgym.py").write_text("raise ImportError('libpython3.8.so.1.0: cannot open shared object file')")
    result = subprocess.run([sys.executable, str(WORKER)], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert "Isaac Gym cannot be used in its environment: ImportError: libpython3.8" in result.stdout
    assert result.stdout.count("\n") == 1


# --- Python 3.8 ---


def oldest() -> str | None:
    """An interpreter of Python 3.8, where there is one."""
    root = subprocess.run(["pyenv", "root"], capture_output=True, text=True).stdout.strip() if shutil.which("pyenv") else ""
    found = [str(path) for path in Path(root).glob("versions/3.8.*/bin/python")] if root else []
    for python in [*found, shutil.which("python3.8")]:
        code = "import sys; sys.exit(sys.version_info[:2] != (3, 8))"
        if python and subprocess.run([python, "-c", code], capture_output=True).returncode == 0:
            return python
    return None


def test_workers_are_in_python_3_8():
    files = sorted(WORKERS.rglob("*.py"))
    assert WORKER in files
    for path in files:
        ast.parse(path.read_text(), str(path), feature_version=(3, 8))
    python = oldest()
    if python:
        code = "import sys; [compile(open(path, encoding='utf-8').read(), path, 'exec') for path in sys.argv[1:]]"
        subprocess.run([python, "-c", code, *map(str, files)], check=True)
