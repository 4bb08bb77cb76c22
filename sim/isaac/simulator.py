"""The engines on Isaac, by the robot's kind."""

from __future__ import annotations

from typing import Any, ClassVar

from robots.description import Quadrotor, Robot
from sim.isaac.legged import IsaacLeggedSimulator
from sim.isaac.process import ISAAC_GYM, Kind
from sim.isaac.quadrotor import IsaacQuadrotorSimulator
from sim.simulator import Simulator


class IsaacGymLeggedSimulator(IsaacLeggedSimulator):
    """As `IsaacLeggedSimulator`, on Isaac Gym Preview 4, which it has never run on."""

    engine: ClassVar[str] = "isaacgym"
    kind: ClassVar[Kind] = ISAAC_GYM


class IsaacGymQuadrotorSimulator(IsaacQuadrotorSimulator):
    """As `IsaacQuadrotorSimulator`, on Isaac Gym Preview 4, which it has never run on."""

    engine: ClassVar[str] = "isaacgym"
    kind: ClassVar[Kind] = ISAAC_GYM


def isaac(robot: Robot, num_envs: int, **options: Any) -> Simulator:
    """Many copies of one robot on Isaac Lab, in a process of its own; see docs/isaac.md."""
    engine = IsaacQuadrotorSimulator if isinstance(robot, Quadrotor) else IsaacLeggedSimulator
    return engine(robot, num_envs, **options)


def isaacgym(robot: Robot, num_envs: int, **options: Any) -> Simulator:
    """The same on Isaac Gym Preview 4, which it has never run on; see docs/isaac.md."""
    engine = IsaacGymQuadrotorSimulator if isinstance(robot, Quadrotor) else IsaacGymLeggedSimulator
    return engine(robot, num_envs, **options)
