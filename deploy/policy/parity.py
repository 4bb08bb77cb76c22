"""The recorded sequence a policy file carries: 50 steps of a flight, inputs, memory and outputs, which every load must reproduce.

It catches what a digest cannot: another ONNX Runtime, provider or processor that computes something else than was tested.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from deploy.policy.errors import PolicyFileError
from robots.contract import Contract

STEPS = 50
TOLERANCE = {"cpu": 1e-5, "cuda": 1e-3}  # times max(1, |recorded|); CUDA with TF32 off

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Recording:
    """Inputs and outputs by graph name, ``[STEPS, width]`` float32; ``memory`` is an input, ``next_memory`` an output."""

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    tolerance: dict[str, float]

    def to_json(self) -> str:
        """JSON with arrays as base64 of little-endian float32."""
        encode = {key: {name: _encode(array) for name, array in part.items()} for key, part in (("in", self.inputs), ("out", self.outputs))}
        return json.dumps({"steps": STEPS, "tolerance": self.tolerance, "inputs": encode["in"], "outputs": encode["out"]}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, contract: Contract) -> Recording:
        """Inverse of `to_json`; raises `PolicyFileError` if a name, a width or the number of steps does not fit the contract."""
        try:
            data = json.loads(text)
            if data["steps"] != STEPS:
                raise ValueError(f"found {data['steps']} steps, expected {STEPS}")
            inputs = _decode_all(data["inputs"], contract.input_sizes)
            outputs = _decode_all(data["outputs"], contract.output_sizes)
            tolerance = {str(name): float(value) for name, value in data["tolerance"].items()}
            return cls(inputs, outputs, {name: min(value, TOLERANCE.get(name, value)) for name, value in tolerance.items()})
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise _refused(f"the recorded sequence is malformed ({type(error).__name__}: {error})") from error


@dataclass(frozen=True)
class Agreement:
    """How well a load reproduced the recording: the largest error over max(1, |recorded|), and where."""

    error: float
    tolerance: float
    output: str
    step: int


def check(recording: Recording, run: Callable[[Arrays], Arrays], provider: str) -> Agreement:
    """Run every recorded step and compare every output.

    Args:
        recording: from the file.
        run: one step, graph inputs to graph outputs by name, ``[1, width]``.
        provider: whose tolerance applies.

    Raises:
        PolicyFileError: naming the first output and step that differ by more than the tolerance.
    """
    tolerance = recording.tolerance.get(provider)
    if tolerance is None or not tolerance > 0.0:
        raise _refused(f"there is no tolerance for provider {provider!r}, only for {', '.join(recording.tolerance) or 'none'}")
    _check_memory(recording, tolerance)
    worst = Agreement(0.0, tolerance, "", 0)
    for step in range(STEPS):
        found = run({name: array[step : step + 1] for name, array in recording.inputs.items()})
        for name, expected in recording.outputs.items():
            error = relative_error(found[name], expected[step : step + 1])
            if not error <= tolerance:  # also when not a number
                where = f"step {step}, output {name!r}: found {_row(found[name])}, expected {_row(expected[step : step + 1])}"
                raise _refused(f"{where}, tolerance {tolerance:g} on {provider}")
            if error > worst.error:
                worst = Agreement(error, tolerance, name, step)
    return worst


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """max |found − expected| / max(1, |expected|); NaN unless all are finite, 0 for zero width."""
    if not expected.size:
        return 0.0
    with np.errstate(invalid="ignore"):
        return float(np.max(np.abs(found - expected) / np.maximum(1.0, np.abs(expected))))


def _check_memory(recording: Recording, tolerance: float) -> None:
    """The recorded memory starts an episode and carries on from step to step."""
    memory = recording.inputs["memory"]
    if memory[0].any():
        raise _refused("the recorded sequence does not begin with zero memory")
    if not relative_error(memory[1:], recording.outputs["next_memory"][:-1]) <= tolerance:
        raise _refused("the recorded memory does not carry on from step to step")


def _encode(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode()


def _decode_all(data: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    if set(data) != set(sizes):
        raise ValueError(f"found {sorted(data)}, expected {sorted(sizes)}")
    return {name: _decode(data[name], name, size) for name, size in sizes.items()}


def _decode(text: str, name: str, size: int) -> np.ndarray:
    raw = base64.b64decode(text, validate=True)
    if len(raw) != 4 * STEPS * size:
        raise ValueError(f"{name} has {len(raw)} bytes, expected {4 * STEPS * size}")
    return np.frombuffer(raw, dtype="<f4").astype(np.float32).reshape(STEPS, size)


def _row(array: np.ndarray) -> str:
    return np.array2string(array[0], precision=6, threshold=8, max_line_width=10**6).replace("\n", " ")


def _refused(message: str) -> PolicyFileError:
    return PolicyFileError("parity", f"{message}; use another ONNX Runtime or provider, or export the policy again")
