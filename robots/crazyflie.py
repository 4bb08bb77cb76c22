"""The Crazyflie family: one quadrotor as five sources measured it.

Published numbers for this robot disagree by 2 × in inertia and 3–10 × in motor time constant, so each preset keeps to one source as far as
that source goes, and says where it borrows. Sources:

    QuadSwarm   Huang et al., IROS 2023, `quad_models.crazyflie_params`: mass, inertia, rotor positions, thrust-to-weight, κ
    Förster     System Identification of the Crazyflie 2.0 Nano Quadrocopter, ETH Zürich 2015: inertia, thrust and speed maps, κ, rotor drag
    RotorPy     Folk et al., 2023: thrust over squared rotor speed, 2.3e-8 N/(rad/s)²
    L2F         Eschmann et al., RA-L 2024, and its package 2.0.18: mass, inertia, thrust curve, κ, motor rise and fall
    crazyflow   its `drone-models` 0.1.0 `cf21B_500` and `cf2x_P250`: mass, inertia, thrust curve, κ, drag, propeller inertia
    Bitcraze    PWM to Thrust, 2015: current, voltage, duty and rotor speed of a Crazyflie 2.0 on a stand; firmware `pm_stm32f4.c`

Rotors are numbered as on the hardware: 1 front right, 2 back right, 3 back left, 4 front left.
"""

from __future__ import annotations

import dataclasses

from robots.description import GRAVITY, MODELS, Battery, Limits, Quadrotor, Rotor
from robots.signals import Actuation, Sensor

# Recovery starts at 90°, 3 m/s and 3 rad/s about any axis and overshoots; a robot past 130° is on its back.
LIMITS = Limits(tilt_rad=2.27, speed_m_s=12.0, body_rate_rad_s=25.0, distance_m=8.5)

SENSORS = (
    Sensor("position_base_in_world", ("x", "y", "z"), "m", "world", (-1e3,) * 3, (1e3,) * 3, source="odometry"),
    Sensor("orientation_base_in_world", ("w", "x", "y", "z"), "1", "world", (-1.01,) * 4, (1.01,) * 4, source="odometry"),
    Sensor("linear_velocity_base_in_world", ("x", "y", "z"), "m/s", "world", (-50.0,) * 3, (50.0,) * 3, source="odometry"),
    Sensor("angular_velocity_base_in_base", ("x", "y", "z"), "rad/s", "base", (-60.0,) * 3, (60.0,) * 3, source="odometry"),
)

# The nearest obstacles, as a tracker on board or beside a motion-capture system tells them; `sim.obstacles` says what is in the channels.
# ASSUMED: six of them, seen in every direction up to 4 m away.
OBSTACLES = Sensor(
    "nearest_obstacles_in_base",
    tuple(f"obstacle_{number}_{channel}" for number in range(1, 7) for channel in ("x", "y", "z", "radius")),
    "m",
    "base",
    (-15.0, -15.0, -15.0, -0.5) * 6,
    (15.0, 15.0, 15.0, 5.0) * 6,
    source="obstacles",
)

# The 250 mAh cell of the Crazyflie 2.1 with the brushed motors of the 2.0, which Bitcraze measured in 16 steps of 4 s up to a duty of 94 %:
# least squares on that table, R with the charge used on the way allowed for (voltage to 29 mV, power to 2 % from hover up, motor voltage
# duty · V to 75 mV from a duty of 50 % up, where it can bind). Open circuit: a line through the firmware's table `bat671723HS25C`, 10…90 %
# charged, to 18 mV, and its 3.0 V at empty. ASSUMED: the firmware's older cell and the 240 mAh one on the stand are like this one, and the
# collapse begins at 2.5 %.
BATTERY = Battery(
    capacity_ah=0.250,
    open_circuit_v=(3.746, 0.373, 0.746),
    empty_share=0.025,
    resistance_ohm=0.151,
    idle_power_w=0.845,
    rotor_power_w_s2=5.454e-7,
    rotor_voltage=(9.162e-4, 1.403e-7),
)


def rotors(offset_m: float) -> tuple[Rotor, ...]:
    """Four rotors at ±``offset_m`` along x and y; rotor 1 turns counter-clockwise, so its reaction torque is negative."""
    corners = ((1, -1), (-1, -1), (-1, 1), (1, 1))
    return tuple(Rotor(position_m=(offset_m * x, offset_m * y, 0.0), spin=x * y) for x, y in corners)


