"""A robot in MuJoCo's passive viewer, as it moves elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from robots.description import Robot
from robots.errors import TetherError

SHOWN_EVERY = 2  # control steps


class Window:
    """An observer, see `training.evaluate.evaluate`, that shows the first environment; inside a ``with`` block.

    Args:
        robot: whose model is shown.

    Raises:
        TetherError: where there is no display.
    """

    def __init__(self, robot: Robot) -> None:
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise TetherError("--viewer needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set; leave it out, or use --video FILE")
        if robot.model is None:
            raise TetherError(f"--viewer shows models, and {robot.name} has none; leave it out")
        import mujoco

        spec = mujoco.MjSpec.from_file(str(robot.model))
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], rgba=[0.3, 0.35, 0.4, 1.0])
        spec.worldbody.add_light(pos=[0, 0, 5], dir=[0, 0, -1])
        self._mujoco, self._model, self._steps = mujoco, spec.compile(), 0
        self._data = mujoco.MjData(self._model)
        self._viewer: Any = None

    def __enter__(self) -> Window:
        from mujoco import viewer

        self._viewer = viewer.launch_passive(self._model, self._data)
        return self

    def __exit__(self, *error: object) -> None:
        self._viewer.close()

    def __call__(self, state: Mapping[str, Tensor], command: Mapping[str, Tensor], actuation: Mapping[str, Tensor]) -> None:
        """Show one control step; a window that was closed stays closed."""
        self._steps += 1
        if self._steps % SHOWN_EVERY or not self._viewer.is_running():
            return
        names = ("position_base_in_world", "orientation_base_in_world", "joint_position")
        pose = np.concatenate([state[name][0].double().cpu().numpy() for name in names if name in state])
        with self._viewer.lock():
            self._data.qpos[: len(pose)] = pose
            self._mujoco.mj_forward(self._model, self._data)
        self._viewer.sync()
