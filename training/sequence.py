"""Input sequences for a control law: random ones that cover its input space, and ones recorded along simulated flights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from robots.contract import Contract
from robots.errors import TetherError
from robots.signals import Signal
from training.control_law import ControlLaw
from training.environment import Environment
from training.simulators import AUTO, make_simulator
from training.threads import one_thread

QUATERNION = ("w", "x", "y", "z")
REACH = 10.0  # of random inputs, in the signal's SI unit, where its bounds are wider or absent
SEED = 0x7E57


class Flight(NamedTuple):
    """A simulated flight of many robots, float32 ``[steps, num_envs, width]``; ``memory`` is before each step."""

    inputs: dict[str, np.ndarray]
    observation: np.ndarray


def random_inputs(contract: Contract, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """``count`` independent inputs by name, float32 ``[count, width]``; every fourth starts an episode (zero memory)."""
    generator = np.random.default_rng([SEED, seed])
    inputs = {signal.name: _random(signal, count, generator) for signal in (*contract.sensors, *contract.commands)}
    memory = generator.uniform(-1.0, 1.0, (count, contract.memory_size))
    memory[::4] = 0.0
    return {name: array.astype(np.float32) for name, array in (inputs | {"memory": memory}).items()}


def _random(signal: Signal, count: int, generator: np.random.Generator) -> np.ndarray:
    if signal.channels == QUATERNION:
        quaternion = generator.normal(size=(count, 4))
        return quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
    lower = np.maximum(signal.lower or -REACH, -REACH)
    upper = np.minimum(signal.upper or REACH, REACH)
    return generator.uniform(lower, upper, (count, signal.size))


@one_thread()
@torch.no_grad()
def fly(law: ControlLaw, num_envs: int, steps: int, seed: int = SEED) -> Flight | None:
    """Fly ``law`` on its task's training distribution in the engine of its robot's kind; None if there is none."""
    try:
        simulator = make_simulator(AUTO, law.task, num_envs)
    except TetherError:  # no engine is for this robot
        return None
    environment = Environment(law.task, simulator, suite=law.task.training_suite, seed=seed)
    sensors, command = environment.reset()
    memory = law.initial_memory(num_envs)
    rows, observations = [], []
    for _ in range(steps):
        rows.append({name: value.float().numpy().copy() for name, value in (*sensors.items(), *command.items(), ("memory", memory))})
        output = law(sensors, command, memory)
        step = environment.step(output.actuation)
        observations.append(output.observation.numpy())
        ended = (step.terminated | step.truncated).unsqueeze(1)
        sensors, command, memory = step.sensors, step.command, torch.where(ended, 0.0, output.memory)
    return Flight({name: np.stack([row[name] for row in rows]) for name in rows[0]}, np.stack(observations))


def recorded_inputs(law: ControlLaw, contract: Contract, steps: int) -> dict[str, np.ndarray]:
    """Inputs of ``steps`` consecutive steps from an episode's start, float32 ``[steps, width]``: of a flight, else random."""
    flight = fly(law, 1, steps)
    if flight is not None:
        return {name: flight.inputs[name][:, 0] for name in contract.input_sizes}
    inputs = random_inputs(contract, steps)
    memory = law.initial_memory(1)
    for step in range(steps):
        inputs["memory"][step] = memory[0].numpy()
        row = {name: torch.from_numpy(array[step : step + 1]) for name, array in inputs.items()}
        with torch.no_grad():
            memory = law(row, row, memory).memory
    return inputs


def observation_quantiles(law: ControlLaw, num_envs: int = 256) -> tuple[tuple[float, ...], ...]:
    """1 % and 99 % quantile of each observation over training episodes; empty for a law without weights, or one that no engine flies."""
    if not any(True for _ in law.parameters()):
        return ()
    flight = fly(law, num_envs, round(law.task.episode_s * law.task.rate_hz))
    if flight is None:
        return ()
    quantiles = np.quantile(flight.observation.reshape(-1, flight.observation.shape[-1]), [0.01, 0.99], axis=0)
    return tuple(tuple(float(value) for value in row) for row in quantiles)
