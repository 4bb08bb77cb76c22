"""External forces on the base, held until set again."""

from __future__ import annotations

import numpy as np
import torch
from mujoco.batch import Batch
from torch import Tensor


class Wrench:
    """Force in the world and torque in the base frame, which turns with it once a control step.

    Args:
        batch: what they act on; they are part of its state.
        body: the base.
    """

    def __init__(self, batch: Batch, body: int) -> None:
        self.applied = batch.bind("xfrc_applied")[:, body]
        self.torque_in_base: np.ndarray | None = None

    def set(self, force_in_world: np.ndarray, torque_in_base: np.ndarray) -> None:
        """``[num_envs, 3]`` each."""
        self.applied[:, :3] = force_in_world
        self.applied[:, 3:] = 0.0
        self.torque_in_base = torque_in_base.copy() if torque_in_base.any() else None

    def turn(self, orientation: np.ndarray) -> None:
        """Torques in the world for bases at quaternions ``[num_envs, 4]``: t + 2 w (v × t) + 2 v × (v × t)."""
        if self.torque_in_base is None:
            return
        scalar, vector = orientation[:, :1], orientation[:, 1:]
        crossed = 2.0 * np.cross(vector, self.torque_in_base)
        self.applied[:, 3:] = self.torque_in_base + scalar * crossed + np.cross(vector, crossed)

    def saved(self) -> Tensor | None:
        """The torque; the force is in the batch's state."""
        return None if self.torque_in_base is None else torch.from_numpy(self.torque_in_base.copy())

    def load(self, saved: Tensor | None) -> None:
        """Inverse of `saved`."""
        self.torque_in_base = None if saved is None else saved.numpy().copy()
