"""Whatever a user gets wrong: one line that names the valid choices or the remedy, an exit code that is not 0, no traceback."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cli.main import main

TREE = Path(__file__).resolve().parents[2]
POLICY = TREE / "policies" / "hover_geometric.onnx"

# What is typed, and words its error must hold. {policy} is a good file, {tmp} an empty directory, {text} a file that is not a policy.
MISTAKES = [
    ("fly", "unknown verb 'fly'", "train"),
    ("train", "hover"),
    ("train nosuch", "unknown task 'nosuch'", "hover"),
    ("train hover nosuch=1", "nosuch", "valid keys"),
    ("train hover num_envs=many", "num_envs", "int"),
    ("train hover --algorithm nosuch", "nosuch", "ppo"),
    ("train hover --robot nosuch", "unknown robot 'nosuch'", "crazyflie"),
    ("train hover --sim nosuch", "nosuch", "torch"),
    ("train hover --device tpu", "tpu", "cpu"),
    ("train hover --config {tmp}/nosuch.yaml", "nosuch.yaml"),
    ("train --resume {tmp}/nosuch", "nosuch"),
    ("train hover --epochs 3", "--epochs", "--help"),
    ("evaluate {tmp}/nosuch.onnx", "nosuch.onnx"),
    ("evaluate {text}", "text.onnx"),
    ("evaluate {policy} --suite nosuch", "unknown suite", "nominal"),
    ("evaluate {policy} --sim nosuch", "nosuch", "torch"),
    ("evaluate {policy} --device tpu", "tpu", "cpu"),
    ("evaluate {policy} --episodes none", "--episodes"),
    ("evaluate {policy} --episodes 0", "episodes"),
    ("evaluate {policy} --episodes 2 --video {tmp}/film.txt", "film.txt", ".png"),
    ("export {tmp}/nosuch -o {tmp}/out.onnx", "nosuch"),
    ("export geometric:nosuch -o {tmp}/out.onnx", "nosuch", "hover"),
    ("export geometric:hover", "-o"),
    ("export geometric:hover --robot nosuch -o {tmp}/out.onnx", "nosuch", "crazyflie"),
    ("inspect {tmp}/nosuch.onnx", "nosuch.onnx"),
    ("inspect {text}", "text.onnx"),
    ("inspect {policy} --provider nosuch", "nosuch", "cpu"),
    ("run {tmp}/nosuch.onnx", "nosuch.onnx"),
    ("run {policy} --suite nosuch --log {tmp}/flight.mcap", "nosuch", "nominal"),
    ("run {policy} --goal 1,2 --log {tmp}/flight.mcap", "goal"),
    ("run {policy} --sim nosuch --log {tmp}/flight.mcap", "nosuch", "torch"),
    ("run {policy} --guards {tmp}/nosuch.yaml --log {tmp}/flight.mcap", "nosuch.yaml"),
    ("replay {tmp}/nosuch.mcap --policy {policy}", "nosuch.mcap"),
    ("replay {text} --policy {tmp}/nosuch.onnx", "nosuch.onnx"),
    ("replay {text}", "--policy"),
    ("bench", "sim"),
    ("bench nosuch", "nosuch", "sim"),
    ("new", "robot"),
    ("new zebra {text}", "zebra", "robot"),
    ("new robot {tmp}/nosuch.urdf", "nosuch.urdf"),
    ("new robot {text}", "text.onnx"),
    ("list --json {tmp}/no/list.json", "no"),
    ("doctor now", "now"),
]
if not torch.cuda.is_available():
    MISTAKES += [("train hover --device cuda", "cuda", "cpu"), ("evaluate {policy} --device cuda", "cuda", "cpu")]
    MISTAKES += [("inspect {policy} --provider cuda", "cuda")]


@pytest.mark.parametrize(("typed", *[f"word_{i}" for i in range(2)]), [(*mistake, "", "")[:3] for mistake in MISTAKES])
def test_a_mistake_is_told_in_one_line(typed, word_0, word_1, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.onnx").write_text("not what it says it is")
    words = typed.format(policy=POLICY, tmp=tmp_path / "empty", text=tmp_path / "text.onnx")
    assert main(shlex.split(words)) not in (0, None)
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1, err
    assert err.startswith("tether: error: ")
    assert word_0 in err
    assert word_1 in err


WITHOUT = "import sys; sys.modules['{package}'] = None; sys.argv = {argv!r}; import tether_entry; sys.exit(tether_entry.{script}())"


@pytest.mark.parametrize(
    ("script", "package", "arguments", "remedy"),
    [
        ("policy_node", "rclpy", ["--ros-args", "-p", f"policy:={POLICY}"], "tether[ros]"),
        ("simulated_robot", "rclpy", [], "tether[ros]"),
        ("tether_operator", "rclpy", [], "tether[ros]"),
        ("tether_flight", "rclpy", [str(POLICY)], "tether[ros]"),
        ("tether_walk", "rclpy", [str(POLICY)], "tether[ros]"),
        ("tether", "onnxruntime", ["inspect", str(POLICY)], "onnxruntime"),
        ("tether", "mujoco", ["new", "robot", str(POLICY)], "mujoco"),
        ("tether", "tensorboard", ["list"], ""),
    ],
)
def test_a_missing_package_is_told_in_one_line(script, package, arguments, remedy, tmp_path):
    code = WITHOUT.format(package=package, argv=[script, *arguments], script=script)
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr
    if remedy:
        assert result.returncode == 2
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert remedy in result.stderr
    else:
        assert result.returncode == 0
