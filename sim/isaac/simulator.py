"""The engines on Isaac, by the robot's kind."""

from __future__ import annotations

from typing import Any

from robots.description import Quadrotor, Robot
from sim.isaac.legged import IsaacLeggedSimulator
from sim.isaac.process import ISAAC_GYM, ISAAC_LAB
from sim.isaac.quadrotor import IsaacQuadrotorSimulator
from sim.simulator import Simulator


def isaac(robot: Robot, num_envs: int, **options: Any) -> Simulator:
    """``num_envs`` copies of ``robot`` on Isaac Lab; options and errors are those of its kind."""
    engine = IsaacQuadrotorSimulator if isinstance(robot, Quadrotor) else IsaacLeggedSimulator
    return engine(robot, num_envs, kind=options.pop("kind", ISAAC_LAB), **options)


def isaacgym(robot: Robot, num_envs: int, **options: Any) -> Simulator:
    """As `isaac`, on Isaac Gym Preview 4."""
    return isaac(robot, num_envs, kind=ISAAC_GYM, **options)