def actuations(mass_kg: float, thrust_max_n: float, rate_max_rad_s: tuple[float, float, float]) -> dict[str, tuple[Actuation, ...]]:
    """Collective thrust + body rates (what an autopilot accepts), and one thrust per rotor."""
    weight = mass_kg * GRAVITY
    lowest = tuple(-rate for rate in rate_max_rad_s)
    return {
        "ctbr": (
            Actuation("collective_thrust", ("collective_thrust",), "N", "base", (0.0,), (4 * thrust_max_n,), "effort", (weight,)),
            Actuation(
                "body_rates",
                ("roll_rate", "pitch_rate", "yaw_rate"),
                "rad/s",
                "base",
                lowest,
                rate_max_rad_s,
                "velocity",
                (0.0, 0.0, 0.0),
            ),
        ),
        "rotor_thrusts": (
            Actuation(
                "rotor_thrusts",
                ("rotor_1", "rotor_2", "rotor_3", "rotor_4"),
                "N",
                "base",
                (0.0,) * 4,
                (thrust_max_n,) * 4,
                "effort",
                (weight / 4,) * 4,
            ),
        ),
    }


def preset(
    name: str,
    source: str,
    *,
    mass_kg: float,
    thrust_curve_n: tuple[float, float, float],
    rotor_offset_m: float,
    rate_gain_1_s: tuple[float, float, float],
    inertia_kg_m2: tuple[float, float, float],
    torque_per_thrust_m: float,
    rotor_speed_max_rad_s: float,
    rotor_inertia_kg_m2: float,
    motor_rise_s: float,
    motor_fall_s: float,
    body_drag_n_s_m: tuple[float, float, float] = (0.0, 0.0, 0.0),
    rotor_drag_kg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    battery: Battery | None = BATTERY,
) -> Quadrotor:
    """A Crazyflie with what all presets share: sensors, actuation modes, envelope, commanded rates and how the rate loop integrates.

    The battery is that of the brushed Crazyflies unless told otherwise.

    Rate gains are about 0.6 / τ, for a loop that settles through its motors; the integral takes four times as long as the proportional part
    acts, and can hold the torque of a centre of mass 4 mm off.
    """
    rate_max_rad_s = (10.0, 10.0, 4.0)
    return Quadrotor(
        name=name,
        model=MODELS / "crazyflie" / f"{name}.xml",
        source=source,
        mass_kg=mass_kg,
        sensors=SENSORS,
        actuations=actuations(mass_kg, sum(thrust_curve_n), rate_max_rad_s),
        limits=LIMITS,
        inertia_kg_m2=inertia_kg_m2,
        rotors=rotors(rotor_offset_m),
        thrust_curve_n=thrust_curve_n,
        torque_per_thrust_m=torque_per_thrust_m,
        rotor_speed_max_rad_s=rotor_speed_max_rad_s,
        rotor_inertia_kg_m2=rotor_inertia_kg_m2,
        motor_rise_s=motor_rise_s,
        motor_fall_s=motor_fall_s,
        body_drag_n_s_m=body_drag_n_s_m,
        rotor_drag_kg=rotor_drag_kg,
        rate_gain_1_s=rate_gain_1_s,
        rate_max_rad_s=rate_max_rad_s,
        rate_integral_time_s=4.0 / rate_gain_1_s[0],
        rate_integral_limit_rad_s=0.004 * mass_kg * GRAVITY / inertia_kg_m2[0] / rate_gain_1_s[0],
        battery=battery,
    )


# QuadSwarm throughout but for: motor time constant, its own first-order fit; rotor speed, QuadSwarm's largest thrust 0.13047 N on RotorPy's
# 2.3e-8; propeller inertia, crazyflow; drag, Förster's rotor drag 9.1785e-7 and 10.311e-7 kg at the 4 × 1728 rad/s of hover.
crazyflie = preset(
    "crazyflie",
    "QuadSwarm (Huang et al. 2023) 0.028 kg, T/W 1.9, κ 0.006 m, τ 0.037 s; drag from Förster 2015 at hover; propellers from crazyflow",
    mass_kg=0.028,
    inertia_kg_m2=(1.37e-5, 1.44e-5, 2.66e-5),
    rotor_offset_m=0.0325,  # arm 0.046 m
    thrust_curve_n=(0.0, 0.0, 1.9 * 0.028 * GRAVITY / 4),
    torque_per_thrust_m=0.006,
    rotor_speed_max_rad_s=2382.0,
    rotor_inertia_kg_m2=26.97e-9,
    motor_rise_s=0.037,
    motor_fall_s=0.037,
    body_drag_n_s_m=(6.34e-3, 6.34e-3, 7.13e-3),
    rate_gain_1_s=(16.0, 16.0, 8.0),
)

