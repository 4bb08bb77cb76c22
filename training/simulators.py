"""The engines that tasks can be trained and evaluated on, by the name ``--sim`` takes."""

from __future__ import annotations

import importlib
from typing import Any

from robots.description import EquationRobot, Quadrotor, Robot
from robots.errors import unknown
from sim.simulator import Simulator
from tasks.task import Task

SIMULATORS = {
    "torch": "sim.torch_engines:torch",
    "mujoco_cpu": "sim.mujoco_cpu.simulator:MujocoCpuSimulator",
    "mujoco_warp": "sim.mujoco_warp.simulator:MujocoWarpSimulator",
    "isaac": "sim.isaac.simulator:isaac",
    "isaacgym": "sim.isaac.simulator:isaacgym",
}
AUTO = "auto"  # the default engine of the robot's kind
ON_CPU = {"mujoco_cpu"}  # runs nowhere else


def engine_for(name: str, robot: Robot) -> str:
    """``name``, or the default engine for ``robot`` where that is `AUTO`."""
    return name if name != AUTO else "torch" if isinstance(robot, (Quadrotor, EquationRobot)) else "mujoco_cpu"


def engine_class(name: str) -> Any:
    """The class behind the engine, or what chooses one, ``name``; raises `TetherError` for an unknown one."""
    if name not in SIMULATORS:
        raise unknown("simulator", name, list(SIMULATORS))
    module, kind = SIMULATORS[name].split(":")
    return getattr(importlib.import_module(module), kind)


def device_for(name: str, device: str) -> str:
    """``device``, or the CPU where the engine ``name`` runs only there."""
    return "cpu" if name in ON_CPU else device


def make(name: str, robot: Robot, num_envs: int, **options: Any) -> Simulator:
    """The engine ``name``, or `AUTO`, with ``num_envs`` copies of ``robot``; ``options`` are the engine's.

    Raises:
        TetherError: for an unknown engine, or one that cannot simulate this robot.
    """
    simulator: Simulator = engine_class(engine_for(name, robot))(robot, num_envs, **options)
    return simulator


def make_simulator(name: str, task: Task, num_envs: int, device: str = "cpu", physics_dt: float | None = None) -> Simulator:
    """As `make`, with the task's robot and actuation mode, stepped at the task's rate; ``physics_dt`` is the engine's own by default."""
    steps = {"control_dt": 1.0 / task.rate_hz, "physics_dt": physics_dt}
    return make(name, task.robot, num_envs, actuation_mode=task.actuation_mode, device=device, **steps)
