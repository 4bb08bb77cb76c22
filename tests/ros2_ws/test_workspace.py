"""The workspace as others use it: built by colcon, configured by its YAML, started by its launch files, run from the console."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from robots.crazyflie import crazyflie
from robots.go2 import go2
from tests.ros2_ws.helpers import GO2, POLICY
from tether_bringup.processes import BOOTSTRAP, Process, parameters
from tether_ros import options, process
from tether_ros.node import PolicyNode
from tether_ros.operator_node import Operator
from tether_sim import node as simulated_robot
from tether_sim.kinds import kind

SOURCES = Path(__file__).resolve().parents[2] / "ros2_ws" / "src"
BRINGUP = SOURCES / "tether_bringup"
EXECUTABLES = {
    "tether_ros": {"policy_node", "tether_operator"},
    "tether_sim": {"simulated_robot"},
    "tether_bringup": {"tether_flight", "tether_walk"},
}
# The bootstrap of the ROS wheels happens anew in every child; a Python that may not write bytecode makes setuptools say so.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in (BOOTSTRAP, "PYTHONDONTWRITEBYTECODE")}


def without_ros(code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` where importing rclpy or a message fails."""
    blocked = (
        "rclpy",
        "trajectory_msgs",
        "rcl_interfaces",
        "std_msgs",
        "std_srvs",
        "sensor_msgs",
        "nav_msgs",
        "geometry_msgs",
        "diagnostic_msgs",
    )
    script = f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); {code}"
    return subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)


