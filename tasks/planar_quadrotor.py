"""Planar quadrotor: fly to a goal and stay, within tilt, speed and room.

The task of Walter et al. 2025 (arXiv 2506.01665): reward, dynamics, step and episode are the published ones. Where episodes begin, and
where the goal is, is not known: here they begin in the safe set, shrunk to a quarter for all but `unseen`, with the goal at the origin.

## Observation (6)

| index | name | meaning | unit |
|---|---|---|---|
| 0–1 | `goal_x`, `goal_z` | goal − position | m |
| 2 | `tilt` | φ, towards +x | rad |
| 3–4 | `velocity_x`, `velocity_z` | in the world | m/s |
| 5 | `rate` | φ̇ | rad/s |

## Action (2): change of thrust over 6/7 m/s², tilt command over 15°. Zero is hover thrust and level.

## Reward (per step, as published)

| term | value |
|---|---|
| `distance` | −2.5 ‖goal − position‖ |
| `motion` | −0.1 (φ² + ẋ² + ż² + φ̇²) |
| `thrust` | −0.002 T², T = g + 6/7 a₁ |
| `tilt_command` | −0.001 u², u = π/12 a₂ |

## End

*Terminated*: a state beyond 10,000 times its box, or not finite. *Truncated*: after 240 steps (12 s).
*Success*: not terminated, and the mean distance over the last sixth below 0.10 m.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from robots.description import GRAVITY, EquationRobot
from robots.planar_quadrotor import PlanarQuadrotor, planar_quadrotor
from robots.signals import Command
from tasks.certified import CertifiedTask
from tasks.draw import Draw
from tasks.safe_control import SafeSuite
from tasks.task import Memory, Signals, Transition
from tasks.uncertainty import Uncertain
from tasks.vectors import length

POSITION, TILT, VELOCITY, RATE = planar_quadrotor.states
GOAL = "goal_position_in_world"


class PlanarFlight(CertifiedTask):
    """Fly to the goal in a plane; see the module's docstring."""

    name = "planar_quadrotor"
    kind = PlanarQuadrotor
    set_name = "planar_quadrotor"
    clock = "odometry"
    episode_s = 12.0
    commands = (Command(GOAL, ("x", "z"), "m", "world", default=(), stale_after_s=0.5, on_stale="hold"),)
    action_size = 2
    observation_names = ("goal_x", "goal_z", "tilt", "velocity_x", "velocity_z", "rate")
    suites: ClassVar = {
        "nominal": SafeSuite(name="nominal", start_share=0.25),
        "full": SafeSuite(name="full", start_share=0.25, disturbance=1.0),
        "unseen": SafeSuite(name="unseen", start_share=0.5, place_m=2.0, disturbance=1.0),
    }
    training_suite = SafeSuite(name="training", start_share=0.25, disturbance=1.0)
    presets: ClassVar = {
        "shac": {
            "num_envs": 32,
            "iterations": 260,
            "actor": {"hidden": (64, 64), "activation": "elu"},
            "shac": {"horizon": 24, "discount": 0.98, "learning_rate": 5e-3, "halve_every": 80, "critic_learning_rate": 5e-3},
        },
        "ppo": {
            "num_envs": 64,
            "iterations": 100,
            "ppo": {"horizon": 32, "minibatches": 8, "learning_rate": 3e-3, "initial_std": 0.5},
        },
        "sac": {
            "num_envs": 32,
            "iterations": 780,
            "actor": {"hidden": (64, 64), "activation": "elu"},
            "sac": {"initial_std": 0.3},
        },
    }
    settled = 0.10  # m
    uncertain = (
        Uncertain("thrust", "parameter", "thrust_scale", (0.7,), (1.3,)),
        Uncertain("tilt_gain", "parameter", "tilt_gain_scale", (0.7,), (1.3,)),
        Uncertain("tilt_damping", "parameter", "tilt_damping_scale", (0.5,), (1.5,)),
        Uncertain("wind", "parameter", "disturbance_mean", (-0.2, -0.2), (0.2, 0.2)),  # m/s²
        Uncertain("position", "sensor", POSITION, (-0.1, -0.1), (0.1, 0.1)),
    )

    def published(self) -> EquationRobot:
        """See `SafeControl`."""
        return planar_quadrotor

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        return torch.cat([command[GOAL] - sensors[POSITION], sensors[TILT], sensors[VELOCITY], sensors[RATE]], dim=1), memory.task

    def begin(self, suite: SafeSuite, draw: Draw) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Start in the set, goal uniform in a square about the origin."""
        return self.starts(suite, draw), {GOAL: draw.uniform(-suite.place_m, suite.place_m, 2)}

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """See the module's docstring."""
        assert isinstance(self.robot, PlanarQuadrotor)
        thrust, tilt = (self.robot.thrust_m_s2, self.robot.tilt_command_rad)
        a1, a2 = transition.actuation.values()
        moving = torch.cat([transition.state[name] for name in (TILT, VELOCITY, RATE)], dim=1)
        return {
            "distance": -2.5 * self.tracking_error(transition.state, transition.command),
            "motion": -0.1 * moving.square().sum(1),
            "thrust": -0.002 * (GRAVITY + thrust * a1).square().squeeze(1),
            "tilt_command": -0.001 * (tilt * a2).square().squeeze(1),
        }

    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """Distance to the goal [m]."""
        return length(state[POSITION] - command[GOAL])

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """The state without noise, the distance, and how large the disturbance is."""
        distance = self.tracking_error(state, command).unsqueeze(1)
        return torch.cat([command[GOAL] - state[POSITION], self.x(state)[:, 2:], distance, parameters["disturbance_scale"]], dim=1)
