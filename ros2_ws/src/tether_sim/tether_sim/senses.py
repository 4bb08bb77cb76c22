"""What one simulated robot measures: the batched sensor model with a batch of one, and numpy at its edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from robots.description import Robot
from sim.random_numbers import RandomNumbers
from sim.sensors import SensorModel
from sim.simulator import Simulator
from tether_sim.messages import Vector


class Senses:
    """Sensors of the one robot in a simulator.

    Args:
        robot: whose sensors.
        noise: standard deviations by sensor name.
        seed: of the noise.
    """

    def __init__(self, robot: Robot, noise: Mapping[str, Sequence[float]], seed: int) -> None:
        self._model = SensorModel(robot.sensors, 1, RandomNumbers(1, seed))
        self._noise = {name: torch.tensor([list(deviation)]) for name, deviation in noise.items()}

    def reset(self) -> None:
        """Begin anew."""
        self._model.reset(torch.ones(1, dtype=torch.bool), noise=self._noise)

    def read(self, simulator: Simulator) -> dict[str, Vector]:
        """Sensor readings by name, with noise."""
        return {name: value[0].double().numpy() for name, value in self._model.read(simulator.signals()).items()}
