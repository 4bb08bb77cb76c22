"""Geometric tracking control: the hover law about a reference that moves, with its acceleration and turning fed forward.

    a   = k_p e + k_v ė + p̈ − d + g ẑ                wanted thrust per mass, with e = p − position, ė = ṗ − velocity
    ω   = k_R e_R + ẑ × Rᵀ j / ‖a‖                    commanded body rates; none about z

for a reference p with velocity ṗ, acceleration p̈ and jerk j (Lee, Leok & McClamroch 2010, eq. 12, whose Ω_d is the second term of ω for a
thrust axis that is almost where it should be). Thrust, e_R and d are those of `training.geometric_hover`. j is the slope of p̈, low-passed
with τ_j, since a reference that is streamed arrives unevenly. The reference has no heading, so the heading is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.quadrotor_flight import ORIENTATION
from tasks.rotation import rotation_matrix, to_body
from tasks.task import Signals
from tasks.track import GOAL_ACCELERATION, Track
from tasks.vectors import shorten
from training.control_law import LawOutput, split_memory, without_safeguard
from training.geometric_hover import GeometricHover, HoverGains


@dataclass(frozen=True)
class TrackGains(HoverGains):
    """See `HoverGains`; k_v is of the velocity error. τ_j [s] and the largest slope of p̈ that is believed [m/s³]."""

    jerk_s: float = 0.03
    jerk_m_s3: float = 50.0


class GeometricTrack(GeometricHover):
    """See the module's docstring.

    Args:
        task: whose robot and observation to use.
        rate_hz: control rate; the task's by default.
        gains: of the law.
    """

    gains: TrackGains

    def __init__(self, task: Track, rate_hz: float | None = None, gains: TrackGains | None = None) -> None:
        super().__init__(task, rate_hz, gains or TrackGains())

    @property
    def memory_size(self) -> int:
        """Width of the memory vector: the last reference acceleration and the jerk come last."""
        return super().memory_size + 3 + 3

    def forward(self, sensors: Signals, command: Signals, memory: Tensor) -> LawOutput:
        """One step; pure, batched, exportable."""
        task, gains = self.task, self.gains
        view, kept = split_memory(memory, task.action_size, task.task_memory_size)
        observation, task_memory = task.observe(sensors, command, view)
        error, up, disturbance = observation[:, :3], observation[:, 6:9], observation[:, 15:18]
        velocity_error, acceleration = observation[:, 21:27].split(3, dim=1)

        jerk = self.jerk(command[GOAL_ACCELERATION], kept, view.started)
        body_jerk = to_body(rotation_matrix(sensors[ORIENTATION]), jerk.unsqueeze(1)).squeeze(1)
        wanted = self.upright(gains.position * error + gains.velocity * velocity_error + acceleration - disturbance, up)
        thrust, rates = self.steer(wanted)
        turn = body_jerk / wanted.norm(dim=1, keepdim=True)
        rates = rates + torch.cat([-turn[:, 1:2], turn[:, :1], turn[:, :1] * 0], dim=1)

        action = task.action(thrust, rates)
        memory = torch.cat([torch.ones_like(action[:, :1]), action, task_memory, command[GOAL_ACCELERATION], jerk], dim=1)
        return without_safeguard(task.actuate(action), memory, observation)

    def jerk(self, acceleration: Tensor, kept: Tensor, started: Tensor) -> Tensor:
        """Low-passed slope of the reference acceleration ``[batch, 3]``, zero on the first step; ``kept`` are the last ones of both."""
        period = 1.0 / self.task.rate_hz
        last, jerk = kept.split(3, dim=1)
        slope = shorten((acceleration - last) / period, self.gains.jerk_m_s3)
        return started * (jerk + (slope - jerk) * (period / (period + self.gains.jerk_s)))
