"""The contract in a policy file against itself and against the graph it came with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

from deploy.policy.errors import PolicyFileError
from robots.contract import Contract
from robots.errors import TetherError


def read_contract(text: str) -> Contract:
    """Parse the contract and check that it makes sense; raises `PolicyFileError` saying what does not."""
    try:
        contract = Contract.from_json(text)
        _check_sense(contract)
    except TetherError as error:
        raise PolicyFileError("contract", str(error)) from error
    except (TypeError, ValueError, AttributeError, KeyError) as error:  # a value of another type than its field
        raise PolicyFileError("contract", f"a value has the wrong type ({error}); export the policy again") from error
    return contract


def _check_sense(contract: Contract) -> None:
    if not 0.0 < contract.rate_hz < math.inf:
        raise TetherError(f"rate_hz is {contract.rate_hz}, expected a positive number; export the policy again")
    if not isinstance(contract.memory_size, int) or contract.memory_size < 1:
        raise TetherError(f"memory_size is {contract.memory_size!r}, expected a positive integer; export the policy again")
    limits = dataclasses.asdict(contract.limits)
    for name, value in (limits | limits.pop("action_rate")).items():
        if not value > 0.0:
            raise TetherError(f"limits.{name} is {value}, expected a positive number; export the policy again")
    sources = {sensor.source for sensor in contract.sensors}
    if contract.clock not in sources:
        raise TetherError(f"the clock {contract.clock!r} is none of the sensor sources {sorted(sources)}; export the policy again")
    names = [signal.name for signal in (*contract.sensors, *contract.commands)]
    if len(set(names)) != len(names):
        raise TetherError(f"a sensor or command name occurs twice in {names}; export the policy again")
    quantiles = contract.observation_quantiles
    if quantiles and [len(row) for row in quantiles] != [len(contract.observation)] * 2:
        raise TetherError(f"observation_quantiles must be [2, {len(contract.observation)}]; export the policy again")
    if contract.quaternion_order != "wxyz":
        raise TetherError(f"quaternion order {contract.quaternion_order!r} is not supported, expected 'wxyz'; export the policy again")


def check_graph(contract: Contract, session: onnxruntime.InferenceSession) -> None:
    """Graph inputs and outputs are those of the contract: names, widths, float32, and a free batch dimension."""
    _check_nodes("inputs", contract.input_sizes, session.get_inputs())
    _check_nodes("outputs", contract.output_sizes, session.get_outputs())


def _check_nodes(check: str, sizes: Mapping[str, int], nodes: Sequence[Any]) -> None:
    found = [node.name for node in nodes]
    missing = [name for name in sizes if name not in found]
    extra = [name for name in found if name not in sizes]
    if missing or extra:
        parts = [f"{label} {', '.join(names)}" for label, names in (("missing", missing), ("unknown", extra)) if names]
        raise PolicyFileError(check, f"{'; '.join(parts)}; the contract has {', '.join(sizes)}; export the policy again")
    for node in nodes:
        if node.type != "tensor(float)":
            raise PolicyFileError(check, f"{node.name!r} is {node.type}, expected tensor(float); export the policy again")
        if len(node.shape) != 2 or node.shape[1] != sizes[node.name] or isinstance(node.shape[0], int):
            expected = ["batch", sizes[node.name]]
            raise PolicyFileError(check, f"{node.name!r} has shape {node.shape}, expected {expected}; export the policy again")
