"""Evaluation: what counts, what is reported, and that nothing about the policy file is taken on trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deploy.policy import Policy
from deploy.policy.policy import CONTRACT
from robots.errors import TetherError
from safety.envelope import Envelope, Violation
from tasks.track import Track
from tests.deploy.policy.tamper import json_metadata, resealed
from training import evaluate as evaluation
from training.environment import Environment
from training.evaluate import STATE_LIMITS, evaluate, evaluation_seed, fly, outside_limits, task_of
from training.export import export_law
from training.geometric_track import GeometricTrack
from training.simulators import make_simulator

SHIPPED = Path(__file__).parents[2] / "policies" / "hover_geometric.onnx"
EPISODES = 40
FALL_S = 3.0  # long enough to hit the ground from any start


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy.load(SHIPPED)


@pytest.fixture(scope="module")
def result(policy: Policy) -> dict[str, Any]:
    return evaluate(policy, suite="nominal", episodes=EPISODES, seed=5)


class Altered:
    """The shipped policy with its actuation replaced by ``change``."""

    def __init__(self, policy: Policy, change: Any) -> None:
        self.policy, self.change, self.contract = policy, change, policy.contract
        self.initial_memory, self.path, self.digest = policy.initial_memory, policy.path, policy.digest

    def step(self, sensors: Any, command: Any, memory: np.ndarray) -> Any:
        output = self.policy.step(sensors, command, memory)
        return output._replace(actuation={name: self.change(value) for name, value in output.actuation.items()})


def flights(policy: Any, count: int = 8) -> evaluation.Flights:
    """Nominal episodes of ``policy``."""
    task = task_of(policy)
    simulator = make_simulator("torch", task, count)
    suite, seed = task.suite("nominal"), evaluation_seed(0, 0)
    return fly(policy, Environment(task, simulator, suite=suite, seed=seed, auto_reset=False, episode_s=FALL_S))


# ---- what is reported


def test_result_has_the_interface_keys_and_is_plain_json(result: dict[str, Any]) -> None:
    assert {"success_rate", "success_interval", "episodes", "seed", "suite", "suite_digest", "return_mean", "violations"} <= result.keys()
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_geometric_hover_succeeds_on_nominal(result: dict[str, Any]) -> None:
    assert result["success_rate"] == 1.0
    assert result["success_interval"] == [pytest.approx(0.025 ** (1 / EPISODES)), 1.0]
    assert (result["episodes"], result["crashes"], result["violations"]) == (EPISODES, 0, 0)
    assert result["tracking_error"]["mean"] <= result["tracking_error"]["worst"] < 0.1
    assert result["tracking_error"]["mean"] <= result["tracking_rms"]["mean"] < 0.1  # no mean is above its RMS
    assert result["judged"] == "the last second"
    low, high = result["return_interval"]
    assert low <= result["return_mean"] <= high


def test_errors_are_those_of_the_part_that_the_task_judges(policy: Policy) -> None:
    found = flights(policy)
    steps = round(FALL_S * 100)
    assert found.errors.shape[0] == steps
    np.testing.assert_array_equal(found.judged, found.errors[-100:])
    summary = evaluation.summarise([found], 0)
    rms = np.sqrt((found.judged**2).mean(0))
    assert summary["tracking_error"]["mean"] == pytest.approx(found.judged.mean(), rel=1e-5)
    assert summary["tracking_rms"]["mean"] == pytest.approx(rms.mean(), rel=1e-5)
    assert summary["tracking_rms"]["p95"] == pytest.approx(np.percentile(rms, 95), rel=1e-5)


def test_the_same_seed_repeats_and_another_differs(policy: Policy, result: dict[str, Any]) -> None:
    assert evaluate(policy, suite="nominal", episodes=EPISODES, seed=5) == result
    assert evaluate(policy, suite="nominal", episodes=EPISODES, seed=6)["return_mean"] != result["return_mean"]


def test_episodes_are_flown_in_batches_of_different_seeds(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    class Watched(Environment):
        def __init__(self, task: Any, simulator: Any, **settings: Any) -> None:
            seen.append((simulator.num_envs, settings["seed"]))
            super().__init__(task, simulator, **settings)

    monkeypatch.setattr(evaluation, "BATCH", 4)
    monkeypatch.setattr(evaluation, "Environment", Watched)
    assert evaluate(policy, suite="nominal", episodes=10, seed=0)["episodes"] == 10
    assert [count for count, _ in seen] == [4, 4, 2]
    assert [seed for _, seed in seen] == [evaluation_seed(0, batch) for batch in range(3)]


def test_evaluation_seeds_are_never_training_seeds() -> None:
    """Training seeds leave bit 31 clear, and torch's CPU generator drops everything above it."""
    seeds = {evaluation_seed(seed, batch) for seed in range(200) for batch in range(5)}
    assert len(seeds) == 1000
    assert all(1 << 31 <= seed < 1 << 32 for seed in seeds)
    seed = evaluation_seed(0, 0)
    drawn = [torch.rand(4, generator=torch.Generator().manual_seed(s)).tolist() for s in (seed, seed & 0x7FFFFFFF, seed | 1 << 40)]
    assert drawn[0] == drawn[2]
    assert drawn[0] != drawn[1]


