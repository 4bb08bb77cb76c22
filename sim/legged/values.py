"""What the parameters of every environment are, and which new ones are taken."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import torch
from torch import Tensor

from robots.description import LeggedRobot
from sim.checks import check_names, check_shape, refuse
from sim.legged.parameters import BOUNDS, nominal


class Values:
    """Parameters of ``num_envs`` environments, nominal at first.

    Args:
        robot, model: what is simulated.
        num_envs, device: how many, and where.
        engine: its name, for complaints.

    Attributes:
        nominal: by name, float64 ``[width]``.
        present: by name, float64 ``[num_envs, width]``.
    """

    def __init__(self, robot: LeggedRobot, model: mujoco.MjModel, num_envs: int, device: torch.device, engine: str) -> None:
        self.num_envs, self.device, self.engine = num_envs, device, engine
        self.nominal = {name: torch.from_numpy(value).double().to(device) for name, value in nominal(robot, model).items()}
        self.present = {name: value.repeat(num_envs, 1) for name, value in self.nominal.items()}
        self._told = self._packed()

    def __getitem__(self, name: str) -> Tensor:
        """The present value of one parameter."""
        return self.present[name]

    def told(self) -> dict[str, Tensor]:
        """All of them, float32, environments next to each other in memory."""
        widths = [value.shape[1] for value in self.present.values()]
        return dict(zip(self.present, self._told.split(widths, dim=1), strict=True))

    def take(self, mask: Tensor, asked: Mapping[str, Tensor]) -> None:
        """Use ``asked`` where ``mask`` is set; one column serves all joints. Raises `TetherError` for a name or value that is none."""
        check_names(asked, BOUNDS, f"parameter of the engine {self.engine}")
        new, bad = {}, {}
        for name, value in asked.items():
            if value.shape != (self.num_envs, 1):
                check_shape(value, (self.num_envs, len(self.nominal[name])), name)
            double, (low, high) = value.detach().to(self.device, torch.float64), BOUNDS[name]
            bad[f"parameter {name!r} is outside {low:g}…{high:g}"] = ~(double.isfinite() & (double > low) & (double < high)).all(1)
            new[name] = torch.where(mask.unsqueeze(1), double, self.present[name])
        refuse(mask, bad)
        self.present |= new
        self._told = self._packed()

    def changed_by(self, saved: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of ``saved`` that differ from the present ones."""
        here = {name: value.to(self.device) for name, value in saved.items()}
        return {name: value for name, value in here.items() if not torch.equal(value, self.present[name])}

    def _packed(self) -> Tensor:
        return torch.cat([value.t() for value in self.present.values()]).float().t()
