"""Deflection: an unsafe action is projected on the face it violates most, a few times over, and what is left is pulled back to the centre.

    v ← v − (A_i v − s_i)₊ / ‖A_i‖² A_iᵀ,  i the face farthest violated

Where one face is violated this is the nearest safe action; where several are, a safe action near it. What is along a face stays: a vehicle
slides along a wall where a ray mask would stop it. Any number of actions and faces, in closed form, so it exports.
"""

from __future__ import annotations

from torch import Tensor

from safety.safeguards.surroundings import step_to_worst
from safety.safeguards.within import PolytopeSafeguard, Room, pull_back

PROJECTIONS = 6
INWARD = 1e-10  # of a face: on it, rounding would count as going farther, and a pull-back from no slack at all ends in the centre


class Deflection(PolytopeSafeguard):
    """Inequality, model, bound and guarantee: those of ``actions``, for every action; the pull-back mends what the projections leave.

    The gradient is that of the projections; zero across the faces that were violated, the identity along them.
    """

    identity_inside = True

    def choose(self, room: Room, offset: Tensor) -> Tensor:
        """Projected in turn, then shortened."""
        normals, slack = room.with_box()
        for _ in range(PROJECTIONS):
            offset = offset - step_to_worst(normals, slack, offset, INWARD)
        return pull_back(normals, slack, offset)
