"""Makes a safe set: a linear feedback, and the largest polytope that the closed loop cannot leave. A proposal; the certificate judges it.

    fit       accelerations over box and inputs by an affine map, minimax, from samples: a₀ + b u = A x + B u + c ± r
    feedback  u = u0 + K x, with u0 such that A 0 + B u0 + c = 0
    set       X₀ = {state box} ∩ {u_low ≤ u0 + K x ≤ u_high};  Xᵢ₊₁ = Xᵢ ∩ {x : (A + B K) x + d ∈ Xᵢ for all d}

with d in T r, w_max, and what float32 needs (Kolmanovsky and Gilbert 1998). Facets are h = 1. The limit has hundreds of facets, most of
which shave an edge; each new one is cut deeper by a fraction `Design.depth`, after which those that would follow it are redundant. That
costs volume and nothing else: the loop ends when the set maps into itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from robots.errors import TetherError
from safety.sets.polytope import Polytope
from safety.sets.safe_set import GAMMA, RESERVE, SafeSet
from safety.sets.systems import System, system
from safety.sets.zonotope import Zonotope

MAX_FACES = 64
SPARE = 1e-5  # of every facet's distance, for rounding of h and of what is stored
SAMPLES = 1_000_000


@dataclass(frozen=True)
class Design:
    """What of a set is chosen, not computed; found by `search`.

    Attributes:
        gain: K, with states and inputs in units of their boxes, ``[k][n]``.
        depth: how much deeper than needed a new facet is cut, by state ``[n]``; the least of the states that it is about.
    """

    gain: tuple[tuple[float, ...], ...]
    depth: tuple[float, ...]


DESIGNS = {
    "pendulum": Design(((-0.556, -0.556),), (1e-3, 1e-3)),
    "planar_quadrotor": Design(
        ((0.0, -0.5, 0.0, 0.0, -0.85, 0.0), (-0.2266, 0.0, -0.394, -0.852, 0.0, -0.0352)),
        (2.3e-4, 1.5e-3, 2.3e-4, 2.3e-4, 1.5e-3, 2.3e-4),
    ),
}


def synthesise(
    name: str, *, design: Design | None = None, estimation_error: np.ndarray | None = None, action_delay_s: float = 0.0
) -> SafeSet:
    """The set of one system; raises `TetherError` where the design leaves none, or one of more than `MAX_FACES` facets."""
    plant = system(name)
    design = design or DESIGNS[name]
    error = np.zeros(len(plant.box)) if estimation_error is None else np.asarray(estimation_error, float)
    w_max = plant.disturbance_bound(error, action_delay_s)
    A, B, c, r = fit(plant)
    u0, K = -np.linalg.lstsq(B, c, rcond=None)[0], np.array(design.gain) / plant.box
    closed_loop = plant.coast + plant.position @ (A + B @ K)
    disturbance = Zonotope(np.zeros(len(error)), plant.position * r).plus(
        Zonotope.box(w_max + RESERVE * GAMMA * (plant.magnitude() + w_max))
    )
    found = invariant(closed_loop, _start(plant.box - error, K, u0), disturbance, np.array(design.depth))
    if found is None:
        raise TetherError(f"{name}: this design leaves no invariant set of at most {MAX_FACES} facets")
    H = _rounded(found.H)
    one = np.ones(len(u0))
    fraction = box_fraction(Polytope(H, found.h), plant.box)
    return SafeSet(
        *(name, H, found.h, _rounded(K), np.zeros(len(error)), _rounded(u0), -one, one, w_max, error, action_delay_s, plant.dt, fraction)
    )


def _start(box: np.ndarray, K: np.ndarray, u0: np.ndarray) -> Polytope:
    """X₀, with h = 1."""
    identity = np.diag(1.0 / box)
    rows = np.vstack((identity, -identity, K / (1.0 - u0)[:, None], -K / (1.0 + u0)[:, None]))
    return Polytope(rows / (1.0 - SPARE), np.ones(len(rows))).irredundant()


def invariant(closed_loop: np.ndarray, start: Polytope, disturbance: Zonotope, depth: np.ndarray) -> Polytope | None:
    """The largest subset of ``start`` that x⁺ = closed_loop x + d keeps, less what ``depth`` cuts away; None: empty, or too many facets."""
    found, new = start, start.H
    while len(new):
        if len(found.h) > 4 * MAX_FACES:
            return None
        added = []
        for row, reach in zip(new @ closed_loop, 1.0 - SPARE - disturbance.support(new)):
            if reach <= 0.0:
                return None
            if not found.implies(row / reach, 1.0 + 1e-7):
                added.append(row / (reach * (1.0 - depth[row != 0.0].min())))
                found = found.intersection(Polytope(added[-1][None], np.ones(1)))
        new = np.array(added)
    found = found.irredundant()
    return found if len(found.h) <= MAX_FACES else None


def fit(plant: System) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A, B, c, r with |a₀(x) + b(x) u − (A x + B u + c)| ≤ r at samples, r as small as can be, by row; a linear program each."""
    x, u = _samples(plant)
    drift, gain = plant.drift(x), plant.gain(x)
    values = drift + (gain @ u[..., None])[..., 0]
    regressors = np.column_stack((x, u, np.ones(len(x))))
    error = np.ones((len(x), 1))
    H = np.vstack((np.column_stack((regressors, -error)), np.column_stack((-regressors, -error))))
    direction = -np.eye(H.shape[1])[-1]
    rows = [Polytope(H, np.concatenate((column, -column))).maximise(direction).point for column in values.T]
    fitted = np.where(np.abs(rows) < 1e-9, 0.0, rows)
    n, k = x.shape[1], u.shape[1]
    return fitted[:, :n], fitted[:, n : n + k], fitted[:, -2], fitted[:, -1]


