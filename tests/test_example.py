"""The package in docs/examples, installed outside the tree: its robot and its task are everywhere that ours are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "examples" / "racer"


@pytest.fixture(scope="module")
def tether(tmp_path_factory):
    """Runs ``tether WORDS`` where the example is installed."""
    folder = tmp_path_factory.mktemp("racer")
    install = [sys.executable, "-m", "pip", "-qq", "install", "--no-index", "--no-deps", "--no-build-isolation", "--target", "site"]
    subprocess.run([*install, str(EXAMPLE)], cwd=folder, check=True, capture_output=True)

    def run(*words: str) -> subprocess.CompletedProcess:
        env = {**os.environ, "PYTHONPATH": str(folder / "site"), "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, "-m", "cli", *words], cwd=folder, env=env, capture_output=True, text=True, check=False)

    run.folder = folder
    return run


def test_it_is_listed(tether):
    result = tether("list", "--json", "list.json")
    assert result.returncode == 0, result.stderr
    listed = json.loads((tether.folder / "list.json").read_text())
    assert listed["robots"]["racer"]["kind"] == "Quadrotor"
    assert listed["tasks"]["climb"]["suites"] == ["nominal", "full"]


def test_its_robot_is_sound(tether):
    code = "from robots import registry; from robots.check import problems; print(problems(registry.robot('racer')))"
    env = {**os.environ, "PYTHONPATH": str(tether.folder / "site")}
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_it_goes_the_whole_way(tether):
    """Two iterations teach nothing, but every step from training to a verdict runs on a task that Tether has never seen."""
    steps = [
        ["train", "climb", "num_envs=8", "iterations=2", "threads=1", "--run-dir", "run"],
        ["export", "run", "-o", "climb.onnx"],
        ["inspect", "climb.onnx", "--steps", "5", "--json", "inspect.json"],
        ["evaluate", "climb.onnx", "--episodes", "4", "--suite", "nominal", "--json", "evaluation.json"],
        ["run", "climb.onnx", "--seconds", "1", "--log", "climb.mcap"],
    ]
    for step in steps:
        result = tether(*step)
        assert result.returncode == 0, result.stdout + result.stderr
    evaluation = json.loads((tether.folder / "evaluation.json").read_text())
    assert evaluation["episodes"] == 4
    assert tether("replay", "climb.mcap", "--policy", "climb.onnx", "--json", "replay.json").returncode in (0, 1, 2)
    assert json.loads((tether.folder / "replay.json").read_text())["verdict"] in ("pass", "violation", "inconclusive")


def test_its_task_flies_our_robot_too(tether):
    result = tether("train", "climb", "--robot", "crazyflie", "num_envs=8", "iterations=1", "threads=1", "--run-dir", "small")
    assert result.returncode == 0, result.stderr
