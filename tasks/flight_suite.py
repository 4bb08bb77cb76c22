"""The ranges that flights are drawn from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tasks.task import Suite


@dataclass(frozen=True, kw_only=True)
class FlightSuite(Suite):
    """Ranges an episode is drawn from; defaults are the robot as described, without noise or delay.

    Attributes:
        distance_m: start inside a ball of this radius about the first goal.
        height_m: lowest start above ground; the highest is 2 m more.
        tilt_rad, speed_m_s, rate_rad_s: largest at the start, uniform in size and direction.
        spread: mass, inertia, thrust and torque coefficients are each within 1 ± spread of the description.
        motor_time: range of the factor on the motor time constants.
        centre_of_mass_m: largest offset along each axis.
        thrust_to_weight: mass and thrust are drawn again until their ratio reaches this.
        delay_s: range of the actuation delay.
        position_noise_m, velocity_noise_m_s, gyro_noise_rad_s, attitude_noise_rad: standard deviations of zero-mean white noise.
        gust_m_s: standard deviation of each horizontal wind component.
        side_force_n: constant horizontal force of random direction.
        weak_rotor: factor on the thrust of one random rotor.
        burst_n: least size of bursts of force with heavy tails, of `training.bursts`; None for none.
        load: carried at the centre of mass, as a share of the mass as described; None for none.
    """

    distance_m: float = 1.0
    height_m: float = 6.0
    tilt_rad: float = math.pi / 2
    speed_m_s: float = 3.0
    rate_rad_s: float = 3.0
    spread: float = 0.0
    motor_time: tuple[float, float] = (1.0, 1.0)
    centre_of_mass_m: float = 0.0
    thrust_to_weight: float = 1.4
    delay_s: tuple[float, float] = (0.0, 0.0)
    position_noise_m: float = 0.0
    velocity_noise_m_s: float = 0.0
    gyro_noise_rad_s: float = 0.0
    attitude_noise_rad: float = 0.0
    gust_m_s: float = 0.0
    side_force_n: float = 0.0
    weak_rotor: float = 1.0
    burst_n: float | None = None
    load: float | None = None
