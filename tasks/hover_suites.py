"""What hover is judged on, and what it is trained on."""

from __future__ import annotations

from dataclasses import replace

from tasks.flight_suite import FlightSuite

NOMINAL = FlightSuite(name="nominal")
FULL = FlightSuite(
    name="full",
    spread=0.15,
    motor_time=(0.7, 1.5),
    centre_of_mass_m=0.003,
    delay_s=(0.0, 0.02),
    position_noise_m=0.005,
    velocity_noise_m_s=0.01,
    gyro_noise_rad_s=0.01,
)
UNSEEN = replace(FULL, name="unseen", spread=0.25, gust_m_s=1.0, side_force_n=1.0e-2, weak_rotor=0.85)
# Wider than `full`; so high that the geofence ends what would hit the ground, whose simulation costs time.
TRAINING = replace(FULL, name="training", spread=0.2, height_m=20.0)
