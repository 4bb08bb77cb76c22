"""Robots that walk, from models of others: legs are found, they stand, and what is missing or wrong is told."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from cli.legs_from_model import CROUCH
from cli.main import main
from cli.robot_from_model import read
from robots.check import problems
from robots.description import LeggedRobot
from sim.mujoco_cpu.simulator import MujocoCpuSimulator
from tasks.go2_velocity import Go2Velocity
from training.environment import Environment
from training.learned_law import ActorConfig, LearnedLaw
from training.ppo import PPO, PPOConfig

# The wheel example-robot-data: models of many makers, under their own licences.
WHEEL = Path(sysconfig.get_path("purelib"), "cmeel.prefix", "share", "example-robot-data", "robots")
GO1, ANYMAL = WHEEL / "go1_description/urdf/go1.urdf", WHEEL / "anymal_b_simple_description/robots/anymal.urdf"

LEG = """<body name="{name}" pos="{x} {y} 0"><joint name="{name}_swing" axis="0 {axis} 0" range="-2 2"/>
  <geom type="capsule" fromto="0 0 0 0 0 -.2" size=".02" mass=".3"/>
  <body pos="0 0 -.2"><joint name="{name}_bend" axis="0 1 0" range="{bend}"/>
  <geom type="capsule" fromto="0 0 0 0 0 -.2" size=".01" mass=".1"/><geom pos="0 0 -.2" size="{foot}"/></body></body>"""
LEGS = {"a": (0.2, 0.1, 1), "b": (0.2, -0.1, 1), "c": (-0.2, 0.1, -1), "d": (-0.2, -0.1, -1)}


def walker(bend: str = "-2.5 -.1", foot: str = ".02") -> str:
    """A quadruped of eight joints, the rear ones the other way round, with a floor, motors and sensors of its own."""
    legs = "".join(LEG.format(name=name, x=x, y=y, axis=axis, bend=bend, foot=foot) for name, (x, y, axis) in LEGS.items())
    motors = "".join(f'<motor joint="{name}_{what}" gear="30" ctrlrange="-1 1"/>' for name in LEGS for what in ("swing", "bend"))
    return f"""<mujoco><compiler angle="radian" autolimits="true"/><worldbody><geom type="plane" size="0 0 1"/>
      <body name="trunk" pos="0 0 1"><freejoint/><geom type="box" size=".2 .1 .05" mass="5"/>{legs}</body></worldbody>
      <actuator>{motors}</actuator><sensor><jointpos joint="a_bend"/></sensor></mujoco>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Packages of the Go1 and ANYmal, made, installed as a user would, and importable here."""
    folder = tmp_path_factory.mktemp("walkers")
    for model in (GO1, ANYMAL):
        assert main(["new", "robot", str(model), "--floating-base", "-o", str(folder / model.stem)]) == 0
    pip = [sys.executable, "-m", "pip", "-qq", "install", "--no-index", "--no-deps", "--no-build-isolation", "--target", "site"]
    subprocess.run([*pip, "./go1", "./anymal"], check=True, capture_output=True, cwd=folder)
    sys.path.insert(0, str(folder / "site"))
    yield folder
    sys.path.remove(str(folder / "site"))


def test_a_go1_and_an_anymal_pass_their_own_tests(site: Path) -> None:
    """Contract, and standing for two seconds in the engine, without an edit."""
    env = {**os.environ, "PYTHONPATH": str(site / "site")}
    run_tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "go1/tests", "anymal/tests"]
    result = subprocess.run(run_tests, env=env, cwd=site, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "10 passed" in result.stdout


@pytest.mark.parametrize(("name", "mass", "effort", "speed"), [("go1", 13.1, 23.7, 30.1), ("anymal", 30.5, 80.0, 15.0)])
def test_numbers_are_the_makers(site: Path, name: str, mass: float, effort: float, speed: float) -> None:
    robot = getattr(importlib.import_module(f"{name}.description"), name)
    assert isinstance(robot, LeggedRobot)
    assert problems(robot) == []
    assert robot.mass_kg == pytest.approx(mass, abs=0.05)
    assert (robot.joints[0].effort, robot.joints[0].speed) == (effort, speed)
    assert sorted(robot.feet) == ["FL_foot", "FR_foot", "RL_foot", "RR_foot"]
    assert set(robot.parts) == {"base", "thigh", "calf"}
    assert robot.base_mass_kg < robot.mass_kg / 1.7


def test_a_go1_can_be_trained(site: Path) -> None:
    """The task of the Go2 takes it: two iterations of PPO."""
    task = Go2Velocity(importlib.import_module("go1.description").go1)
    law = LearnedLaw(task, ActorConfig(hidden=(16,), symmetric=True))
    environment = Environment(task, MujocoCpuSimulator(task.robot, 8), suite=task.training_suite, seed=0, auto_reset=False)
    algorithm = PPO(law, environment, PPOConfig(horizon=8, epochs=1, minibatches=2), 0)
    before = [value.clone() for value in law.parameters()]
    for _ in range(2):
        algorithm.iterate()
    assert all(value.isfinite().all() for value in law.parameters())
    assert not all(torch.equal(old, new) for old, new in zip(before, law.parameters()))


def test_legs_are_found_and_stand_under_their_hips(tmp_path: Path) -> None:
    (tmp_path / "walker.xml").write_text(walker())
    draft = read(tmp_path / "walker.xml")
    assert draft.legs is not None
    assert draft.legs.feet == ("FL_foot", "FR_foot", "RL_foot", "RR_foot")
    assert draft.legs.base_mass_kg == pytest.approx(5.0)
    model = draft.spec.compile()
    data = mujoco.MjData(model)
    data.qpos[7:] = draft.legs.stand
    mujoco.mj_kinematics(model, data)
    for name, foot in zip(LEGS, draft.legs.feet):
        offset = data.geom(foot).xpos - data.joint(f"{name}_swing").xanchor
        np.testing.assert_allclose(offset, [0.0, 0.0, -CROUCH * 0.4], atol=1e-4)
        assert data.joint(f"{name}_bend").xanchor[0] < data.geom(foot).xpos[0] - 0.1  # the knee is behind
    assert data.geom("FR_foot").xpos[2] == pytest.approx(0.02, abs=1e-4)  # the model begins on its feet


def test_the_model_is_made_ready(tmp_path: Path) -> None:
    """No ground, motors or sensors of its own, which were read before; sites at the feet; geoms that meet the ground alone."""
    (tmp_path / "walker.xml").write_text(walker())
    draft = read(tmp_path / "walker.xml")
    model = draft.spec.compile()
    assert (model.nu, model.nsensor, model.nsite) == (0, 0, 4)
    assert not model.geom_contype.any()
    assert (model.geom_conaffinity == 1).all()
    assert {row[3] for row in draft.body.rows} == {30.0}
    np.testing.assert_allclose(model.dof_armature[6:], 0.01 * 30 / 23.7, rtol=1e-2)
    assert {"kp and kd", "stand", "armature"} <= set(draft.assumed)


def test_knees_go_where_they_can(tmp_path: Path) -> None:
    (tmp_path / "forward.xml").write_text(walker(bend=".1 2.5"))
    legs = read(tmp_path / "forward.xml").legs
    assert legs is not None
    assert legs.stand[0] < 0 < legs.stand[1]
    (tmp_path / "stiff.xml").write_text(walker(bend="-.1 .1"))
    legs = read(tmp_path / "stiff.xml").legs
    assert legs is not None
    assert any("a_swing and a_bend (no pose found)" in guess for guess in legs.guesses)


def test_what_is_no_walker_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("boxes.xml").write_text(walker().replace('size=".02"/></body>', 'type="box" size=".02 .02 .02"/></body>'))
    assert main(["new", "robot", "boxes.xml"]) == 0
    assert "end in a ball" in capsys.readouterr().out
    assert main(["new", "robot", str(ANYMAL), "--name", "statue"]) == 0
    assert "--floating-base" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('mass value="1e-6"', 'mass value="2"'), "inertia must have positive eigenvalues"),
        (('<box size="0.3762 0.0935 0.114"/>', '<mesh filename="package://none/trunk.stl"/>'), "holds the mesh none/trunk.stl"),
    ],
)
def test_what_cannot_be_mended_is_told(change: tuple[str, str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = GO1.read_text()
    assert change[0] in text
    (tmp_path / "bad.urdf").write_text(text.replace(*change))
    assert main(["new", "robot", str(tmp_path / "bad.urdf"), "-o", str(tmp_path / "bad")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
