"""Tasks whose safe states are a stored set with a proof (`safety.sets`), and the safeguards that keep a robot in it."""

from __future__ import annotations

import abc
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from robots.description import Robot
from safety.safeguards.certified import certified_actions
from safety.safeguards.projection import Projection
from safety.safeguards.ray_mask import RayMask
from safety.sets import load
from tasks.draw import Draw
from tasks.safe_control import SafeControl, SafeSuite
from tasks.task import Signals

ROUNDS = 16  # of draws from the box; what is in the set in none of them begins at its centre


class CertifiedTask(SafeControl, abc.ABC):
    """`exits`: outside of the stored set; `outside_box`: outside of the published state box, which no set leaves.

    Attributes:
        set_name: of the stored set.
    """

    set_name: ClassVar[str]
    safeguards: ClassVar = {
        "projection": lambda task: Projection(certified_actions(task.set_name), edges=2),
        "ray_mask": lambda task: RayMask(certified_actions(task.set_name)),
        "hyperbolic_ray_mask": lambda task: RayMask(certified_actions(task.set_name), "hyperbolic"),
    }

    def __init__(self, robot: Robot | None = None) -> None:
        super().__init__(robot)
        self.safe_set = load(self.set_name)
        self._rounding = self.safe_set.float32_margin()

    def outside(self, state: Signals) -> dict[str, Tensor]:
        """A face counts as crossed beyond what rounding to the state's precision explains (`SafeSet.float32_margin`; none in float64)."""
        x = self.x(state)
        spare = x.new_tensor(self.safe_set.h + self._rounding * (x.dtype == torch.float32))
        inside = (x @ x.new_tensor(self.safe_set.H).t() <= spare).all(1)
        box = x.new_tensor(self.robot.state_box)
        return {"exits": ~inside, "outside_box": ~(x.abs() <= box * (1.0 + 1e-6 * (x.dtype == torch.float32))).all(1)}

    def starts(self, suite: SafeSuite, draw: Draw) -> dict[str, Tensor]:
        """States uniform in the set, shrunk about its centre x0."""
        box = np.array(self.robot.state_box)
        faces, offsets, centre = (
            torch.tensor(value, dtype=torch.float32, device=draw.device)
            for value in (self.safe_set.H, self.safe_set.h - self._rounding, self.safe_set.x0)
        )
        x, found = centre.expand(draw.num_envs, -1), torch.zeros(draw.num_envs, 1, dtype=torch.bool, device=draw.device)
        for _ in range(ROUNDS):
            drawn = draw.uniform(-1.0, 1.0, len(box)) * torch.tensor(box, dtype=torch.float32, device=draw.device)
            fits = (drawn @ faces.t() <= offsets).all(1, keepdim=True)
            x, found = torch.where(fits & ~found, drawn, x), found | fits
        x = centre + suite.start_share * (x - centre)
        sizes = [self.robot.sensor(name).size for name in self.robot.states]
        return dict(zip(self.robot.states, x.split(sizes, dim=1), strict=True))
