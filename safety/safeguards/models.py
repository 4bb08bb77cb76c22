"""One-step models x⁺ = f0(x) + B(x) u + w, exact in u: semi-implicit Euler of control-affine accelerations.

With x = (p, v):

    v⁺ = v + dt (α(x) + G(x) u + w_v),  p⁺ = p + dt v⁺
    f0 = (p + dt v + dt² α, v + dt α),  B = (dt² G, dt G)

The position's update uses the new velocity.
"""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor, nn


class ControlAffine(nn.Module, abc.ABC):
    """f0 and B, batched.

    Attributes:
        state_size: dim.
        action_size: k.
        roundings: depth of the deepest chain of roundings in f0 and B, sines counted as two.
    """

    state_size: int
    action_size: int
    roundings: int

    @abc.abstractmethod
    def drift(self, state: Tensor) -> Tensor:
        """f0(x) ``[n, dim]``."""

    @abc.abstractmethod
    def input_matrix(self, state: Tensor) -> Tensor:
        """B(x) ``[n, dim, k]``."""

    @abc.abstractmethod
    def magnitude(self, state: Tensor) -> Tensor:
        """Sum of the absolute values of f0's terms ``[n, dim]``: what its rounding error is relative to."""

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """x⁺ without disturbance ``[n, dim]``."""
        return self.drift(state) + (self.input_matrix(state) * action.unsqueeze(1)).sum(2)


class SecondOrder(ControlAffine):
    """See the module's docstring; ``dt`` [s]. Subclasses give α, G and the sum of |terms| of α."""

    roundings = 12

    def __init__(self, dt: float) -> None:
        super().__init__()
        self.dt = dt

    @abc.abstractmethod
    def acceleration(self, state: Tensor) -> Tensor:
        """α(x) ``[n, dim / 2]``."""

    @abc.abstractmethod
    def acceleration_matrix(self, state: Tensor) -> Tensor:
        """G(x) ``[n, dim / 2, k]``."""

    @abc.abstractmethod
    def acceleration_magnitude(self, state: Tensor) -> Tensor:
        """Sum of the absolute values of α's terms ``[n, dim / 2]``."""

    def drift(self, state: Tensor) -> Tensor:
        """f0."""
        position, velocity = state.chunk(2, 1)
        velocity = velocity + self.dt * self.acceleration(state)
        return torch.cat([position + self.dt * velocity, velocity], 1)

    def input_matrix(self, state: Tensor) -> Tensor:
        """B."""
        matrix = self.dt * self.acceleration_matrix(state)
        return torch.cat([self.dt * matrix, matrix], 1)

    def magnitude(self, state: Tensor) -> Tensor:
        """|p| + dt |v| + dt² |α|, |v| + dt |α|."""
        position, velocity = state.abs().chunk(2, 1)
        velocity = velocity + self.dt * self.acceleration_magnitude(state)
        return torch.cat([position + self.dt * velocity, velocity], 1)


class Pendulum(SecondOrder):
    """θ̈ = 1.5 g sin θ + 3 · 30 a + w [rad/s²], x = (θ, θ̇), θ = 0 upright; |w| ≤ 0.1 makes w_max = (dt² 0.1, dt 0.1).

    The pendulum of Walter et al. 2025 (arXiv 2506.01665), with its non-linear gravity.
    """

    state_size, action_size = 2, 1
    torque = 3.0 * 30.0  # rad/s² at a = 1

    def __init__(self, dt: float = 0.05, gravity: float = 9.81) -> None:
        super().__init__(dt)
        self.gravity = gravity

    def acceleration(self, state: Tensor) -> Tensor:
        """1.5 g sin θ."""
        return 1.5 * self.gravity * state[:, :1].sin()

    def acceleration_matrix(self, state: Tensor) -> Tensor:
        """Constant."""
        return torch.full_like(state[:, :1], self.torque).unsqueeze(2)

    def acceleration_magnitude(self, state: Tensor) -> Tensor:
        """1.5 g min(|θ|, 1)."""
        return 1.5 * self.gravity * state[:, :1].abs().clamp(max=1.0)


class PlanarQuadrotor(SecondOrder):
    """x = (x, z, φ, ẋ, ż, φ̇), z up, φ the tilt towards +x [m, rad, s]:

        ẍ = T sin φ + w₁,  z̈ = T cos φ − g + w₂,  φ̈ = 55 u − 70 φ − 17 φ̇,  T = g + (6/7) a₁,  u = (π/12) a₂

    |w| ≤ 0.1 makes w_max = (dt² 0.1, dt² 0.1, 0, dt 0.1, dt 0.1, 0). Of Walter et al. 2025 (arXiv 2506.01665), g = 9.81.
    """

    state_size, action_size = 6, 2
    gravity, thrust, tilt = 9.81, 6.0 / 7.0, math.pi / 12.0

    def __init__(self, dt: float = 0.05) -> None:
        super().__init__(dt)

    def acceleration(self, state: Tensor) -> Tensor:
        """(g sin φ, g (cos φ − 1), −70 φ − 17 φ̇); cos φ − 1 = −2 sin²(φ/2) keeps its digits."""
        tilt, rate = state[:, 2:3], state[:, 5:6]
        half = (0.5 * tilt).sin()
        return torch.cat([self.gravity * tilt.sin(), -2.0 * self.gravity * half * half, -70.0 * tilt - 17.0 * rate], 1)

    def acceleration_matrix(self, state: Tensor) -> Tensor:
        """Columns (6/7) (sin φ, cos φ, 0) and (0, 0, 55 π/12); no cosine, which older ONNX Runtimes lack in float64."""
        tilt = state[:, 2:3]
        half, none = (0.5 * tilt).sin(), torch.zeros_like(tilt)
        first = torch.cat([self.thrust * tilt.sin(), self.thrust * (1.0 - 2.0 * half * half), none], 1)
        return torch.stack([first, torch.cat([none, none, none + 55.0 * self.tilt], 1)], 2)

    def acceleration_magnitude(self, state: Tensor) -> Tensor:
        """g |φ|, g φ²/2 (both no more than a sine allows), 70 |φ| + 17 |φ̇|."""
        tilt, rate = state[:, 2:3].abs(), state[:, 5:6].abs()
        short = tilt.clamp(max=2.0)
        return torch.cat([self.gravity * short, 0.5 * self.gravity * short * short, 70.0 * tilt + 17.0 * rate], 1)
