"""The engines that tasks can be trained and evaluated on, by the name ``--sim`` takes."""

from __future__ import annotations

import importlib
import math

from robots.errors import unknown
from sim.simulator import Simulator
from tasks.task import Task

SIMULATORS = {"torch": "sim.quadrotor:QuadrotorSimulator"}
PHYSICS_DT_S = 0.005  # largest sub-step; a faster control loop has one sub-step a period


def make_simulator(name: str, task: Task, num_envs: int, device: str = "cpu") -> Simulator:
    """The engine ``name`` with ``num_envs`` copies of the task's robot, stepped at the task's rate.

    Raises:
        TetherError: for an unknown engine, or one that cannot simulate this robot.
    """
    if name not in SIMULATORS:
        raise unknown("simulator", name, list(SIMULATORS))
    module, kind = SIMULATORS[name].split(":")
    period = 1.0 / task.rate_hz
    substeps = math.ceil(period / PHYSICS_DT_S - 1e-9)
    simulator: Simulator = getattr(importlib.import_module(module), kind)(
        task.robot, num_envs, actuation_mode=task.actuation_mode, control_dt=period, physics_dt=period / substeps, device=device
    )
    return simulator
