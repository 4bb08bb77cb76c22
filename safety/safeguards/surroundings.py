"""A vehicle's outer loop among obstacles that it senses: velocity set-points that keep clear of them and within a room."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards.action_set import ActionSet, SafeActions, product

RETREATS = 3  # projections towards a set-point that gets away from everything that is too close
NEAREST_M = 1e-6  # to a centre: nobody is there, and whoever says so is sent up, along no slope
SEEN = 4  # numbers an obstacle: offset, radius


class SensedOuterLoop(ActionSet):
    """Inequality, with a clearance h of every wall (unit rows) and every obstacle sensed, and n = ∇h:

        n·(p + τ v + u/α) + … ≥ 0,  that is  h + τ n·v + n·u/α ≥ 0
        walls h = g_i − tube − G_i p,    obstacles h = ‖p − o‖ − R − tube,  n = (p − o)/‖p − o‖

    Obstacles that are not among those sensed are no closer than the farthest of them, c: |u_i/α + τ v_i| ≤ c/√3 on every axis.

    Model: v̇ = (u − v)/τ + w, ατ ≤ 1. A plane has ḧ = n·v̇, a ball ḧ ≥ n·v̇, so with y = ḣ + α h the inequality is τ ẏ + y ≥ τ n·w.
    Guarantee: without w, whoever starts with every h ≥ 0 and y ≥ 0 stays so, and then u = 0 keeps the inequality: h + τ ḣ ≥ (1 − ατ) h ≥ 0.
    With w, h ≥ −τ max(−n·w)/α: ``tube`` is to be at least that, the control period's share, and the errors of what is sensed. **It is a
    measured number, not a proved one**: an inner loop follows u by more than one lag. Obstacles stand still.

    Where a clearance is spent the centre is no longer u = 0 but the way back, found by projections on the worst inequality in turn; where
    that is not enough, it is what is done, and said to be infeasible. ``inside`` is 1 where every h ≥ 0 and y ≥ 0.

    State: p, v, then (o − p, R) an obstacle ``[n, 2k + (k + 1) s]``, k = 3, axes along the world's. The action is u over ``speed``,
    −1…1. Slack is in metres.

    Args:
        faces, offsets: G ``[m, 3]``, g ``[m]`` [m].
        obstacles: s.
        speed: largest set-point an axis [m/s] ``[3]``.
        alpha: α [1/s].
        lag_s: τ.
        tube: see above, from the vehicle's centre [m].
    """

    depth = 40  # roundings: squares, a root, divisions, three products of three terms

    def __init__(
        self,
        faces: Any,
        offsets: Any,
        obstacles: int,
        *,
        speed: Any,
        alpha: float,
        lag_s: float,
        tube: float,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        limit = torch.as_tensor(speed, dtype=torch.float64)
        super().__init__(-torch.ones_like(limit), torch.ones_like(limit), dtype)
        walls, rest = (torch.as_tensor(values, dtype=torch.float64) for values in (faces, offsets))
        if self.size != 3 or walls.shape != (len(rest), 3):
            raise TetherError(f"speed is {list(limit.shape)} and faces are {list(walls.shape)}; must be [3] and [{len(rest)}, 3]")
        if not 0.0 <= alpha * lag_s <= 1.0:
            raise TetherError(f"alpha · lag_s is {alpha * lag_s:g}; at most 1, or standing still is not safe where braking is")
        self.alpha, self.lag_s, self.tube, self.count = alpha, lag_s, tube, obstacles
        self.constant = abs(tube) + float(limit.sum()) / alpha
        length = walls.norm(dim=1)
        self.faces: Tensor
        self.offsets: Tensor
        self.speed: Tensor
        stored = {"faces": walls / length.unsqueeze(1), "offsets": rest / length - tube, "speed": limit}
        for name, tensor in stored.items():
            self.register_buffer(name, tensor.to(dtype))

    @property
    def promise(self) -> str:
        """With the numbers in use."""
        numbers = f"Here α = {self.alpha:g}/s, τ = {self.lag_s:g} s, tube = {self.tube:g} m, {self.count} obstacles sensed."
        return f"{super().promise}\n\n{numbers}"

    def forward(self, state: Tensor) -> SafeActions:
        """Walls, obstacles, then the unseen on both sides of every axis."""
        position, velocity, sensed = state.split([3, 3, SEEN * self.count], 1)
        sensed = sensed.unflatten(1, (self.count, SEEN))
        distance = sensed[:, :, :3].square().sum(2).clamp(min=NEAREST_M**2).sqrt()
        below = (distance <= NEAREST_M).unsqueeze(2)
        towards = torch.where(below, sensed.new_tensor([0.0, 0.0, -1.0]), sensed[:, :, :3] / distance.unsqueeze(2))
        normals = torch.cat([self.faces.expand(state.shape[0], -1, -1), towards], 1)  # into what is there
        gaps = distance - sensed[:, :, 3] - self.tube
        clearance = torch.cat([self.offsets - (self.faces * position.unsqueeze(1)).sum(2), gaps], 1)
        approach = product(normals, velocity)
        beyond = gaps.amax(1, keepdim=True).clamp(min=0.0) / 3.0**0.5
        drift = self.lag_s * velocity
        bounds = torch.cat([clearance - self.lag_s * approach, beyond - drift, beyond + drift], 1)
        axes = torch.eye(3, dtype=state.dtype, device=state.device).expand(state.shape[0], 3, 3)
        rows = torch.cat([normals, axes, -axes], 1) * (self.speed / self.alpha)
        size = position.abs().sum(1, keepdim=True) + drift.abs().sum(1, keepdim=True) + self.constant
        nearby = torch.cat([self.offsets.abs().expand_as(clearance[:, : len(self.offsets)]), distance + sensed[:, :, 3].abs()], 1)
        far = (distance + sensed[:, :, 3].abs()).amax(1, keepdim=True).expand(-1, 6)
        margin = self.rounding(state, self.depth) * (torch.cat([nearby, far], 1) + size)
        known = margin[:, : clearance.shape[1]]
        fits = (clearance >= -known) & (clearance - approach / self.alpha >= -known)
        centre = self.retreat(rows, bounds)
        return SafeActions(rows, bounds, margin.detach(), centre, fits.to(state.dtype).amin(1, keepdim=True))

    def retreat(self, rows: Tensor, bounds: Tensor) -> Tensor:
        """Zero where that is safe; else what is left after projections on the worst row, within the box ``[n, 3]``."""
        centre = torch.zeros_like(rows[:, 0])
        for _ in range(RETREATS):
            centre = centre - step_to_worst(rows, bounds, centre)
        return self.clamp(centre)


def step_to_worst(rows: Tensor, bounds: Tensor, point: Tensor, inward: float = 0.0) -> Tensor:
    """What to take off ``point`` ``[n, k]`` to be ``inward`` of the row of {A u ≤ b} farthest violated; zero where none is."""
    square = rows.square().sum(2).clamp(min=torch.finfo(rows.dtype).eps ** 2)
    excess = (product(rows, point) - bounds) / square.sqrt()
    worst = excess.amax(1, keepdim=True)
    chosen = (excess >= worst).to(rows.dtype).detach()
    chosen = chosen / chosen.sum(1, keepdim=True)
    weight = chosen * torch.where(excess > 0.0, excess + inward, 0.0) / square.sqrt()
    return (rows * weight.unsqueeze(2)).sum(1)
