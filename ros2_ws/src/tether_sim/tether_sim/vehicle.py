"""One simulated vehicle on the CPU: the batched simulator with a batch of one, and numpy at its edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from robots.description import Quadrotor
from sim.quadrotor import QuadrotorSimulator
from tether_sim.messages import Vector, quaternion_from_rotation_vector
from tether_sim.senses import Senses

LANDED_SPEED_M_S = 0.3


class Vehicle:
    """A quadrotor and its sensors.

    Args:
        robot, actuation_mode, rate_hz: what flies, and how it is commanded.
        noise, seed, obstacles: see `Senses`. It flies through obstacles as if they were not there.

    Attributes:
        resting: whether it touches the ground and hardly moves.
    """

    def __init__(
        self,
        robot: Quadrotor,
        actuation_mode: str,
        rate_hz: float,
        noise: Mapping[str, Sequence[float]],
        seed: int,
        obstacles: Sequence[Sequence[float]] = (),
    ) -> None:
        torch.set_num_threads(1)
        self._simulator = QuadrotorSimulator(robot, 1, actuation_mode=actuation_mode, control_dt=1.0 / rate_hz)
        self._simulator.in_real_time()
        self._senses = Senses(robot, noise, seed, obstacles)
        self._all = torch.ones(1, dtype=torch.bool)

    @torch.inference_mode()
    def place(self, position_m: Sequence[float], rotation_rad: Sequence[float], velocity_m_s: Sequence[float]) -> None:
        """Put it at a position, a rotation vector from level, and a velocity, all in the world."""
        start = {
            "position_base_in_world": position_m,
            "orientation_base_in_world": quaternion_from_rotation_vector(rotation_rad).tolist(),
            "linear_velocity_base_in_world": velocity_m_s,
        }
        self._simulator.reset(self._all, {name: torch.tensor([list(value)], dtype=torch.float32) for name, value in start.items()})
        self._senses.reset()

    @torch.inference_mode()
    def step(self, actuation: Vector) -> None:
        """Advance one control period under ``actuation``."""
        self._simulator.step(torch.from_numpy(actuation.astype(np.float32))[None])

    @torch.inference_mode()
    def read(self) -> dict[str, Vector]:
        """Sensor readings by name, with noise."""
        return self._senses.read(self._simulator)

    @property
    def resting(self) -> bool:
        truth = self._simulator.privileged()
        return bool(truth["ground_contact"].any()) and float(truth["linear_velocity_base_in_world"].norm()) < LANDED_SPEED_M_S