# L2F throughout but for: rotor speed, propeller inertia and drag as in `crazyflie`. Its motors slow down 4.5 × slower than they speed up.
crazyflie_l2f = preset(
    "crazyflie_l2f",
    "L2F (Eschmann et al. 2024, package 2.0.18) 0.0306 kg, T/W 1.47, κ 0.00467 m, τ 0.055 / 0.249 s; drag from Förster 2015 at hover",
    mass_kg=0.0306,
    inertia_kg_m2=(9.4e-6, 9.6e-6, 17.5e-6),
    rotor_offset_m=0.028,  # arm 0.0396 m
    thrust_curve_n=(0.0035, 0.0144, 0.0922),
    torque_per_thrust_m=0.00467,
    rotor_speed_max_rad_s=2188.0,  # 0.1101 N on 2.3e-8 N/(rad/s)²
    rotor_inertia_kg_m2=26.97e-9,
    motor_rise_s=0.055,
    motor_fall_s=0.249,
    body_drag_n_s_m=(6.34e-3, 6.34e-3, 7.13e-3),
    rate_gain_1_s=(8.0, 8.0, 4.0),
)

# crazyflow cf21B_500 throughout. Thrust −3.133e-7·n + 4.407e-10·n² [N] over n [rpm] reaches 0.2 N at n = 21659, which is u = 1. Its rotor
# law Ω̇ = a(Ωc − Ω) + b(Ωc² − Ω²) with a = 14.0 1/s, b = 1.109e-4 (up), 5.933 1/s, 3.195e-4 (down) per rpm, linearised at hover (15.9
# krpm). Its battery and motors are others, with no measurement of what they draw.
crazyflie_brushless = preset(
    "crazyflie_brushless",
    "crazyflow cf21B_500 (drone-models 0.1.0): Crazyflie 2.1 Brushless, 0.04338 kg, T/W 1.88, κ 0.00594 m",
    mass_kg=0.04338,
    inertia_kg_m2=(25e-6, 28e-6, 49e-6),
    rotor_offset_m=0.035355,
    thrust_curve_n=(0.0, -6.787e-3, 0.206787),
    torque_per_thrust_m=0.00594,
    rotor_speed_max_rad_s=2268.0,
    rotor_inertia_kg_m2=38.93e-9,
    motor_rise_s=0.057,  # 1 / (a + 2 b n)
    motor_fall_s=0.062,
    body_drag_n_s_m=(0.02149, 0.02149, 0.02360),
    rate_gain_1_s=(10.0, 10.0, 5.0),
    battery=None,
)

# Förster throughout but for: propeller inertia, crazyflow; motor time constant, RotorPy's. His maps over the command c in 0…65535,
# f = 5.48e-4 + 1.0326e-6 c + 2.1303e-11 c² [N] and Ω = 380.84 + 0.040765 c [rad/s], joined by eliminating c; u = 1 at c = 65535.
crazyflie_bare = preset(
    "crazyflie_bare",
    "Förster 2015 (ETH Zürich): Crazyflie 2.0 bare, 0.027 kg, thrust map, κ 0.00596 m, drag proportional to rotor speed",
    mass_kg=0.027,
    inertia_kg_m2=(16.571710e-6, 16.655602e-6, 29.261652e-6),
    rotor_offset_m=0.0325,
    thrust_curve_n=(-0.00723934, 0.0475171, 0.1194369),
    torque_per_thrust_m=0.005964552,
    rotor_speed_max_rad_s=3052.38,
    rotor_inertia_kg_m2=26.97e-9,
    motor_rise_s=0.072,
    motor_fall_s=0.072,
    rotor_drag_kg=(9.1785e-7, 9.1785e-7, 10.311e-7),
    rate_gain_1_s=(8.0, 8.0, 4.0),
)

# A `crazyflie` that is told where obstacles are; what tells it weighs nothing here.
crazyflie_scout = dataclasses.replace(crazyflie, name="crazyflie_scout", sensors=(*SENSORS, OBSTACLES))

FAMILY = (crazyflie, crazyflie_l2f, crazyflie_brushless, crazyflie_bare)
