"""What is read from MuJoCo after a step: one matrix of rows, copied once, and the named signals in it."""

from __future__ import annotations

import torch
from torch import Tensor

from robots.description import LeggedRobot

STATE_WIDTHS = {  # generalised positions, then velocities, of a free base; joints follow each
    "position_base_in_world": 3,
    "orientation_base_in_world": 4,
    "joint_position": 0,
    "linear_velocity_base_in_world": 3,
    "angular_velocity_base_in_base": 3,
    "joint_velocity": 0,
}
CONTACT_N = 1.0  # a foot stands on what pushes it harder than this


def state_widths(robot: LeggedRobot) -> dict[str, int]:
    """Rows of the state by name, in MuJoCo's order; also what `reset` accepts."""
    return {name: width or len(robot.joints) for name, width in STATE_WIDTHS.items()}


def widths(robot: LeggedRobot) -> dict[str, int]:
    """All rows by name: state, torque, sensors in the order of the model, and whether the step failed."""
    feet = 3 * len(robot.feet)
    rows = state_widths(robot) | {"joint_torque": len(robot.joints)}
    rows |= {"foot_force_in_world": feet, "foot_position_in_world": feet, "foot_velocity_in_world": feet}
    return rows | {f"{part}_contact": len(names) for part, names in robot.parts.items()} | {"diverged": 1}


class Readout:
    """Named signals of rows ``[num_envs, sum of widths]``.

    Args:
        robot: whose.
    """

    def __init__(self, robot: LeggedRobot) -> None:
        self.widths = widths(robot)
        self.size = sum(self.widths.values())
        self.flags = ("diverged", *(f"{part}_contact" for part in robot.parts))

    def interpret(self, rows: Tensor) -> dict[str, Tensor]:
        """Signals by name; pure, so that it may be part of a fused kernel."""
        found = dict(zip(self.widths, rows.split(list(self.widths.values()), dim=1), strict=True))
        found["foot_force_in_world"] = -found["foot_force_in_world"]  # MuJoCo gives what the foot does to the ground
        force = found["foot_force_in_world"].unflatten(1, (-1, 3))
        found["foot_contact"] = force.square().sum(2) > CONTACT_N**2
        return found | {name: found[name] > 0.0 for name in self.flags}


def empty(size: int, num_envs: int, device: torch.device) -> Tensor:
    """Rows ``[num_envs, size]`` with environments next to each other in memory, as kernels like them."""
    return torch.zeros(size, num_envs, device=device).t()
