"""``tether bench engines``: what it measures against what must come out, its keys, and what it says of engines that are not there."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from benchmarks import engines, engines_report
from benchmarks.engines import Response, differences
from cli.main import main
from robots.crazyflie import crazyflie

SHARED = {"engine", "device", "integrator", "physics_dt", "num_envs", "env_steps_per_second", "steps_per_second"}
OF_LEGS = {
    "standing_height_m",
    "contact_force_over_weight",
    "flight_energy_drift",
    "motor_energy_j",
    "push_displacement_m",
    "push_lean_rad",
}


@pytest.fixture(scope="module")
def legs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The result and the page for a quadruped on an engine that is there and one that is not."""
    folder = tmp_path_factory.mktemp("engines")
    words = ["bench", "engines", "--robot", "go2", "--sim", "mujoco_cpu", "torch", "--num-envs", "2", "--seconds", "0.05"]
    assert main([*words, "--json", str(folder / "engines.json"), "--html", str(folder / "engines.html")]) == 0
    return json.loads((folder / "engines.json").read_text()), (folder / "engines.html").read_text()


def test_legs_have_the_agreed_keys(legs: tuple[dict[str, Any], str]) -> None:
    result, _ = legs
    assert set(result) == {"robot", "num_envs", "control_dt", "reference", "engines", "unavailable", "responses"}
    assert (result["robot"], result["reference"], result["num_envs"], set(result["engines"])) == ("go2", "mujoco_cpu", 2, {"mujoco_cpu"})
    assert SHARED | OF_LEGS | {"response_rms_rad", "response_max_rad"} <= set(result["engines"]["mujoco_cpu"])
    assert set(result["unavailable"]) == {"torch"}
    assert "four rotors" in result["unavailable"]["torch"]


def test_legs_are_measured_as_they_must_be(legs: tuple[dict[str, Any], str]) -> None:
    measured = legs[0]["engines"]["mujoco_cpu"]
    assert measured["contact_force_over_weight"] == pytest.approx(1.0, abs=0.01)
    assert measured["standing_height_m"] == pytest.approx(0.27, abs=0.02)
    assert abs(measured["flight_energy_drift"]) < 0.03, "a fall by semi-implicit Euler: about dt / t"
    assert measured["motor_energy_j"] > 0.0
    assert 0.01 < measured["push_displacement_m"] < 0.4
    assert (measured["response_rms_rad"], measured["response_max_rad"]) == (0.0, 0.0), "the reference, from itself"


def test_responses_begin_at_the_stand_and_reach_what_was_asked(legs: tuple[dict[str, Any], str]) -> None:
    small = legs[0]["responses"]["small step"]
    readings = np.array(small["engines"]["mujoco_cpu"])
    assert readings.shape == (len(small["time_s"]), len(small["channels"])) == (26, 12)
    np.testing.assert_allclose(readings[-1] - readings[0], 0.3, atol=0.02)
    np.testing.assert_allclose(np.array(small["asked"]) - readings[0], 0.3, atol=1e-6)


def test_the_page_stands_alone_and_draws_every_engine(legs: tuple[dict[str, Any], str]) -> None:
    _, page = legs
    assert page.count("<svg") == 6
    assert page.count('class="s0"') >= 6
    assert all(words in page for words in ("FR_calf_joint [°]", "Large step", "torch could not be measured", "standing height"))
    assert not any(words in page for words in ("<script", "http://", "https://", "<link"))
    assert len(page) < 100_000


def test_a_quadrotor_hovers_and_falls_as_it_must() -> None:
    result = engines.compare(crazyflie, ["auto"], 2, seconds=0.02)
    measured = result["engines"]["torch"]
    assert SHARED | {"response_rms_rad_s", "response_max_rad_s"} <= set(measured)
    for name in ("hover_drift_m", "fall_speed_error_m_s", "fall_position_error_m"):
        assert measured[name] < 1e-3, name
    (response,) = result["responses"].values()
    np.testing.assert_allclose(response["engines"]["torch"][-1], response["asked"], atol=0.3)
    assert "crazyflie, 2 environments" in engines_report.text(result)


def test_differences_are_over_all_responses_together() -> None:
    asked = np.zeros(2)
    here = {"a": Response(asked, np.array([[0.0, 3.0]])), "b": Response(asked, np.array([[1.0, 1.0]]))}
    there = {"a": Response(asked, np.array([[0.0, -1.0]])), "b": Response(asked, np.array([[1.0, 1.0]]))}
    assert differences(here, there, "rad") == {"response_rms_rad": 2.0, "response_max_rad": 4.0}


def test_without_any_engine_it_fails_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "engines", "--sim", "mujoco_cpu", "abacus"]) == 1
    said = capsys.readouterr().out
    assert "mujoco_cpu could not be measured: the engine mujoco_cpu simulates legged robots" in said
    assert "abacus could not be measured: unknown simulator 'abacus'" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["engines", "--task", "hover"], "leave --task"),
        (["engines", "--num-envs", "1", "2"], "one number of environments"),
        (["engines", "--html", "/nosuch/page.html"], "create it first"),
        (["sim", "--sim", "torch", "mujoco_cpu"], "tether bench engines"),
        (["env", "--html", "page.html"], "without --html"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert said in error
