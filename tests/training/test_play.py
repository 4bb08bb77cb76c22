"""`tether play`: flights by script and by keys, through the whole runtime, judged by replay."""

from __future__ import annotations

import json
import os
import pty
import sys
import termios
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from cli.main import main
from cli.play import line
from deploy.policy import Policy
from deploy.record import read_log
from deploy.replay.replay import replay
from robots.errors import TetherError
from robots.go2 import go2
from training.play import Play, Status
from training.window import Window

POLICIES = Path(__file__).parents[2] / "policies"
HOVER, WALK = POLICIES / "hover_geometric.onnx", POLICIES / "go2_velocity.onnx"
GOAL = "goal_position_in_world"


def play(tmp_path: Path, policy: Path, script: str, *words: str) -> list[dict[str, Any]]:
    """Flights of a script, as fast as they go."""
    (tmp_path / "script.yaml").write_text(script)
    options = ["--script", str(tmp_path / "script.yaml"), "--speed", "inf", "--log", str(tmp_path / "play.mcap")]
    assert main(["play", str(policy), *options, "--json", str(tmp_path / "result.json"), *words]) == 0
    flights: list[dict[str, Any]] = json.loads((tmp_path / "result.json").read_text())["flights"]
    return flights


def test_a_walk_by_script_passes_replay(tmp_path: Path) -> None:
    script = "- {at_s: 2.5, forward: 1}\n- {at_s: 4.5, forward: 1, turn: 1, press: push}\n- {at_s: 5.5}\n- {at_s: 6.5, press: quit}"
    (flight,) = play(tmp_path, WALK, script)
    assert flight["completed"]
    assert flight["flown_s"] == pytest.approx(6.5, abs=0.05)
    log = read_log(tmp_path / "play.mcap")
    assert replay(log, Policy.load(WALK)).verdict == "pass"
    walk, turn = log.block("command.linear_velocity_command"), log.block("command.yaw_rate_command")
    assert walk[int(2.4 * 50)].tolist() == [0.0, 0.0]
    assert walk[int(4.4 * 50), 0] == pytest.approx(2.0 / 3, abs=1e-6)
    assert turn[int(5.4 * 50), 0] == pytest.approx(1.0, abs=1e-6)
    assert np.abs(walk[-2]).max() < 1e-6


def test_a_goal_is_moved_and_another_flight_begun(tmp_path: Path) -> None:
    script = "- {at_s: 0.5, forward: 1, press: 9}\n- {at_s: 2.5}\n- {at_s: 4.0, press: reset}\n- {at_s: 5.0, press: quit}"
    first, second = play(tmp_path, HOVER, script, "--video", str(tmp_path / "play.png"))
    assert (first["log"], second["log"]) == (str(tmp_path / "play.mcap"), str(tmp_path / "play-2.mcap"))
    assert (tmp_path / "play.png").stat().st_size > 10_000
    log, policy = read_log(first["log"]), Policy.load(HOVER)
    goal = log.block(f"command.{GOAL}")
    moved = goal[-1] - goal[0]
    assert moved[0] == pytest.approx(1.5 * 2.0, abs=0.1)  # a second to get fast and one to stop
    np.testing.assert_allclose(moved[1:], 0.0, atol=1e-6)
    assert [replay(read_log(flight["log"]), policy).verdict for flight in (first, second)] == ["pass", "pass"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """A terminal as stdin: what types, and the program's end."""
    typing, program = pty.openpty()
    with os.fdopen(program, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield typing, program
    os.close(typing)


def test_keys_move_it_and_the_terminal_is_restored(tmp_path: Path, terminal: tuple[int, int]) -> None:
    typing, program = terminal
    before = termios.tcgetattr(program)
    os.write(typing, b"9d")
    assert main(["play", str(HOVER), "--seconds", "2", "--speed", "inf", "--log", str(tmp_path / "play.mcap")]) == 0
    assert termios.tcgetattr(program) == before
    goal = read_log(tmp_path / "play.mcap").block(f"command.{GOAL}")
    assert goal[-1, 1] - goal[0, 1] == pytest.approx(-(1.5 * 0.5**2), abs=0.05)  # half a second faster, then not repeated: slower again
    np.testing.assert_allclose(goal[-1], goal[-50], atol=1e-6)


def test_an_error_in_flight_restores_the_terminal(
    tmp_path: Path, terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, program = terminal
    before = termios.tcgetattr(program)

    def fail(self: Play, word: str) -> None:
        raise TetherError("nothing works")

    monkeypatch.setattr(Play, "_press", fail)
    os.write(terminal[0], b"p")
    assert main(["play", str(HOVER), "--seconds", "2", "--speed", "inf", "--log", str(tmp_path / "play.mcap")]) == 2
    assert "nothing works" in capsys.readouterr().err
    assert termios.tcgetattr(program) == before


def test_without_a_terminal_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", str(HOVER)]) == 2
    (text,) = capsys.readouterr().err.splitlines()
    assert "--joystick" in text
    assert "--script" in text


def test_the_status_line_has_everything() -> None:
    status = Status(12.5, "POLICY", {"yaw_rate_command": np.array([0.5])}, np.array([0.1, 0.0, -0.2, 0.4]), 0.25, 3)
    assert line(status) == "  12.5 s POLICY  asked yaw_rate +0.50  is +0.10 +0.00 -0.20 +0.40  error 0.25  late 3"


class Viewer:
    """A stand-in for MuJoCo's: there is no display here."""

    def __init__(self, model: Any, data: Any) -> None:
        self.data, self.shown, self.closed = data, [], False

    def is_running(self) -> bool:
        return True

    def lock(self) -> Any:
        return torch.no_grad()  # any context

    def sync(self) -> None:
        self.shown.append(self.data.qpos.copy())

    def close(self) -> None:
        self.closed = True


def test_the_window_shows_the_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mujoco, "viewer", types.SimpleNamespace(launch_passive=Viewer), raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    state = {"position_base_in_world": torch.tensor([[1.0, 2.0, 0.3]]), "orientation_base_in_world": torch.tensor([[1.0, 0.0, 0.0, 0.0]])}
    state["joint_position"] = torch.tensor([go2.stand])
    with Window(go2) as window:
        for _ in range(4):
            window(state, {}, {})
        viewer = window._viewer
    assert viewer.closed
    assert len(viewer.shown) == 2
    np.testing.assert_allclose(viewer.shown[-1], [1.0, 2.0, 0.3, 1.0, 0.0, 0.0, 0.0, *go2.stand], atol=1e-6)
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(TetherError, match="needs a display"):
        Window(go2)
