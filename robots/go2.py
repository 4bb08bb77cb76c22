"""Unitree Go2: a quadruped of 15 kg with twelve joints.

Sources:

    description  Unitree, `unitree_ros/robots/go2_description`: masses, inertias, joint origins, ranges, effort and speed limits
    rl_lab       Unitree, `unitree_rl_lab`: default pose, gains, and the torque–speed curve of the motor (`UnitreeActuatorCfg_Go2HV`)

Body frame: x forward, y left, z up, origin between the hip joints. Joints are in the order of the hardware's messages: legs front right,
front left, rear right, rear left, each hip (about x), thigh, calf (about y). Masses and geometry: `robots.go2_model`.
"""

from __future__ import annotations

import dataclasses
import math

from robots.description import MODELS, Joint, JointActuator, LeggedRobot, Limits
from robots.signals import Actuation, Sensor

LEGS = ("FR", "FL", "RR", "RL")
LINKS = ("hip", "thigh", "calf")

# The calf's motor is the same as the others', through a linkage that trades speed for torque. Its limits are disputed: 35.55 N·m and
# 20.07 rad/s (a ratio of 1.5) in the description, 45.43 N·m and 15.70 rad/s (1.92) elsewhere. The weaker is the safe one.
CALF_RATIO = 1.5
EFFORT, SPEED = 23.7, 30.1  # of a motor: N·m, rad/s
KNEE_SPEED = 13.5  # rl_lab X1: its motor gives all of its torque up to there, and nothing from 30 rad/s on

# rl_lab has one curve for torque along the motion (20.2 N·m at most) and against it (23.4 N·m); one effort limit stands for both here.
RANGES = {"hip": (-1.0472, 1.0472), "front thigh": (-1.5708, 3.4907), "rear thigh": (-0.5236, 4.5379), "calf": (-2.7227, -0.83776)}


def joint(leg: str, link: str) -> Joint:
    """One joint, with the range its leg has."""
    lower, upper = RANGES[("front thigh" if leg[0] == "F" else "rear thigh") if link == "thigh" else link]
    ratio = CALF_RATIO if link == "calf" else 1.0
    return Joint(name=f"{leg}_{link}_joint", lower=lower, upper=upper, effort=EFFORT * ratio, speed=round(SPEED / ratio, 2))


def actuator(link: str) -> JointActuator:
    """The hardware's usual gains; armature as in the description's simulation models."""
    return JointActuator(kp=25.0, kd=0.5, knee_speed=KNEE_SPEED / (CALF_RATIO if link == "calf" else 1.0), armature=0.01)


def stand(leg: str) -> tuple[float, float, float]:
    """rl_lab's default pose: feet a little outside the hips, the rear ones further under the body."""
    return (0.1 if leg[1] == "L" else -0.1, 0.8 if leg[0] == "F" else 1.0, -1.5)


# kd without kp. Ours: from the stand it sinks onto its belly within half a second, at 0.55 m/s at most; with the motors' own kd of
# 0.5 it drops at 1.4 m/s (both in the engine mujoco_cpu).
DAMPING = 3.0

JOINTS = tuple(joint(leg, link) for leg in LEGS for link in LINKS)
NAMES = tuple(joint.name for joint in JOINTS)
STAND = tuple(position for leg in LEGS for position in stand(leg))

SENSORS = (
    Sensor("orientation_base_in_world", ("w", "x", "y", "z"), "1", "world", (-1.01,) * 4, (1.01,) * 4, source="imu"),
    Sensor("angular_velocity_base_in_base", ("x", "y", "z"), "rad/s", "base", (-60.0,) * 3, (60.0,) * 3, source="imu"),
    Sensor(
        "joint_position",
        NAMES,
        "rad",
        lower=tuple(joint.lower - 0.2 for joint in JOINTS),  # encoders err, and stops give
        upper=tuple(joint.upper + 0.2 for joint in JOINTS),
        source="joint_state",
    ),
    Sensor("joint_velocity", NAMES, "rad/s", lower=(-60.0,) * len(JOINTS), upper=(60.0,) * len(JOINTS), source="joint_state"),
)

ACTUATIONS = {
    "joint_position": (
        Actuation(
            "joint_position_target",
            NAMES,
            "rad",
            lower=tuple(joint.lower for joint in JOINTS),
            upper=tuple(joint.upper for joint in JOINTS),
            field="position",
            safe=STAND,
        ),
    ),
}

go2 = LeggedRobot(
    name="go2",
    model=MODELS / "go2" / "go2.xml",
    source="Unitree go2_description 15.02 kg, knee 35.55 N·m; gains, pose and motor curve from unitree_rl_lab",
    mass_kg=15.017,
    sensors=SENSORS,
    actuations=ACTUATIONS,
    # Fallen beyond 70°; walking and pushed it turns at less than half of 12 rad/s. It follows velocities: no goal to stray from.
    limits=Limits(tilt_rad=math.radians(70.0), speed_m_s=5.0, body_rate_rad_s=12.0, distance_m=math.inf),
    joints=JOINTS,
    actuators=tuple(actuator(link) for _ in LEGS for link in LINKS),
    stand=STAND,
    damping=(DAMPING,) * len(JOINTS),
    base="base",
    base_mass_kg=6.921,
    feet=tuple(f"{leg}_foot" for leg in LEGS),
    parts={
        "base": ("base", *(f"{leg}_hip" for leg in LEGS)),
        "thigh": tuple(f"{leg}_thigh" for leg in LEGS),
        "calf": tuple(f"{leg}_calf" for leg in LEGS),
    },
)

# The same with something that tells where it is: legged odometry, or a tracker.
go2_scout = dataclasses.replace(
    go2,
    name="go2_scout",
    sensors=(*SENSORS, Sensor("position_base_in_world", ("x", "y", "z"), "m", "world", (-1e3,) * 3, (1e3,) * 3, source="odometry")),
)
