"""Export: what is in the file, and that it computes what torch computes (must-be-true 5)."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
import torch
from torch import Tensor

from deploy.policy import Policy
from deploy.policy.parity import STEPS, relative_error
from robots.errors import TetherError
from tasks.hover import Hover
from tests.training.small_law import Proportional, Recurrent
from training.control_law import ControlLaw, LawOutput, split_memory
from training.environment import Environment
from training.evaluate import evaluate, evaluation_seed, takes_risk_level, task_of
from training.export import check_agreement, contract_of, export_law, step_law, step_policy
from training.geometric_hover import GeometricHover
from training.learned_law import ActorConfig, LearnedLaw
from training.onnx_graph import to_onnx
from training.provenance import portable, provenance
from training.sequence import fly, random_inputs
from training.simulators import make_simulator
from training.threads import one_thread

POLICIES = Path(__file__).parents[2] / "policies"
STEP_TOLERANCE = 1e-5
FLIGHT_S = 20.0
SEED = 2  # of a calm flight: the fitted law wanders, and in most of its flights a change of 1e-7 grows to millimetres by itself


@pytest.fixture(autouse=True)
def _single_threaded() -> Iterator[None]:
    with one_thread():
        yield


def geometric() -> GeometricHover:
    return GeometricHover(Hover())


@torch.no_grad()
def learned(memory: str = "none") -> LearnedLaw:
    """A learned law that flies: random hidden layers, the last one fitted to what the geometric law does along flights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        law = LearnedLaw(Hover(), ActorConfig(memory=memory))  # type: ignore[arg-type]
    flight = fly(geometric(), 64, 300)
    assert flight is not None
    law.normalizer.update(torch.from_numpy(flight.observation))
    action = torch.from_numpy(flight.inputs["memory"][1:, :, 1:5])  # memory keeps the action of the step before
    state = torch.zeros(64, law.actor.recurrent_size)
    hidden, last = law.actor.head[:-1], law.actor.head[-1]
    rows = []
    for observation in torch.from_numpy(flight.observation[:-1]):
        seen = law.normalizer(observation)
        if law.actor.cell is not None:
            seen = state = law.actor.cell(seen, state)
        rows.append(hidden(seen))
    features = torch.nn.functional.pad(torch.cat(rows), (0, 1), value=1.0).double()
    regularised = features.T @ features + 1e-3 * torch.eye(features.shape[1])
    fitted = torch.linalg.solve(regularised, features.T @ action.flatten(0, 1).double()).float()
    last.weight.copy_(fitted[:-1].T)
    last.bias.copy_(fitted[-1])
    return law.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["geometric", "learned", "learned with memory"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ControlLaw, Policy]:
    """A law and the file it was exported to."""
    with one_thread():
        law = {"geometric": geometric, "learned": learned, "learned with memory": lambda: learned("gru")}[request.param]()
        path = export_law(
            law, tmp_path_factory.mktemp("export") / "policy.onnx", provenance={"command": "tether export law -o policy.onnx"}
        )
    return law, Policy.load(path)


# ---- agreement with torch


def test_torch_and_file_agree_on_ten_thousand_random_inputs(exported: tuple[ControlLaw, Policy]) -> None:
    law, policy = exported
    assert check_agreement(law, policy, 10_000, seed=1) <= STEP_TOLERANCE


def test_torch_and_file_agree_on_identical_inputs_along_a_flight(exported: tuple[ControlLaw, Policy]) -> None:
    """Every step of 20 s gets the same sensors, command and memory on both sides, one at a time as on the robot."""
    law, policy = exported
    inputs, _ = flown(law)
    expected = step_law(law, policy.contract, inputs)
    for step in range(len(inputs["memory"])):
        found = step_policy(policy, {name: array[step : step + 1] for name, array in inputs.items()})
        for name, value in found.items():
            assert relative_error(value, expected[name][step : step + 1]) <= STEP_TOLERANCE, (step, name)


def test_closed_loop_positions_agree(exported: tuple[ControlLaw, Policy]) -> None:
    """The same start, parameters and noise, flown for 20 s by torch and by the file, each on its own memory."""
    law, policy = exported
    _, torch_positions = flown(law)
    _, file_positions = flown(FileLaw(law, policy))
    assert np.abs(torch_positions - file_positions).max() <= 1e-3
    assert np.abs(torch_positions - torch_positions[0]).max() < 5.0, "it did not fly"


@torch.no_grad()
def test_one_of_several_squashed_laws_exports(tmp_path: Path) -> None:
    laws = LearnedLaw(Hover(), ActorConfig(squash="tanh"), replicas=(1, 2))
    laws.actor.head[-1].weight.mul_(100.0)  # so that tanh matters
    law = laws.replica(1).eval().requires_grad_(False)
    path = export_law(law, tmp_path / "policy.onnx", provenance={"command": "none"})
    assert check_agreement(law, Policy.load(path), 1000, seed=1) <= STEP_TOLERANCE


