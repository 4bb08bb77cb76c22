"""A safeguard inside a law: in roll-outs, in the file and its contract, and switched off for comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.policy import Policy
from deploy.record.reader import read_log
from deploy.replay.replay import replay
from robots.contract import Contract
from robots.errors import TetherError
from tasks.hover import Hover
from tasks.pendulum import SwingUp
from training.config import preset
from training.environment import Environment
from training.evaluate import evaluate
from training.export import contract_of, export_law
from training.flight import Flight
from training.guard import SafeguardConfig
from training.learned_law import LearnedLaw
from training.pilot import Pilot
from training.provenance import provenance
from training.shac import SHAC, SHACConfig
from training.simulators import make_simulator

EPISODES = 40


def reckless(**safeguard: object) -> LearnedLaw:
    """Full torque to one side, whatever it sees."""
    law = LearnedLaw(SwingUp(), safeguard=SafeguardConfig(**({"name": "ray_mask"} | safeguard)))  # type: ignore[arg-type]
    with torch.no_grad():
        law.actor.head[-1].bias.fill_(3.0)  # type: ignore[index, union-attr]
    return law


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    law = reckless().eval().requires_grad_(False)
    path = export_law(law, tmp_path_factory.mktemp("law") / "pendulum.onnx", provenance=provenance(["test"], law.task.robot))
    return Policy.load(path)


def test_the_file_guards_and_says_so(policy: Policy) -> None:
    guarded = evaluate(policy, suite="full", episodes=EPISODES, seed=0)
    assert guarded["measures"]["exits"]["mean"] == 0.0
    assert guarded["measures"]["infeasible"]["mean"] == 0.0
    assert guarded["measures"]["intervention"]["mean"] > 0.1
    assert guarded["safeguard"] == "ray_mask"


def test_the_same_file_without_its_safeguard(policy: Policy) -> None:
    found = evaluate(policy, suite="full", episodes=EPISODES, seed=0, safeguard=False)
    assert found["measures"]["exits"]["mean"] > 0.5
    assert found["safeguard"] == "off"


def test_without_its_safeguard_it_flies_as_the_law_without_one(policy: Policy) -> None:
    """Every step of it, the memory of the action that was sent included."""
    law, task = reckless().unguarded(), SwingUp()
    environment = Environment(task, make_simulator("auto", task, 4), suite=task.suite("nominal"), seed=3, auto_reset=False)
    sensors, command = environment.reset()
    memory = torch.full((4, law.memory_size), 0.25)
    with torch.no_grad():
        expected = law(sensors, command, memory)
    given = {name: value.numpy() for name, value in sensors.items()}
    output = policy.step(given, {}, memory.numpy())
    np.testing.assert_allclose(
        task.actuate(torch.from_numpy(output.unguarded))["joint_torque"], expected.actuation["joint_torque"], atol=1e-6
    )


def test_replay_judges_whether_it_kept_its_promise(policy: Policy, tmp_path: Path) -> None:
    log = tmp_path / "log.mcap"
    Flight(policy, suite="full", seed=0, seconds=4.0).record(log)
    report = replay(read_log(log), policy)
    rule = next(rule for rule in report.rules if rule["name"] == "safeguard keeps its promise")
    assert rule["verdict"] == "satisfied"
    assert report.verdict == "pass", [finding.message for finding in report.findings]


def test_the_contract_tells_what_is_promised(policy: Policy) -> None:
    terms = policy.contract.safeguard
    assert terms is not None
    assert terms.name == "ray_mask"
    assert all(word in terms.promise for word in ("Inequality", "Model", "Guarantee", "disturbance"))
    assert Contract.from_json(policy.contract.to_json()) == policy.contract
    assert list(policy.contract.output_sizes)[-1] == "unguarded"


def test_a_law_without_one_has_the_contract_it_always_had() -> None:
    contract = contract_of(LearnedLaw(SwingUp()))
    assert "safeguard" not in contract.to_json()
    assert "unguarded" not in contract.output_sizes


def test_an_action_goes_out_whatever_comes_in(policy: Policy) -> None:
    sensors = {signal.name: np.full((1, signal.size), np.nan, np.float32) for signal in policy.contract.sensors}
    output = policy.step(sensors, {}, policy.initial_memory())
    assert np.isfinite(output.actuation["joint_torque"]).all()
    assert output.feasible[0, 0] == 0.0


def test_roll_outs_run_the_kernel_of_what_is_exported() -> None:
    law, task = reckless(), SwingUp()
    environment = Environment(task, make_simulator("auto", task, 64), suite=task.suite("full"), seed=0)
    sensors, command = environment.reset()
    memory = law.initial_memory(64)
    with torch.no_grad():
        fused, eager = Pilot(law)(sensors, command, memory), law(sensors, command, memory)
    for name in ("safe_distance", "intervention", "feasible", "unguarded", "memory"):
        torch.testing.assert_close(getattr(fused, name), getattr(eager, name), rtol=1e-5, atol=1e-6)
    assert (fused.intervention > 0.0).any()


@pytest.mark.parametrize("gradient", ["plain", "pass_through"])
def test_pass_through_is_the_gradient_of_an_identity(gradient: str) -> None:
    law = reckless(gradient=gradient)
    state = torch.zeros(3, 2) + torch.tensor([2.0, 3.0])
    action = torch.tensor([[0.9], [0.5], [-0.5]], requires_grad=True)
    assert law.guard is not None
    law.guard(state, action).action.sum().backward()
    assert action.grad is not None
    assert torch.equal(action.grad, torch.ones(3, 1)) == (gradient == "pass_through")


def test_shac_pays_for_interventions() -> None:
    """The loss rises by c_d times the mean square of what was changed, and the log says how much that was."""
    losses = []
    for weight in (0.0, 0.1):
        torch.manual_seed(0)
        law, task = reckless(regularisation=weight), SwingUp()
        environment = Environment(task, make_simulator("auto", task, 32), suite=task.training_suite, seed=0, auto_reset=False)
        shac = SHAC(law, environment, SHACConfig(horizon=8), seed=0)
        window = shac.collect()
        mean = window.interventions.sum() / window.running.sum()
        losses.append((shac.loss(window).item(), mean.item()))
    assert losses[0][1] == losses[1][1] > 0.01
    assert losses[1][0] - losses[0][0] == pytest.approx(0.1 * losses[0][1], rel=1e-4)


def test_an_unknown_safeguard_names_those_there_are() -> None:
    with pytest.raises(TetherError, match=r"projection.*ray_mask"):
        LearnedLaw(SwingUp(), safeguard=SafeguardConfig("fence"))
    with pytest.raises(TetherError, match="unknown gradient of a safeguard 'straight_through'; choose one of: pass_through, plain"):
        LearnedLaw(SwingUp(), safeguard=SafeguardConfig("ray_mask", gradient="straight_through"))  # type: ignore[arg-type]
    with pytest.raises(TetherError, match="hover"):
        LearnedLaw(Hover(), safeguard=SafeguardConfig("ray_mask"))


def test_a_law_without_one_cannot_fly_without_it(tmp_path: Path) -> None:
    with pytest.raises(TetherError, match="no safeguard to switch off"):
        evaluate(Policy.load("policies/hover.onnx"), suite="full", episodes=1, seed=0, safeguard=False)


def test_the_presets_know_the_setting() -> None:
    assert preset("pendulum", "shac").safeguard == SafeguardConfig()