def _samples(plant: System) -> tuple[np.ndarray, np.ndarray]:
    """The curved state over its range, every other state at either end of its own, inputs at their corners."""
    curve = np.linspace(-1.0, 1.0, 41)
    others = [np.zeros(len(plant.box))] + [sign * unit for unit in np.eye(len(plant.box)) for sign in (1.0, -1.0)]
    corners = np.array(np.meshgrid(*[(-1.0, 1.0)] * len(plant.inputs))).reshape(len(plant.inputs), -1).T
    x = np.array([np.where(np.arange(len(plant.box)) == plant.curved, at, other) for at in curve for other in others])
    return np.repeat(x * plant.box, len(corners), axis=0), np.tile(corners, (len(x), 1))


def box_fraction(polytope: Polytope, box: np.ndarray) -> float:
    """Volume over that of the box, from uniform samples; its standard deviation is at most 0.0005."""
    generator = np.random.default_rng(0)
    inside = [polytope.contains(generator.uniform(-box, box, (SAMPLES // 10, len(box)))).mean() for _ in range(10)]
    return float(np.mean(inside))


def search(name: str, trials: int, seed: int = 0) -> Design:
    """The shipped design, improved by ``trials`` random changes of gain and depth, each kept when the set is larger."""
    generator = np.random.default_rng(seed)
    best, best_fraction = DESIGNS[name], synthesise(name).box_fraction
    for _ in range(trials):
        gain = np.array(best.gain)
        gain = gain * np.exp(0.15 * generator.normal(size=gain.shape) * (generator.random(gain.shape) < 0.5))
        tried = replace(
            best, gain=tuple(map(tuple, gain.tolist())), depth=tuple((np.array(best.depth) * np.exp(0.3 * generator.normal())).tolist())
        )
        try:
            fraction = synthesise(name, design=tried).box_fraction
        except TetherError:
            continue
        if fraction > best_fraction:
            best, best_fraction = tried, fraction
    return best


def _rounded(values: np.ndarray) -> np.ndarray:
    """To nine digits, for files that do not depend on the last bits of a solver."""
    return np.array([float(f"{value:.9g}") for value in values.ravel()]).reshape(values.shape) + 0.0
