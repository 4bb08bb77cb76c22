"""Sets that are invariant by a proof of three lines, and every safeguard over them.

Double integrator p⁺ = p + dt v⁺, v⁺ = v + dt (u + w) under u = K x, K = −(k_p, k_d) with real, distinct eigenvalues λ_i of the closed loop
A + B K and its left eigenvectors T_i: T (A + B K) = Λ T. In z = T x the loop is z⁺ = Λ z + T w, so

    |z_i| ≤ r_i  ⇒  |z_i⁺| ≤ |λ_i| r_i + |T_i| w_max,   which is ≤ r_i iff  r_i ≥ |T_i| w_max / (1 − |λ_i|).

Hence X = {x : |T x| ≤ r} is robustly invariant under u = K x. That u stays in |u| ≤ 1 is checked where it is largest, in a corner of X:
Σ_i |K T⁻¹|_i r_i ≤ 1. With r a multiple of the bound the certificate has slack: r_i − |λ_i| r_i − |T_i| w_max > 0.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from safety.safeguards import (
    ActionSet,
    Barrier,
    CertifiedActions,
    Deflection,
    HalfSpaceProjection,
    JointLimits,
    OuterLoop,
    OutsideBall,
    Projection,
    RayMask,
    Safeguard,
    Scaled,
    SecondOrder,
    SensedOuterLoop,
)
from safety.safeguards.action_set import SafeActions
from training.onnx_graph import graph_of

DT, PUSH = 0.05, 0.1
GAIN = (0.12, 1.1)  # k_p, k_d
SEEKER_DT, SEEKER_PUSH, RADIUS = 0.1, 0.05, 1.0


class DoubleIntegrators(SecondOrder):
    """``axes`` double integrators side by side, x = (positions, velocities)."""

    roundings = 0

    def __init__(self, axes: int = 1) -> None:
        accelerations = torch.zeros(axes, 1 + axes, 1 + 2 * axes)
        accelerations[:, 1:, 0] = torch.eye(axes)
        super().__init__(DT, accelerations)

    def curved(self, state: Tensor) -> tuple[Tensor, ...]:
        return ()


def certified(axes: int = 1, *, grow: float = 1.5, dtype: torch.dtype = torch.float64) -> CertifiedActions:
    """The set above for each axis, ``grow`` times the smallest; an axis more for each action."""
    k_p, k_d = GAIN
    closed = np.array([[1.0 - DT**2 * k_p, DT - DT**2 * k_d], [-DT * k_p, 1.0 - DT * k_d]])
    values, vectors = np.linalg.eig(closed.T)
    assert np.isreal(values).all()
    assert (np.abs(values) < 1.0).all()
    rows = vectors.T
    noise = np.array([DT**2 * PUSH, DT * PUSH])
    radius = grow * (np.abs(rows) @ noise) / (1.0 - np.abs(values))
    gain = -np.array([[k_p, k_d]])
    assert (np.abs(gain @ np.linalg.inv(rows)) @ radius <= 1.0).all(), "u = K x leaves the input box"
    faces = np.kron(np.vstack([rows, -rows]), np.eye(axes))  # (p, v) of one axis to (p₁ … , v₁ …) of all
    offsets = np.repeat(np.concatenate([radius, radius]), axes)
    return CertifiedActions(
        DoubleIntegrators(axes),
        faces,
        offsets,
        disturbance=np.repeat(noise, axes),
        lower=-np.ones(axes),
        upper=np.ones(axes),
        gain=np.kron(gain, np.eye(axes)),
        dtype=dtype,
    )


def states_in(actions: CertifiedActions, n: int, seed: int = 0) -> Tensor:
    """States of `certified`, a third of them on its boundary and in its corners ``[n, dim]``."""
    half = len(actions.faces) // 2  # the rows T / r
    z = 2.0 * torch.rand(n, half, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1.0
    z[: n // 3] = (1.5 * z[: n // 3]).clamp(-1.0, 1.0)
    return torch.linalg.solve(actions.faces[:half].double(), z.mT).mT.contiguous()


def seeker(dtype: torch.dtype = torch.float64) -> OutsideBall:
    """The seeker's ball at (0.3, −0.2)."""
    limits = {"disturbance": [SEEKER_PUSH] * 2, "lower": [-1.0, -1.0], "upper": [1.0, 1.0]}
    return OutsideBall([0.3, -0.2], RADIUS, dt=SEEKER_DT, **limits, dtype=dtype)


def joints(command: str = "velocity", dtype: torch.dtype = torch.float64) -> JointLimits:
    """Three unlike joints at 50 Hz."""
    return JointLimits([-1.0, -2.5, 0.1], [1.2, 3.0, 0.4], [3.0, 20.0, 1.0], [15.0, 30.0, 9.0], 0.02, command=command, dtype=dtype)  # type: ignore[arg-type]


