"""Runs the graph for one tick and checks all that comes out before any of it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from deploy.guards.trips import Trip
from deploy.record.layout import StepLayout
from robots.contract import Contract
from safety.envelope import FLOAT32_MAX, Envelope, Violation


class Output(Protocol):
    """What a policy's step gives; see `deploy.policy.PolicyOutput`."""

    @property
    def actuation(self) -> dict[str, np.ndarray]: ...
    @property
    def memory(self) -> np.ndarray: ...
    @property
    def observation(self) -> np.ndarray: ...
    @property
    def safe_distance(self) -> np.ndarray: ...
    @property
    def intervention(self) -> np.ndarray: ...
    @property
    def feasible(self) -> np.ndarray: ...
    @property
    def risk(self) -> np.ndarray: ...


class RunnablePolicy(Protocol):
    """What the runtime needs of a policy; `deploy.policy.Policy` is one."""

    @property
    def contract(self) -> Contract: ...
    @property
    def digest(self) -> str: ...

    def step(self, sensors: Mapping[str, np.ndarray], command: Mapping[str, np.ndarray], memory: np.ndarray) -> Any: ...


class _Blocks(NamedTuple):
    policy: slice
    reserved: slice
    observation: slice
    outputs: slice


class Stepper:
    """A policy, its memory, and the checks on its outputs.

    Attributes:
        memory: what the next step will be given, float32 ``[1, memory_size]``.
        actuation: what the last good step asked for, float32 ``[actuation size]``.
        error: text of the last exception a policy raised.
    """

    def __init__(self, policy: RunnablePolicy, envelope: Envelope, layout: StepLayout) -> None:
        self._policy = policy
        self._envelope = envelope
        policy_block, reserved, observation = (layout.blocks[name] for name in ("policy", "reserved", "observation"))
        self._blocks = _Blocks(policy_block, reserved, observation, slice(reserved.start, observation.stop))
        self._observation_size = len(policy.contract.observation)
        self.memory = np.zeros((1, policy.contract.memory_size), dtype=np.float32)
        self.actuation = np.zeros(envelope.size, dtype=np.float32)
        self.error = ""

    def restart(self) -> None:
        """Zero memory: the graph takes the next step for an episode's first."""
        self.memory = np.zeros_like(self.memory)

    def step(self, sensors: Mapping[str, np.ndarray], commands: Mapping[str, np.ndarray], row: np.ndarray) -> int:
        """Run the graph; fills the policy's columns of ``row`` and returns a `Trip` mask, 0 if everything is in order."""
        try:
            output: Output = self._policy.step(sensors, commands, self.memory)
            fault = self._check(output, row)
            if not fault:
                self.memory = output.memory
        except Exception as error:  # whatever a policy does must end in the declared safe behaviour
            self.error = f"{type(error).__name__}: {error}"
            return Trip.POLICY_ERROR.value
        return fault

    def _check(self, output: Output, row: np.ndarray) -> int:
        fault = self._envelope.take(output.actuation, self.actuation)
        if fault == Violation.WRONG_WIDTH or not self._widths_fit(output):
            return Trip.BAD_OUTPUT.value
        row[self._blocks.policy] = self.actuation
        start = self._blocks.reserved.start
        row[start] = output.safe_distance[0, 0]
        row[start + 1] = output.intervention[0, 0]
        row[start + 2] = output.feasible[0, 0]
        row[start + 3] = output.risk[0, 0]
        row[self._blocks.observation] = output.observation[0]
        finite = np.abs(row[self._blocks.outputs]).max() <= FLOAT32_MAX
        if output.memory.size:
            finite = finite and np.abs(output.memory).max() <= FLOAT32_MAX
        return 0 if finite and not fault else Trip.NON_FINITE_OUTPUT.value

    def _widths_fit(self, output: Output) -> bool:
        reserved = (output.safe_distance, output.intervention, output.feasible, output.risk)
        return (
            output.memory.shape == self.memory.shape
            and output.observation.shape == (1, self._observation_size)
            and all(array.shape == (1, 1) for array in reserved)
        )
