"""Ground at z = 0 under a quadrotor: more lift close above it, and contact. Smooth, and exactly zero out of reach.

Every rotor hub carries a sphere that the ground pushes back. The base is taken to be at the centre of mass, from which it is millimetres
away. Feature-major tensors as in `sim.quadrotor_dynamics`.
"""

from __future__ import annotations

import torch
from torch import Tensor

REACH_M = 1.0  # no ground effect from here up; a base above 2 × this needs no ground model at all

PROPELLER_RADIUS_M = 0.0231
EFFECT = 11.37  # extra thrust per (r / 4h)²: gym-pybullet-drones (Panerati et al., IROS 2021), after Shi et al., ICRA 2019
EFFECT_FLOOR_M = 0.0377  # height below which the law saturates, likewise

STIFFNESS_1_S2 = 6400.0  # per mass: rests 1.5 mm deep
REBOUND_SPEED_M_S = 1.5  # speed of approach that doubles the force, of departure that cancels it (Hunt and Crossley 1975)
FRICTION = 0.5
FRICTION_SPEED_M_S = 0.1  # slip speed at which friction is nearly Coulomb's
FRICTION_SETTLING_S = 0.005  # that speed grows by the support's acceleration times this: friction in a crash does not outrun a sub-step
HARDEST_DAMPING = 4.0  # cap on the damping factor, for the same reason


def hub_heights(position: Tensor, matrix: Tensor, hubs: Tensor) -> Tensor:
    """Height of each rotor hub, ``[4, n]``."""
    return position[2] + (matrix[2].unsqueeze(1) * hubs).sum(0)


def ground_effect(position: Tensor, matrix: Tensor, hubs: Tensor) -> Tensor:
    """Extra thrust of each rotor per its thrust, 11.37 (r/4h)², ``[4, n]``.

    h is floored smoothly at `EFFECT_FLOOR_M`; the effect fades with tilt and reaches zero, with its slope, at `REACH_M`.
    """
    height = hub_heights(position, matrix, hubs)
    lowered = EFFECT * (PROPELLER_RADIUS_M / 4.0) ** 2 * (height.square().square() + EFFECT_FLOOR_M**4).rsqrt()
    fade = (1.0 - (height / REACH_M).square()).clamp(min=0.0).square()
    return lowered * fade * matrix[2, 2].clamp(min=0.0)


def contact(
    position: Tensor, velocity: Tensor, rate: Tensor, matrix: Tensor, hubs: Tensor, radius: float, mass: Tensor
) -> tuple[Tensor, Tensor]:
    """Force in the world and torque in the body frame, ``[3, n]`` each.

    At each hub N = m/4 · k δ (1 + δ̇/v₀), never pulling, with depth δ; friction −μ N v/√(|v|² + v_s²) against its slip v.
    A fall at 14 m/s stays finite at a sub-step of 5 ms.
    """
    arms = (matrix.unsqueeze(2) * hubs).sum(1)  # in the world, [3, 4, n]
    spin = (matrix * rate).sum(1)
    hub_velocity = velocity.unsqueeze(1) + torch.linalg.cross(spin.unsqueeze(1).expand_as(arms), arms, dim=0)
    depth = (radius - position[2] - arms[2]).clamp(min=0.0)
    support = 0.25 * mass * STIFFNESS_1_S2 * depth * (1.0 - hub_velocity[2] / REBOUND_SPEED_M_S).clamp(0.0, HARDEST_DAMPING)
    slip = hub_velocity[:2]
    slowest = FRICTION_SPEED_M_S + support * (4.0 * FRICTION_SETTLING_S / mass)
    friction = -FRICTION * support * slip * (slip.square().sum(0) + slowest.square()).rsqrt()
    forces = torch.cat((friction, support.unsqueeze(0)))
    torque = torch.linalg.cross(arms, forces, dim=0).sum(1)
    return forces.sum(1), (matrix * torque.unsqueeze(1)).sum(0)


def touching(position: Tensor, matrix: Tensor, hubs: Tensor, radius: float) -> Tensor:
    """Whether any sphere is on the ground, bool ``[n]``."""
    return (hub_heights(position, matrix, hubs) < radius).any(0)
