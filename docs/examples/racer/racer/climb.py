"""Climb: reach a commanded height and stay there, upright and still.

## Observation (8)

| index | name | meaning | unit |
|---|---|---|---|
| 0 | `height_error` | commanded height − height, clamped to ± 2 m | m |
| 1 | `climb_rate` | vertical velocity | m/s |
| 2–4 | `up_*` | direction of the world's vertical in the body frame | 1 |
| 5–7 | `rate_*` | angular velocity | rad/s |

## Action (4): collective thrust about hover, body rates; each in −1…1
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from racer.robot import racer
from robots.description import GRAVITY, Quadrotor
from robots.signals import Command
from tasks.rotation import from_yaw_tilt, rotation_matrix
from tasks.task import Memory, Signals, Start, Suite, Task, Transition

HEIGHT, ORIENTATION = "position_base_in_world", "orientation_base_in_world"
VELOCITY, RATES = "linear_velocity_base_in_world", "angular_velocity_base_in_base"
SETPOINT = "height_in_world"


@dataclass(frozen=True, kw_only=True)
class ClimbSuite(Suite):
    """How far away [m] and how tilted [rad] an episode begins."""

    distance_m: float = 2.0
    tilt_rad: float = 0.5


class Climb(Task):
    """See the module's docstring."""

    name = "climb"
    actuation_mode = "ctbr"
    rate_hz = 100.0
    episode_s = 4.0
    clock = "odometry"
    sensors = (HEIGHT, ORIENTATION, VELOCITY, RATES)
    commands = (Command(SETPOINT, ("z",), "m", "world", default=(5.0,), on_stale="hold"),)
    action_size = 4
    task_memory_size = 0
    observation_names = ("height_error", "climb_rate", "up_x", "up_y", "up_z", "rate_x", "rate_y", "rate_z")
    suites: ClassVar = {
        "nominal": ClimbSuite(name="nominal"),
        "full": ClimbSuite(name="full", distance_m=4.0, tilt_rad=1.0),
    }
    training_suite = ClimbSuite(name="training", distance_m=4.0, tilt_rad=1.0)

    def __init__(self, robot: Quadrotor | None = None) -> None:
        self.robot: Quadrotor = robot or racer
        self.hover_n = self.robot.mass_kg * GRAVITY
        self.thrust_max_n = self.robot.actuation(self.actuation_mode)[0].upper[0]

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        error = (command[SETPOINT] - sensors[HEIGHT][:, 2:]).clamp(-2.0, 2.0)
        up = rotation_matrix(sensors[ORIENTATION])[:, 2]
        return torch.cat([error, sensors[VELOCITY][:, 2:], up, sensors[RATES]], dim=1), memory.task

    def actuate(self, action: Tensor) -> dict[str, Tensor]:
        """Collective thrust [N] and body rates [rad/s]."""
        thrust = (self.hover_n * (1.0 + action[:, :1])).clamp(0.0, self.thrust_max_n)
        return {"collective_thrust": thrust, "body_rates": 3.0 * action[:, 1:]}

    def sample(self, suite: ClimbSuite, num_envs: int, generator: torch.Generator) -> Start:
        """At 5 m, tilted, with a height to reach."""
        turn, lean, direction, offset = torch.rand(4, num_envs, generator=generator, device=generator.device).unbind(0)
        orientation = from_yaw_tilt(2 * math.pi * turn, suite.tilt_rad * lean, 2 * math.pi * direction)
        start = torch.tensor([0.0, 0.0, 5.0], device=generator.device).repeat(num_envs, 1)
        height = start[:, 2] + suite.distance_m * (2 * offset - 1)
        zeros = {name: torch.zeros_like(start) for name in self.sensors}
        return Start(
            state={HEIGHT: start, ORIENTATION: orientation},
            parameters={},
            command={SETPOINT: height.unsqueeze(1)},
            sensor_noise=zeros,
        )

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """Per second, times the control period."""
        period = 1.0 / self.rate_hz
        state = transition.state
        up = rotation_matrix(state[ORIENTATION])[:, 2, 2]
        return {
            "height": -2.0 * period * self.tracking_error(state, transition.command),
            "upright": 1.0 * period * up,
            "still": -0.1 * period * (state[VELOCITY].norm(dim=1) + state[RATES].norm(dim=1)),
        }

    def terminated(self, transition: Transition) -> Tensor:
        """Upside down, on the ground, or not finite (every comparison with NaN is false)."""
        upright = rotation_matrix(transition.state[ORIENTATION])[:, 2, 2] > -0.2
        return ~upright | (transition.state["ground_contact"].flatten() > 0.5)

    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """Height error [m]."""
        return (state[HEIGHT][:, 2] - command[SETPOINT][:, 0]).abs()

    def success(self, tracking_errors: Tensor, terminated: Tensor) -> Tensor:
        """Within 0.2 m over the last half second."""
        last = round(0.5 * self.rate_hz)
        return (tracking_errors[-last:].mean(0) < 0.2) & ~terminated

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """What the actor sees, unclamped, and the horizontal velocity."""
        error = command[SETPOINT] - state[HEIGHT][:, 2:]
        return torch.cat([error, state[VELOCITY], rotation_matrix(state[ORIENTATION])[:, 2], state[RATES]], dim=1)
