"""Short ways to set up and look at a quadrotor engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from robots.description import Quadrotor
from sim.quadrotor import QuadrotorSimulator

CHANGES: dict[str, list[float]] = {  # of every parameter
    "mass": [0.04],
    "inertia": [2e-5, 2e-5, 4e-5],
    "centre_of_mass": [0.003, -0.002, 0.0],
    "thrust_scale": [0.85, 1.0, 1.0, 1.0],
    "torque_scale": [1.3],
    "motor_time_scale": [1.5],
    "drag": [0.05, 0.05, 0.05],
    "rotor_drag": [1e-5, 1e-5, 1e-5],
    "action_delay": [0.015],
    "wind": [2.0, 0.0, 0.0],
    "battery_charge": [0.0],
    "battery_resistance_scale": [2.5],
}


def simulator(robot: Quadrotor, mode: str = "ctbr", num_envs: int = 1) -> QuadrotorSimulator:
    """In double precision, at the default step."""
    return QuadrotorSimulator(robot, num_envs, actuation_mode=mode, dtype=torch.float64)


def everywhere(sim: QuadrotorSimulator, **values: Sequence[float]) -> None:
    """Reset all environments to the same state."""
    rows = {name: torch.tensor([value], dtype=sim.dtype).expand(sim.num_envs, -1) for name, value in values.items()}
    sim.reset(torch.ones(sim.num_envs, dtype=torch.bool), rows)


def state(sim: QuadrotorSimulator, name: str, env: int = 0) -> np.ndarray:
    """One privileged signal of one environment."""
    return sim.privileged()[name][env].double().numpy()
