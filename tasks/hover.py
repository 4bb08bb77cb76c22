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

The disturbance is low-passed with 0.3 s, after shortening to 20 m/s² so that a jump of the velocity estimate does little. It and the
integral live in the task memory, in the world frame. A policy without them keeps a steady offset under a thrust error.

## Action (4), each in −1…1; zero is hover thrust at rest

| index | meaning | at ±1 |
|---|---|---|
| 0 | collective thrust | hover thrust ± the larger distance to a thrust limit, clamped to the limits |
| 1–3 | body rates x, y, z | ± 6 rad/s or the robot's limit (z: ± 3 rad/s) |

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

import math
from typing import ClassVar

import torch
from torch import Tensor

from robots.crazyflie import crazyflie
from robots.description import GRAVITY, Quadrotor, Robot
from robots.errors import TetherError
from robots.signals import Command
from tasks.draw import Draw
from tasks.hover_suites import FULL, NOMINAL, TRAINING, UNSEEN, HoverSuite
from tasks.rotation import from_yaw_tilt, rotation_matrix, to_body
from tasks.task import Memory, Signals, Start, Task, Transition
from tasks.vectors import length, shorten

POSITION, ORIENTATION = "position_base_in_world", "orientation_base_in_world"
VELOCITY, RATES = "linear_velocity_base_in_world", "angular_velocity_base_in_base"
GOAL = "goal_position_in_world"


