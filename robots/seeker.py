"""The seeker of Walter et al. 2025's repository: a point in the plane that steers by its velocity, and a ball that it must not touch.

    x⁺ = x + dt v a + w,   a in −1…1 by axis,  |w| ≤ 0.05 m by axis,  dt = 0.1 s,  v = 1 m/s

The ball (position, radius) stands still for an episode, and the seeker sees it. Published are the step, the bounds and that there is one
ball; where it is, and the box, are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from robots.description import EquationRobot, Limits
from robots.signals import Actuation, Sensor


@dataclass(frozen=True, kw_only=True)
class Seeker(EquationRobot):
    """See the module's docstring.

    Attributes:
        speed_m_s: v, along each axis.
    """

    speed_m_s: float


PLANE = ("x", "y"), "m", "world", (-1e5,) * 2, (1e5,) * 2

seeker = Seeker(
    name="seeker",
    source="Walter et al. 2025 (arXiv 2506.01665), seeker of its repository; a point without mass, 1 kg ASSUMED",
    mass_kg=1.0,
    sensors=(
        Sensor("position_base_in_world", *PLANE, source="odometry"),
        Sensor("obstacle_position_in_world", *PLANE, source="odometry"),
        Sensor("obstacle_radius", ("radius",), "m", "", (0.0,), (1e3,), source="odometry"),
    ),
    actuations={"input": (Actuation("velocity_command", ("x", "y"), "m/s", "world", (-1.0,) * 2, (1.0,) * 2, "velocity", (0.0, 0.0)),)},
    limits=Limits(tilt_rad=3.14, speed_m_s=2.0, body_rate_rad_s=10.0, distance_m=60.0),
    states=("position_base_in_world",),
    surroundings={"obstacle_position_in_world": (3.0, 0.0), "obstacle_radius": (1.0,)},
    state_box=(10.0, 10.0),
    disturbance=(0.05, 0.05),
    step_s=0.1,
    speed_m_s=1.0,
)
