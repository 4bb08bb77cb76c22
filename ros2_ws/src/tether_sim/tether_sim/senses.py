"""What one simulated robot measures: the batched sensor model with a batch of one, and numpy at its edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from robots.description import Robot
from sim.obstacles import ABSENT_M, OBSTACLES, around, nearest
from sim.random_numbers import RandomNumbers
from sim.sensors import SensorModel
from sim.simulator import Simulator
from tether_sim.messages import Vector, rotation_matrix


class Senses:
    """Sensors of the one robot in a simulator.

    Args:
        robot: whose sensors.
        noise: standard deviations by sensor name.
        seed: of the noise.
        obstacles: around it, rows as in `sim.obstacles`; none by default, which is what a robot senses that knows no obstacles anyway.
    """

    def __init__(self, robot: Robot, noise: Mapping[str, Sequence[float]], seed: int, obstacles: Sequence[Sequence[float]] = ()) -> None:
        self._model = SensorModel(robot.sensors, 1, RandomNumbers(1, seed))
        self._noise = {name: torch.tensor([list(deviation)]) for name, deviation in noise.items()}
        self._slots = sum(sensor.size for sensor in robot.sensors if sensor.name == OBSTACLES) // 4
        self._obstacles = torch.tensor([[0.0, 0.0, -ABSENT_M, 0.0, 0.0], *map(list, obstacles)]).unsqueeze(0)

    def reset(self) -> None:
        """Begin anew."""
        self._model.reset(torch.ones(1, dtype=torch.bool), noise=self._noise)

    def read(self, simulator: Simulator) -> dict[str, Vector]:
        """Sensor readings by name, with noise."""
        signals = simulator.signals()
        if self._slots:
            signals = signals | {OBSTACLES: self._surroundings(signals)}
        return {name: value[0].double().numpy() for name, value in self._model.read(signals).items()}

    def _surroundings(self, signals: Mapping[str, Tensor]) -> Tensor:
        turn = rotation_matrix(signals["orientation_base_in_world"][0].double().numpy())
        seen = around(signals["position_base_in_world"], self._obstacles)
        return nearest(seen, torch.from_numpy(turn).float().unsqueeze(0), self._slots)
