"""``tether bench sim``: says what it measured, in the keys others read. Speed itself is never asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main


def test_result_has_the_agreed_keys_for_every_number_of_environments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bench.json"
    assert main(["bench", "sim", "--num-envs", "1", "8", "--seconds", "0.05", "--json", str(file)]) == 0
    data = json.loads(file.read_text())
    assert {"steps_per_second", "env_steps_per_second", "num_envs", "engine"} <= set(data)
    assert [result["num_envs"] for result in data["results"]] == [1, 8]
    for result in data["results"]:
        assert result["steps_per_second"] == pytest.approx(2 * result["env_steps_per_second"]), "two sub-steps of 5 ms a control step"
        assert result["env_steps_per_second"] > 0.0
    assert "physics steps/s" in capsys.readouterr().out


def test_legs_are_measured_on_their_engine(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    assert main(["bench", "sim", "--robot", "go2", "--num-envs", "4", "--seconds", "0.05", "--json", str(file)]) == 0
    data = json.loads(file.read_text())
    assert (data["engine"], data["robot"]) == ("mujoco_cpu", "go2")
    assert data["steps_per_second"] == pytest.approx(4 * data["env_steps_per_second"]), "four sub-steps of 5 ms a control step"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--num-envs", "0"], "at least 1"),
        (["--physics-dt", "0.003"], "does not divide"),
        (["--seconds", "0"], "positive"),
        (["--threads", "0"], "at least 1"),
        (["--robot", "zeppelin"], "crazyflie"),
        (["--actuation", "thought"], "ctbr"),
        (["--task", "hover"], "has no task"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "sim", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tether: error: ")
    assert len(error.splitlines()) == 1
    assert said in error


def test_a_whole_environment_is_measured_under_the_same_keys(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    assert main(["bench", "env", "--num-envs", "8", "--control-dt", "0.002", "--seconds", "0.05", "--json", str(file)]) == 0
    data = json.loads(file.read_text())
    assert {"steps_per_second", "env_steps_per_second", "num_envs", "engine", "task", "suite"} <= set(data)
    assert data["steps_per_second"] == pytest.approx(data["env_steps_per_second"]), "one sub-step of 2 ms a control step"


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--task", "sleep"], "hover"), (["--actuation", "ctbr"], "own actuation mode"), (["--control-dt", "0"], "positive")],
)
def test_bad_input_for_an_environment_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "env", *words]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert said in error
