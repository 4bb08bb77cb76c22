"""Geometric attitude control of a quadrotor by collective thrust and body rates (Lee, Leok & McClamroch 2010).

    f   = m a · R ẑ                                   collective thrust (eq. 15), a the wanted thrust per mass
    e_R = ẑ × Rᵀ a / ‖a‖                              attitude error
    ω   = k_R e_R                                     commanded body rates; none about z

e_R is Lee's ½ (R_dᵀ R − Rᵀ R_d)^∨ up to sign, for the R_d nearest to R that points the thrust along a: no heading is asked for, so the
heading is left alone. The body-rate loop of the robot takes the place of Lee's moment law.
"""

from __future__ import annotations

import torch
from torch import Tensor

from robots.description import GRAVITY
from tasks.vectors import length


def upright(acceleration: Tensor, up: Tensor, least_lift_m_s2: float) -> Tensor:
    """Thrust per mass that gives ``acceleration`` against gravity, its vertical part at least ``least_lift_m_s2``, so that rotors point up.

    Args:
        acceleration, up: wanted, and the world's vertical, both in the body frame ``[batch, 3]``.
        least_lift_m_s2: see above.
    """
    wanted = acceleration + GRAVITY * up
    lift = (wanted * up).sum(1, keepdim=True)
    return wanted + (least_lift_m_s2 - lift).clamp(min=0.0) * up


def steer(wanted: Tensor, mass_kg: float, attitude_gain_1_s: float) -> tuple[Tensor, Tensor]:
    """Thrust [N] ``[batch, 1]`` and body rates [rad/s] ``[batch, 3]`` for a thrust per mass in the body frame ``[batch, 3]``."""
    direction = wanted / length(wanted).unsqueeze(1)
    rates = attitude_gain_1_s * torch.cat([-direction[:, 1:2], direction[:, :1], direction[:, :1] * 0], dim=1)
    return mass_kg * wanted[:, 2:], rates
