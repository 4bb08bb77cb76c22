"""Write a control law as a policy file, and refuse to leave one behind that does not load and agree with torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from deploy.policy import seal
from deploy.policy.parity import STEPS, TOLERANCE, Recording, relative_error
from deploy.policy.policy import CONTRACT, PARITY, PROVENANCE, RULES, Policy
from robots.contract import Contract
from robots.errors import TetherError
from training.control_law import ControlLaw
from training.onnx_graph import to_onnx
from training.sequence import observation_quantiles, random_inputs, recorded_inputs

AGREEMENT = 1e-5  # per step, over max(1, |torch|)
RANDOM_STEPS = 1000


def export_law(law: ControlLaw, path: str | Path, *, provenance: Mapping[str, Any], rate_hz: float | None = None) -> Path:
    """Write ``law`` to ``path`` as one sealed ONNX file; an existing file is replaced only by one that passed every check.

    Args:
        law: any control law; its task says what the contract is.
        path: where to write.
        provenance: how the law was made, JSON values; ``command`` should reproduce the file.
        rate_hz: the control rate the caller expects; by default whatever the law was made for.

    Raises:
        TetherError: if the law cannot run at that rate, does not become a standard ONNX graph, or the file disagrees with torch.
    """
    path = Path(path)
    law = law.eval()
    contract = contract_of(law, rate_hz)
    graph = to_onnx(law, contract)
    metadata = {
        CONTRACT: contract.to_json(),
        RULES: json.dumps(rules_of(contract), sort_keys=True),
        PROVENANCE: json.dumps(dict(provenance), sort_keys=True),
        PARITY: _recording(law, contract).to_json(),
    }
    model = _with_metadata(graph, metadata)
    policy = Policy(path, seal.seal(model), "cpu")
    check_agreement(law, policy, RANDOM_STEPS)
    seal.write(path, model)
    return path


def contract_of(law: ControlLaw, rate_hz: float | None = None) -> Contract:
    """The contract of ``law``, with the delays of its training distribution and, if it was learned, the observations it meets there."""
    own = law.task.rate_hz
    if rate_hz is not None and abs(rate_hz - own) > 1e-9 * own:
        raise TetherError(f"this law runs at {own:g} Hz, not at {rate_hz:g} Hz; leave the rate out or make the law for that rate")
    delay = getattr(getattr(law.task, "training_suite", None), "delay_s", (0.0, 0.0))
    contract = law.task.contract(law.memory_size, own)
    quantiles = observation_quantiles(law)
    return dataclasses.replace(contract, action_delay_s=tuple(delay), observation_quantiles=quantiles, safeguard=law.terms)


def rules_of(contract: Contract) -> dict[str, Any]:
    """What replay judges a log by: the limits, and of a law with a safeguard that it kept its promise in every step."""
    rules: dict[str, Any] = {"limits": dataclasses.asdict(contract.limits)}
    if contract.safeguard is not None:
        rules["rules"] = [{"name": "safeguard keeps its promise", "signal": "feasible", "min": 1.0}]
    return rules


def check_agreement(law: ControlLaw, policy: Policy, steps: int, seed: int = 0) -> float:
    """Largest error of the file against torch, over max(1, |torch|), on ``steps`` random inputs.

    Raises:
        TetherError: if it exceeds `AGREEMENT`, naming the output.
    """
    inputs = random_inputs(policy.contract, steps, seed)
    expected = step_law(law, policy.contract, inputs)
    found = step_policy(policy, inputs)
    errors = {name: relative_error(found[name], expected[name]) for name in expected}
    for name, error in errors.items():
        if not error <= AGREEMENT:
            raise TetherError(
                f"output {name!r} of the file differs from torch by {error:.1e}, more than {AGREEMENT:g}; export the law again"
            )
    return max(errors.values())


def step_law(law: ControlLaw, contract: Contract, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One step of a batch in torch, by graph names."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
    sensors = {signal.name: tensors[signal.name] for signal in contract.sensors}
    command = {signal.name: tensors[signal.name] for signal in contract.commands}
    with torch.no_grad():
        output = law(sensors, command, tensors["memory"])
    return _by_name(output, contract)


def step_policy(policy: Policy, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One step of a batch in ONNX Runtime, by graph names."""
    output = policy.step(inputs, inputs, inputs["memory"])
    return _by_name(output, policy.contract)


def _by_name(output: Any, contract: Contract) -> dict[str, np.ndarray]:
    reserved = [name for name in contract.output_sizes if name not in output.actuation]
    values = zip(reserved, output[1 : len(reserved) + 1], strict=True)  # ``unguarded`` is not among them in a law without a safeguard
    return {name: np.asarray(value) for name, value in (*output.actuation.items(), *values)}


def _recording(law: ControlLaw, contract: Contract) -> Recording:
    inputs = recorded_inputs(law, contract, STEPS)
    return Recording(inputs, step_law(law, contract, inputs), dict(TOLERANCE))


def _with_metadata(graph: onnx.ModelProto, metadata: Mapping[str, str]) -> bytes:
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    onnx.helper.set_model_props(model, dict(metadata))
    return model.SerializeToString(deterministic=True)
