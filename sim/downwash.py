"""Downwash: quadrotors push down those below them. Smooth, bounded, and exactly zero on whoever is abreast or above.

The law, of gym-pybullet-drones (Panerati et al., IROS 2021), for a Crazyflie Δz > 0 below another and Δxy beside it:

    F = 2267 (r/4Δz)² exp(−½ (Δxy/β)²) [N],   β = 0.16 Δz − 0.11 m,   r = 0.0231 m

It grows without bound as Δz falls, and its width passes through zero at Δz = 0.69 m. Here Δz is floored at Δ₀ and |β| at w, both by p-norms
(Δz⁸ + Δ₀⁸)^⅛ and (β⁸ + w⁸)^⅛, and the force fades to zero from Δz = Δ₀ to 0 as 3s² − 2s³ with s = Δz/Δ₀. So F stays below 0.27 N, about the
weight that the upper robot throws down and cannot be exceeded by what arrives. Where |β| ≥ 2w (Δz ≥ 1.07 m) and Δxy ≤ 4β, and on the axis
from Δz = 0.76 m up, it is the published law to 1 %.

Tilt, torque and the wake's delay are not modelled, as in the source. Feature-major tensors as in `sim.quadrotor_dynamics`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sim.ground import PROPELLER_RADIUS_M

STRENGTH_N = 2267.18
WIDENING, WIDTH_M = 0.16, -0.11
NEAREST_M = 0.5  # Δ₀
NARROWEST_M = 0.03  # w
FARTHEST_M = 1000.0  # Δz beyond which nothing changes any more (80 nN): eighth powers stay finite in single precision


def push(below: Tensor, beside_squared: Tensor) -> Tensor:
    """F [N] at Δz [m] and Δxy² [m²], tensors of one shape."""
    below = below.clamp(0.0, FARTHEST_M)
    width_eighth = _eighth(WIDENING * below + WIDTH_M) + NARROWEST_M**8
    strength = STRENGTH_N * (PROPELLER_RADIUS_M / 4.0) ** 2 * (_eighth(below) + NEAREST_M**8).sqrt().rsqrt()
    near = (below / NEAREST_M).clamp(max=1.0)
    fade = near.square() * (3.0 - 2.0 * near)
    return strength * fade * (-0.5 * beside_squared * width_eighth.sqrt().rsqrt()).exp()


def _eighth(length: Tensor) -> Tensor:
    return length.square().square().square()


def downwash(position: Tensor) -> Tensor:
    """Force in the world [N] on every drone from all others of its world, ``[3, drones, n]``, from positions ``[3, drones, n]``."""
    x, y, z = (position.unsqueeze(1) - position.unsqueeze(2)).unbind()  # from the pushed drone to each other, [drones, drones, n]
    force = push(z, x.square() + y.square()).transpose(0, 1).sum(0)
    return torch.stack((torch.zeros_like(force), torch.zeros_like(force), -force))


def among(position: Tensor, drones: int) -> Tensor:
    """The downwash [N] at ``position``, both ``[3, n]``; every ``drones`` environments in a row share a world."""
    return downwash(position.reshape(3, -1, drones).transpose(1, 2)).transpose(1, 2).reshape(3, -1)