def test_the_observer_sees_every_step_of_the_first_batch(policy: Policy) -> None:
    states: list[np.ndarray] = []
    evaluate(
        policy,
        suite="nominal",
        episodes=3,
        seed=0,
        observer=lambda state, command, actuation: states.append(state["position_base_in_world"].numpy().copy()),
    )
    assert np.stack(states).shape == (600, 3, 3)
    assert not np.array_equal(states[0], states[-1])


def test_the_policy_sees_a_command_that_moves(tmp_path: Path) -> None:
    tracking = Policy.load(export_law(GeometricTrack(Track()), tmp_path / "track.onnx", provenance={"command": "a test"}))
    task, seen = task_of(tracking), []
    environment = Environment(
        task, make_simulator("torch", task, 2), suite=task.suite("nominal"), seed=evaluation_seed(0, 0), auto_reset=False, episode_s=1.0
    )
    fly(tracking, environment, lambda state, command, actuation: seen.append(command["goal_position_in_world"][0].numpy()))
    np.testing.assert_allclose((seen[-1] - seen[0])[0], 2 * np.sin(2 * np.pi / 6 * 0.99), atol=1e-4)


# ---- what counts


@pytest.fixture(scope="module")
def fallen(policy: Policy) -> evaluation.Flights:
    """Flights without thrust."""
    return flights(Altered(policy, np.zeros_like))


def test_falling_is_a_crash_and_no_success(policy: Policy, fallen: evaluation.Flights) -> None:
    assert fallen.crashed.all()
    assert not fallen.success.any()
    assert not fallen.alive[-1].any()
    assert (fallen.returns < flights(policy).returns).all()


def test_after_a_crash_nothing_counts(fallen: evaluation.Flights) -> None:
    """Violations stop where the episode ended."""
    steps = fallen.alive.sum(0)
    assert (steps < len(fallen.alive)).all()
    assert (np.diff(fallen.alive.astype(int), axis=0) <= 0).all()
    for counts in fallen.violations.values():
        assert (counts <= steps).all()


def test_not_a_number_is_a_crash_and_leaves_the_figures_finite(policy: Policy) -> None:
    broken = flights(Altered(policy, lambda value: np.full_like(value, np.nan)))
    assert broken.crashed.all()
    assert np.isfinite(broken.returns).all()
    json.dumps(evaluation.summarise([broken], 0), allow_nan=False)


def test_outside_limits_is_what_the_robots_envelope_says(policy: Policy) -> None:
    """An independent implementation, one row at a time: the numpy envelope that guards the robot."""
    task = task_of(policy)
    generator = torch.Generator().manual_seed(0)
    count = 200
    state = {
        "position_base_in_world": 6 * torch.randn(count, 3, generator=generator),
        "orientation_base_in_world": torch.nn.functional.normalize(torch.randn(count, 4, generator=generator)),
        "linear_velocity_base_in_world": 7 * torch.randn(count, 3, generator=generator),
        "angular_velocity_base_in_base": 14 * torch.randn(count, 3, generator=generator),
    }
    state["linear_velocity_base_in_world"][0] = torch.nan
    goal = {"goal_position_in_world": torch.zeros(count, 3)}
    found = outside_limits(policy.contract.limits, state, task.tracking_error(state, goal))
    assert set(found) == set(STATE_LIMITS)
    flags = {
        "tilt_rad": Violation.TILT,
        "speed_m_s": Violation.SPEED,
        "body_rate_rad_s": Violation.BODY_RATE,
        "distance_m": Violation.DISTANCE,
    }
    envelope = Envelope(policy.contract, task.robot)
    for row in range(count):
        sensors = {name: value[row : row + 1].numpy() for name, value in state.items()}
        outside, _ = envelope.state(sensors, {"goal_position_in_world": np.zeros((1, 3), np.float32)})
        assert {name for name, flag in flags.items() if outside & flag} == {name for name in flags if found[name][row]}, row
    assert all(0 < value.sum() < count for value in found.values())


# ---- what is refused


def test_unknown_names_and_empty_evaluations_are_refused(policy: Policy) -> None:
    with pytest.raises(TetherError, match=r"suite of hover 'easy'.*full, nominal, unseen"):
        evaluate(policy, suite="easy", episodes=1, seed=0)
    with pytest.raises(TetherError, match=r"simulator 'gazebo'.*torch"):
        evaluate(policy, suite="full", episodes=1, seed=0, simulator="gazebo")
    with pytest.raises(TetherError, match="at least one"):
        evaluate(policy, suite="full", episodes=0, seed=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda contract: contract.update(robot="teapot"), r"robot 'teapot'.*crazyflie"),
        (lambda contract: contract.update(task="juggle"), r"task 'juggle'.*hover"),
        (lambda contract: contract["sensors"][0].update(unit="cm"), "its sensors differ"),
        (lambda contract: contract["actuation"][0].update(upper=[9.0]), "its actuation differ"),
        (lambda contract: contract.update(actuation_mode="rotor_thrusts"), "its actuation_mode differ"),
    ],
)
def test_a_policy_for_something_else_is_refused(change: Any, message: str) -> None:
    data = resealed(SHIPPED.read_bytes(), lambda model: json_metadata(model, CONTRACT, change))
    with pytest.raises(TetherError, match=message):
        evaluate(Policy(SHIPPED, data, "cpu"), suite="nominal", episodes=1, seed=0)
