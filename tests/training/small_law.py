"""A robot, a task and two control laws small enough to reason about: a cart that is told where to go."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from robots.description import Limits, Robot
from robots.signals import Actuation, Command, Sensor
from tasks.task import Signals, Task
from training.control_law import ControlLaw, LawOutput, without_safeguard

CART = Robot(
    name="cart",
    model=Path("cart.xml"),
    source="made up for tests",
    mass_kg=1.0,
    sensors=(
        Sensor("position", ("x",), "m", "world", (-5.0,), (5.0,), source="encoder"),
        Sensor("velocity", ("x",), "m/s", "world", (-2.0,), (2.0,), source="encoder"),
        Sensor("orientation", ("w", "x", "y", "z"), "1", "world", source="encoder"),
    ),
    actuations={"force": (Actuation("force", ("x",), "N", "world", (-1.0,), (1.0,), field="effort", safe=(0.0,)),)},
    limits=Limits(tilt_rad=0.1, speed_m_s=2.0, body_rate_rad_s=1.0, distance_m=5.0),
)


class Track(Task):
    """Only what export asks of a task."""

    name = "track"
    actuation_mode = "force"
    rate_hz = 50.0
    episode_s = 2.0
    clock = "encoder"
    sensors = ("position", "velocity", "orientation")
    commands = (Command("goal", ("x",), "m", "world", default=(0.0,)),)
    action_size = 1
    task_memory_size = 1
    observation_names = ("error", "velocity", "up")
    suites: ClassVar = {}
    robot = CART

    def observe(self, sensors: Signals, command: Signals, memory: object) -> tuple[Tensor, Tensor]:
        """Error, velocity and how upright it is."""
        _, x, y, _ = sensors["orientation"].split(1, dim=1)
        observation = torch.cat([command["goal"] - sensors["position"], sensors["velocity"], 1 - 2 * (x * x + y * y)], dim=1)
        return observation, observation[:, :1]

    def actuate(self, action: Tensor) -> dict[str, Tensor]:
        """A force within the limits."""
        return {"force": action.clamp(-1.0, 1.0)}

    def _unused(self, *_: object) -> None:
        raise NotImplementedError("the tests of export simulate nothing")

    sample = rewards = terminated = tracking_error = success = privileged_observation = _unused  # type: ignore[assignment]


class Proportional(ControlLaw):
    """A PI controller: memory is [started, integral]."""

    def __init__(self) -> None:
        super().__init__()
        self.task = Track()

    @property
    def memory_size(self) -> int:
        """Started, integral."""
        return 2

    def forward(self, sensors: Signals, command: Signals, memory: Tensor) -> LawOutput:
        """u = 0.8 e − 0.5 v + 0.1 ∫e."""
        started, integral = memory.split(1, dim=1)
        observation, error = self.task.observe(sensors, command, None)  # type: ignore[arg-type]
        integral = torch.where(started > 0.5, integral + 0.02 * error, torch.zeros_like(error))
        action = 0.8 * error - 0.5 * sensors["velocity"] + 0.1 * integral
        return without_safeguard(self.task.actuate(action), torch.cat([torch.ones_like(started), integral], dim=1), observation)


class Recurrent(ControlLaw):
    """An untrained GRU actor: memory is its hidden state."""

    def __init__(self, hidden: int = 16, seed: int = 0) -> None:
        super().__init__()
        self.task = Track()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.cell = nn.GRUCell(3, hidden)
            self.head = nn.Linear(hidden, 1)

    @property
    def memory_size(self) -> int:
        """The hidden state."""
        return self.cell.hidden_size

    def forward(self, sensors: Signals, command: Signals, memory: Tensor) -> LawOutput:
        """h' = GRU(o, h), u = tanh(W h')."""
        observation, _ = self.task.observe(sensors, command, None)  # type: ignore[arg-type]
        hidden = self.cell(observation, memory)
        return without_safeguard(self.task.actuate(self.head(hidden).tanh()), hidden, observation)
