"""Several policies on several engines: who flies where, what is compared with what, and how the table reads. Evaluations are stand-ins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from deploy.policy import Policy
from robots.errors import TetherError
from training.transfer import report, transfer

POLICIES = Path(__file__).parents[2] / "policies"
SUCCESS = {"mujoco_cpu": 0.98, "torch": 0.905}


def evaluation(policy: Any, *, simulator: str, device: str, **settings: Any) -> dict[str, Any]:
    """Better on one engine, and with another policy; nobody survives as policy c."""
    success = 0.0 if policy == "c" else SUCCESS[simulator] - (0.1 if policy == "b" else 0.0)
    tracking = {"episodes": 0} if policy == "c" else {"episodes": 9, "root_mean_square": 0.0912}
    figures = {"success_rate": success, "success_interval": [0.5, 1.0], "crashes": 7, "tracking_rms": tracking, "suite_digest": "abc"}
    return {"policy": f"{policy}.onnx", "engine": simulator, "device": device, **settings, **figures}


def flown(*policies: Any) -> dict[str, Any]:
    return transfer(policies, ["mujoco_cpu", "torch"], device="cuda", evaluation=evaluation, suite="full", seed=3, episodes=9)


def test_every_policy_flies_on_every_engine_under_the_same_conditions() -> None:
    result = flown("a", "b")
    assert result["engines"] == ["mujoco_cpu", "torch"]
    assert [(row["policy"], row["engine"]) for row in result["results"]] == [
        (f"{policy}.onnx", engine) for policy in "ab" for engine in ("mujoco_cpu", "torch")
    ]
    assert {(row["suite"], row["seed"], row["episodes"]) for row in result["results"]} == {("full", 3, 9)}
    assert [row["device"] for row in result["results"]] == ["cpu", "cuda"] * 2, "what runs on the CPU alone stays there"


def test_points_are_from_the_first_engine_of_the_same_policy() -> None:
    assert [row["difference_points"] for row in flown("a", "b")["results"]] == pytest.approx([0.0, -7.5, 0.0, -7.5])


def test_the_table_says_what_was_flown_and_how_it_went() -> None:
    lines = report(flown("a", "c")).splitlines()
    assert lines[0] == "suite full (abc), 9 episodes each, seed 3; points: of success, over the first engine"
    assert lines[1].split("  ")[0] == "policy"
    assert lines[3].split() == ["a.onnx", "torch", "90.5%", "50.0%", "…", "100.0%", "7", "0.091", "-7.5"]
    assert lines[4].split()[-3:] == ["7", "–", "+0.0"]


def test_an_unknown_engine_is_refused_before_anything_flies() -> None:
    with pytest.raises(TetherError, match="gazebo"):
        transfer(["a"], ["torch", "gazebo"], evaluation=lambda *_, **__: pytest.fail("it flew"))  # type: ignore[list-item]


def test_the_command_line_flies_several_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And one file on one engine gives what it always gave."""
    files = [str(POLICIES / name) for name in ("hover_geometric.onnx", "hover.onnx")]
    out = tmp_path / "result.json"
    assert main(["evaluate", *files, "--sim", "torch", "--episodes", "3", "--suite", "nominal", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert [row["policy_digest"] for row in found["results"]] == [Policy.load(file).digest for file in files]
    assert capsys.readouterr().out.count("100.0%") >= 2
    assert main(["evaluate", *files, "--video", "a.png"]) == 2
    assert "one policy on one engine" in capsys.readouterr().err
