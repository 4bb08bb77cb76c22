"""How a legged robot stands where nobody says otherwise."""

from __future__ import annotations

import mujoco
import numpy as np

from robots.description import LeggedRobot


def rest(robot: LeggedRobot, model: mujoco.MjModel) -> dict[str, np.ndarray]:
    """A state by name: the described stand, level and still, with the lowest foot on flat ground."""
    data = mujoco.MjData(model)
    data.qpos[:7] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    joints = robot.stand or robot.actuation("joint_position")[0].safe
    data.qpos[7:] = joints
    mujoco.mj_kinematics(model, data)
    lowest = min(data.geom(foot).xpos[2] - model.geom(foot).size[0] for foot in robot.feet)
    return {
        "position_base_in_world": np.array([0.0, 0.0, -lowest]),
        "orientation_base_in_world": np.array([1.0, 0.0, 0.0, 0.0]),
        "joint_position": np.array(joints),
        "linear_velocity_base_in_world": np.zeros(3),
        "angular_velocity_base_in_base": np.zeros(3),
        "joint_velocity": np.zeros(len(joints)),
    }
