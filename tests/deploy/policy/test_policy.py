"""Loading and stepping a policy file: every check has a file that fails it and nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.policy import Policy, PolicyFileError, PolicyInputError, parity, seal, session, wire
from deploy.policy.policy import CONTRACT, PARITY, PROVENANCE, RULES
from tests.deploy.policy.tamper import edit, field, fields, json_metadata, metadata, resealed, varint

SHIPPED = Path(__file__).parents[3] / "policies" / "hover_geometric.onnx"
DATA = SHIPPED.read_bytes()
GRAPH, NODE, INITIALIZER, INPUT, OUTPUT = 7, 1, 5, 11, 12
WIDTH = (2, 1, 2, 1)  # ValueInfoProto: type, tensor type, shape, dim


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy.load(SHIPPED)


def refused(check: str, change: Callable[[bytes], bytes], message: str) -> None:
    """The shipped file with ``change`` applied and sealed again is refused by ``check`` with ``message``."""
    with pytest.raises(PolicyFileError, match=message) as caught:
        Policy(SHIPPED, resealed(DATA, change), "cpu")
    assert caught.value.check == check, caught.value


def test_untouched_fields_survive_the_editor() -> None:
    assert resealed(DATA, lambda model: edit(model, (GRAPH, NODE, 3), lambda name: name)) == DATA


# ---- the graph


def test_operators_of_another_domain_are_refused() -> None:
    refused("graph", lambda model: model + field(8, field(1, b"com.example") + field(2, 1)), "domains.*com.example")
    refused("graph", lambda model: edit(model, (GRAPH,), lambda g: g + field(NODE, field(4, b"Gelu") + field(7, b"com.example"))), "'Gelu'")


def test_operators_inside_branches_are_looked_at_too() -> None:
    inner = field(NODE, field(4, b"Evil") + field(7, b"com.example"))
    branch = field(NODE, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, inner)))
    refused("graph", lambda model: edit(model, (GRAPH,), lambda graph: graph + branch), "'Evil'")


def test_endless_nesting_is_refused() -> None:
    graph = b""
    for _ in range(100):
        graph = field(NODE, field(4, b"If") + field(5, field(6, graph)))
    refused("graph", lambda model: edit(model, (GRAPH,), lambda old: old + graph), "nested")


def test_another_opset_or_ir_version_is_refused() -> None:
    refused("graph", lambda model: edit(model, (8, 2), lambda _: 19), "opset 19, IR 8, expected opset 18, IR 8")
    refused("graph", lambda model: edit(model, (1,), lambda _: 10), "opset 18, IR 10, expected")


def test_weights_outside_the_file_are_refused() -> None:
    refused("graph", lambda model: edit(model, (GRAPH, INITIALIZER), lambda tensor: tensor + field(14, 1)), "another file")
    external = field(13, field(1, b"location") + field(2, b"/etc/passwd"))
    refused("graph", lambda model: edit(model, (GRAPH, INITIALIZER), lambda tensor: tensor + external), "another file")
    refused("graph", lambda model: edit(model, (GRAPH,), lambda graph: graph + field(15, b"")), "sparse")


def test_functions_and_training_graphs_are_refused() -> None:
    refused("graph", lambda model: model + field(25, b""), "functions")
    refused("graph", lambda model: model + field(20, b""), "training graph")


@pytest.mark.parametrize("junk", [b"", b"\xff" * 40, b"hello, I am text", varint(7 << 3 | 2) + b"\x7f"])
def test_what_is_no_onnx_model_is_refused(junk: bytes) -> None:
    refused("graph", lambda _: junk, "not an ONNX model|domains")


def test_a_graph_that_onnx_runtime_refuses_is_refused_with_its_reason() -> None:
    refused(
        "graph", lambda model: edit(model, (GRAPH, NODE, 4), lambda name: b"Mulk" if name == b"Mul" else name), "ONNX Runtime .* refuses"
    )


def test_one_flipped_bit_anywhere_is_refused_or_harmless() -> None:
    """Behind a digest that fits again: nothing but a `PolicyFileError` comes out of damaged bytes, and what still loads keeps parity."""
    model, generator = seal.unseal(DATA), np.random.default_rng(0)
    checks = set()
    for position in generator.integers(0, len(model), 150):
        changed = bytearray(model)
        changed[position] ^= 1 << generator.integers(0, 8)
        try:
            assert Policy(SHIPPED, seal.seal(bytes(changed)), "cpu").agreement.error <= parity.TOLERANCE["cpu"]
        except PolicyFileError as error:
            checks.add(error.check)
    assert checks >= {"graph", "contract", "parity"}


def test_names_that_are_not_text_are_refused() -> None:
    refused("graph", lambda model: model.replace(b"\x12\x05batch", b"\x12\x05b\xe1tch", 1), "not an ONNX model|refuses it")


@pytest.mark.parametrize("index", [5, 2**40])
def test_a_graph_that_fails_when_it_runs_is_refused(index: int) -> None:
    """An index out of range passes every check of the graph itself."""

    def beyond(tensor: Any) -> Any:
        content = {number: value for number, value, _ in fields(tensor)}
        single = content.get(2) == 7 and 1 not in content and len(content.get(9, b"")) == 8  # a scalar int64: what Gather takes
        return edit(tensor, (9,), lambda _: index.to_bytes(8, "little")) if single else tensor

    refused("parity", lambda model: edit(model, (GRAPH, INITIALIZER), beyond), "a recorded step fails.*Gather")


# ---- the contract


@pytest.mark.parametrize("key", [CONTRACT, RULES, PROVENANCE, PARITY])
def test_missing_metadata_is_refused_by_name(key: str) -> None:
    refused("contract", lambda model: metadata(model, key, lambda _: None), f"{key}.*missing")


def test_metadata_given_twice_is_refused() -> None:
    refused("graph", lambda model: model + field(14, field(1, CONTRACT.encode()) + field(2, b"{}")), "twice")


@pytest.mark.parametrize("key", [CONTRACT, RULES, PROVENANCE])
def test_metadata_that_is_not_json_is_refused(key: str) -> None:
    refused("contract", lambda model: metadata(model, key, lambda text: text[:-1]), "not JSON")
    refused("contract", lambda model: metadata(model, key, lambda text: "[]"), "not an object|schema")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "schema 99"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"rate_hz": -100.0}, "rate_hz is -100.0"),
        ({"rate_hz": float("nan")}, "rate_hz is nan"),
        ({"rate_hz": "fast"}, "wrong type"),
        ({"sensors": 3}, "wrong type"),
        ({"clock": "sundial"}, "clock 'sundial'.*odometry"),
        ({"quaternion_order": "xyzw"}, "xyzw"),
        ({"observation_quantiles": [[0.0], [1.0]]}, "observation_quantiles"),
        ({"memory_size": "many"}, "memory_size is 'many'"),
        ({"memory_size": 0}, "memory_size is 0"),
    ],
)
def test_a_contract_without_sense_is_refused(change: dict[str, Any], message: str) -> None:
    refused("contract", lambda model: json_metadata(model, CONTRACT, lambda contract: contract.update(change)), message)


def test_limits_that_limit_nothing_are_refused() -> None:
    refused(
        "contract",
        lambda model: json_metadata(model, CONTRACT, lambda c: c["limits"].update(tilt_rad=float("nan"))),
        "limits.tilt_rad is nan",
    )
    refused("contract", lambda model: json_metadata(model, CONTRACT, lambda c: c["limits"].update(speed_m_s="low")), "wrong type")
    refused(
        "contract", lambda model: json_metadata(model, CONTRACT, lambda c: c["limits"].update(action_rate={"x": 0.0})), "limits.x is 0.0"
    )


def test_a_missing_contract_key_is_refused_by_name() -> None:
    refused("contract", lambda model: json_metadata(model, CONTRACT, lambda contract: contract.pop("limits")), "tilt_rad|limits")
    refused("contract", lambda model: json_metadata(model, CONTRACT, lambda contract: contract.pop("robot")), "missing key 'robot'")


def test_a_sensor_named_twice_is_refused() -> None:
    refused("contract", lambda model: json_metadata(model, CONTRACT, lambda c: c["sensors"].append(c["sensors"][0])), "twice")


# ---- inputs and outputs


@pytest.mark.parametrize(("place", "check"), [(INPUT, "inputs"), (OUTPUT, "outputs")])
def test_a_renamed_input_or_output_is_refused(place: int, check: str) -> None:
    """The contract is renamed, not the graph: the graph then misses what the contract promises."""
    kind = {"inputs": "sensors", "outputs": "actuation"}[check]

    def rename(contract: dict[str, Any]) -> None:
        contract[kind][0]["name"] = "imaginary"

    refused(check, lambda model: json_metadata(model, CONTRACT, rename), "missing imaginary; unknown ")


def test_a_missing_output_is_refused() -> None:
    def without_risk(value: Any) -> Any:
        return None if (1, b"risk") in [(number, content) for number, content, _ in fields(value)] else value

    refused("outputs", lambda model: edit(model, (GRAPH, OUTPUT), without_risk), "missing risk")


def test_another_width_is_refused() -> None:
    def widen(contract: dict[str, Any]) -> None:
        contract["memory_size"] += 1

    size = Policy(SHIPPED, DATA, "cpu").contract.memory_size
    pattern = rf"'memory' has shape \['batch', {size}\], expected \['batch', {size + 1}\]"
    refused("inputs", lambda model: json_metadata(model, CONTRACT, widen), pattern)
    refused(
        "outputs",
        lambda model: json_metadata(model, CONTRACT, lambda contract: contract["observation"].append("more")),
        "'observation' has shape",
    )


def test_a_fixed_batch_is_refused() -> None:
    def fix(value: Any) -> Any:
        return field(1, 1) if (2, b"batch") in [(number, content) for number, content, _ in fields(value)] else value

    refused("inputs", lambda model: edit(model, (GRAPH, INPUT, *WIDTH), fix), r"expected \['batch', ")


# ---- the recorded sequence


def alter(part: str, name: str, index: tuple[int, int], value: float) -> Callable[[bytes], bytes]:
    """Set one element of one recorded array."""

    def change(recording: dict[str, Any]) -> None:
        array = np.frombuffer(base64.b64decode(recording[part][name]), "<f4").reshape(parity.STEPS, -1).copy()
        array[index] = value
        recording[part][name] = base64.b64encode(array.tobytes()).decode()

    return lambda model: json_metadata(model, PARITY, change)


def test_a_failing_sequence_is_refused_and_says_where() -> None:
    refused(
        "parity",
        alter("outputs", "collective_thrust", (7, 0), 99.0),
        r"step 7, output 'collective_thrust': found \[.*\], expected \[99.*tolerance 1e-05",
    )


def test_an_error_just_above_the_tolerance_is_refused_and_just_below_is_not(policy: Policy) -> None:
    inputs, memory = policy.recorded_step(20)
    value = float(policy.step(inputs, inputs, memory).actuation["body_rates"][0, 0])
    scale = max(1.0, abs(value))
    refused("parity", alter("outputs", "body_rates", (20, 0), value + 2e-5 * scale), "step 20, output 'body_rates'")
    Policy(SHIPPED, resealed(DATA, alter("outputs", "body_rates", (20, 0), value + 5e-6 * scale)), "cpu")


def test_not_a_number_in_the_sequence_is_refused() -> None:
    refused("parity", alter("outputs", "risk", (3, 0), float("nan")), "step 3, output 'risk'")
    refused("parity", alter("inputs", "memory", (9, 0), float("nan")), "carry on")


def test_a_sequence_that_is_no_episode_is_refused() -> None:
    refused("parity", alter("inputs", "memory", (0, 0), 1.0), "zero memory")
    refused("parity", alter("inputs", "memory", (10, 1), 0.123), "carry on")


def test_changed_weights_are_refused() -> None:
    """Every float weight that matters moves by a part in a thousand."""

    def scale(tensor: Any) -> Any:
        content = {number: value for number, value, _ in fields(tensor)}
        if content.get(2) != 1 or not content.get(9):
            return tensor
        weights = (np.frombuffer(content[9], "<f4") * 1.001).astype("<f4").tobytes()
        return edit(tensor, (9,), lambda _: weights)

    refused("parity", lambda model: edit(model, (GRAPH, INITIALIZER), scale), "step 0, output")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda recording: recording.pop("inputs"), "malformed.*inputs"),
        (lambda recording: recording.update(steps=49), "49 steps, expected 50"),
        (lambda recording: recording["outputs"].pop("risk"), "risk"),
        (lambda recording: recording["inputs"].update(memory="AAAA"), "memory has 3 bytes"),
        (lambda recording: recording["inputs"].update(memory="not base64!"), "malformed"),
        (lambda recording: recording.update(tolerance={}), "no tolerance for provider 'cpu'"),
        (lambda recording: recording.update(tolerance={"cpu": 0.0}), "no tolerance"),
        (lambda recording: recording.update(tolerance="loose"), "malformed"),
    ],
)
def test_a_malformed_sequence_is_refused(change: Callable[[dict[str, Any]], object], message: str) -> None:
    refused("parity", lambda model: json_metadata(model, PARITY, change), message)


def test_a_file_cannot_loosen_its_tolerance() -> None:
    def loosen(recording: dict[str, Any]) -> None:
        recording["tolerance"]["cpu"] = 1e9

    refused("parity", lambda model: json_metadata(alter("outputs", "risk", (0, 0), 1.0)(model), PARITY, loosen), "output 'risk'")


# ---- stepping


def test_outputs_are_named_and_shaped_by_the_contract(policy: Policy) -> None:
    inputs, _ = policy.recorded_step()
    output = policy.step(inputs, inputs, policy.initial_memory())
    assert {name: value.shape[1] for name, value in output.actuation.items()} == {a.name: a.size for a in policy.contract.actuation}
    assert output.memory.shape == (1, policy.contract.memory_size)
    assert output.observation.shape == (1, len(policy.contract.observation))
    assert all(getattr(output, name).shape == (1, 1) for name in ("safe_distance", "intervention", "feasible", "risk"))
    assert all(value.dtype == np.float32 for value in (*output.actuation.values(), *output[1:]))


def test_a_batch_is_its_rows_one_by_one(policy: Policy) -> None:
    steps = [policy.recorded_step(index) for index in range(7)]
    batch = {name: np.concatenate([inputs[name] for inputs, _ in steps]) for name in steps[0][0]}
    together = policy.step(batch, batch, batch["memory"])
    for index, (inputs, memory) in enumerate(steps):
        alone = policy.step(inputs, inputs, memory)
        for name, value in alone.actuation.items():
            np.testing.assert_allclose(together.actuation[name][index], value[0], atol=1e-6)
        np.testing.assert_allclose(together.memory[index], alone.memory[0], atol=1e-6)


def test_outputs_are_the_callers_to_keep(policy: Policy) -> None:
    inputs, memory = policy.recorded_step(1)
    first = policy.step(inputs, inputs, memory)
    kept = first.memory.copy()
    policy.step(*(policy.recorded_step(30)[0],) * 2, policy.recorded_step(30)[1])
    np.testing.assert_array_equal(first.memory, kept)


def test_double_precision_is_rounded_and_views_are_fine(policy: Policy) -> None:
    inputs, memory = policy.recorded_step(5)
    doubles = {name: np.repeat(array.astype(float), 2, axis=0)[::2] for name, array in inputs.items()}
    np.testing.assert_array_equal(policy.step(doubles, doubles, memory).memory, policy.step(inputs, inputs, memory).memory)


def test_bad_inputs_are_refused_by_name(policy: Policy) -> None:
    inputs, memory = policy.recorded_step()
    name = policy.contract.sensors[0].name
    without = {key: value for key, value in inputs.items() if key != name}
    with pytest.raises(PolicyInputError, match=f"'{name}'.*missing; it needs {name}, "):
        policy.step(without, without, memory)
    with pytest.raises(PolicyInputError, match=rf"'{name}'.*shape \(1, 2\), expected \(1, 3\)"):
        policy.step({**inputs, name: inputs[name][:, :2]}, inputs, memory)
    with pytest.raises(PolicyInputError, match="'memory'"):
        policy.step(inputs, inputs, memory[:, 1:])
    with pytest.raises(PolicyInputError, match=r"shape \(1, 3\), expected \(2, 3\)"):
        policy.step(inputs, inputs, policy.initial_memory(2))


# ---- providers


def test_the_session_neither_spins_nor_takes_more_than_one_thread(policy: Policy) -> None:
    options = policy._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_unknown_and_absent_providers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PolicyFileError, match="choose one of: auto, cpu, cuda"):
        Policy.load(SHIPPED, provider="tpu")
    monkeypatch.setattr(session.onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(PolicyFileError, match=r"'cuda' is not in this ONNX Runtime.*auto, cpu"):
        Policy.load(SHIPPED, provider="cuda")


def test_a_silent_fallback_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if "CUDAExecutionProvider" in session.onnxruntime.get_available_providers():
        pytest.skip("CUDA is there, nothing falls back")
    monkeypatch.setattr(session.onnxruntime, "get_available_providers", lambda: list(session.PROVIDERS.values()))
    with pytest.raises(PolicyFileError, match=r"fell back to CPUExecutionProvider|refuses") as caught:
        Policy.load(SHIPPED, provider="cuda")
    assert caught.value.check in ("provider", "graph")


def test_auto_skips_what_does_not_work_and_says_what_it_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.onnxruntime, "get_available_providers", lambda: list(session.PROVIDERS.values()))
    chosen = Policy.load(SHIPPED, provider="auto")
    assert chosen.provider in chosen.timings
    assert len(chosen.timings["cpu"]) == session.TRIAL_STEPS


def test_auto_chooses_by_the_tail() -> None:
    steady, spiky = np.full(100, 200.0), np.full(100, 50.0)
    spiky[::10] = 18_000.0  # a GPU that wakes up
    assert session.fastest({"cpu": steady, "cuda": spiky}) == "cpu"
    assert session.fastest({"cpu": steady, "cuda": steady / 2}) == "cuda"


def test_timing_makes_as_many_calls_as_it_reports() -> None:
    calls = []
    durations = session.time_paced(lambda: calls.append(None), period_s=1e-4, steps=5)
    assert durations.shape == (5,)
    assert len(calls) == 6  # and one to warm up


# ---- what ships


@pytest.mark.parametrize("path", sorted(SHIPPED.parent.glob("*.onnx")), ids=lambda path: path.name)
def test_every_shipped_policy_loads_and_says_how_to_make_it(path: Path) -> None:
    policy = Policy.load(path)
    assert policy.agreement.error <= parity.TOLERANCE["cpu"]
    assert policy.provenance["command"].startswith("tether ")
    assert (policy.model.ir_version, policy.model.opsets) == (wire.IR_VERSION, {"": wire.OPSET})
    data = path.read_bytes()
    assert seal.read(path) == data
    for trace in (b"/home/", b"/root/", b"/tmp/", b"site-packages", b'File "'):
        assert trace not in data


def test_metadata_is_json_of_known_shape(policy: Policy) -> None:
    assert json.loads(policy.metadata[RULES]) == policy.rules
    assert policy.contract.to_json() == policy.metadata[CONTRACT]
    assert policy.metadata[seal.KEY] == policy.digest