def test_colcon_builds_the_workspace_without_a_word_of_warning(tmp_path: Path) -> None:
    colcon = shutil.which("colcon", path=str(Path(sys.executable).parent))
    assert colcon, "colcon is not installed beside this Python; run: pip install 'tether[dev]'"
    folders = [word for kind in ("build", "install") for word in (f"--{kind}-base", str(tmp_path / kind))]
    done = subprocess.run(
        [colcon, "--log-base", str(tmp_path / "log"), "build", "--base-paths", str(SOURCES), *folders],
        env={**ENVIRONMENT, "AMENT_PREFIX_PATH": "", "PATH": f"{Path(sys.executable).parent}:{ENVIRONMENT['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    assert "stderr" not in done.stdout + done.stderr, "colcon says so where a package's build wrote to stderr"
    for package, executables in EXECUTABLES.items():
        prefix = tmp_path / "install" / package
        assert {path.name for path in (prefix / "lib" / package).iterdir()} == executables
        assert (prefix / "share" / "ament_index" / "resource_index" / "packages" / package).exists()
    share = tmp_path / "install" / "tether_bringup" / "share" / "tether_bringup"
    assert sorted(path.name for path in share.rglob("*.launch.py")) == ["policy.launch.py", "simulation.launch.py"]
    assert sorted(path.name for path in share.rglob("*.yaml")) == ["policy_node.yaml", "simulated_go2.yaml", "simulated_robot.yaml"]


@pytest.mark.parametrize("path", sorted((BRINGUP / "launch").glob("*.launch.py")), ids=lambda path: path.name)
def test_launch_files_name_what_exists(path: Path) -> None:
    """No wheel has the launch system, so its files are read, not run."""
    tree = ast.parse(path.read_text())
    assert any(isinstance(item, ast.FunctionDef) and item.name == "generate_launch_description" for item in tree.body)
    nodes = [call for call in ast.walk(tree) if isinstance(call, ast.Call) and any(word.arg == "executable" for word in call.keywords)]
    assert nodes
    for call in nodes:
        named = {word.arg: str(word.value.value) for word in call.keywords if isinstance(word.value, ast.Constant)}
        assert named["executable"] in EXECUTABLES[named["package"]]
    for text in (item.value for item in ast.walk(tree) if isinstance(item, ast.Constant) and str(item.value).endswith(".yaml")):
        assert (BRINGUP / "config" / str(text)).exists()


def flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested YAML as dotted parameter names."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


@pytest.mark.parametrize(
    ("file", "name", "declarations"),
    [
        ("policy_node", "policy_node", options.DECLARATIONS),
        ("simulated_robot", "simulated_robot", (*simulated_robot.PARAMETERS, *kind(crazyflie).parameters)),
        ("simulated_go2", "simulated_robot", (*simulated_robot.PARAMETERS, *kind(go2).parameters)),
    ],
)
def test_parameter_files_set_declared_parameters_to_allowed_values(file: str, name: str, declarations: Any) -> None:
    values = flat(yaml.safe_load((BRINGUP / "config" / f"{file}.yaml").read_text())[name]["ros__parameters"])
    declared = {declaration.name: declaration for declaration in declarations}
    assert values.keys() <= declared.keys()
    for key, value in values.items():
        assert isinstance(value, type(declared[key].default)), key
        assert declared[key].check(value) == ""


def test_every_parameter_describes_itself(domain: None) -> None:
    node = PolicyNode()
    for declaration in options.DECLARATIONS:
        descriptor = node.describe_parameter(declaration.name)
        assert descriptor.description
        number = isinstance(declaration.default, (int, float)) and not isinstance(declaration.default, bool)
        assert bool(descriptor.integer_range or descriptor.floating_point_range) == number
    node.destroy_node()


@pytest.mark.parametrize(
    "module",
    ["tether_ros.policy_node", "tether_ros.operator", "tether_sim.simulated_robot", "tether_bringup.flight", "tether_bringup.walk"],
)
def test_without_ros_every_program_says_how_to_get_it(module: str) -> None:
    words = ["x", str(POLICY)] if module.startswith("tether_bringup") else ["x"]
    done = without_ros(f"sys.argv = {words!r}; from {module} import main; sys.exit(main())")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "rclpy and its messages) is not installed; run: pip install 'tether[ros]'" in done.stderr


@pytest.mark.parametrize(
    ("module", "words", "reason"),
    [
        ("tether_ros.policy_node", ["--ros-args", "-p", "provider:=abacus"], "provider is 'abacus'; choose one of: cpu, cuda, auto"),
        ("tether_sim.simulated_robot", ["--ros-args", "-p", "robot:=unicorn"], "unknown robot 'unicorn'; choose one of:"),
        ("tether_sim.simulated_robot", ["--ros-args", "-p", "start_position_m:=[0.0]"], "start_position_m has 1 numbers, needs 3"),
        (
            "tether_sim.simulated_robot",
            ["--ros-args", "-p", "robot:=go2", "-p", "position_noise_m:=0.1"],
            "unknown parameter 'position_noise_m'",
        ),
        ("tether_sim.simulated_robot", ["--ros-args", "-p", "robot:=go2", "-p", "start:=sitting"], "choose one of: lying, standing"),
        ("tether_bringup.flight", [str(GO2)], "is for tether_walk"),
        ("tether_bringup.walk", [str(POLICY)], "is for tether_flight"),
        ("tether_ros.policy_node", ["--ros-args", "--nonsense"], "the ROS arguments are not valid"),
        ("tether_bringup.flight", ["nowhere.onnx"], "nowhere.onnx"),
    ],
)
def test_what_the_user_can_put_right_is_one_line(module: str, words: list[str], reason: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_an_idle_node_ends_at_once_on_a_signal(domain: None) -> None:
    with Process("tether_ros.policy_node", parameters({"policy": POLICY})) as pilot, Operator(watch=(pilot.check,)) as operator:
        operator.configure()
        pilot.send(signal.SIGINT)
        assert pilot.wait() == 0


def test_a_priority_the_system_refuses_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert not process.may_be_realtime(10)
    with pytest.raises(process.TetherError, match=r"realtime_priority 10 is not allowed here.*ulimit -r"):
        process.prioritise(10)
    process.prioritise(0)