class FileLaw(ControlLaw):
    """A policy file behind the interface of a law."""

    def __init__(self, law: ControlLaw, policy: Policy) -> None:
        super().__init__()
        self.task, self.policy = law.task, policy

    @property
    def memory_size(self) -> int:
        return self.policy.contract.memory_size

    def forward(self, sensors: Any, command: Any, memory: Tensor) -> LawOutput:
        output = self.policy.step(_numpy(sensors), _numpy(command), memory.numpy())
        return LawOutput({name: torch.from_numpy(value) for name, value in output.actuation.items()}, *map(torch.from_numpy, output[1:]))


@functools.cache
@torch.no_grad()
def flown(law: ControlLaw) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs of every step of one noisy 20 s flight, and the positions it took."""
    task = law.task
    simulator = make_simulator("torch", task, 1)
    environment = Environment(
        task, simulator, suite=task.suite("full"), seed=evaluation_seed(SEED, 0), auto_reset=False, episode_s=FLIGHT_S
    )
    sensors, command = environment.reset()
    memory = law.initial_memory(1)
    rows, positions = [], []
    for _ in range(round(FLIGHT_S * task.rate_hz)):
        rows.append(_numpy({**sensors, **command, "memory": memory}))
        output = law(sensors, command, memory)
        memory = output.memory
        step = environment.step(output.actuation)
        sensors = step.sensors
        positions.append(environment.state["position_base_in_world"][0].numpy().copy())
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}, np.stack(positions)


def _numpy(signals: Any) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in signals.items()}


def test_the_onnx_reference_evaluator_agrees(exported: tuple[ControlLaw, Policy]) -> None:
    """A second implementation of ONNX, written for clarity, gives the same."""
    law, policy = exported
    reference = onnx.reference.ReferenceEvaluator(onnx.load(policy.path))
    inputs = random_inputs(policy.contract, 64, seed=2)
    expected = step_law(law, policy.contract, inputs)
    found = dict(zip(reference.output_names, reference.run(None, inputs), strict=True))
    for name, value in expected.items():
        assert relative_error(found[name], value) <= STEP_TOLERANCE, name


# ---- the graph


def test_the_graph_is_what_old_runtimes_read(exported: tuple[ControlLaw, Policy]) -> None:
    _, policy = exported
    model = onnx.load(policy.path)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 8
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert [node.name for node in model.graph.input] == list(policy.contract.input_sizes)
    assert [node.name for node in model.graph.output] == list(policy.contract.output_sizes)
    assert not model.functions
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_nothing_in_the_file_names_this_machine(exported: tuple[ControlLaw, Policy]) -> None:
    _, policy = exported
    data = policy.path.read_bytes()
    model = onnx.load(policy.path)
    for trace in (os.getcwd(), str(Path.home()), str(Path(torch.__file__).parents[1]), str(Path(__file__).parents[2])):
        assert trace.encode() not in data
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert not model.doc_string
    assert not model.graph.value_info


def test_what_is_constant_is_folded(exported: tuple[ControlLaw, Policy]) -> None:
    """No node computes from constants alone, so the normaliser's standard deviation, for one, is a number in the file."""
    _, policy = exported
    graph = onnx.load(policy.path).graph
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        assert node.op_type != "Constant"
        assert not set(node.input) <= constants, node


def test_an_unused_input_stays_an_input() -> None:
    """A law that ignores a sensor still has the contract's inputs."""
    law = Proportional()
    inputs = [node.name for node in to_onnx(law, law.task.contract(law.memory_size)).graph.input]
    assert inputs == ["position", "velocity", "orientation", "goal", "memory"]


# ---- the metadata


def test_the_contract_is_the_tasks_with_delays_and_training_quantiles(exported: tuple[ControlLaw, Policy]) -> None:
    law, policy = exported
    contract = policy.contract
    assert contract.robot == "crazyflie"
    assert contract.rate_hz == 100.0
    assert contract.action_delay_s == law.task.training_suite.delay_s
    assert contract.limits == law.task.robot.limits
    if isinstance(law, LearnedLaw):
        low, high = np.array(contract.observation_quantiles)
        assert low.shape == (len(contract.observation),)
        assert (low <= high).all()
    else:
        assert contract.observation_quantiles == ()


def test_the_recorded_sequence_is_the_start_of_a_flight(exported: tuple[ControlLaw, Policy]) -> None:
    _, policy = exported
    positions = np.concatenate([policy.recorded_step(step)[0]["position_base_in_world"] for step in range(STEPS)])
    assert 0.0 < np.linalg.norm(np.diff(positions, axis=0), axis=1).max() < 0.2  # it moves, and does not jump


