"""Load a policy file, refuse what does not fit, and step it: the one place where a policy is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

from deploy.policy import parity, seal, session, wire
from deploy.policy.contract import check_graph, read_contract
from deploy.policy.errors import PolicyFileError, PolicyInputError
from robots.contract import Contract

CONTRACT, RULES, PROVENANCE, PARITY = "tether_contract", "tether_rules", "tether_provenance", "tether_parity"

Arrays = Mapping[str, np.ndarray]


class PolicyOutput(NamedTuple):
    """One step's outputs, float32 ``[batch, width]``; the fields after ``memory`` are the graph's reserved outputs.

    ``unguarded``, the action before the safeguard, is of no width for a graph without one.
    """

    actuation: dict[str, np.ndarray]
    memory: np.ndarray
    observation: np.ndarray
    safe_distance: np.ndarray
    intervention: np.ndarray
    feasible: np.ndarray
    risk: np.ndarray
    unguarded: np.ndarray = np.empty((0, 0), np.float32)


class Policy:
    """A policy file that passed every check.

    Attributes:
        path: where it was read from.
        digest: SHA-256 of the file, 64 hex digits; logs are stamped with it.
        contract: what it needs and gives.
        metadata: every metadata entry of the file, as text.
        provenance: how it was made; ``command`` reproduces it.
        rules: the safety rules that replay judges its logs by.
        provider: ``cpu`` or ``cuda``, as chosen.
        timings: with provider ``auto``, the paced durations [µs] each candidate was chosen by.
        agreement: how closely this load reproduced the recorded sequence.
        model: versions and operators of the graph.
    """

    def __init__(self, path: Path, data: bytes, provider: str) -> None:
        """Check and open ``data``; use `Policy.load`."""
        self.path = path
        self.digest = seal.verify(data)
        self.model = wire.inspect(data)
        self.metadata: dict[str, str] = self.model.metadata
        self.contract: Contract = read_contract(self._entry(CONTRACT))
        self.provenance: dict[str, Any] = self._json(PROVENANCE)
        self.rules: dict[str, Any] = self._json(RULES)
        self._inputs = tuple(self.contract.input_sizes.items())
        self._signals = tuple(signal.name for signal in self.contract.actuation)
        self._outputs = list(self.contract.output_sizes)
        self.timings: dict[str, np.ndarray] = {}
        self._open(data, provider)

    @classmethod
    def load(cls, path: str | Path, *, provider: str = "cpu") -> Policy:
        """Read ``path`` and check it: digest, graph, contract, input and output names and widths, then the recorded sequence.

        Args:
            path: the .onnx file.
            provider: ``cpu``, ``cuda``, or ``auto`` to time each one there is, paced like the control loop, and keep the fastest.

        Raises:
            PolicyFileError: saying which check failed, what was found and expected, and the remedy.
        """
        path = Path(path)
        try:
            return cls(path, seal.read(path), provider)
        except PolicyFileError as error:
            raise PolicyFileError(error.check, error.reason, path) from error.__cause__

    def step(self, sensors: Arrays, command: Arrays, memory: np.ndarray) -> PolicyOutput:
        """One step of a batch of any size.

        Args:
            sensors: by name, ``[batch, size]``; extra entries are ignored.
            command: by name, ``[batch, size]``; extra entries are ignored.
            memory: ``[batch, memory_size]``, zeros at episode start, else the previous step's ``memory``.

        Raises:
            PolicyInputError: for a missing entry or one of the wrong shape.
        """
        batch = len(memory)
        feed = {}
        for name, size in self._inputs:
            array = memory if name == "memory" else sensors.get(name)
            if array is None:
                array = command.get(name)
            if array is None or array.shape != (batch, size):
                raise self._bad_input(name, size, batch, array)
            feed[name] = array if array.dtype == np.float32 else array.astype(np.float32)
        outputs = self._session.run(self._outputs, feed)
        count = len(self._signals)
        return PolicyOutput(dict(zip(self._signals, outputs)), *outputs[count:])

    def initial_memory(self, batch: int = 1) -> np.ndarray:
        """Memory at episode start, ``[batch, memory_size]``."""
        return np.zeros((batch, self.contract.memory_size), dtype=np.float32)

    def recorded_step(self, index: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Inputs by name and memory of one recorded step, ``[1, width]``; sensible data to warm up and to time a policy with."""
        inputs = {name: array[index : index + 1] for name, array in self._recording.inputs.items()}
        return inputs, inputs["memory"]

    def time(self, steps: int = session.TRIAL_STEPS) -> np.ndarray:
        """Durations [µs] of ``steps`` steps of batch 1, paced at the contract's rate."""
        inputs, memory = self.recorded_step()
        return session.time_paced(lambda: self.step(inputs, inputs, memory), self.contract.period_s, steps)

    def _open(self, data: bytes, provider: str) -> None:
        """Open the provider asked for, or for ``auto`` the fastest that reproduces the recorded sequence."""
        names = session.candidates(provider)
        if len(names) > 1:
            names = [self._race(data, names)]
        self._use(data, names[0])

    def _race(self, data: bytes, names: list[str]) -> str:
        for name in names:
            try:
                self._use(data, name)
            except PolicyFileError:
                if name == "cpu":  # must work everywhere; any other one is merely no candidate
                    raise
                continue
            self.timings[name] = self.time()
        return session.fastest(self.timings)

    def _use(self, data: bytes, name: str) -> None:
        self._session: onnxruntime.InferenceSession = session.open_session(data, name)
        check_graph(self.contract, self._session)
        self._recording = parity.Recording.from_json(self._entry(PARITY), self.contract)
        self.provider = name
        self.agreement = parity.check(self._recording, self._run, name)

    def _run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs))))
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise PolicyFileError("parity", f"a recorded step fails ({session.first_line(error)}); export the policy again") from error

    def _entry(self, key: str) -> str:
        if key not in self.metadata:
            raise PolicyFileError("contract", f"metadata {key!r} is missing; write the file with `tether export`")
        return self.metadata[key]

    def _json(self, key: str) -> dict[str, Any]:
        try:
            data = json.loads(self._entry(key))
        except ValueError as error:
            raise PolicyFileError("contract", f"metadata {key!r} is not JSON ({error}); export the policy again") from error
        if not isinstance(data, dict):
            raise PolicyFileError("contract", f"metadata {key!r} is not an object; export the policy again")
        return data

    def _bad_input(self, name: str, size: int, batch: int, array: np.ndarray | None) -> PolicyInputError:
        if array is None:
            needed = ", ".join(name for name, _ in self._inputs)
            return PolicyInputError(f"input {name!r} of {self.path.name} is missing; it needs {needed}")
        return PolicyInputError(f"input {name!r} of {self.path.name} has shape {array.shape}, expected ({batch}, {size})")
