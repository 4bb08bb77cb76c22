"""What the Go2's velocity task is judged on, and what it is trained on.

Ranges of `full` and `unseen` are those of the project's evaluation rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tasks.task import Suite

Range = tuple[float, float]


@dataclass(frozen=True)
class VelocitySuite(Suite):
    """Ranges that episodes are drawn from, uniformly.

    Attributes:
        friction: coefficient between feet and ground.
        base_mass_kg: added to the base. payload_kg: carried on its back.
        centre_of_mass_m: largest shift of the base's, along each axis.
        gain_spread: of kp, kd and motor strength, each joint by itself.
        delay_s: from a command to its effect. jitter_s: by how much each command's own may differ.
        encoder_bias_rad, misalignment_rad: largest, of each joint and about each axis of the IMU.
        push_m_s: largest sudden change of velocity, in a random horizontal direction, every 4 s.
        speed_m_s, side_speed_m_s, yaw_rate_rad_s: largest commands.
        idle: share of commands that ask to stand still.
        weak_motor: strength of one random motor.
        armature_scale, joint_friction_n_m: of every joint.
        joint_noise_rad, joint_velocity_noise_rad_s, gyro_noise_rad_s, attitude_noise_rad: standard deviations of the sensors' noise.
        posture_rad: largest distance of a joint from the stand at the start. speed_start_m_s: largest speed of the base then.
    """

    friction: Range = (0.8, 0.8)
    base_mass_kg: Range = (0.0, 0.0)
    payload_kg: float = 0.0
    centre_of_mass_m: float = 0.0
    gain_spread: float = 0.0
    delay_s: Range = (0.0, 0.0)
    jitter_s: Range = (0.0, 0.0)
    encoder_bias_rad: float = 0.0
    misalignment_rad: float = 0.0
    push_m_s: float = 0.0
    speed_m_s: float = 1.0
    side_speed_m_s: float = 0.5
    yaw_rate_rad_s: float = 1.0
    idle: float = 0.1
    weak_motor: float = 1.0
    armature_scale: Range = (1.0, 1.0)
    joint_friction_n_m: Range = (0.0, 0.0)
    joint_noise_rad: float = 0.0
    joint_velocity_noise_rad_s: float = 0.0
    gyro_noise_rad_s: float = 0.0
    attitude_noise_rad: float = 0.0
    posture_rad: float = 0.0
    speed_start_m_s: float = 0.0


MISALIGNMENT = math.radians(2.0)

NOMINAL = VelocitySuite("nominal")
FULL = VelocitySuite(
    "full",
    friction=(0.4, 1.25),
    base_mass_kg=(-1.0, 3.0),
    centre_of_mass_m=0.05,
    gain_spread=0.15,
    delay_s=(0.0, 0.02),
    encoder_bias_rad=0.02,
    misalignment_rad=MISALIGNMENT,
    push_m_s=0.8,
    joint_noise_rad=0.01,
    joint_velocity_noise_rad_s=0.5,
    gyro_noise_rad_s=0.05,
    attitude_noise_rad=0.01,
)
UNSEEN = replace(FULL, name="unseen", friction=(0.25, 0.25), payload_kg=5.0, delay_s=(0.03, 0.03), push_m_s=1.2, weak_motor=0.7)
IDLE = replace(FULL, name="idle", idle=1.0, push_m_s=0.0)  # asked to stand still, and left alone
TRAINING = replace(
    FULL,
    name="training",
    friction=(0.35, 1.3),
    base_mass_kg=(-1.0, 3.5),
    centre_of_mass_m=0.055,
    gain_spread=0.18,
    delay_s=(0.0, 0.022),
    jitter_s=(0.0, 0.002),
    encoder_bias_rad=0.022,
    misalignment_rad=1.1 * MISALIGNMENT,
    push_m_s=0.9,
    speed_m_s=1.1,
    side_speed_m_s=0.55,
    yaw_rate_rad_s=1.1,
    armature_scale=(0.8, 1.2),
    posture_rad=0.1,
    speed_start_m_s=0.3,
)
