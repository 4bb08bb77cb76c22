"""Two distributions from one tree, their pins, and what starts from them."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import tomllib
import yaml

import tether_entry

TREE = Path(__file__).resolve().parents[1]
WORKSPACE = TREE / "ros2_ws" / "src"
TRAINING = tomllib.loads((TREE / "pyproject.toml").read_text())
ROBOT = tomllib.loads((TREE / "packaging" / "robot" / "pyproject.toml").read_text())
CONDA_NAMES = {"pinocchio": "pin", "pytorch": "torch", "onnxruntime-gpu": "onnxruntime"}  # by what constraints.txt calls the same code


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", *arguments]
    result = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    """Both wheels, built offline."""
    folder = tmp_path_factory.mktemp("wheels")
    pip("wheel", "--no-index", "--no-build-isolation", "--no-deps", "-w", str(folder), str(TREE / "packaging" / "robot"), str(TREE))
    return folder


def contents(wheels: Path, name: str) -> set[str]:
    """Files a wheel installs, without its metadata."""
    (wheel,) = wheels.glob(f"{name}-0*.whl")
    return {item for item in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in item}


def test_the_wheels_hold_every_module_once(wheels):
    robot, training = contents(wheels, "tether_robot"), contents(wheels, "tether")
    assert not robot & training
    rooms = [name for names in tether_entry.ROOMS.values() for name in names]
    in_tree = {path.relative_to(TREE).as_posix() for room in rooms for path in (TREE / room).rglob("*.py")}
    in_tree |= {path.relative_to(package).as_posix() for package in WORKSPACE.iterdir() for path in (package / package.name).rglob("*.py")}
    installed = {item for item in robot | training if item.endswith(".py")}
    assert installed == in_tree | {"tether_entry.py"}


def test_the_wheels_hold_only_our_rooms(wheels):
    """Never ``tests``; and the list that guards our names at start-up is what we install."""
    for wheel, name in (("tether_robot", "tether-robot"), ("tether", "tether")):
        tops = {item.partition("/")[0] for item in contents(wheels, wheel)} - {"tether_entry.py"}
        assert tops <= set(tether_entry.ROOMS[name]) | {"safety"}
    assert any(item.endswith(".xml") for item in contents(wheels, "tether_robot")), "the robots' models are missing"
    assert {"cli/templates/robot/README.md.txt", "safety/sets/data/pendulum.json"} <= contents(wheels, "tether")


def test_nothing_built_is_packed(wheels):
    for name in ("tether_robot", "tether"):
        assert not [item for item in contents(wheels, name) if "__pycache__" in item or item.endswith(".pyc")]


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory) -> dict[str, str]:
    """An environment in which the wheels come before the source tree."""
    target = tmp_path_factory.mktemp("site")
    pip("install", "--no-index", "--no-deps", "--target", str(target), *map(str, wheels.glob("*.whl")))
    return {**os.environ, "PYTHONPATH": str(target), "TARGET": str(target)}


def test_the_wheels_work_outside_the_tree(installed, tmp_path):
    code = "import robots, sim, tether_ros, tether_sim, tether_entry; print(robots.__file__, tether_entry.clashes())"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=installed, capture_output=True, text=True, check=False)
    assert result.stdout.split() == [f"{installed['TARGET']}/robots/__init__.py", "[]"], result.stderr
    script = Path(installed["TARGET"]) / "bin" / "tether"
    result = subprocess.run([sys.executable, str(script), "list"], cwd=tmp_path, env=installed, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "crazyflie" in result.stdout


def test_versions_agree():
    version = TRAINING["project"]["version"]
    assert ROBOT["project"]["version"] == version
    assert f"tether-robot=={version}" in TRAINING["project"]["dependencies"]
    assert f"## {version}" in (TREE / "CHANGELOG.md").read_text()
    for package in WORKSPACE.iterdir():
        assert f"<version>{version}</version>" in (package / "package.xml").read_text()


def test_the_robot_distribution_is_light():
    names = {re.split(r"[<>=]", item)[0] for item in ROBOT["project"]["dependencies"]}
    assert names == {"mcap", "numpy", "onnxruntime", "pyyaml"}
    assert set(TRAINING["project"]["optional-dependencies"]) == {"ros", "warp", "gpu", "robustness", "rrls", "sets", "dev"}


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (TREE / name).read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+", line) for line in lines), f"{name} must pin exactly, and name no index"
    return {re.sub(r"[._-]+", "-", line.partition("==")[0]).lower(): line.partition("==")[2] for line in lines}


def test_constraints_pin_what_is_installed():
    """Every requirement of ours is pinned, to the version that these tests run with."""
    pinned = pins("constraints.txt")
    extras = TRAINING["project"]["optional-dependencies"]
    for item in [*TRAINING["project"]["dependencies"], *ROBOT["project"]["dependencies"], *extras["ros"], *extras["dev"]]:
        name = re.sub(r"[._-]+", "-", re.split(r"[<>=[]", item)[0]).lower()
        if name != "tether-robot":
            assert pinned[name] == metadata.version(name).partition("+")[0]


def test_the_conda_environment_has_the_pins_of_the_constraints():
    pinned = pins("constraints.txt")
    *conda, last = yaml.safe_load((TREE / "environment.yml").read_text())["dependencies"]
    versions = dict(item.split("=", 1) for item in conda if "=" in item) | dict(item.split("==") for item in last["pip"] if "==" in item)
    compared = {name: version for name, version in versions.items() if CONDA_NAMES.get(name, name) in pinned}
    assert {"numpy", "pinocchio", "pyyaml", "torch", "onnxruntime-gpu"} <= compared.keys()
    assert compared == {name: pinned[CONDA_NAMES.get(name, name)] for name in compared}
    assert versions["python"] == "3.11"


@pytest.mark.parametrize("group", ["tether.robots", "tether.tasks"])
def test_every_entry_point_loads(group):
    points = metadata.entry_points(group=group)
    assert points
    for point in points:
        point.load()


def test_the_licence_is_whole():
    text = (TREE / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


PROVIDED_BY = {"yaml": "pyyaml"}
OPTIONAL_ENGINE = TREE / "sim" / "mujoco_warp"  # whoever imports it has the extra `warp`
WORKERS = TREE / "sim" / "isaac" / "workers"  # each runs in an environment of its own
ROS_ROOMS = ("tether_ros", "tether_sim", "tether_bringup", "benchmarks")  # their nodes need the extra `ros`


def test_what_is_imported_unconditionally_is_a_dependency():
    """Imports at the top of a module, but for those that only the type checker sees; optional packages are imported where they are used."""
    needed = {}
    for name in sorted({room for rooms in tether_entry.ROOMS.values() for room in rooms} - set(ROS_ROOMS)):
        for path in set((TREE / name).rglob("*.py")) - set(OPTIONAL_ENGINE.iterdir()) - set(WORKERS.rglob("*.py")):
            needed |= {module: path.name for module in _top_imports(path) if module not in sys.stdlib_module_names}
    requirements = [*TRAINING["project"]["dependencies"], *ROBOT["project"]["dependencies"]]
    declared = {re.split(r"[<>=]", item)[0] for item in requirements}
    ours = {room for rooms in tether_entry.ROOMS.values() for room in rooms} | {"tether_entry"}
    assert {PROVIDED_BY.get(module, module) for module in needed} - ours <= declared, needed


def _top_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.parse(path.read_text()).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {name.partition(".")[0] for name in names}
    return found


@pytest.mark.parametrize("project", [TRAINING, ROBOT], ids=["tether", "tether-robot"])
def test_every_console_script_starts_at_the_guard(project):
    """And what it hands over to exists."""
    for name, target in project["project"]["scripts"].items():
        assert target == f"tether_entry:{name}"
        assert callable(getattr(tether_entry, name))
    assert (TREE / "cli" / "main.py").exists()
    workspace = {path.relative_to(package).as_posix() for package in WORKSPACE.iterdir() for path in (package / package.name).rglob("*.py")}
    assert {"tether_ros/policy_node.py", "tether_ros/operator.py", "tether_sim/simulated_robot.py", "tether_bringup/flight.py"} <= workspace
