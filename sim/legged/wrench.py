"""External forces on the base, held until set again."""

from __future__ import annotations

import torch
from torch import Tensor


class Wrench:
    """Force in the world and torque in the base frame, which turns with it once a control step.

    Args:
        applied: where the engine reads force and torque in the world, ``[num_envs, 6]``.
    """

    def __init__(self, applied: Tensor) -> None:
        self.applied = applied
        self.torque_in_base: Tensor | None = None

    def set(self, force_in_world: Tensor, torque_in_base: Tensor) -> None:
        """``[num_envs, 3]`` each."""
        self.applied[:, :3] = force_in_world
        self.applied[:, 3:] = 0.0
        on_cpu = torque_in_base.device.type == "cpu"  # elsewhere looking would wait
        self.torque_in_base = None if on_cpu and not torque_in_base.any() else torque_in_base.clone()

    def turn(self, orientation: Tensor) -> None:
        """Torques in the world for bases at quaternions ``[num_envs, 4]``: t + 2 w (v × t) + 2 v × (v × t)."""
        if self.torque_in_base is None:
            return
        torque = self.torque_in_base.to(orientation.dtype)
        scalar, vector = orientation[:, :1], orientation[:, 1:]
        crossed = 2.0 * torch.linalg.cross(vector, torque)
        self.applied[:, 3:] = torque + scalar * crossed + torch.linalg.cross(vector, crossed)

    def saved(self) -> Tensor | None:
        """The torque; the force is in the engine's state."""
        return None if self.torque_in_base is None else self.torque_in_base.clone()

    def load(self, saved: Tensor | None) -> None:
        """Inverse of `saved`."""
        self.torque_in_base = None if saved is None else saved.to(self.applied.device, copy=True)
