"""The planar quadrotor of Walter et al. 2025: two axes, and an autopilot that follows a tilt command.

With x to the right, z up [m], tilt φ towards +x [rad], inputs a in −1…1 and disturbance w [m/s²], |w| ≤ 0.1:

    ẍ = T sin φ + w₁,   z̈ = T cos φ − g + w₂,   φ̈ = 55 u − 70 φ − 17 φ̇,    T = g + 6/7 a₁,  u = π/12 a₂

integrated as v⁺ = v + dt v̇, q⁺ = q + dt v⁺ with dt = 0.05 s. Thrust is an acceleration: the equations hold for any mass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from robots.description import EquationRobot, Limits
from robots.signals import Actuation, Sensor


@dataclass(frozen=True, kw_only=True)
class PlanarQuadrotor(EquationRobot):
    """See the module's docstring.

    Attributes:
        thrust_m_s2: change of T at a₁ = 1.
        tilt_command_rad: u at a₂ = 1.
        tilt_gain_1_s2, tilt_stiffness_1_s2, tilt_damping_1_s: 55, 70 and 17 of the autopilot.
    """

    thrust_m_s2: float
    tilt_command_rad: float
    tilt_gain_1_s2: float
    tilt_stiffness_1_s2: float
    tilt_damping_1_s: float


WIDE = (-1e5,) * 2, (1e5,) * 2

planar_quadrotor = PlanarQuadrotor(
    name="planar_quadrotor",
    source="Walter et al. 2025 (arXiv 2506.01665), quadrotor; equations per unit of mass, 1 kg ASSUMED",
    mass_kg=1.0,
    sensors=(
        Sensor("position_base_in_world", ("x", "z"), "m", "world", *WIDE, source="odometry"),
        Sensor("tilt_base_in_world", ("y",), "rad", "world", (-1e5,), (1e5,), source="odometry"),
        Sensor("linear_velocity_base_in_world", ("x", "z"), "m/s", "world", *WIDE, source="odometry"),
        Sensor("angular_velocity_base_in_base", ("y",), "rad/s", "base", (-1e5,), (1e5,), source="odometry"),
    ),
    actuations={
        "input": (
            Actuation("thrust_change", ("thrust_change",), "6/7 m/s²", "base", (-1.0,), (1.0,), "effort", (0.0,)),
            Actuation("tilt_command", ("tilt_command",), "15°", "world", (-1.0,), (1.0,), "position", (0.0,)),
        )
    },
    # The published box: the largest speed in it, across it.
    limits=Limits(tilt_rad=math.pi / 12.0, speed_m_s=math.hypot(0.8, 1.0), body_rate_rad_s=math.pi / 2.0, distance_m=16.0 * math.sqrt(2.0)),
    states=(
        "position_base_in_world",
        "tilt_base_in_world",
        "linear_velocity_base_in_world",
        "angular_velocity_base_in_base",
    ),
    state_box=(8.0, 8.0, math.pi / 12.0, 0.8, 1.0, math.pi / 2.0),
    disturbance=(0.1, 0.1),
    step_s=0.05,
    factors={"thrust_scale": "thrust_m_s2", "tilt_gain_scale": "tilt_gain_1_s2", "tilt_damping_scale": "tilt_damping_1_s"},
    thrust_m_s2=6.0 / 7.0,
    tilt_command_rad=math.pi / 12.0,
    tilt_gain_1_s2=55.0,
    tilt_stiffness_1_s2=70.0,
    tilt_damping_1_s=17.0,
)
