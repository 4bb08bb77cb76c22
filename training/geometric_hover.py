"""Geometric hover control: a hand-written control law, baseline and fallback.

    a = k_p e − k_v v − d + g ẑ                      wanted thrust per mass, with e = goal − position and d the estimated disturbance

`tasks.geometric` turns a into thrust and body rates. e and d are those of the task's observation: e is shortened to a fixed length, so that
a far goal does not tip the vehicle over. d integrates the acceleration that thrust and gravity do not explain: it is the integral term,
takes out the steady offset of a wrong mass or thrust, and unlike ∫e does not wind up while the vehicle is still on its way.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks import geometric
from tasks.quadrotor_flight import QuadrotorFlight
from tasks.task import Signals
from training.control_law import ControlLaw, LawOutput, split_memory, without_safeguard


@dataclass(frozen=True)
class HoverGains:
    """k_p [1/s²], k_v [1/s], k_R [1/s], and the least vertical part of a [m/s²], which keeps the thrust upward."""

    position: float = 4.0
    velocity: float = 3.5
    attitude: float = 6.0
    least_lift_m_s2: float = 2.0


class GeometricHover(ControlLaw):
    """See the module's docstring.

    Args:
        task: whose robot and observation to use.
        rate_hz: control rate; the task's by default.
        gains: of the law.
    """

    def __init__(self, task: QuadrotorFlight, rate_hz: float | None = None, gains: HoverGains | None = None) -> None:
        super().__init__()
        self.task: QuadrotorFlight = copy.copy(task)
        self.task.rate_hz = rate_hz or task.rate_hz
        self.gains = gains or HoverGains()

    @property
    def memory_size(self) -> int:
        """Width of the memory vector."""
        return 1 + self.task.action_size + self.task.task_memory_size

    def forward(self, sensors: Signals, command: Signals, memory: Tensor) -> LawOutput:
        """One step; pure, batched, exportable."""
        task = self.task
        view, _ = split_memory(memory, task.action_size, task.task_memory_size)
        observation, task_memory = task.observe(sensors, command, view)
        error, velocity, up, _, _, disturbance = observation[:, :18].split(3, dim=1)  # all in the body frame
        wanted = self.upright(self.gains.position * error - self.gains.velocity * velocity - disturbance, up)
        action = task.action(*self.steer(wanted))
        memory = torch.cat([torch.ones_like(action[:, :1]), action, task_memory], dim=1)
        return without_safeguard(task.actuate(action), memory, observation)

    def upright(self, acceleration: Tensor, up: Tensor) -> Tensor:
        """Thrust per mass that gives ``acceleration`` against gravity, with the least lift; all in the body frame ``[batch, 3]``."""
        return geometric.upright(acceleration, up, self.gains.least_lift_m_s2)

    def steer(self, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Thrust [N] ``[batch, 1]`` and body rates [rad/s] ``[batch, 3]`` for a thrust per mass in the body frame ``[batch, 3]``."""
        return geometric.steer(wanted, self.task.robot.mass_kg, self.gains.attitude)
