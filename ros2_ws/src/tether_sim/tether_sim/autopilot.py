"""The simulated autopilot's own failsafe: level, sink slowly, land. It shares nothing with any policy.

Acceleration wanted, a = k_v (v_d − v) + g e₃ with v_d = (0, 0, −descent); the body's z axis b is turned towards a, thrust is m a·b:
the reduced-attitude controller, for example Brescianini and D'Andrea, "Tilt-prioritized quadrocopter attitude control", 2020.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robots.description import GRAVITY, Quadrotor
from robots.errors import unknown
from tether_sim.messages import Vector, rotation_matrix

DESCENT_M_S = 0.5
VELOCITY_GAIN_1_S = (2.0, 2.0, 5.0)  # with less along z it would float on the air that it presses on the ground, at 5 cm
ATTITUDE_GAIN_1_S = 6.0
TILT_MAX_RAD = 0.35
LIFT_MIN_G = 0.5  # never push towards the ground: at least this much of gravity is carried when upright


class DescendAndLand:
    """The failsafe of a quadrotor, for either way of actuating it."""

    def __init__(self, robot: Quadrotor, actuation_mode: str) -> None:
        self._robot = robot
        commands = {"ctbr": self._collective_thrust_and_rates, "rotor_thrusts": self._rotor_thrusts}
        if actuation_mode not in commands:
            raise unknown("actuation mode with a failsafe", actuation_mode, list(commands))
        self._command = commands[actuation_mode]
        positions = np.array([rotor.position_m for rotor in robot.rotors])
        spins = np.array([rotor.spin for rotor in robot.rotors])
        # thrust and torque of the rotors: [F, τx, τy, τz] = mixer · f
        self._mixer = np.stack([np.ones(len(spins)), positions[:, 1], -positions[:, 0], spins * robot.torque_per_thrust_m])

    def __call__(self, sensors: Mapping[str, Vector]) -> Vector:
        """The actuation vector for the present readings."""
        rotation = rotation_matrix(sensors["orientation_base_in_world"])
        velocity = sensors["linear_velocity_base_in_world"]
        wanted = np.array(VELOCITY_GAIN_1_S) * (np.array([0.0, 0.0, -DESCENT_M_S]) - velocity)
        wanted[2] = max(wanted[2] + GRAVITY, LIFT_MIN_G * GRAVITY)
        level = np.linalg.norm(wanted[:2])
        wanted[:2] *= min(1.0, wanted[2] * np.tan(TILT_MAX_RAD) / max(level, 1e-9))
        thrust = self._robot.mass_kg * max(float(wanted @ rotation[:, 2]), 0.0)
        return self._command(thrust, self._rates(rotation.T @ wanted), sensors["angular_velocity_base_in_base"])

    def _rates(self, wanted_in_body: Vector) -> Vector:
        """Body rates that turn the z axis along the shortest way onto ``wanted_in_body``; no yaw."""
        x, y, z = wanted_in_body
        sine = np.hypot(x, y)
        axis = np.array([-y, x, 0.0]) / sine if sine > 1e-9 else np.array([1.0, 0.0, 0.0])
        return np.clip(ATTITUDE_GAIN_1_S * np.arctan2(sine, z) * axis, *self._rate_limits)

    @property
    def _rate_limits(self) -> tuple[Vector, Vector]:
        limit = np.array(self._robot.rate_max_rad_s)
        return -limit, limit

    def _collective_thrust_and_rates(self, thrust: float, rates: Vector, measured: Vector) -> Vector:
        return np.concatenate([[min(thrust, len(self._robot.rotors) * self._robot.thrust_max_n)], rates])

    def _rotor_thrusts(self, thrust: float, rates: Vector, measured: Vector) -> Vector:
        """τ = J K (ω_d − ω) + ω × J ω, split over the rotors."""
        inertia = np.array(self._robot.inertia_kg_m2)
        torque = inertia * np.array(self._robot.rate_gain_1_s) * (rates - measured) + np.cross(measured, inertia * measured)
        return np.clip(np.linalg.pinv(self._mixer) @ np.concatenate([[thrust], torque]), self._robot.thrust_min_n, self._robot.thrust_max_n)
