"""What every task shares that flies a quadrotor by collective thrust and body rates to a goal: actuation, estimates, how a flight begins.

A goal has no heading, so a task expresses what the policy sees in the body frame: turning the world about the vertical changes nothing.

## Action (4), each in −1…1; zero is hover thrust at rest

| index | meaning | at ±1 |
|---|---|---|
| 0 | collective thrust | hover thrust ± the larger distance to a thrust limit, clamped to the limits |
| 1–3 | body rates x, y, z | ± 6 rad/s or the robot's limit (z: ± 3 rad/s) |

## Task memory (13), vectors in the world frame

| index | meaning | unit |
|---|---|---|
| 0–2 | ∫ (goal − position) dt, each step's error shortened to 0.3 m, leaking with 10 s | m·s |
| 3–5 | estimated acceleration that thrust and gravity do not explain (wrong mass, weak motors, wind, drag) | m/s² |
| 6–8 | last velocity | m/s |
| 9–12 | the action before the last | 1 |

The disturbance is low-passed with 0.3 s, after shortening to 20 m/s² so that a jump of the velocity estimate does little.
A policy without the first two keeps a steady offset under a thrust error.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from robots.crazyflie import crazyflie
from robots.description import GRAVITY, Quadrotor, Robot
from robots.errors import TetherError
from robots.signals import Command
from tasks.draw import Draw
from tasks.flight_suite import FlightSuite
from tasks.rotation import from_yaw_tilt
from tasks.task import Memory, Signals, Start, Task, Transition
from tasks.uncertainty import Uncertain
from tasks.vectors import length, shorten

POSITION, ORIENTATION = "position_base_in_world", "orientation_base_in_world"
VELOCITY, RATES = "linear_velocity_base_in_world", "angular_velocity_base_in_base"
GOAL = "goal_position_in_world"
GOAL_COMMAND = Command(GOAL, ("x", "y", "z"), "m", "world", default=(), stale_after_s=0.5, on_stale="hold")


class Estimates(NamedTuple):
    """What the task memory holds after a step, ``[batch, size]``; see the module's docstring."""

    integral: Tensor
    disturbance: Tensor
    velocity: Tensor
    older_action: Tensor

    def packed(self, memory: Memory) -> Tensor:
        """The next task memory ``[batch, 13]``."""
        return torch.cat([self.integral, self.disturbance, self.velocity, memory.action], dim=1)


