"""The engines that tasks can be trained and evaluated on, by the name ``--sim`` takes."""

from __future__ import annotations

import importlib

from robots.errors import unknown
from sim.simulator import Simulator
from tasks.task import Task

SIMULATORS = {"torch": "sim.quadrotor:QuadrotorSimulator"}


def make_simulator(name: str, task: Task, num_envs: int, device: str = "cpu") -> Simulator:
    """The engine ``name`` with ``num_envs`` copies of the task's robot, stepped at the task's rate.

    Raises:
        TetherError: for an unknown engine, or one that cannot simulate this robot.
    """
    if name not in SIMULATORS:
        raise unknown("simulator", name, list(SIMULATORS))
    module, kind = SIMULATORS[name].split(":")
    simulator: Simulator = getattr(importlib.import_module(module), kind)(
        task.robot, num_envs, actuation_mode=task.actuation_mode, control_dt=1.0 / task.rate_hz, device=device
    )
    return simulator