class Hover(Task):
    """Recover and hold a goal position. See the module's docstring for every number.

    Args:
        robot: any `Quadrotor` with the actuation mode ``ctbr``; the Crazyflie by default.
    """

    name = "hover"
    actuation_mode = "ctbr"
    rate_hz = 100.0
    episode_s = 6.0
    clock = "odometry"
    sensors = (POSITION, ORIENTATION, VELOCITY, RATES)
    commands = (Command(GOAL, ("x", "y", "z"), "m", "world", default=(), stale_after_s=0.5, on_stale="hold"),)
    action_size = 4
    task_memory_size = 3 + 3 + 3 + 4  # integral, disturbance, last velocity, the action before the last
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
        }
    }

    goal_reach_m = 1.5
    near_reach_m = 0.25
    integral_reach_m = 0.3
    integral_leak_s = 10.0
    disturbance_s = 0.3
    disturbance_reach_m_s2 = 20.0
    success_m = 0.10
    success_s = 1.0
    geofence_m = 8.0

    def __init__(self, robot: Robot | None = None) -> None:
        robot = crazyflie if robot is None else robot
        if not isinstance(robot, Quadrotor):
            raise TetherError(f"hover flies quadrotors; {robot.name} is a {type(robot).__name__}")
        self.robot: Quadrotor = robot
        thrust, rates = robot.actuation(self.actuation_mode)
        self.hover_thrust_n = robot.mass_kg * GRAVITY
        self.thrust_limits_n = (thrust.lower[0], thrust.upper[0])
        self.thrust_range_n = max(self.hover_thrust_n - thrust.lower[0], thrust.upper[0] - self.hover_thrust_n)
        self.rate_range_rad_s = tuple(min(limit, rate) for limit, rate in zip(rates.upper, (6.0, 6.0, 3.0), strict=True))

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        period = 1.0 / self.rate_hz
        rotation = rotation_matrix(sensors[ORIENTATION])
        velocity = sensors[VELOCITY]
        integral, disturbance, last_velocity, older_action = memory.task.split([3, 3, 3, 4], dim=1)

        error = command[GOAL] - sensors[POSITION]
        integral = integral * (1 - period / self.integral_leak_s) + shorten(error, self.integral_reach_m) * period

        thrust = self.actuate(memory.action)["collective_thrust"] / self.robot.mass_kg
        gravity = torch.cat([error[:, :2] * 0, error[:, :1] * 0 - GRAVITY], dim=1)
        unexplained = shorten((velocity - last_velocity) / period - rotation[:, :, 2] * thrust - gravity, self.disturbance_reach_m_s2)
        disturbance = disturbance + memory.started * (unexplained - disturbance) * (period / self.disturbance_s)

        far, near = shorten(error, self.goal_reach_m), shorten(error, self.near_reach_m)
        vectors = to_body(rotation, torch.stack([far, velocity, integral, disturbance, near], dim=1)).flatten(1)
        observation = [vectors[:, :6], rotation[:, 2], sensors[RATES], vectors[:, 6:], memory.action, older_action]
        return torch.cat(observation, dim=1), torch.cat([integral, disturbance, velocity, memory.action], dim=1)

    def actuate(self, action: Tensor) -> dict[str, Tensor]:
        """Collective thrust [N] and body rates [rad/s]."""
        thrust = (self.hover_thrust_n + action[:, :1] * self.thrust_range_n).clamp(*self.thrust_limits_n)
        return {"collective_thrust": thrust, "body_rates": action[:, 1:] * action.new_tensor(self.rate_range_rad_s)}

    def action(self, thrust: Tensor, rates: Tensor) -> Tensor:
        """Inverse of `actuate`, clamped to −1…1 ``[batch, 4]``: from thrust [N] ``[batch, 1]`` and body rates [rad/s] ``[batch, 3]``."""
        lift = (thrust - self.hover_thrust_n) / self.thrust_range_n
        return torch.cat([lift, rates / rates.new_tensor(self.rate_range_rad_s)], dim=1).clamp(-1.0, 1.0)

    def sample(self, suite: HoverSuite, num_envs: int, generator: torch.Generator) -> Start:
        """Draw ``num_envs`` starts, parameters, goals and noise levels from ``suite``."""
        draw = Draw(num_envs, generator)
        goal_offset = draw.ball(suite.distance_m)
        position = torch.cat([draw.uniform(-2.0, 2.0, 2), draw.uniform(suite.height_m, suite.height_m + 2.0)], dim=1)
        yaw, tilt, direction = draw.uniform(-math.pi, math.pi), draw.uniform(0.0, suite.tilt_rad), draw.uniform(-math.pi, math.pi)
        state = {
            POSITION: position,
            ORIENTATION: from_yaw_tilt(yaw[:, 0], tilt[:, 0], direction[:, 0]),
            VELOCITY: draw.direction() * draw.uniform(0.0, suite.speed_m_s),
            RATES: draw.direction() * draw.uniform(0.0, suite.rate_rad_s),
        }
        noise = {
            POSITION: suite.position_noise_m,
            ORIENTATION: suite.attitude_noise_rad,
            VELOCITY: suite.velocity_noise_m_s,
            RATES: suite.gyro_noise_rad_s,
        }
        heading = draw.uniform(-math.pi, math.pi)
        horizontal = torch.cat([heading.cos(), heading.sin(), heading * 0], dim=1)
        return Start(
            state=state,
            parameters=self.sample_parameters(suite, draw),
            command={GOAL: position + goal_offset},
            sensor_noise={name: torch.full((num_envs, 3), value, device=draw.device) for name, value in noise.items()},
            force_in_world=horizontal * suite.side_force_n if suite.side_force_n else None,
            gust_m_s=torch.tensor([1.0, 1.0, 0.0], device=draw.device).repeat(num_envs, 1) * suite.gust_m_s if suite.gust_m_s else None,
        )

    def sample_parameters(self, suite: HoverSuite, draw: Draw) -> dict[str, Tensor]:
        """Physical parameters by the simulator's names, in SI units or as a factor where the name ends in ``_scale``."""
        mass, thrust = self.sample_thrust_to_weight(suite, draw)
        spread = (1 - suite.spread, 1 + suite.spread)
        rotors = thrust.repeat(1, len(self.robot.rotors))
        weak = torch.nn.functional.one_hot(draw.integer(len(self.robot.rotors)), len(self.robot.rotors))
        return {
            "mass": mass * self.robot.mass_kg,
            "inertia": draw.uniform(*spread, 3) * mass.new_tensor(self.robot.inertia_kg_m2),
            "centre_of_mass": draw.uniform(-suite.centre_of_mass_m, suite.centre_of_mass_m, 3),
            "thrust_scale": rotors * (1 - weak * (1 - suite.weak_rotor)),
            "torque_scale": draw.uniform(*spread),
            "motor_time_scale": draw.uniform(*suite.motor_time),
            "action_delay": draw.uniform(*suite.delay_s),
        }

    def sample_thrust_to_weight(self, suite: HoverSuite, draw: Draw, rounds: int = 16) -> tuple[Tensor, Tensor]:
        """Factors on mass and thrust ``[num_envs, 1]``, redrawn where thrust-to-weight is too low.

        What is still too low after ``rounds`` (never in practice) gets its thrust raised to the bound.
        """
        spread = (1 - suite.spread, 1 + suite.spread)
        mass, thrust = draw.uniform(*spread), draw.uniform(*spread)
        least = suite.thrust_to_weight / self.robot.thrust_to_weight
        for _ in range(rounds if suite.spread else 0):
            low = thrust < least * mass
            mass, thrust = torch.where(low, draw.uniform(*spread), mass), torch.where(low, draw.uniform(*spread), thrust)
        return mass, torch.maximum(thrust, least * mass)

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """See the module's docstring."""
        period = 1.0 / self.rate_hz
        distance = self.tracking_error(transition.state, transition.command)
        change = self.scaled(transition.actuation) - self.scaled(transition.previous_actuation)
        return {
            "alive": torch.full_like(distance, 40.0 * period),
            "distance": -20.0 * period * distance.clamp(max=2.0),
            "at_goal": 30.0 * period * torch.exp(-distance / 0.2),
            "speed": -2.0 * period * length(transition.state[VELOCITY]),
            "rotation": -0.4 * period * length(transition.state[RATES]),
            "smoothness": -0.4 * period * change.square().sum(1),
            "crash": -20.0 * self.terminated(transition),
        }

    def scaled(self, actuation: Signals) -> Tensor:
        """Actuation over its range at an action of ±1, ``[num_envs, 4]``."""
        rates = actuation["body_rates"] / actuation["body_rates"].new_tensor(self.rate_range_rad_s)
        return torch.cat([actuation["collective_thrust"] / self.thrust_range_n, rates], dim=1)

    def terminated(self, transition: Transition) -> Tensor:
        """Ground contact, outside the geofence, or not finite (every comparison with NaN is false)."""
        state = transition.state
        inside = self.tracking_error(state, transition.command) <= self.geofence_m
        return ~inside | state["ground_contact"].flatten().bool() | ~torch.isfinite(state[RATES]).all(1)

    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """Distance to the goal [m]."""
        return length(state[POSITION] - command[GOAL])

    def success(self, tracking_errors: Tensor, terminated: Tensor) -> Tensor:
        """Mean distance over the last second below 0.10 m, and never terminated."""
        last = round(self.success_s * self.rate_hz)
        return (tracking_errors[-last:].mean(0) < self.success_m) & ~terminated

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """Noise-free error, velocity, attitude, rates and rotor speeds in the body frame, and the parameters over their nominal values."""
        rotation = rotation_matrix(state[ORIENTATION])
        error = command[GOAL] - state[POSITION]
        body = to_body(rotation, torch.stack([error, state[VELOCITY]], dim=1)).flatten(1)
        distance = length(error).unsqueeze(1)
        physical = [
            parameters["mass"] / self.robot.mass_kg,
            parameters["thrust_scale"],
            parameters["motor_time_scale"],
            parameters["centre_of_mass"] * 300.0,
            parameters["action_delay"] * 100.0,
        ]
        near = torch.exp(-distance / 0.2)
        return torch.cat([body, rotation[:, 2], state[RATES], state["rotor_speeds"], distance, near, *physical], dim=1)