def test_the_same_law_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (export_law(Recurrent(), tmp_path / f"{name}.onnx", provenance={"command": "x"}) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_rules_carry_the_limits_and_provenance_is_kept(tmp_path: Path) -> None:
    law = Proportional()
    policy = Policy.load(export_law(law, tmp_path / "p.onnx", provenance=provenance(["tether", "export", "x y"], law.task.robot, seed=3)))
    assert policy.rules["limits"]["speed_m_s"] == 2.0
    assert policy.provenance["command"] == "tether export 'x y'"
    assert policy.provenance["seed"] == 3
    assert policy.provenance["robot"] == {"name": "cart", "source": "made up for tests"}
    assert policy.provenance["versions"]["torch"] == torch.__version__
    json.dumps(policy.provenance)


def test_portable_paths_leave_directories_of_this_machine_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert portable(tmp_path / "runs" / "a.pt") == "runs/a.pt"
    assert portable(Path("/elsewhere/a.pt")) == "a.pt"


# ---- what ships


def test_the_shipped_geometric_file_is_what_the_code_makes() -> None:
    """A file that ships is stale as soon as task, robot or law change; make it again with the command in policies/README.md."""
    law, policy = geometric(), Policy.load(POLICIES / "hover_geometric.onnx")
    assert policy.contract == contract_of(law)
    assert check_agreement(law, policy, 1000) <= STEP_TOLERANCE


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.onnx")), ids=lambda path: path.name)
def test_shipped_contracts_are_those_of_the_installed_task(path: Path) -> None:
    contract = Policy.load(path).contract
    installed = task_of(Policy.load(path)).contract(contract.memory_size, contract.rate_hz)
    of_the_law = {name: getattr(contract, name) for name in ("observation_quantiles", "action_delay_s", "safeguard")}
    assert contract == dataclasses.replace(installed, **of_the_law)


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.onnx")), ids=lambda path: path.name)
def test_shipped_files_observe_what_the_installed_task_observes(path: Path) -> None:
    """A learned file is stale when its task changes; weights cannot tell, observations can."""
    policy = Policy.load(path)
    task, inputs = task_of(policy), random_inputs(policy.contract, 1000)
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    memory, _ = split_memory(tensors["memory"], task.action_size, task.task_memory_size)
    observation, _ = task.observe(tensors, tensors, memory)
    assert relative_error(step_policy(policy, inputs)["observation"], observation.numpy()) <= STEP_TOLERANCE


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.onnx")), ids=lambda path: path.name)
def test_shipped_policies_succeed_on_the_full_suite(path: Path) -> None:
    """A smaller sample of what benchmarks/RESULTS.md reports: 100 episodes, at least 95; the averse end of a policy that takes a level."""
    policy = Policy.load(path)
    level = 1.0 if takes_risk_level(policy) else None
    assert evaluate(policy, suite="full", episodes=100, seed=11, risk_level=level)["success_rate"] >= 0.95


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.onnx")), ids=lambda path: path.name)
def test_the_readme_says_how_each_file_is_made(path: Path) -> None:
    assert Policy.load(path).provenance["command"] in (POLICIES / "README.md").read_text()


# ---- other rates and laws


def test_a_geometric_law_exports_at_500_hz(tmp_path: Path) -> None:
    policy = Policy.load(export_law(GeometricHover(Hover(), 500.0), tmp_path / "fast.onnx", provenance={"command": "x"}))
    assert policy.contract.rate_hz == 500.0
    assert policy.contract.period_s == pytest.approx(0.002)


def test_a_law_refuses_a_rate_it_was_not_made_for(tmp_path: Path) -> None:
    with pytest.raises(TetherError, match="runs at 50 Hz, not at 100 Hz"):
        export_law(Proportional(), tmp_path / "p.onnx", provenance={}, rate_hz=100.0)


def test_a_law_that_no_engine_flies_records_random_inputs(tmp_path: Path) -> None:
    """A robot that is not a quadrotor still gets a recorded sequence whose memory carries on."""
    policy = Policy.load(export_law(Recurrent(), tmp_path / "p.onnx", provenance={}))
    assert policy.contract.observation_quantiles == ()
    assert policy.recorded_step(1)[1].any()


class Drifting(Proportional):
    """A law whose output depends on something that is not an input: torch and file cannot agree."""

    calls = 0

    def forward(self, sensors: Any, command: Any, memory: Tensor) -> LawOutput:
        self.calls += 1
        output = super().forward(sensors, command, memory)
        return output._replace(risk=output.risk + 0.01 * self.calls)


def test_a_file_that_disagrees_with_torch_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "policy.onnx"
    path.write_bytes(b"the policy from before")
    with pytest.raises(TetherError, match=r"parity|differs from torch"):
        export_law(Drifting(), path, provenance={})
    assert path.read_bytes() == b"the policy from before"
    assert os.listdir(tmp_path) == ["policy.onnx"]