class QuadrotorFlight(Task):
    """See the module's docstring; subclasses give observation, reward, success and suites.

    Args:
        robot: any `Quadrotor` with the actuation mode ``ctbr``; the Crazyflie by default.
    """

    actuation_mode = "ctbr"
    rate_hz = 100.0
    clock = "odometry"
    sensors: tuple[str, ...] = (POSITION, ORIENTATION, VELOCITY, RATES)
    action_size = 4
    task_memory_size = 3 + 3 + 3 + 4

    goal_reach_m = 1.5
    near_reach_m = 0.25
    integral_reach_m = 0.3
    integral_leak_s = 10.0
    disturbance_s = 0.3
    disturbance_reach_m_s2 = 20.0
    geofence_m = 8.0

    def __init__(self, robot: Robot | None = None) -> None:
        robot = crazyflie if robot is None else robot
        if not isinstance(robot, Quadrotor):
            raise TetherError(f"{self.name} flies quadrotors; {robot.name} is a {type(robot).__name__}")
        self.robot: Quadrotor = robot
        thrust, rates = robot.actuation(self.actuation_mode)
        self.hover_thrust_n = robot.mass_kg * GRAVITY
        self.thrust_limits_n = (thrust.lower[0], thrust.upper[0])
        self.thrust_range_n = max(self.hover_thrust_n - thrust.lower[0], thrust.upper[0] - self.hover_thrust_n)
        self.rate_range_rad_s = tuple(min(limit, rate) for limit, rate in zip(rates.upper, (6.0, 6.0, 3.0), strict=True))
        side = 0.1 * self.hover_thrust_n
        self.uncertain = (
            Uncertain("mass", "parameter", "mass", (0.8 * robot.mass_kg,), (1.2 * robot.mass_kg,)),
            Uncertain("thrust", "parameter", "thrust_scale", (0.85,), (1.15,)),
            Uncertain("force", "force", "", (-side, -side, 0.0), (side, side, 0.0)),
        )

    def estimate(self, rotation: Tensor, error: Tensor, velocity: Tensor, memory: Memory) -> Estimates:
        """Integral and disturbance after this step.

        Args:
            rotation: body to world, ``[batch, 3, 3]``.
            error: goal − position [m] in the world, ``[batch, 3]``.
            velocity: in the world, ``[batch, 3]``.
            memory: of the step before.
        """
        period = 1.0 / self.rate_hz
        integral, disturbance, last_velocity, older_action = memory.task.split([3, 3, 3, 4], dim=1)
        integral = integral * (1 - period / self.integral_leak_s) + shorten(error, self.integral_reach_m) * period

        thrust = self.actuate(memory.action)["collective_thrust"] / self.robot.mass_kg
        gravity = torch.cat([error[:, :2] * 0, error[:, :1] * 0 - GRAVITY], dim=1)
        unexplained = shorten((velocity - last_velocity) / period - rotation[:, :, 2] * thrust - gravity, self.disturbance_reach_m_s2)
        disturbance = disturbance + memory.started * (unexplained - disturbance) * (period / self.disturbance_s)
        return Estimates(integral, disturbance, velocity, older_action)

    def actuate(self, action: Tensor) -> dict[str, Tensor]:
        """Collective thrust [N] and body rates [rad/s]."""
        thrust = (self.hover_thrust_n + action[:, :1] * self.thrust_range_n).clamp(*self.thrust_limits_n)
        return {"collective_thrust": thrust, "body_rates": action[:, 1:] * action.new_tensor(self.rate_range_rad_s)}

    def action(self, thrust: Tensor, rates: Tensor) -> Tensor:
        """Inverse of `actuate`, clamped to −1…1 ``[batch, 4]``: from thrust [N] ``[batch, 1]`` and body rates [rad/s] ``[batch, 3]``."""
        lift = (thrust - self.hover_thrust_n) / self.thrust_range_n
        return torch.cat([lift, rates / rates.new_tensor(self.rate_range_rad_s)], dim=1).clamp(-1.0, 1.0)

    def scaled(self, actuation: Signals) -> Tensor:
        """Actuation over its range at an action of ±1, ``[num_envs, 4]``."""
        rates = actuation["body_rates"] / actuation["body_rates"].new_tensor(self.rate_range_rad_s)
        return torch.cat([actuation["collective_thrust"] / self.thrust_range_n, rates], dim=1)

    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """Distance to the goal [m]."""
        return length(state[POSITION] - command[GOAL])

    def terminated(self, transition: Transition) -> Tensor:
        """Ground contact, outside the geofence, or not finite (every comparison with NaN is false)."""
        state = transition.state
        inside = self.tracking_error(state, transition.command) <= self.geofence_m
        return ~inside | state["ground_contact"].flatten().bool() | ~torch.isfinite(state[RATES]).all(1)

    def relative(self, parameters: Signals) -> list[Tensor]:
        """Physical parameters for a critic, each about 1 or less, ``[num_envs, size]``."""
        return [
            parameters["mass"] / self.robot.mass_kg,
            parameters["thrust_scale"],
            parameters["motor_time_scale"],
            parameters["centre_of_mass"] * 300.0,
            parameters["action_delay"] * 100.0,
        ]

    def sample(self, suite: FlightSuite, num_envs: int, generator: torch.Generator) -> Start:
        """Draw ``num_envs`` starts, parameters, goals, noise levels and delays from ``suite``."""
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
            sensor_delay_s=draw.uniform(*suite.observation_delay_s) if suite.observation_delay_s else None,
            burst_n=torch.full((num_envs, 1), suite.burst_n, device=draw.device) if suite.burst_n else None,
        )

    def sample_parameters(self, suite: FlightSuite, draw: Draw) -> dict[str, Tensor]:
        """Physical parameters by the simulator's names, in SI units or as a factor where the name ends in ``_scale``."""
        mass, thrust = self.sample_thrust_to_weight(suite, draw)
        spread = (1 - suite.spread, 1 + suite.spread)
        rotors = thrust.repeat(1, len(self.robot.rotors))
        weak = torch.nn.functional.one_hot(draw.integer(len(self.robot.rotors)), len(self.robot.rotors))
        return {
            "mass": (mass + (suite.load or 0.0)) * self.robot.mass_kg,
            "inertia": draw.uniform(*spread, 3) * mass.new_tensor(self.robot.inertia_kg_m2),
            "centre_of_mass": draw.uniform(-suite.centre_of_mass_m, suite.centre_of_mass_m, 3),
            "thrust_scale": rotors * (1 - weak * (1 - suite.weak_rotor)),
            "torque_scale": draw.uniform(*spread),
            "motor_time_scale": draw.uniform(*suite.motor_time),
            "action_delay": draw.uniform(*suite.delay_s),
        }

    def sample_thrust_to_weight(self, suite: FlightSuite, draw: Draw, rounds: int = 16) -> tuple[Tensor, Tensor]:
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
