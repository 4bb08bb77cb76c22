"""Half-spaces around a vehicle's outer loop: velocity set-points that stay in a polytope and clear of spheres."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards.action_set import ActionSet, SafeActions


class OuterLoop(ActionSet):
    """Inequality, for every face G_i p ≤ g_i (unit rows) and every sphere with n = (p − o)/‖p − o‖:

        G_i (p + u/α) ≤ g_i − tube,    n·(p − o + u/α) ≥ R + tube

    Model: ṗ = u, held for dt ≤ 1/α.  Guarantee under that model: whoever starts at least ``tube`` inside stays so, since every slack
    shrinks by no more than its own size within 1/α; u = 0, the centre, always keeps it. **Nothing is certified of the vehicle itself**,
    which follows u with a lag: ``tube`` is the measured bound of how much closer than u it comes, and collisions are to be counted.

    Past a face (by less than all) ``inside`` is 0, u = 0 is still allowed, and so is any u that does not go further. Slack is in metres.

    State is (p, …) ``[n, ≥ k]``, position first; the action is a velocity set-point, in m/s. Acceleration set-points inside a box with axes
    along the world's: `safety.safeguards.joints.JointLimits` with an axis for a joint.

    Args:
        faces, offsets: G ``[m, k]``, g ``[m]`` [m].
        obstacles, radii: o ``[s, k]``, R ``[s]`` [m].
        speed: largest set-point an axis [m/s] ``[k]``.
        alpha: α [1/s].
        tube: see above [m].
    """

    depth = 32  # roundings: k ≤ 3 squares, a root, divisions, two products of k terms

    def __init__(
        self,
        faces: Any,
        offsets: Any,
        obstacles: Any,
        radii: Any,
        *,
        speed: Any,
        alpha: float,
        tube: float,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        limit = torch.as_tensor(speed, dtype=torch.float64)
        super().__init__(-limit, limit, dtype)
        k = self.size
        g_rows, rest = (torch.as_tensor(values, dtype=torch.float64) for values in (faces, offsets))
        balls, sizes = (torch.as_tensor(values, dtype=torch.float64) for values in (obstacles, radii))
        if g_rows.shape != (len(rest), k) or balls.shape != (len(sizes), k):
            seen = f"faces are {list(g_rows.shape)}, obstacles {list(balls.shape)}"
            raise TetherError(f"{seen}; must be [{len(rest)}, {k}] and [{len(sizes)}, {k}]")
        length = g_rows.norm(dim=1)
        self.alpha, self.tube = alpha, tube
        self.faces: Tensor
        self.offsets: Tensor
        self.obstacles: Tensor
        self.radii: Tensor
        stored = {"faces": g_rows / length.unsqueeze(1), "offsets": rest / length - tube, "obstacles": balls, "radii": sizes + tube}
        for name, tensor in stored.items():
            self.register_buffer(name, tensor.to(dtype))

    def forward(self, state: Tensor) -> SafeActions:
        """Rows over α."""
        position = state[:, : self.size]
        apart = position.unsqueeze(1) - self.obstacles
        gap = apart.square().sum(2).clamp(min=torch.finfo(state.dtype).eps ** 2).sqrt()
        clearance = torch.cat([self.offsets - (self.faces * position.unsqueeze(1)).sum(2), gap - self.radii], 1)
        rows = torch.cat([self.faces.expand(state.shape[0], -1, -1), -apart / gap.unsqueeze(2)], 1)
        size = torch.cat([self.offsets.abs(), self.obstacles.abs().sum(1) + self.radii]) + position.abs().sum(1, keepdim=True)
        margin = self.rounding(state, self.depth) * (size + self.upper.sum() / self.alpha)
        inside = (clearance >= -margin).to(state.dtype).amin(1, keepdim=True)
        return SafeActions(rows / self.alpha, clearance.clamp(min=0.0), margin.detach(), torch.zeros_like(position), inside)
