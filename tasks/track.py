"""Track: recover as hover does, catch a moving reference, and follow it.

The command is where the reference is now, how fast it moves and how it accelerates. The reference is a figure-eight, 4 m wide and 6 s a
lap, or a random smooth curve of the same peak speed and acceleration (`tasks/reference.py`). Heading is free: what the policy sees is in
the body frame.

## Command

| name | meaning | unit | before the first, and when it is old |
|---|---|---|---|
| `goal_position_in_world` | reference position, what the geofence is about | m | where the robot was activated; held |
| `goal_velocity_in_world` | reference velocity | m/s | 0 |
| `goal_acceleration_in_world` | reference acceleration | m/s² | 0 |

So a policy whose reference is lost stops at the last position it was given.

## Observation (35)

| index | name | meaning | unit | frame |
|---|---|---|---|---|
| 0–2 | `goal_*` | reference − position, shortened to at most 1.5 m | m | base |
| 3–5 | `velocity_*` | linear velocity | m/s | base |
| 6–8 | `up_*` | direction of the world's vertical | 1 | base |
| 9–11 | `rate_*` | angular velocity | rad/s | base |
| 12–14 | `integral_*` | ∫ (reference − position) dt, each step's error shortened to 0.3 m, leaking with 10 s | m·s | base |
| 15–17 | `disturbance_*` | estimated acceleration that thrust and gravity do not explain (mass, motors, wind, drag) | m/s² | base |
| 18–20 | `near_*` | reference − position, shortened to at most 0.25 m | m | base |
| 21–23 | `velocity_error_*` | reference velocity − velocity | m/s | base |
| 24–26 | `acceleration_*` | reference acceleration | m/s² | base |
| 27–34 | `action_1_*`, `action_2_*` | last action and the one before | 1 | – |

Integral and disturbance come from the task memory; it and the action are those of every flight, see `tasks/quadrotor_flight.py`.

## Reward (per second, times the control period)

| term | value |
|---|---|
| `alive` | 40 |
| `distance` | −20 · min(‖reference − position‖, 2 m) |
| `at_reference` | 30 · exp(−‖reference − position‖ / 0.2 m) |
| `velocity_error` | −2 · ‖reference velocity − velocity‖ |
| `rotation` | −0.4 · ‖angular velocity‖ |
| `smoothness` | −0.4 · ‖change of actuation, each channel over its range at ±1‖² |
| `crash` | −20 once |

## End

*Terminated*: ground contact, more than 8 m from the reference, or a state that is not finite. *Truncated*: after 18 s, three laps.
*Success*: not terminated, and an RMS distance to the reference of at most 0.15 m over the second and third lap.

## Suites

`nominal`, `full` and `unseen` start and randomise as hover's do, about the reference's first position, and follow the figure-eight from its
middle; `full_random` is `full` with a random reference each. Training draws either with equal chance.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from robots.signals import Command
from tasks.draw import Draw
from tasks.flight_suite import FlightSuite
from tasks.quadrotor_flight import GOAL, GOAL_COMMAND, ORIENTATION, POSITION, RATES, VELOCITY, QuadrotorFlight
from tasks.reference import LAP_S, figure_eight, motion, random_smooth
from tasks.rotation import rotation_matrix, to_body
from tasks.task import Memory, Signals, Start, Transition
from tasks.track_suites import FULL, FULL_RANDOM, NOMINAL, TRAINING, UNSEEN, TrackSuite
from tasks.vectors import length, shorten

GOAL_VELOCITY, GOAL_ACCELERATION = "goal_velocity_in_world", "goal_acceleration_in_world"
STANDSTILL = (0.0, 0.0, 0.0)


class Track(QuadrotorFlight):
    """Follow a moving reference. See the module's docstring for every number.

    Args:
        robot: any `Quadrotor` with the actuation mode ``ctbr``; the Crazyflie by default.
    """

    name = "track"
    episode_s = 3 * LAP_S
    commands = (
        GOAL_COMMAND,
        Command(GOAL_VELOCITY, ("x", "y", "z"), "m/s", "world", default=STANDSTILL, stale_after_s=0.2, on_stale="zero"),
        Command(GOAL_ACCELERATION, ("x", "y", "z"), "m/s²", "world", default=STANDSTILL, stale_after_s=0.2, on_stale="zero"),
    )
    observation_names = (
        *(f"{what}_{axis}" for what in ("goal", "velocity", "up", "rate", "integral", "disturbance", "near") for axis in "xyz"),
        *(f"{what}_{axis}" for what in ("velocity_error", "acceleration") for axis in "xyz"),
        *(f"action_{age}_{channel}" for age in (1, 2) for channel in ("thrust", "rate_x", "rate_y", "rate_z")),
    )
    suites: ClassVar = {suite.name: suite for suite in (NOMINAL, FULL, UNSEEN, FULL_RANDOM)}
    training_suite = TRAINING
    presets: ClassVar = {
        "ppo": {  # hover's, for longer; not tuned
            "num_envs": 512,
            "iterations": 400,
            "check_from": 200,
            "check_every": 50,
            "stop_success": 0.99,
            "actor": {"hidden": (64, 64), "activation": "elu"},
            "ppo": {"minibatches": 8, "learning_rate": 3e-3, "halve_every": 150, "initial_std": 0.5, "critic_activation": "relu"},
        },
        "shac": {
            "num_envs": 128,
            "iterations": 300,
            "check_from": 200,
            "check_every": 50,
            "stop_success": 0.99,
            "shac": {
                "horizon": 30,
                "discount": 0.985,
                "learning_rate": 1e-2,
                "halve_every": 100,
                "critic_learning_rate": 5e-3,
                "target_rate": 0.8,
            },
        },
    }

    success_m = 0.15
    judged_part = "the second and third lap"

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        rotation = rotation_matrix(sensors[ORIENTATION])
        velocity = sensors[VELOCITY]
        error = command[GOAL] - sensors[POSITION]
        estimates = self.estimate(rotation, error, velocity, memory)

        far, near = shorten(error, self.goal_reach_m), shorten(error, self.near_reach_m)
        moving = [command[GOAL_VELOCITY] - velocity, command[GOAL_ACCELERATION]]
        vectors = torch.stack([far, velocity, estimates.integral, estimates.disturbance, near, *moving], dim=1)
        vectors = to_body(rotation, vectors).flatten(1)
        observation = [vectors[:, :6], rotation[:, 2], sensors[RATES], vectors[:, 6:], memory.action, estimates.older_action]
        return torch.cat(observation, dim=1), estimates.packed(memory)

    def sample(self, suite: FlightSuite, num_envs: int, generator: torch.Generator) -> Start:
        """Draw ``num_envs`` starts as hover does, and references that begin at their goals."""
        assert isinstance(suite, TrackSuite)
        start = super().sample(suite, num_envs, generator)
        draw, first = Draw(num_envs, generator), start.command[GOAL]
        reference = figure_eight(first)
        if suite.figure_eight < 1.0:
            eight = draw.uniform(0.0, 1.0) < suite.figure_eight
            reference = {name: torch.where(eight, reference[name], value) for name, value in random_smooth(first, draw).items()}
        start = start._replace(reference=reference)
        return start._replace(command=self.command_at(start, first[:, :1] * 0))

    def command_at(self, start: Start, time_s: Tensor) -> Signals:
        """Position, velocity and acceleration of the reference."""
        assert start.reference is not None
        now = motion(start.reference, time_s)
        return {GOAL: now.position, GOAL_VELOCITY: now.velocity, GOAL_ACCELERATION: now.acceleration}

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """See the module's docstring."""
        period, state, command = 1.0 / self.rate_hz, transition.state, transition.command
        distance = self.tracking_error(state, command)
        change = self.scaled(transition.actuation) - self.scaled(transition.previous_actuation)
        return {
            "alive": torch.full_like(distance, 40.0 * period),
            "distance": -20.0 * period * distance.clamp(max=2.0),
            "at_reference": 30.0 * period * torch.exp(-distance / 0.2),
            "velocity_error": -2.0 * period * length(command[GOAL_VELOCITY] - state[VELOCITY]),
            "rotation": -0.4 * period * length(state[RATES]),
            "smoothness": -0.4 * period * change.square().sum(1),
            "crash": -20.0 * self.terminated(transition),
        }

    def judged(self, tracking_errors: Tensor) -> Tensor:
        """The second and third lap."""
        lap = round(LAP_S * self.rate_hz)
        return tracking_errors[lap : 3 * lap]

    def success(self, tracking_errors: Tensor, terminated: Tensor) -> Tensor:
        """RMS distance over the second and third lap at most 0.15 m, and never terminated."""
        return (self.judged(tracking_errors).square().mean(0).sqrt() <= self.success_m) & ~terminated

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """Noise-free errors, velocity, reference acceleration, attitude, rates, rotor speeds in the body frame; relative parameters."""
        rotation = rotation_matrix(state[ORIENTATION])
        error, velocity = command[GOAL] - state[POSITION], state[VELOCITY]
        vectors = torch.stack([error, velocity, command[GOAL_VELOCITY] - velocity, command[GOAL_ACCELERATION]], dim=1)
        body = to_body(rotation, vectors).flatten(1)
        distance = length(error).unsqueeze(1)
        near = torch.exp(-distance / 0.2)
        return torch.cat([body, rotation[:, 2], state[RATES], state["rotor_speeds"], distance, near, *self.relative(parameters)], dim=1)
