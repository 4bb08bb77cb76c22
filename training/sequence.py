"""Input sequences for a control law: random ones that cover its input space, and ones recorded along a flight."""

from __future__ import annotations

import numpy as np
import torch

from robots.contract import Contract
from robots.signals import Signal
from training.control_law import ControlLaw

QUATERNION = ("w", "x", "y", "z")
SPREAD = 3.0  # of signals without bounds, in their SI unit


def random_inputs(contract: Contract, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """``count`` independent inputs by name, float32 ``[count, width]``; every fourth starts an episode (zero memory)."""
    generator = np.random.default_rng([seed, 0x7E57])
    inputs = {signal.name: _random(signal, count, generator) for signal in (*contract.sensors, *contract.commands)}
    memory = generator.uniform(-1.0, 1.0, (count, contract.memory_size))
    memory[::4] = 0.0
    return {name: array.astype(np.float32) for name, array in (inputs | {"memory": memory}).items()}


def _random(signal: Signal, count: int, generator: np.random.Generator) -> np.ndarray:
    if signal.channels == QUATERNION:
        quaternion = generator.normal(size=(count, 4))
        return quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
    bounded = bool(signal.lower) and np.isfinite([*signal.lower, *signal.upper]).all()
    lower, upper = (np.array(signal.lower), np.array(signal.upper)) if bounded else (-SPREAD, SPREAD)
    return generator.uniform(lower, upper, (count, signal.size))


def record(law: ControlLaw, contract: Contract, steps: int) -> dict[str, np.ndarray]:
    """Inputs of ``steps`` consecutive steps, memory carried on from zeros, float32 ``[steps, width]``."""
    inputs = random_inputs(contract, steps)
    memory = torch.zeros(1, contract.memory_size)
    for step in range(steps):
        inputs["memory"][step] = memory[0].numpy()
        row = {name: torch.from_numpy(array[step : step + 1]) for name, array in inputs.items()}
        sensors = {signal.name: row[signal.name] for signal in contract.sensors}
        command = {signal.name: row[signal.name] for signal in contract.commands}
        with torch.no_grad():
            memory = law(sensors, command, memory).memory
    return inputs
