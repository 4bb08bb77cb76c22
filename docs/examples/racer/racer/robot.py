"""A 5-inch quadrotor. The numbers are round ones for the example; cite yours."""

from pathlib import Path

from robots.crazyflie import SENSORS
from robots.description import GRAVITY, Limits, Quadrotor, Rotor
from robots.signals import Actuation

MASS_KG = 0.6
WEIGHT_N = MASS_KG * GRAVITY
THRUST_MAX_N = 6.0  # of one rotor
RATE_MAX_RAD_S = (10.0, 10.0, 4.0)
LOWEST = tuple(-rate for rate in RATE_MAX_RAD_S)
RATE_NAMES = ("roll_rate", "pitch_rate", "yaw_rate")
ARM_M = 0.08  # along x and along y

racer = Quadrotor(
    name="racer",
    model=Path(__file__).parent / "racer.xml",
    source="an example; cite a data sheet or a measurement here",
    mass_kg=MASS_KG,
    sensors=SENSORS,
    actuations={
        "ctbr": (
            Actuation("collective_thrust", ("collective_thrust",), "N", "base", (0.0,), (4 * THRUST_MAX_N,), safe=(WEIGHT_N,)),
            Actuation("body_rates", RATE_NAMES, "rad/s", "base", LOWEST, RATE_MAX_RAD_S, field="velocity", safe=(0.0, 0.0, 0.0)),
        )
    },
    limits=Limits(tilt_rad=2.0, speed_m_s=15.0, body_rate_rad_s=25.0, distance_m=20.0),
    inertia_kg_m2=(2.5e-3, 2.5e-3, 4.5e-3),
    rotors=(
        Rotor(position_m=(ARM_M, -ARM_M, 0.0), spin=-1),
        Rotor(position_m=(-ARM_M, -ARM_M, 0.0), spin=1),
        Rotor(position_m=(-ARM_M, ARM_M, 0.0), spin=-1),
        Rotor(position_m=(ARM_M, ARM_M, 0.0), spin=1),
    ),
    thrust_curve_n=(0.0, 0.0, THRUST_MAX_N),
    torque_per_thrust_m=0.016,
    rotor_speed_max_rad_s=2500.0,
    rotor_inertia_kg_m2=8e-6,
    motor_rise_s=0.03,
    motor_fall_s=0.03,
    body_drag_n_s_m=(0.1, 0.1, 0.15),
    rate_gain_1_s=(20.0, 20.0, 8.0),
    rate_max_rad_s=RATE_MAX_RAD_S,
)