def outer_loop(dtype: torch.dtype = torch.float64) -> OuterLoop:
    """A room of 4 × 4 × 3 m with two balls in it."""
    faces, offsets = np.vstack([np.eye(3), -np.eye(3)]), [2.0, 2.0, 3.0, 2.0, 2.0, 0.0]
    balls = {"obstacles": [[1.0, 0.0, 1.5], [-1.0, 0.5, 1.0]], "radii": [0.4, 0.6]}
    return OuterLoop(faces, offsets, **balls, speed=[2.0, 2.0, 1.0], alpha=4.0, tube=0.1, dtype=dtype)


def sensed_outer_loop(dtype: torch.dtype = torch.float64) -> SensedOuterLoop:
    """The same room with whatever two obstacles are sensed."""
    faces, offsets = np.vstack([np.eye(3), -np.eye(3)]), [2.0, 2.0, 3.0, 2.0, 2.0, 0.0]
    return SensedOuterLoop(faces, offsets, 2, speed=[2.0, 2.0, 1.0], alpha=2.0, lag_s=0.4, tube=0.1, dtype=dtype)


class Fixed(ActionSet):
    """The same polytope in every state, around a given centre."""

    def __init__(self, normals: Tensor, bounds: Tensor, centre: Tensor, box: float = 1.0) -> None:
        k = normals.shape[2]
        super().__init__([-box] * k, [box] * k, normals.dtype)
        self.normals, self.bounds, self.centre = normals, bounds, centre

    def forward(self, state: Tensor) -> SafeActions:
        normals, bounds, centre = (tensor.to(state.dtype) for tensor in (self.normals, self.bounds, self.centre))
        return SafeActions(normals, bounds, torch.zeros_like(bounds), centre, torch.ones_like(bounds[:, :1]))


def random_polytopes(n: int, m: int, k: int, seed: int = 0) -> Fixed:
    """Unit rows with the centre strictly inside."""
    generator = torch.Generator().manual_seed(seed)
    normals = nn.functional.normalize(torch.randn(n, m, k, generator=generator, dtype=torch.float64), dim=2)
    centre = 0.5 * torch.rand(n, k, generator=generator, dtype=torch.float64) - 0.25
    slack = 0.05 + 0.6 * torch.rand(n, m, generator=generator, dtype=torch.float64)
    return Fixed(normals, (normals * centre.unsqueeze(1)).sum(2) + slack, centre)


def disc_terms(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of h = 1 − ‖x‖² for ẋ = x/2 + u + w, |w_i| ≤ 0.1."""
    square = x.square().sum(1, keepdim=True)
    return 1.0 - square, -square, -2.0 * x, 0.2 * x.abs().sum(1, keepdim=True)


def barrier(dtype: torch.dtype = torch.float64) -> Barrier:
    """Keep in the unit disc."""
    return Barrier(disc_terms, 2.0, [-1.5, -1.5], [1.5, 1.5], dtype=dtype)


def every_safeguard(dtype: torch.dtype = torch.float64) -> dict[str, tuple[Safeguard, int, int]]:
    """(safeguard, dim, k) by name."""
    one, two = certified(1, dtype=dtype), certified(2, dtype=dtype)
    return {
        "ray": (RayMask(two), 4, 2),
        "ray, hyperbolic": (RayMask(two, "hyperbolic"), 4, 2),
        "ray, pass-through": (RayMask(two, gradient="pass_through"), 4, 2),
        "projection, k = 1": (Projection(one), 2, 1),
        "projection, k = 2": (Projection(two), 4, 2),
        "seeker, projection": (HalfSpaceProjection(seeker(dtype)), 2, 2),
        "seeker, ray": (RayMask(seeker(dtype)), 2, 2),
        "barrier": (HalfSpaceProjection(barrier(dtype)), 2, 2),
        "outer loop": (RayMask(outer_loop(dtype)), 3, 3),
        "sensed, ray": (RayMask(sensed_outer_loop(dtype)), 14, 3),
        "sensed, deflection": (Deflection(sensed_outer_loop(dtype)), 14, 3),
        "joint velocities": (joints("velocity", dtype), 6, 3),
        "joint positions": (joints("position", dtype), 6, 3),
        "joint positions, scaled": (Scaled(joints("position", dtype), [0.1, 0.0, -0.1], [0.5, 0.7, 1.0], dtype), 6, 3),
    }


def in_onnx(safeguard: Safeguard, dim: int, k: int) -> onnxruntime.InferenceSession:
    """The safeguard as a graph of its own, loaded."""
    model = graph_of(safeguard, {"state": dim, "action": k}, ["safe", "safe_distance", "feasible", "intervention"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
