"""Safe actions for the systems whose sets are shipped and proved (`safety.sets`)."""

from __future__ import annotations

import torch

from robots.errors import TetherError
from safety.safeguards.action_set import CertifiedActions
from safety.safeguards.models import Pendulum, PlanarQuadrotor
from safety.sets import SafeSet, load

MODELS = {"pendulum": Pendulum, "planar_quadrotor": PlanarQuadrotor}  # by `SafeSet.system`


def certified_actions(safe_set: SafeSet | str, dtype: torch.dtype = torch.float32) -> CertifiedActions:
    """The one-step safe actions of a proved set, shipped (by name) or given.

    Raises:
        TetherError: for a name that is none, or a system without a model here.
    """
    stored = load(safe_set) if isinstance(safe_set, str) else safe_set
    if stored.system not in MODELS:
        raise TetherError(f"there is no model of {stored.system!r} to guard with; there are: {', '.join(sorted(MODELS))}")
    box = {"lower": stored.u_low, "upper": stored.u_high}
    centre = {"gain": stored.K, "centre_state": stored.x0, "centre_action": stored.u0}
    return CertifiedActions(MODELS[stored.system](stored.dt), stored.H, stored.h, disturbance=stored.w_max, **box, **centre, dtype=dtype)
