"""One-step models x⁺ = f0(x) + B(x) u + w, exact in u and linear in features: what is curved is computed once, the rest are matrices.

    f0(x) = M₀ (1, ψ(x)),   column j of B(x) = M_j (1, ψ(x)),   ψ(x) = (x, curved terms of x)

`SecondOrder` is semi-implicit Euler of accelerations a = (A₀ + Σ_j u_j A_j) (1, ψ) + w_v, x = (p, v): v⁺ = v + dt a, p⁺ = p + dt v⁺. The
position's update uses the new velocity.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from robots.description import GRAVITY


class ControlAffine(nn.Module, abc.ABC):
    """f0 and B, batched.

    Attributes:
        state_size: dim.
        action_size: k.
        terms: M ``[dim, 1 + k, 1 + p]``, p the number of features; in float64 whatever the module is turned into.
        bounds: largest magnitude of each curved term ``[p − dim]``, wherever the state is.
        roundings: depth of the deepest chain of roundings in ψ, sines counted as two.
    """

    state_size: int
    action_size: int
    terms: Tensor
    bounds: tuple[float, ...] = ()
    roundings: int

    def features(self, state: Tensor) -> Tensor:
        """ψ(x) ``[n, p]``: the state, then `curved` terms."""
        return torch.cat([state, *self.curved(state)], 1)

    @abc.abstractmethod
    def curved(self, state: Tensor) -> Sequence[Tensor]:
        """The terms that are not linear in the state, ``[n, 1]`` each."""

    def affine(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """f0(x) ``[n, dim]`` and B(x) ``[n, dim, k]``."""
        terms = self.terms.to(state)
        mapped = terms[:, :, 0] + (terms[:, :, 1:] * self.features(state)[:, None, None]).sum(3)
        return mapped[:, :, 0], mapped[:, :, 1:]

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """x⁺ without disturbance ``[n, dim]``."""
        drift, matrix = self.affine(state)
        return drift + (matrix * action.unsqueeze(1)).sum(2)


class SecondOrder(ControlAffine):
    """See the module's docstring; ``dt`` [s], ``accelerations`` (A₀, A₁ … A_k) ``[dim / 2, 1 + k, 1 + p]``."""

    def __init__(self, dt: float, accelerations: Any) -> None:
        super().__init__()
        self.dt = dt
        pushed = torch.as_tensor(accelerations, dtype=torch.float64)
        half, inputs, features = pushed.shape
        self.state_size, self.action_size = 2 * half, inputs - 1
        place = torch.eye(2 * half, features, dtype=torch.float64).roll(1, 1)  # of p and v in (1, ψ)
        velocity = dt * pushed
        velocity[:, 0] += place[half:]
        position = dt * velocity
        position[:, 0] += place[:half]
        self.terms = torch.cat([position, velocity])


class Pendulum(SecondOrder):
    """θ̈ = 1.5 g sin θ + 3 · 30 a + w [rad/s²], x = (θ, θ̇), θ = 0 upright; |w| ≤ 0.1 makes w_max = (dt² 0.1, dt 0.1).

    The pendulum of Walter et al. 2025 (arXiv 2506.01665), with its non-linear gravity.
    """

    bounds = (1.0,)
    roundings = 2
    torque = 3.0 * 30.0  # rad/s² at a = 1

    def __init__(self, dt: float = 0.05) -> None:
        super().__init__(dt, [[[0.0, 0.0, 0.0, 1.5 * GRAVITY], [self.torque, 0.0, 0.0, 0.0]]])

    def curved(self, state: Tensor) -> Sequence[Tensor]:
        """sin θ."""
        return (state[:, :1].sin(),)


class PlanarQuadrotor(SecondOrder):
    """x = (x, z, φ, ẋ, ż, φ̇), z up, φ the tilt towards +x [m, rad, s]:

        ẍ = T sin φ + w₁,  z̈ = T cos φ − g + w₂,  φ̈ = 55 u − 70 φ − 17 φ̇,  T = g + (6/7) a₁,  u = (π/12) a₂

    |w| ≤ 0.1 makes w_max = (dt² 0.1, dt² 0.1, 0, dt 0.1, dt 0.1, 0). Of Walter et al. 2025 (arXiv 2506.01665), g = 9.81.

    cos φ is 1 − 2 sin² (φ/2), which keeps the digits of cos φ − 1; older ONNX Runtimes lack cosine in float64.
    """

    bounds = (1.0, 1.0)
    roundings = 6
    thrust, tilt = 6.0 / 7.0, math.pi / 12.0

    def __init__(self, dt: float = 0.05) -> None:
        one, tilt, rate, sine, half_square = 0, 3, 6, 7, 8  # in (1, ψ)
        accelerations = torch.zeros(3, 3, 9, dtype=torch.float64)
        accelerations[0, 0, sine], accelerations[0, 1, sine] = GRAVITY, self.thrust
        accelerations[1, 0, half_square] = -2.0 * GRAVITY
        accelerations[1, 1, one], accelerations[1, 1, half_square] = self.thrust, -2.0 * self.thrust
        accelerations[2, 0, tilt], accelerations[2, 0, rate] = -70.0, -17.0
        accelerations[2, 2, one] = 55.0 * self.tilt
        super().__init__(dt, accelerations)

    def curved(self, state: Tensor) -> Sequence[Tensor]:
        """sin φ and sin² (φ/2)."""
        tilt = state[:, 2:3]
        half = (0.5 * tilt).sin()
        return tilt.sin(), half * half
