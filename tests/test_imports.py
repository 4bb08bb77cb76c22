"""Imports go one way. Every import of every file is checked, those inside functions too."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[1]

# Which of our modules the files of a room may import; the longest matching prefix counts.
NUMPY_SAFETY = {"safety.envelope", "safety.rules"}
MAY_IMPORT = {
    "robots": {"robots"},
    "sim": {"robots", "sim"},
    "sim.isaac.workers": set(),  # they live in environments without us
    "safety": {"robots", "safety"},
    "safety.envelope": {"robots", *NUMPY_SAFETY},
    "safety.rules": {"robots", *NUMPY_SAFETY},
    "safety.safeguards": {"robots", "safety.safeguards"},
    "safety.safeguards.certified": {"robots", "safety.safeguards", "safety.sets"},
    "tasks": {"robots", "safety", "sim.obstacles", "sim.sensor_faults", "sim.simulator", "tasks"},  # no task names an engine
    "deploy": {"deploy", "robots", *NUMPY_SAFETY},
    "training": {"deploy", "robots", "safety", "sim", "tasks", "training"},
    "robustness": {"deploy", "robots", "robustness", "safety", "sim", "tasks", "training"},
    "tether_ros": {"deploy", "robots", "tether_ros", *NUMPY_SAFETY},
    "tether_sim": {"robots", "sim", "tether_ros.parameters", "tether_ros.process", "tether_ros.qos", "tether_sim"},
    "tether_bringup": {"deploy", "robots", "tether_bringup", "tether_ros", "tether_sim"},
}
ROS = {"rclpy", "lifecycle_msgs", "rcl_interfaces"}
MESSAGES = {"builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "nav_msgs", "sensor_msgs", "std_msgs", "std_srvs", "trajectory_msgs"}
# Packages of others that run on robots too; rooms that are not named here may import what they like.
MAY_USE = {
    "robots": {"numpy"},
    "safety.safeguards": {"torch"},
    "safety.envelope": {"numpy"},
    "safety.rules": {"numpy", "yaml"},
    "safety.sets": {"numpy", "scipy"},
    "deploy": {"lz4", "mcap", "numpy", "onnxruntime", "yaml", "zstandard"},  # mcap brings the two compressors
    "tether_ros": {"numpy", "yaml", *ROS, *MESSAGES},
    "sim.isaac.workers": {"numpy", "torch"},
    "sim.isaac.workers.isaac_gym": {"isaacgym", "numpy", "torch"},
    "sim.isaac.workers.isaac_lab": {
        *("isaaclab", "isaaclab_newton", "mujoco", "mujoco_usd_converter", "newton", "numpy", "pxr", "torch", "warp"),
    },
    "sim.isaac.workers.protocol": {"numpy"},
}
WORKERS = TREE / "sim" / "isaac" / "workers"
ROOMS = {*(prefix.partition(".")[0] for prefix in MAY_IMPORT), "benchmarks", "cli", "tether_entry", "tests"}


def module_name(path: Path) -> str:
    """``robots/errors.py`` is ``robots.errors``; ROS packages lie two directories deeper."""
    parts = list(path.relative_to(TREE).with_suffix("").parts)
    if parts[0] == "ros2_ws":
        parts = parts[3:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def files() -> list[Path]:
    """Every module of every room with a rule."""
    found = [path for room in MAY_IMPORT if "." not in room for path in (TREE / room).rglob("*.py")]
    found += [path for package in (TREE / "ros2_ws" / "src").iterdir() for path in (package / package.name).rglob("*.py")]
    return sorted(found)


def imports(path: Path) -> list[tuple[str, int]]:
    """(module, line) of every import; ``from a import b`` gives ``a.b`` where that is a module of ours, else ``a``."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 10))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; name the module in full"
            found += [(_of_ours(node.module or "", alias.name), node.lineno) for alias in node.names]
    return found


def _of_ours(module: str, name: str) -> str:
    folder = TREE.joinpath(*module.split("."))
    workspace = TREE.joinpath("ros2_ws", "src", module.partition(".")[0], *module.split("."))
    is_module = any((place / f"{name}.py").exists() or (place / name / "__init__.py").exists() for place in (folder, workspace))
    return f"{module}.{name}" if is_module else module


def rule(module: str, table: dict[str, set[str]]) -> set[str] | None:
    """The entry of ``table`` with the longest prefix of ``module``."""
    prefixes = [prefix for prefix in table if module == prefix or module.startswith(prefix + ".")]
    return table[max(prefixes, key=len)] if prefixes else None


def beside(path: Path) -> set[str]:
    """What a worker, run by path, finds by a short name: the protocol, and the files in its own directory."""
    return {"protocol", *(file.stem for file in path.parent.glob("*.py"))} if path.parent.parent == WORKERS else set()


def allowed(imported: str, prefixes: set[str]) -> bool:
    """``safety`` itself, an empty package, is imported with ``safety.rules``."""
    return any(imported == prefix or imported.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("path", files(), ids=lambda path: module_name(path))
def test_imports_go_one_way(path):
    module = module_name(path)
    ours, others = rule(module, MAY_IMPORT), rule(module, MAY_USE)
    for imported, line in imports(path):
        top = imported.partition(".")[0]
        if top in ROOMS:
            assert allowed(imported, ours), f"{path}:{line}: {module} must not import {imported}"
        elif others is not None and top not in sys.stdlib_module_names:
            assert top in others | beside(path), f"{path}:{line}: {module} must not use the package {top}"


def test_the_rules_bite():
    assert not allowed("sim.quadrotor", MAY_IMPORT["tasks"])
    assert not allowed("safety", MAY_IMPORT["deploy"])
    assert allowed("safety.rules", MAY_IMPORT["deploy"])
    assert rule("safety.envelope", MAY_IMPORT) == MAY_IMPORT["safety.envelope"]
    assert not allowed("safety.safeguards", MAY_IMPORT["deploy"])
    assert "torch" not in rule("safety.rules.rule", MAY_USE) | rule("safety.envelope", MAY_USE)
    worker = "sim.isaac.workers.isaac_gym.engine"
    assert not allowed("sim.isaac.workers.protocol", rule(worker, MAY_IMPORT))
    assert not {"mujoco", "yaml", "lab"} & (rule(worker, MAY_USE) | beside(WORKERS / "isaac_gym" / "engine.py"))


ON_ROBOTS = """
import importlib, pkgutil, sys
import deploy, robots, safety.envelope, safety.rules
for room in (deploy, robots):
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)
print(sorted({"torch", "mujoco", "sim", "tasks", "training", "onnx", "matplotlib", "rclpy"} & sys.modules.keys()))
"""


def test_what_runs_on_robots_loads_no_simulator_and_no_torch():
    result = subprocess.run([sys.executable, "-c", ON_ROBOTS], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_help_loads_nothing_heavy():
    code = "import sys; from cli.main import main; main(['--help']); print(sorted({'torch', 'mujoco', 'numpy'} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip().endswith("[]")
