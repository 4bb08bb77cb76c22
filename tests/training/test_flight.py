"""`tether run`: the shipped geometric policy against the simulated robot, through the whole runtime, in lockstep."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.main import main
from deploy.policy import Policy, PolicyOutput
from deploy.record import read_log
from deploy.replay.outcome import judge_file
from deploy.runtime import State
from robots import registry
from robots.errors import TetherError
from safety.rules import built_in, judge
from tasks.track import Track
from training.export import export_law
from training.flight import Flight
from training.geometric_track import GeometricTrack

SHIPPED = Path(__file__).parents[2] / "policies" / "hover_geometric.onnx"


@pytest.fixture(scope="module")
def policy() -> Policy:
    """The shipped geometric hover controller."""
    return Policy.load(SHIPPED)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """The geometric tracking controller."""
    path = tmp_path_factory.mktemp("policy") / "track.onnx"
    return Policy.load(export_law(GeometricTrack(Track()), path, provenance={"command": "a test"}))


def test_it_recovers_and_holds(policy: Policy, tmp_path: Path) -> None:
    result = Flight(policy, suite="full", seed=4, seconds=8.0).record(tmp_path / "a.mcap")
    assert result["completed"]
    assert (result["state"], result["ticks"], result["flown_s"], result["failsafe"]) == ("POLICY", 800, 8.0, False)
    assert result["final_error"] < 0.1


def test_the_log_repeats_the_flight_and_keeps_every_rule(policy: Policy, tmp_path: Path) -> None:
    flight = Flight(policy, suite="nominal", seed=0, seconds=4.0)
    flight.record(tmp_path / "a.mcap")
    log = read_log(tmp_path / "a.mcap")
    assert (len(log), log.problems) == (400, [])
    np.testing.assert_allclose(log.columns["receipt_s"], np.arange(400) * 0.01)
    distance = np.linalg.norm(log.block("sensor.position_base_in_world") - log.block("command.goal_position_in_world"), axis=1)
    np.testing.assert_allclose(distance[1:], flight.driver.errors[:-1], atol=1e-5)  # nominal: readings are the truth
    robot = registry.robot(policy.contract.robot)
    assert {judge(rule, log.columns, 0.01).verdict for rule in built_in(policy.contract, robot)} == {"satisfied"}


def test_a_seed_is_a_flight(policy: Policy, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        Flight(policy, suite="full", seed=seed, seconds=1.0).record(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert not np.array_equal(read_log(tmp_path / "a").rows, read_log(tmp_path / "c").rows)


def test_goals_are_visited_in_turn(policy: Policy, tmp_path: Path) -> None:
    goals = [np.array([0.0, 0.0, 6.0]), np.array([1.0, 0.0, 7.0])]
    result = Flight(policy, suite="nominal", seed=0, seconds=12.0, goals=goals).record(tmp_path / "a.mcap")
    assert result["completed"]
    log = read_log(tmp_path / "a.mcap")
    position, command = log.block("sensor.position_base_in_world"), log.block("command.goal_position_in_world")
    np.testing.assert_array_equal(command[[0, 599, 600]], [goals[0], goals[0], goals[1]])
    np.testing.assert_allclose(position[[599, 1199]], goals, atol=0.05)


def test_a_moving_reference_is_followed_and_recorded(tracking: Policy, tmp_path: Path) -> None:
    result = Flight(tracking, suite="nominal", seed=0, seconds=7.0).record(tmp_path / "a.mcap")
    assert result["completed"]
    assert result["final_error"] < 0.08
    log = read_log(tmp_path / "a.mcap")
    goal, velocity = log.block("command.goal_position_in_world"), log.block("command.goal_velocity_in_world")
    np.testing.assert_allclose(goal[650, 0] - goal[0, 0], 2 * np.sin(2 * np.pi / 6 * 6.5), atol=1e-4)
    np.testing.assert_allclose((goal[402] - goal[400]) / 0.02, velocity[401], atol=1e-2)
    robot = registry.robot(tracking.contract.robot)
    assert {judge(rule, log.columns, 0.01).verdict for rule in built_in(tracking.contract, robot)} == {"satisfied"}
    assert judge_file(tmp_path / "a.mcap", tracking, (), page=True).report.verdict == "pass"


def test_a_tracking_policy_flies_to_goals_too(tracking: Policy, tmp_path: Path) -> None:
    goals = [np.array([0.0, 0.0, 6.0])]
    result = Flight(tracking, suite="nominal", seed=0, seconds=6.0, goals=goals).record(tmp_path / "a.mcap")
    assert result["final_error"] < 0.05
    assert not read_log(tmp_path / "a.mcap").block("command.goal_velocity_in_world").any()


class Failing:
    """The shipped policy until ``after`` steps, then something else."""

    def __init__(self, policy: Policy, after: int, change: Any) -> None:
        self.contract, self.digest, self.path = policy.contract, policy.digest, policy.path
        self._policy, self._after, self._change, self._steps = policy, after, change, 0

    def step(self, *inputs: Any) -> PolicyOutput:
        self._steps += 1
        output = self._policy.step(*inputs)
        return output if self._steps <= self._after else self._change(output)


def test_a_policy_that_fails_in_flight_ends_in_the_failsafe_and_the_log_says_so(policy: Policy, tmp_path: Path) -> None:
    failing: Any = Failing(policy, 100, lambda output: output._replace(memory=output.memory * np.float32(np.nan)))
    flight = Flight(failing, suite="nominal", seed=0, seconds=4.0)
    result = flight.record(tmp_path / "a.mcap")
    assert not result["completed"]
    assert (result["state"], result["failsafe"], result["guards"]["trip.non_finite_output"]) == ("DAMPING", True, 1)
    log = read_log(tmp_path / "a.mcap")
    assert log.columns["state"][100] == State.DAMPING
    assert not log.columns["sent"][100:].any()
    height = log.columns["sensor.position_base_in_world.z"]
    assert height[-1] < height[100] - 1.0  # its own watchdog idled the motors, and it fell


def test_thrust_without_end_is_clamped_and_leaves_the_envelope(policy: Policy, tmp_path: Path) -> None:
    def climb(output: PolicyOutput) -> PolicyOutput:
        return output._replace(actuation={"collective_thrust": np.float32([[9.0]]), "body_rates": np.zeros((1, 3), np.float32)})

    failing: Any = Failing(policy, 200, climb)
    failing.contract = dataclasses.replace(policy.contract, limits=dataclasses.replace(policy.contract.limits, distance_m=3.0))
    result = Flight(failing, suite="nominal", seed=0, seconds=10.0).record(tmp_path / "a.mcap")
    assert result["guards"]["warning.clamped"] > 50
    assert result["guards"]["trip.distance"] == 1
    assert result["state"] == "DAMPING"
    assert not result["completed"]


def test_goals_for_a_policy_without_them_are_refused(policy: Policy) -> None:
    blind: Any = Failing(policy, 0, None)
    blind.contract = dataclasses.replace(policy.contract, commands=())
    with pytest.raises(TetherError, match="takes no goal_position_in_world; leave --goal out"):
        Flight(blind, suite="nominal", seed=0, seconds=1.0, goals=[np.zeros(3)])


def test_the_command_line_writes_a_log_and_names_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, data = tmp_path / "a.mcap", tmp_path / "a.json"
    assert main(["run", str(SHIPPED), "--seconds", "2", "--log", str(log), "--json", str(data), "--goal", "0,0,7"]) == 0
    result = json.loads(data.read_text())
    assert result["completed"]
    assert result["log"] == str(log)
    assert f"tether replay {log} --policy {SHIPPED}" in capsys.readouterr().out
    assert len(read_log(log)) == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.onnx"], "nowhere.onnx"),
        ([str(SHIPPED), "--suite", "hard"], "unknown suite of hover 'hard'; choose one of: full, nominal"),
        ([str(SHIPPED), "--seconds", "0"], "--seconds is 0; give more than 0"),
        ([str(SHIPPED), "--seconds", "nan"], "--seconds is nan; give more than 0"),
        ([str(SHIPPED), "--seconds", "inf"], "--seconds is inf; give more than 0"),
        ([str(SHIPPED), "--goal", "1,2"], "--goal '1,2': give three numbers in metres"),
        ([str(SHIPPED), "--goal", "1,2,nan"], "give three numbers in metres"),
        ([str(SHIPPED), "--goal", "0,0,70"], "the command goal_position_in_world [0.0, 0.0, 70.0] is refused: it is more than 8.5 m"),
        ([str(SHIPPED), "--sim", "gazebo"], "unknown simulator 'gazebo'"),
        ([str(SHIPPED), "--log", "/nowhere/a.mcap"], "cannot record to /nowhere/a.mcap: No such file or directory"),
        ([str(SHIPPED), "--guards", "/nowhere/g.yaml"], "cannot read the guards file /nowhere/g.yaml"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--seconds", "1", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tether: error: ")
    assert error.count("\n") == 1
    assert message in error
