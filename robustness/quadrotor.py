"""What may befall a quadrotor. Ranges are in its own measure: weights, thrusts, arms."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from robots.description import GRAVITY, Quadrotor
from robustness.disturbance import Disturbance
from robustness.external import forces, heading
from robustness.sensing import begin, bias, drift, freeze
from sim.action_delay import MAX_ACTION_DELAY_S
from sim.sensor_faults import Drift
from tasks.draw import Draw
from tasks.quadrotor_flight import ORIENTATION, POSITION, RATES, VELOCITY
from tasks.task import Start, Task

SENSORS = {POSITION: 0.1, VELOCITY: 0.1, ORIENTATION: 0.05, RATES: 0.1}  # m, m/s, rad, rad/s: what a factor of 1 means
SPOOF_S = 2.0  # how long a spoofed position moves away
LONGEST_DELAY_S = 0.06


def disturbances(task: Task) -> list[Disturbance]:
    """All of them, in the order in which they act; the first are axes of grids and no families, and say how the robot is."""
    robot = robot_of(task)
    arm_m = max(math.hypot(*rotor.position_m[:2]) for rotor in robot.rotors)
    shift_m = float(f"{0.2 * arm_m:.1g}")
    return [
        Disturbance("mass", "×", "mass and inertia over the description's", 1.0, 0.7, 1.4, mass, family=False),
        Disturbance("thrust", "×", "thrust of all rotors over the description's", 1.0, 0.75, 1.2, thrust, family=False),
        Disturbance("com_x", "m", "centre of mass forward", 0.0, -shift_m, shift_m, functools.partial(centre, 0), family=False),
        Disturbance("com_y", "m", "centre of mass to the left", 0.0, -shift_m, shift_m, functools.partial(centre, 1), family=False),
        Disturbance("motor_time", "×", "motor time constant over the description's", 1.0, 0.5, 2.5, motor_time, family=False),
        Disturbance("gusts", "m/s", "wind about its mean, standard deviation of each horizontal component", 0.0, 0.0, 6.0, gusts),
        *forces(robot.mass_kg * GRAVITY),
        Disturbance("load", "× mass", "a mass added at a third of an arm from the centre, on a random side", 0.0, 0.0, 0.5, load),
        Disturbance("weak_motor", "", "share of the thrust that one random rotor lost", 0.0, 0.0, 0.4, weak_motor),
        Disturbance("delay", "s", "from a reading to the actuation it causes", 0.0, 0.0, LONGEST_DELAY_S, delay),
        bias(SENSORS, 1.5),
        drift(SENSORS, 2.0),
        freeze((POSITION, VELOCITY), 2.0),
        Disturbance(
            "spoof", "m", f"the measured position slides away to this distance within {SPOOF_S:g} s, and stays", 0.0, 0.0, 0.5, spoof
        ),
    ]


def default_grid(task: Task) -> tuple[str, ...]:
    """What it is off by, and what shakes it, up to 15 % of its weight."""
    return "mass=0.85:1.15:3", "delay=0:0.04:3", f"wave=0:{0.15 * robot_of(task).mass_kg * GRAVITY:.2g}:3", "wave_hz=0:3:4"


def robot_of(task: Task) -> Quadrotor:
    """The task's, as what it is."""
    assert isinstance(task.robot, Quadrotor)
    return task.robot


def gusts(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """A Gauss–Markov process with the time constant `Task.gust_s`."""
    return start._replace(gust_m_s=value * torch.tensor([1.0, 1.0, 0.0], device=draw.device).repeat(draw.num_envs, 1))


def load(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """A point mass λ m at r from the centre of mass: that moves by λ/(1+λ) r, and inertia grows by λ/(1+λ) m (r² − rᵢ²) about axis i."""
    arm_m = max(math.hypot(*rotor.position_m[:2]) for rotor in robot_of(task).rotors)
    at, share = heading(draw) * arm_m / 3.0, value / (1.0 + value)
    own = start.parameters["mass"]
    return changed(
        start,
        mass=own * (1.0 + value),
        centre_of_mass=start.parameters["centre_of_mass"] + share * at,
        inertia=start.parameters["inertia"] + share * own * (at.square().sum(1, keepdim=True) - at.square()),
    )


def weak_motor(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """One rotor of all."""
    rotors = len(robot_of(task).rotors)
    one = torch.nn.functional.one_hot(draw.integer(rotors), rotors)
    return changed(start, thrust_scale=start.parameters["thrust_scale"] * (1.0 - value * one))


def delay(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Of the actuation as far as engines know it, the rest as whole control periods of the sensors."""
    late = max(0, math.ceil((value - MAX_ACTION_DELAY_S) * task.rate_hz - 1e-6))
    some = torch.ones(draw.num_envs, 1, device=draw.device)
    amended = changed(start, action_delay=some * max(value - late / task.rate_hz, 0.0))
    return amended._replace(sensor_delay_s=some * late / task.rate_hz)


def spoof(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """In a random horizontal direction, from a random time on."""
    drift = Drift(value * heading(draw), begin(task, draw), torch.full((draw.num_envs, 1), SPOOF_S, device=draw.device))
    return start._replace(sensor_drift=dict(start.sensor_drift or {}) | {POSITION: drift})


def mass(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Whatever the suite drew."""
    robot, some = robot_of(task), torch.ones(draw.num_envs, 1, device=draw.device)
    return changed(start, mass=some * value * robot.mass_kg, inertia=some * value * some.new_tensor(robot.inertia_kg_m2))


def thrust(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Whatever the suite drew; a weak rotor stays weaker than the others."""
    drawn = start.parameters["thrust_scale"]
    return changed(start, thrust_scale=value * drawn / drawn.amax(1, keepdim=True))


def centre(axis: int, task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Along one axis, whatever the suite drew."""
    there = start.parameters["centre_of_mass"].clone()
    there[:, axis] = value
    return changed(start, centre_of_mass=there)


def motor_time(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Whatever the suite drew."""
    return changed(start, motor_time_scale=torch.full((draw.num_envs, 1), value, device=draw.device))


def changed(start: Start, **parameters: Tensor) -> Start:
    """``start`` with other physical parameters."""
    return start._replace(parameters=dict(start.parameters) | parameters)
