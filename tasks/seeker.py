"""Seeker: reach a goal in the plane without touching the ball that lies in the way.

The task of Walter et al. 2025's repository: dynamics, bounds, 400 steps and 64 environments are the published ones. Start, goal, ball and
reward are ours: the ball is somewhere on the way, so that the straight line to the goal meets it.

## Observation (7)

| index | name | meaning | unit |
|---|---|---|---|
| 0–1 | `goal_x`, `goal_y` | goal − position, shortened to at most 1 m | m |
| 2–3 | `obstacle_x`, `obstacle_y` | ball's centre − position | m |
| 4–5 | `away_x`, `away_y` | away from the ball, by what the gap lacks of 1 m | m |
| 6 | `gap` | distance to the ball's surface | m |

A way around the ball is nearly linear in these: straight to the goal, and a quarter turn from `away`. Of position and gap alone laws drive
at the ball until a safeguard stops them, and stay.

## Action (2): velocity along x and y over 1 m/s

## Reward (per step)

| term | value |
|---|---|
| `distance` | −0.1 ‖goal − position‖ |
| `effort` | −0.001 ‖a‖² |
| `ball` | −1 per metre of depth inside the ball: the way around it is the better one, with a safeguard or without |

## End

*Terminated*: further than 100 km from the origin, or not finite. *Truncated*: after 400 steps (40 s).
*Success*: not terminated, and the mean distance over the last sixth below 0.20 m (the disturbance moves it by up to 0.07 m a step).
`exits` are steps inside the ball.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from robots.description import EquationRobot
from robots.seeker import Seeker, seeker
from robots.signals import Command
from safety.safeguards.cbf import HalfSpaceProjection, OutsideBall
from safety.safeguards.ray_mask import RayMask
from tasks.draw import Draw
from tasks.safe_control import SafeControl, SafeSuite
from tasks.task import Memory, Signals, Transition
from tasks.vectors import length, shorten

(POSITION,) = seeker.states
OBSTACLE, RADIUS = seeker.surroundings
GOAL = "goal_position_in_world"


class Seek(SafeControl):
    """Seek the goal around a ball; see the module's docstring."""

    name = "seeker"
    kind = Seeker
    clock = "odometry"
    episode_s = 40.0
    commands = (Command(GOAL, ("x", "y"), "m", "world", default=(), stale_after_s=0.5, on_stale="hold"),)
    action_size = 2
    observation_names = ("goal_x", "goal_y", "obstacle_x", "obstacle_y", "away_x", "away_y", "gap")
    suites: ClassVar = {
        "nominal": SafeSuite(name="nominal", place_m=4.0),
        "full": SafeSuite(name="full", place_m=4.0, disturbance=1.0),
        "unseen": SafeSuite(name="unseen", place_m=6.0, disturbance=1.0),
    }
    training_suite = SafeSuite(name="training", place_m=4.0, disturbance=1.0)
    presets: ClassVar = {
        "shac": {
            "num_envs": 64,
            "iterations": 80,
            "actor": {"hidden": (64, 64), "activation": "elu", "squash": "tanh"},
            "shac": {
                "horizon": 40,
                "discount": 0.98,
                "learning_rate": 5e-3,
                "halve_every": 30,
                "critic_learning_rate": 5e-3,
                "critic_epochs": 4,
            },
        },
        "ppo": {
            "num_envs": 64,
            "iterations": 150,
            "ppo": {"horizon": 40, "minibatches": 8, "learning_rate": 3e-3, "initial_std": 0.5},
        },
        "sac": {
            "num_envs": 64,
            "iterations": 400,
            "actor": {"hidden": (64, 64), "activation": "elu"},
            "sac": {"initial_std": 0.3},
        },
    }
    safeguards: ClassVar = {
        "projection": lambda task: HalfSpaceProjection(task.safe_actions()),
        "ray_mask": lambda task: RayMask(task.safe_actions()),
        "hyperbolic_ray_mask": lambda task: RayMask(task.safe_actions(), "hyperbolic"),
    }
    settled = 0.20  # m
    near_m = 1.0  # of goal and ball, in the observation
    radius_m = (0.5, 2.0)
    start_m, goal_m = (0.1, 3.0), (0.5, 3.0)  # from the ball's surface
    aside_rad = 0.5  # of the goal from straight behind the ball, at most

    def published(self) -> EquationRobot:
        """See `SafeControl`."""
        return seeker

    def safe_actions(self) -> OutsideBall:
        """Those that keep clear of the ball the sensors show."""
        assert isinstance(self.robot, Seeker)
        (signal,) = self.robot.actuation(self.actuation_mode)
        return OutsideBall(
            dt=self.robot.step_s * self.robot.speed_m_s, disturbance=self.robot.disturbance, lower=signal.lower, upper=signal.upper
        )

    def gap(self, signals: Signals) -> Tensor:
        """Distance to the ball's surface [m] ``[batch, 1]``, below zero inside."""
        return length(signals[POSITION] - signals[OBSTACLE]).unsqueeze(1) - signals[RADIUS]

    def outside(self, state: Signals) -> dict[str, Tensor]:
        """``exits``: inside the ball, by more than rounding to the state's precision explains."""
        gap = self.gap(state)
        size = state[POSITION].abs().amax(1) + state[OBSTACLE].abs().amax(1) + state[RADIUS].squeeze(1)
        return {"exits": gap.squeeze(1) < -8.0 * torch.finfo(gap.dtype).eps * size}

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        position = sensors[POSITION]
        goal, ball, gap = command[GOAL] - position, sensors[OBSTACLE] - position, self.gap(sensors)
        away = -ball / length(ball).unsqueeze(1) * (self.near_m - gap).clamp(min=0.0)
        return torch.cat([shorten(goal, self.near_m), ball, away, gap], dim=1), memory.task

    def begin(self, suite: SafeSuite, draw: Draw) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The ball anywhere in a square, the start anywhere around it, the goal behind it."""
        ball, radius = draw.uniform(-suite.place_m, suite.place_m, 2), draw.uniform(*self.radius_m)
        angle = draw.uniform(-math.pi, math.pi)
        behind = angle + math.pi + draw.uniform(-self.aside_rad, self.aside_rad)
        start, goal = (
            ball + (radius + draw.uniform(*away)) * torch.cat([way.cos(), way.sin()], dim=1)
            for way, away in ((angle, self.start_m), (behind, self.goal_m))
        )
        return {POSITION: start, OBSTACLE: ball, RADIUS: radius}, {GOAL: goal}

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """See the module's docstring."""
        (action,) = transition.actuation.values()
        return {
            "distance": -0.1 * self.tracking_error(transition.state, transition.command),
            "effort": -0.001 * action.square().sum(1),
            "ball": self.gap(transition.state).clamp(max=0.0).squeeze(1),
        }

    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """Distance to the goal [m]."""
        return length(state[POSITION] - command[GOAL])

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """Everything relative to the seeker, the ball's radius, the distance to the goal, and how large the disturbance is."""
        position, distance = state[POSITION], self.tracking_error(state, command).unsqueeze(1)
        ball = [state[OBSTACLE] - position, self.gap(state), state[RADIUS]]
        return torch.cat([command[GOAL] - position, *ball, distance, parameters["disturbance_scale"]], dim=1)
