"""`tether export`, `inspect` and `evaluate` from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cli.main import main
from deploy.policy import Policy
from tasks.hover import Hover
from training import checkpoint
from training.learned_law import LearnedLaw

SHIPPED = Path(__file__).parents[2] / "policies" / "hover_geometric.onnx"


def run(tmp_path: Path, *words: object) -> dict[str, Any]:
    """Run a command line that must succeed; its JSON."""
    file = tmp_path / "result.json"
    assert main([*map(str, words), "--json", str(file)]) == 0
    data: dict[str, Any] = json.loads(file.read_text())
    return data


def complaint(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command line that must fail; its one line of complaint."""
    assert main([*map(str, words)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("tether: error: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


# ---- export


def test_export_hand_written_law_at_a_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = run(tmp_path, "export", "geometric:hover", "--rate", 500, "-o", tmp_path / "fast.onnx")
    policy = Policy.load(tmp_path / "fast.onnx")
    assert data["digest"] == policy.digest
    assert policy.contract.rate_hz == data["rate_hz"] == 500.0
    assert policy.provenance["command"] == "tether export geometric:hover --rate 500 -o fast.onnx"
    assert f"wrote {tmp_path / 'fast.onnx'}" in capsys.readouterr().out


def test_export_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint becomes a policy that names both commands that make it."""
    monkeypatch.chdir(tmp_path)
    known = {"command": "tether train hover --seed 3", "seed": 3}
    law = LearnedLaw(Hover()).eval().requires_grad_(False)
    monkeypatch.setattr(checkpoint, "load_law", lambda path: (law, dict(known)))
    (tmp_path / "run").mkdir()
    run(tmp_path, "export", "run", "-o", "policy.onnx")
    policy = Policy.load("policy.onnx")
    assert policy.provenance["command"] == "tether export run -o policy.onnx"
    assert policy.provenance["training_command"] == known["command"]
    assert policy.provenance["seed"] == 3
    assert len(policy.contract.observation_quantiles) == 2


def test_export_refuses_with_a_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p.onnx"
    assert "geometric:hover" in complaint(capsys, "export", "geometric:dance", "-o", out)
    assert "tether train" in complaint(capsys, "export", tmp_path / "runs" / "none", "-o", out)
    assert "checkpoint" in complaint(capsys, "export", tmp_path, "-o", out)
    assert "between 1 and 10000" in complaint(capsys, "export", "geometric:hover", "--rate", 0, "-o", out)
    assert "hand-written" in complaint(capsys, "export", tmp_path, "--rate", 50, "-o", out)
    assert "crazyflie" in complaint(capsys, "export", "geometric:hover", "--robot", "teapot", "-o", out)
    (tmp_path / "file").touch()
    assert "cannot be written" in complaint(capsys, "export", "geometric:hover", "-o", tmp_path / "file" / "p.onnx")
    assert not out.exists()


# ---- inspect


def test_inspect_shows_contract_parity_and_timing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = run(tmp_path, "inspect", SHIPPED, "--steps", 5)
    policy = Policy.load(SHIPPED)
    assert data["digest"] == policy.digest
    assert data["contract"] == json.loads(policy.contract.to_json())
    assert data["parity"]["passed"]
    assert data["parity"]["error"] <= data["parity"]["tolerance"] == 1e-5
    assert (data["graph"]["opset"], data["graph"]["ir_version"]) == (18, 8)
    assert data["graph"]["nodes"] == sum(data["graph"]["operators"].values()) > 10
    assert 0.0 < data["timing_us"]["p50"] <= data["timing_us"]["p99"]
    text = capsys.readouterr().out
    for word in (
        policy.digest,
        "rad/s",
        "collective_thrust",
        "goal_position_in_world",
        "tilt_rad",
        "tether export geometric:hover",
        "1e-05",
    ):
        assert word in text


def test_inspect_refuses_what_is_no_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in complaint(capsys, "inspect", tmp_path / "missing.onnx")
    changed = tmp_path / "changed.onnx"
    shutil.copy(SHIPPED, changed)
    with changed.open("r+b") as file:
        file.seek(1000)
        file.write(b"!")
    assert "digest check" in complaint(capsys, "inspect", changed)
    assert "auto, cpu, cuda" in complaint(capsys, "inspect", SHIPPED, "--provider", "tpu")


# ---- evaluate


def test_evaluate_reports_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "flight.png"
    data = run(tmp_path, "evaluate", SHIPPED, "--episodes", 10, "--suite", "nominal", "--seed", 4, "--video", picture)
    assert (data["episodes"], data["seed"], data["suite"], data["success_rate"]) == (10, 4, "nominal", 1.0)
    assert picture.stat().st_size > 10_000
    out = capsys.readouterr().out
    assert "success      100.0%   95 % interval 69.2% … 100.0%   10 episodes" in out
    assert f"wrote {picture}" in out


def test_evaluate_refuses_with_a_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "full, nominal, unseen" in complaint(capsys, "evaluate", SHIPPED, "--suite", "easy")
    assert "choose one of: isaac, isaacgym, mujoco_cpu, mujoco_warp, torch" in complaint(capsys, "evaluate", SHIPPED, "--sim", "gazebo")
    assert "at least one" in complaint(capsys, "evaluate", SHIPPED, "--episodes", -3)
    assert ".png, .gif" in complaint(capsys, "evaluate", SHIPPED, "--video", tmp_path / "flight.mp4")
    assert "no such file" in complaint(capsys, "evaluate", tmp_path / "missing.onnx")
    if not torch.cuda.is_available():
        assert "cuda" in complaint(capsys, "evaluate", SHIPPED, "--device", "cuda")
