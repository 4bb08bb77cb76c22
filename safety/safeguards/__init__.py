"""Differentiable safeguards with a stated guarantee, exported inside a policy's graph. torch only."""

from safety.safeguards.action_set import ActionSet, CertifiedActions, SafeActions
from safety.safeguards.cbf import Barrier, HalfSpaceProjection, OutsideBall
from safety.safeguards.deflection import Deflection
from safety.safeguards.half_spaces import OuterLoop
from safety.safeguards.joints import JointLimits
from safety.safeguards.models import ControlAffine, Pendulum, PlanarQuadrotor, SecondOrder
from safety.safeguards.projection import Projection
from safety.safeguards.ray_mask import RayMask
from safety.safeguards.safeguard import Guarded, Safeguard, regularisation
from safety.safeguards.scaled import Scaled
from safety.safeguards.surroundings import SensedOuterLoop

__all__ = [
    "ActionSet",
    "Barrier",
    "CertifiedActions",
    "ControlAffine",
    "Deflection",
    "Guarded",
    "HalfSpaceProjection",
    "JointLimits",
    "OuterLoop",
    "OutsideBall",
    "Pendulum",
    "PlanarQuadrotor",
    "Projection",
    "RayMask",
    "SafeActions",
    "Safeguard",
    "Scaled",
    "SecondOrder",
    "SensedOuterLoop",
    "regularisation",
]
