"""The check that every robot description goes through finds what is wrong, and only that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from robots import registry
from robots.check import problems
from robots.crazyflie import BATTERY, crazyflie
from robots.description import ArticulatedRobot, Joint, JointActuator, Limits, Rotor
from robots.signals import Actuation, Sensor

ANGLE = Sensor("joint_position", ("a", "b"), "rad", source="joint_state")
TARGET = Actuation("target", ("a", "b"), "rad", lower=(-1.0, -1.0), upper=(1.0, 1.0), field="position", safe=(0.0, 0.0))
JOINTS = (Joint(name="a", lower=-1.0, upper=1.0, effort=5.0, speed=2.0), Joint(name="b", lower=-1.0, upper=1.0, effort=5.0, speed=2.0))
MOTOR = JointActuator(kp=1.0, kd=0.1, knee_speed=1.0)
ARM = ArticulatedRobot(
    name="arm",
    model=crazyflie.model,
    source="a test",
    mass_kg=1.0,
    sensors=(ANGLE,),
    actuations={"position": (TARGET,)},
    limits=Limits(tilt_rad=1.0, speed_m_s=1.0, body_rate_rad_s=1.0, distance_m=1.0),
    joints=JOINTS,
)


@pytest.mark.parametrize("name", registry.names(registry.ROBOTS))
def test_every_registered_robot_is_sound(name):
    assert problems(registry.robot(name)) == []


def test_a_sound_arm_is_sound():
    assert problems(ARM) == []


@pytest.mark.parametrize(
    ("robot", "words"),
    [
        (replace(ARM, model=Path("/nosuch.xml")), "nosuch.xml"),
        (replace(ARM, mass_kg=0.0), "mass_kg"),
        (replace(ARM, mass_kg=float("nan")), "mass_kg"),
        (replace(ARM, source=""), "source"),
        (replace(ARM, limits=replace(ARM.limits, tilt_rad=-1.0)), "tilt_rad"),
        (replace(ARM, limits=replace(ARM.limits, action_rate={"a": 0.0})), "action_rate"),
        (replace(ARM, sensors=(ANGLE, ANGLE)), "'joint_position' appears twice"),
        (replace(ARM, sensors=(replace(ANGLE, channels=("a", "a")),)), "channel 'a'"),
        (replace(ARM, sensors=(replace(ANGLE, unit=""),)), "no unit"),
        (replace(ARM, sensors=(replace(ANGLE, source=""),)), "no source"),
        (replace(ARM, sensors=(replace(ANGLE, name="target"),)), "both a sensor and an actuation"),
        (replace(ARM, actuations={"position": (replace(TARGET, safe=(0.0, 2.0)),)}), "target.b: safe value 2.0"),
        (replace(ARM, actuations={"position": (replace(TARGET, safe=()),)}), "0 safe values"),
        (replace(ARM, actuations={"position": (replace(TARGET, lower=(-1.0, 1.0)),)}), "lower bound"),
        (replace(ARM, joints=(JOINTS[0], JOINTS[0])), "joint 'a' appears twice"),
        (replace(ARM, joints=(replace(JOINTS[0], lower=1.0),)), "is empty"),
        (replace(ARM, joints=(replace(JOINTS[0], effort=0.0),)), "effort"),
        (replace(ARM, actuators=(MOTOR,)), "1 actuators for 2 joints"),
        (replace(ARM, actuators=(MOTOR, replace(MOTOR, kp=0.0))), "joint b: kp"),
        (replace(ARM, actuators=(MOTOR, replace(MOTOR, knee_speed=2.0))), "knee_speed"),
        (replace(ARM, actuators=(MOTOR, replace(MOTOR, lag_s=-1.0))), "lag_s"),
        (replace(ARM, stand=(0.0,)), "stand has 1"),
        (replace(ARM, stand=(0.0, 3.0)), "joint b: stands at 3.0"),
        (replace(crazyflie, inertia_kg_m2=(1e-5, 1e-5, 3e-5)), "principal moments"),
        (replace(crazyflie, mass_kg=0.1), "cannot fly"),
        (replace(crazyflie, thrust_curve_n=(0.0, 0.5, -0.3)), "falls"),
        (replace(crazyflie, battery=replace(BATTERY, capacity_ah=0.0)), "capacity_ah"),
        (replace(crazyflie, battery=replace(BATTERY, open_circuit_v=(3.7, -0.1, 0.7))), "rise with charge"),
        (replace(crazyflie, battery=replace(BATTERY, open_circuit_v=(1.2, 0.1, 0.7))), "hovering takes"),
        (replace(crazyflie, rotors=(*crazyflie.rotors[:3], Rotor(position_m=(0.1, 0.1, 0.0), spin=-1))), "spins"),
    ],
)
def test_what_is_wrong_is_found(robot, words):
    found = problems(robot)
    assert len(found) >= 1
    assert any(words in problem for problem in found), found
