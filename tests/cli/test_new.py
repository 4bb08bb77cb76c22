"""A package for one's own robot: what is read is right, what is written works, what is wrong is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mujoco
import pytest

from cli.main import main
from cli.robot_from_model import Joints, Rotors, read

LINK = '<inertial><origin xyz="0 0 {z}"/><mass value="{mass}"/><inertia ixx=".01" iyy=".01" izz=".01" ixy="0" ixz="0" iyz="0"/></inertial>'
URDF = f"""<robot name="arm">
  <link name="base">{LINK.format(z=0, mass=2)}</link>
  <link name="upper">{LINK.format(z=0.2, mass=1)}</link>
  <link name="lower">{LINK.format(z=0.2, mass=0.5)}</link>
  <joint name="shoulder" type="revolute"><parent link="base"/><child link="upper"/><origin xyz="0 0 .1"/><axis xyz="0 1 0"/>
    <limit lower="0.5" upper="2" effort="20" velocity="3"/></joint>
  <joint name="elbow" type="continuous"><parent link="upper"/><child link="lower"/><axis xyz="0 1 0"/>
    <limit effort="10" velocity="4"/></joint>
</robot>"""

# Two bodies, so that the centre of mass is not the body's origin: 0.4 kg at the origin, 0.1 kg at x = 0.05 m.
QUADROTOR = """<mujoco><worldbody><body name="base" pos="0 0 1" euler="0 0 30"><freejoint/>
  <inertial pos="0 0 0" mass="0.4" diaginertia="1e-3 2e-3 2.5e-3"/>
  <body pos="0.05 0 0"><inertial pos="0 0 0" mass="0.1" diaginertia="1e-5 1e-5 1e-5"/></body>
  <site name="a" pos=".1 -.1 .02"/><site name="b" pos="-.1 -.1 .02"/><site name="c" pos="-.1 .1 .02"/><site name="d" pos=".1 .1 .02"/>
  </body></worldbody><actuator>
  <motor site="a" gear="0 0 1 0 0 -.02" ctrlrange="0 4"/><motor site="b" gear="0 0 1 0 0 .02" ctrlrange="0 4"/>
  <motor site="c" gear="0 0 1 0 0 -.02" ctrlrange="0 4"/><motor site="d" gear="0 0 1 0 0 .02" ctrlrange="0 4"/></actuator></mujoco>"""

LEGGED = """<mujoco><compiler angle="radian"/><asset><mesh name="m" file="tetra.stl"/></asset>
  <worldbody><body name="trunk" pos="0 0 1"><freejoint/>
  <geom type="mesh" mesh="m" mass="3"/>
  <body name="leg"><joint name="hip" axis="1 0 0" range="-1 1" limited="true"/><geom size=".1" mass="1"/>
    <body name="foot"><joint name="slide" type="slide" axis="0 0 1" range="0 .1" limited="true"/><geom size=".02" mass=".2"/></body></body>
  </body></worldbody>
  <actuator><motor joint="hip" gear="2" ctrlrange="-5 5"/><position joint="slide" forcerange="-7 7" kp="10"/></actuator></mujoco>"""

TETRA = b"\0" * 80 + (4).to_bytes(4, "little")


def tetrahedron() -> bytes:
    """A binary STL."""
    import struct

    corners = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    faces = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    return TETRA + b"".join(struct.pack("<12fH", 0, 0, 0, *(value for corner in face for value in corners[corner]), 0) for face in faces)


@pytest.fixture
def models(tmp_path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "arm.urdf").write_text(URDF)
    (folder / "quad_four.xml").write_text(QUADROTOR)
    (folder / "hopper.xml").write_text(LEGGED)
    (folder / "tetra.stl").write_bytes(tetrahedron())
    return folder


def test_an_arm_is_read_from_urdf(models):
    draft = read(models / "arm.urdf")
    assert draft.mass_kg == pytest.approx(3.5)  # the root link counts
    assert isinstance(draft.body, Joints)
    assert draft.body.rows == (("shoulder", 0.5, 2.0, 20.0, 3.0), ("elbow", -1000.0, 1000.0, 10.0, 4.0))
    assert draft.body.rest == (0.5, 0.0)
    assert not draft.body.floating
    assert draft.assumed == ()


def test_a_floating_base_can_be_asked_for(models):
    draft = read(models / "arm.urdf", floating_base=True)
    assert draft.body.floating
    assert draft.spec.compile().nv == 6 + 2


def test_what_mjcf_cannot_say_is_named(models):
    draft = read(models / "hopper.xml")
    (hip, slide) = draft.body.rows
    assert hip[:4] == ("hip", -1.0, 1.0, 10.0)  # gear 2 × 5
    assert slide[:4] == ("slide", 0.0, 0.1, 7.0)
    assert draft.body.floating
    assert draft.assumed == ("speed of hip", "speed of slide")


def test_a_quadrotor_is_read_about_its_centre_of_mass(models):
    draft = read(models / "quad_four.xml")
    assert isinstance(draft.body, Rotors)
    assert draft.mass_kg == pytest.approx(0.5)
    assert draft.body.positions_m[0] == pytest.approx((0.09, -0.1, 0.02))  # centre of mass at x = 0.01
    assert draft.body.spins == (-1, 1, -1, 1)
    assert draft.body.thrust_max_n == 4.0
    assert draft.body.torque_per_thrust_m == pytest.approx(0.02)
    reduced = 0.4 * 0.1 / 0.5 * 0.05**2  # two point masses 0.05 m apart, about their common centre
    assert draft.body.inertia_kg_m2 == pytest.approx((1e-3 + 1e-5, 2e-3 + 1e-5 + reduced, 2.5e-3 + 1e-5 + reduced), rel=1e-5)


def test_the_packages_install_and_pass_their_own_tests(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["arm", "quad_four", "hopper"]
    for model in ("arm.urdf", "quad_four.xml", "hopper.xml"):
        assert main(["new", "robot", str(models / model)]) == 0
    pip = [sys.executable, "-m", "pip", "-qq", "install", "--no-index", "--no-deps", "--no-build-isolation", "--target", "site"]
    subprocess.run([*pip, *(f"./{name}" for name in names)], check=True, capture_output=True)
    for path in models.iterdir():
        path.unlink()  # the packages need nothing of where they came from
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    run_tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"{name}/tests" for name in names)]
    result = subprocess.run(run_tests, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "11 passed" in result.stdout
    listed = subprocess.run([sys.executable, "-m", "cli", "list"], env=env, capture_output=True, text=True, check=True).stdout
    assert all(name in listed for name in names)


def test_its_code_is_clean(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for model in ("arm.urdf", "quad_four.xml"):
        assert main(["new", "robot", str(models / model)]) == 0
        check = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,I,B,UP", "--line-length", "160", "."]
        result = subprocess.run(check, cwd=Path(model).stem, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout


@pytest.fixture
def refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> str:
        assert main(["new", "robot", *map(str, words)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return lines[0]

    return run


def test_nothing_is_overwritten(models, refused, tmp_path):
    (tmp_path / "arm").mkdir()
    assert "exists already" in refused(models / "arm.urdf")
    assert list((tmp_path / "arm").iterdir()) == []


def test_names_that_are_taken_are_refused(models, refused):
    assert "registered already" in refused(models / "arm.urdf", "--name", "crazyflie")
    assert "--name" in refused(models / "arm.urdf", "--name", "tasks")
    assert "--name" in refused(models / "arm.urdf", "--name", "numpy")
    assert "--name" in refused(models / "arm.urdf", "--name", "7up")


def test_the_tree_is_left_alone(models, refused):
    assert "outside" in refused(models / "arm.urdf", "-o", Path(__file__).parents[2] / "arm")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<mujoco>", "does not load"),
        ("<sdf/>", "does not load"),
        ("", "does not load"),
        ("<mujoco/>", "no mass"),
        ('<mujoco><worldbody><body><freejoint/><geom size="1"/></body></worldbody></mujoco>', "neither hinge or slide joints nor rotors"),
        (QUADROTOR.replace("0 0 1 0 0 .02", "0 0 1 0 0 0"), "reaction torque"),
        (QUADROTOR.replace("0 0 1 0 0 .02", "0 0 -1 0 0 .02"), "thrust along"),
        (LEGGED.replace("tetra.stl", "nosuch.stl"), "nosuch.stl"),
    ],
)
def test_a_bad_model_is_told(text, words, models, refused, tmp_path):
    (models / "bad.xml").write_text(text)
    assert words in refused(models / "bad.xml")
    assert not (tmp_path / "bad").exists()


def test_the_copied_model_loads_alone(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "robot", str(models / "hopper.xml")]) == 0
    model = mujoco.MjModel.from_xml_path("hopper/hopper/models/hopper.xml")
    assert model.nmesh == 1
    assert sum(model.body_mass) == pytest.approx(4.2)
