"""What may befall a robot on legs. Forces are in its own measure, its weight.

Ranges end where `policies/go2_velocity.onnx` no longer bears it: success falls to half within them, but for `delay`, which ends with what
the engine can delay (benchmarks/RESULTS.md).
"""

from __future__ import annotations

import functools
import math

import torch

from robots.description import GRAVITY, LeggedRobot
from robustness.disturbance import Disturbance
from robustness.external import forces, heading
from robustness.quadrotor import changed
from robustness.sensing import bias, drift, freeze
from sim.legged.latency import MAX_LATENCY_S
from tasks.draw import Draw
from tasks.task import Start, Task

ORIENTATION, RATES = "orientation_base_in_world", "angular_velocity_base_in_base"
JOINTS, SPEEDS = "joint_position", "joint_velocity"
SENSORS = {ORIENTATION: 0.05, RATES: 0.1, JOINTS: 0.03, SPEEDS: 0.3}  # rad, rad/s, rad, rad/s: what a factor of 1 means


def disturbances(task: Task) -> list[Disturbance]:
    """All of them, in the order in which they act; the first are axes of grids and no families."""
    robot = robot_of(task)
    most_kg = float(f"{1.3 * robot.mass_kg:.2g}")
    return [
        Disturbance("com_x", "m", "centre of mass of the base forward", 0.0, -0.1, 0.1, functools.partial(centre, 0), family=False),
        Disturbance("com_y", "m", "centre of mass of the base to the left", 0.0, -0.1, 0.1, functools.partial(centre, 1), family=False),
        Disturbance("pushes", "m/s", f"sudden change of velocity, every {task.push_every_s:g} s", 0.0, 0.0, 2.0, pushes),
        *forces(robot.mass_kg * GRAVITY, most_bursts=0.45),
        Disturbance("load", "kg", "a mass on the back", 0.0, 0.0, most_kg, load),
        Disturbance("weak_motor", "", "share of the torque that one random motor lost", 0.0, 0.0, 0.95, weak_motor),
        Disturbance("strength", "×", "torque of all motors over the description's", 1.0, 0.4, 1.0, strength),
        Disturbance("delay", "s", "from a command to its effect", 0.0, 0.0, MAX_LATENCY_S, delay),
        Disturbance("friction", "", "between feet and ground", 0.8, 0.1, 1.25, friction),
        bias(SENSORS, 7.0),
        drift(SENSORS, 10.0),
        freeze((JOINTS, SPEEDS), 1.0),
    ]


def default_grid(task: Task) -> tuple[str, ...]:
    """What it carries and stands on, and what shakes it, up to a quarter of its weight."""
    weight_n = robot_of(task).mass_kg * GRAVITY
    return f"load=0:{0.4 * weight_n / GRAVITY:.2g}:2", "friction=0.3:1:3", f"wave=0:{0.25 * weight_n:.2g}:3", "wave_hz=0:3:4"


def robot_of(task: Task) -> LeggedRobot:
    """The task's, as what it is."""
    assert isinstance(task.robot, LeggedRobot)
    return task.robot


def pushes(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """All of this size, horizontal, each in its own direction, in place of the suite's."""
    count = max(math.ceil(task.episode_s / task.push_every_s) - 1, 1)
    return start._replace(push_m_s=value * torch.stack([heading(draw) for _ in range(count)], dim=1))


def load(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Whatever the suite drew."""
    return changed(start, payload_mass=torch.full((draw.num_envs, 1), value, device=draw.device))


def weak_motor(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """One motor of all."""
    joints = len(robot_of(task).joints)
    one = torch.nn.functional.one_hot(draw.integer(joints), joints)
    return changed(start, strength_scale=start.parameters["strength_scale"] * (1.0 - value * one))


def strength(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """On top of what the suite drew."""
    return changed(start, strength_scale=start.parameters["strength_scale"] * value)


def delay(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Whatever the suite drew."""
    return changed(start, action_delay=torch.full((draw.num_envs, 1), value, device=draw.device))


def friction(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Whatever the suite drew."""
    return changed(start, friction=torch.full((draw.num_envs, 1), value, device=draw.device))


def centre(axis: int, task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Along one axis, whatever the suite drew."""
    there = start.parameters["base_centre_of_mass_offset"].clone()
    there[:, axis] = value
    return changed(start, base_centre_of_mass_offset=there)
