"""The engines in torch, by the robot's kind."""

from __future__ import annotations

from typing import Any

from robots.description import EquationRobot, Robot
from sim.equations import EquationSimulator
from sim.quadrotor import QuadrotorSimulator
from sim.simulator import Simulator


def torch(robot: Robot, num_envs: int, **options: Any) -> Simulator:
    """Batched and differentiable, on any device: quadrotors, and robots that are given by equations of motion."""
    engine = EquationSimulator if isinstance(robot, EquationRobot) else QuadrotorSimulator
    return engine(robot, num_envs, **options)
