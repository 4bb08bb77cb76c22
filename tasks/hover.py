"""Hover: recover from any tilt up to 90° at up to 3 m/s, then hold the goal.

A quadrotor is commanded by collective thrust and body rates. The goal has no heading, so everything the policy sees is expressed in the
body frame: turning the world about the vertical changes nothing.

## Observation (29)

| index | name | meaning | unit | frame |
|---|---|---|---|---|
| 0–2 | `goal_*` | goal − position, shortened to at most 1.5 m | m | base |
| 3–5 | `velocity_*` | linear velocity | m/s | base |
| 6–8 | `up_*` | direction of the world's vertical | 1 | base |
| 9–11 | `rate_*` | angular velocity | rad/s | base |
| 12–14 | `integral_*` | ∫ (goal − position) dt, each step's error shortened to 0.3 m, leaking with 10 s | m·s | base |
| 15–17 | `disturbance_*` | estimated acceleration that thrust and gravity do not explain (wrong mass, weak motors, wind) | m/s² | base |
| 18–20 | `near_*` | goal − position, shortened to at most 0.25 m: the last decimetres, seen as large as the first metres | m | base |
| 21–28 | `action_1_*`, `action_2_*` | last action and the one before | 1 | – |

Integral and disturbance come from the task memory; it and the action are those of every flight, see `tasks/quadrotor_flight.py`.

## Reward (per second, times the control period)

| term | value |
|---|---|
| `alive` | 40 |
| `distance` | −20 · min(‖goal − position‖, 2 m) |
| `at_goal` | 30 · exp(−‖goal − position‖ / 0.2 m) |
| `speed` | −2 · ‖velocity‖ |
| `rotation` | −0.4 · ‖angular velocity‖ |
| `smoothness` | −0.4 · ‖change of actuation, each channel over its range at ±1‖² |
| `crash` | −20 once |

Without `at_goal` learning stalls on the steady offset; without the 2 m, the few that are lost drown the others in the value function.

## End

*Terminated*: ground contact, more than 8 m from the goal, or a state that is not finite. *Truncated*: after 6 s.
*Success*: not terminated, and the mean distance to the goal over the last second is below 0.10 m.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from tasks.hover_suites import FULL, NOMINAL, TRAINING, UNSEEN
from tasks.quadrotor_flight import GOAL, GOAL_COMMAND, ORIENTATION, POSITION, RATES, VELOCITY, QuadrotorFlight
from tasks.rotation import rotation_matrix, to_body
from tasks.task import Memory, Signals, Transition
from tasks.vectors import length, shorten


class Worth(NamedTuple):
    """Weights of the reward, per second but for ``crash``; see the module's docstring.

    Attributes:
        reach_m: beyond it distance costs no more.
        width_m: of ``at_goal``.
    """

    alive: float = 40.0
    distance: float = 20.0
    reach_m: float = 2.0
    at_goal: float = 30.0
    width_m: float = 0.2
    speed: float = 2.0
    rotation: float = 0.4
    smoothness: float = 0.4
    crash: float = 20.0


class Hover(QuadrotorFlight):
    """Recover and hold a goal position. See the module's docstring for every number.

    Args:
        robot: any `Quadrotor` with the actuation mode ``ctbr``; the Crazyflie by default.
    """

    name = "hover"
    episode_s = 6.0
    commands = (GOAL_COMMAND,)
    observation_names = (
        *(f"{what}_{axis}" for what in ("goal", "velocity", "up", "rate", "integral", "disturbance", "near") for axis in "xyz"),
        *(f"action_{age}_{channel}" for age in (1, 2) for channel in ("thrust", "rate_x", "rate_y", "rate_z")),
    )
    suites: ClassVar = {suite.name: suite for suite in (NOMINAL, FULL, UNSEEN)}
    training_suite = TRAINING
    presets: ClassVar = {
        "ppo": {
            "num_envs": 512,
            "iterations": 130,
            "check_from": 70,
            "check_every": 10,
            "stop_success": 0.99,
            "actor": {"hidden": (64, 64), "activation": "elu"},
            "ppo": {"minibatches": 8, "learning_rate": 3e-3, "halve_every": 100, "initial_std": 0.5, "critic_activation": "relu"},
        },
        "shac": {
            "num_envs": 128,
            "iterations": 110,
            "check_from": 70,
            "check_every": 10,
            "stop_success": 0.99,
            "shac": {
                "horizon": 30,
                "discount": 0.98,
                "learning_rate": 1e-2,
                "halve_every": 30,
                "betas": (0.7, 0.95),
                "critic_learning_rate": 5e-3,
                "target_rate": 1.0,
            },
        },
        "bptt": {
            "num_envs": 128,
            "iterations": 80,
            "check_from": 60,
            "check_every": 10,
            "stop_success": 0.99,
            "shac": {"horizon": 50, "learning_rate": 1e-2, "halve_every": 30, "betas": (0.7, 0.95)},
        },
    }

    worth: ClassVar = Worth()
    success_m = 0.10
    success_s = 1.0
    judged_part = "the last second"

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        rotation = rotation_matrix(sensors[ORIENTATION])
        velocity = sensors[VELOCITY]
        error = command[GOAL] - sensors[POSITION]
        estimates = self.estimate(rotation, error, velocity, memory)

        far, near = shorten(error, self.goal_reach_m), shorten(error, self.near_reach_m)
        vectors = torch.stack([far, velocity, estimates.integral, estimates.disturbance, near], dim=1)
        vectors = to_body(rotation, vectors).flatten(1)
        observation = [vectors[:, :6], rotation[:, 2], sensors[RATES], vectors[:, 6:], memory.action, estimates.older_action]
        return torch.cat(observation, dim=1), estimates.packed(memory)

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """See the module's docstring."""
        period, worth = 1.0 / self.rate_hz, self.worth
        distance = self.tracking_error(transition.state, transition.command)
        change = self.scaled(transition.actuation) - self.scaled(transition.previous_actuation)
        return {
            "alive": torch.full_like(distance, worth.alive * period),
            "distance": -worth.distance * period * distance.clamp(max=worth.reach_m),
            "at_goal": worth.at_goal * period * torch.exp(-distance / worth.width_m),
            "speed": -worth.speed * period * length(transition.state[VELOCITY]),
            "rotation": -worth.rotation * period * length(transition.state[RATES]),
            "smoothness": -worth.smoothness * period * change.square().sum(1),
            "crash": -worth.crash * self.terminated(transition),
        }

    def judged(self, tracking_errors: Tensor) -> Tensor:
        """The last second."""
        return tracking_errors[-round(self.success_s * self.rate_hz) :]

    def success(self, tracking_errors: Tensor, terminated: Tensor) -> Tensor:
        """Mean distance over the last second below 0.10 m, and never terminated."""
        return (self.judged(tracking_errors).mean(0) < self.success_m) & ~terminated

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """Noise-free error, velocity, attitude, rates and rotor speeds in the body frame, and the parameters over their nominal values."""
        rotation = rotation_matrix(state[ORIENTATION])
        error = command[GOAL] - state[POSITION]
        body = to_body(rotation, torch.stack([error, state[VELOCITY]], dim=1)).flatten(1)
        distance = length(error).unsqueeze(1)
        near = torch.exp(-distance / 0.2)
        return torch.cat([body, rotation[:, 2], state[RATES], state["rotor_speeds"], distance, near, *self.relative(parameters)], dim=1)
