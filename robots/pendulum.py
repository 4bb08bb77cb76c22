"""The pendulum of Walter et al. 2025: upright is zero, and a motor that is strong enough to hold it anywhere.

With angle θ from upright [rad], speed θ̇ [rad/s], input a in −1…1 and disturbance w [rad/s²], |w| ≤ 0.1:

    θ̈ = 1.5 g sin θ + 90 a + w,    θ̇⁺ = θ̇ + dt θ̈,  θ⁺ = θ + dt θ̇⁺,    dt = 0.05 s

1.5 g and 90 are 3g/2l and 3τ/ml² of Gymnasium's rod (m = 1 kg, l = 1 m) with a motor of 30 N·m at a = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from robots.description import GRAVITY, EquationRobot, Limits
from robots.signals import Actuation, Sensor


@dataclass(frozen=True, kw_only=True)
class Pendulum(EquationRobot):
    """θ̈ = gravity sin θ + torque a + w; see the module's docstring.

    Attributes:
        gravity_1_s2: acceleration by gravity at θ = 90° [rad/s²].
        torque_1_s2: acceleration by the motor at a = 1 [rad/s²].
    """

    gravity_1_s2: float
    torque_1_s2: float


pendulum = Pendulum(
    name="pendulum",
    source="Walter et al. 2025 (arXiv 2506.01665), pendulum; rod of Gymnasium's Pendulum-v1, 1 kg, 1 m, motor 30 N·m",
    mass_kg=1.0,
    sensors=(
        Sensor("joint_position", ("hinge",), "rad", "", (-1e4,), (1e4,), source="joint_state"),
        Sensor("joint_velocity", ("hinge",), "rad/s", "", (-1e4,), (1e4,), source="joint_state"),
    ),
    actuations={"input": (Actuation("joint_torque", ("hinge",), "30 N·m", "", (-1.0,), (1.0,), "effort", (0.0,)),)},
    limits=Limits(tilt_rad=3.14, speed_m_s=8.0, body_rate_rad_s=8.0, distance_m=math.inf),  # no sensor that they judge
    states=("joint_position", "joint_velocity"),
    state_box=(math.pi, 8.0),
    disturbance=(0.1,),
    step_s=0.05,
    factors={"gravity_scale": "gravity_1_s2", "torque_scale": "torque_1_s2"},  # a rod of length l and mass m has 1/l and 1/(m l²) of them
    gravity_1_s2=1.5 * GRAVITY,
    torque_1_s2=3.0 * 30.0,
)
