"""The systems that safe sets are made for, as exact one-step maps x⁺ = f₀(x) + B(x) u + w.

Each is mechanical, x = (q, v), and integrated by semi-implicit Euler: velocities first, positions with the *new* velocities,

    v⁺ = v + dt (a₀(x) + b(x) u + ω),   |ω| ≤ ω̄,       q⁺ = q + dt v⁺.

The sets are proved for this map and no other: an acceleration disturbance ω moves v⁺ by dt ω and q⁺ by dt² ω, and one step of another
integrator is another map. The state is never clamped or wrapped. Dynamics: Walter et al., arXiv 2506.01665.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from robots.errors import unknown

GRAVITY = 9.81  # m/s²


class Enclosure(NamedTuple):
    """An affine map around a non-linear one, valid on a cell: |value − (A x + B u + c)| ≤ r by row, for every input in its box.

    Attributes:
        A, B, c: ``[q, n]``, ``[q, k]``, ``[q]``.
        r: remainder, ``[q]``.
    """

    A: np.ndarray
    B: np.ndarray
    c: np.ndarray
    r: np.ndarray


@dataclass(frozen=True)
class System(abc.ABC):
    """One system.

    Attributes:
        name: registry name.
        states, inputs: their names with units; positions before velocities.
        state_high: the box |x| ≤ state_high ``[n]``, which no safe set leaves; input boxes are −1…1.
        disturbance: ω̄, on accelerations ``[n/2]``.
        curved: index of the one state in which f is not affine.
        dt: step, s.
    """

    name: str
    states: tuple[str, ...]
    inputs: tuple[str, ...]
    state_high: tuple[float, ...]
    disturbance: tuple[float, ...]
    curved: int
    dt: float = 0.05

    @abc.abstractmethod
    def drift(self, x: np.ndarray) -> np.ndarray:
        """a₀(x) of states ``[..., n]``, ``[..., n/2]``."""

    @abc.abstractmethod
    def gain(self, x: np.ndarray) -> np.ndarray:
        """b(x) of states ``[..., n]``, ``[..., n/2, k]``."""

    @abc.abstractmethod
    def enclosure(self, low: float, high: float) -> Enclosure:
        """Of the acceleration, where the curved state is in low…high and the input in its box; other states are anything."""

    @abc.abstractmethod
    def slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest ∂(a₀ + b u)/∂x over state and input box, by entry, ``[n/2, n]`` each."""

    @abc.abstractmethod
    def terms(self) -> np.ndarray:
        """Sum of the absolute values of all terms of each acceleration, over state and input box, ``[n/2]``."""

    @property
    def box(self) -> np.ndarray:
        """``state_high`` as an array."""
        return np.array(self.state_high)

    @property
    def position(self) -> np.ndarray:
        """T of x⁺ = (q + dt v, v) + T (a₀ + b u + ω): dt² on positions, dt on velocities, ``[n, n/2]``."""
        identity = np.eye(len(self.disturbance))
        return np.vstack((self.dt**2 * identity, self.dt * identity))

    @property
    def coast(self) -> np.ndarray:
        """(q + dt v, v) as a matrix, ``[n, n]``."""
        half = len(self.disturbance)
        return np.eye(2 * half) + self.dt * np.eye(2 * half, k=half)

    def affine(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """f₀ ``[..., n]`` and B ``[..., n, k]`` at states ``[..., n]``."""
        return x @ self.coast.T + self.drift(x) @ self.position.T, self.position @ self.gain(x)

    def step(self, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """x⁺ without disturbance, from ``[..., n]`` and ``[..., k]``."""
        drift, gain = self.affine(x)
        return drift + (gain @ u[..., None])[..., 0]

    def disturbance_bound(self, estimation_error: np.ndarray, action_delay_s: float) -> np.ndarray:
        """W, by state of one step: |w| ≤ W ``[n]`` for what an observer sees and a late actuator does.

            W = T ω̄ + (L + I) e + (δ/dt) T |b|max (u_high − u_low),    L = sup |∂f/∂x| by entry.

        e: the safeguard knows x̂, |x̂ − x| ≤ e. Its next estimate is x̂⁺ = f(x, u) + w + e⁺, and |f(x, u) − f(x̂, u)| ≤ L e, so that a set
        invariant under W keeps x̂, and, if it stays e inside the state box, x inside the box. δ: each action takes effect δ ≤ dt late and
        the previous one acts until then, so that the mean input of a step differs from u by at most δ/dt of the input's range. A longer
        delay is a matter of predicting the state: its error goes into e.
        """
        low, high = self.slopes()
        velocities = np.eye(len(self.box))[len(self.disturbance) :]
        velocity = np.maximum(np.abs(velocities + self.dt * low), np.abs(velocities + self.dt * high))
        step = np.vstack((np.eye(len(self.box))[: len(self.disturbance)] + self.dt * velocity, velocity))
        late = action_delay_s / self.dt * self._largest_gain() @ np.full(len(self.inputs), 2.0)
        return self.position @ (np.array(self.disturbance) + late) + (step + np.eye(len(step))) @ estimation_error

    def magnitude(self) -> np.ndarray:
        """F: sum of the absolute values of all terms of each row of f, over both boxes ``[n]``; rounding errors scale with it."""
        return self.coast @ self.box + self.position @ (self.terms() + np.array(self.disturbance))

    def _largest_gain(self) -> np.ndarray:
        """sup |b| by entry, ``[n/2, k]``: b is affine in sin and cos of the curved state, largest at 0 or at the end."""
        states = np.zeros((2, len(self.box)))
        states[1, self.curved] = self.state_high[self.curved]
        return np.abs(self.gain(states)).max(0)


class Pendulum(System):
    """θ̈ = 1.5 g sin θ + 90 a + ω; θ from upright, rad; a torque −1…1."""

    def drift(self, x: np.ndarray) -> np.ndarray:
        return 1.5 * GRAVITY * np.sin(x[..., :1])

    def gain(self, x: np.ndarray) -> np.ndarray:
        return np.full((*x.shape[:-1], 1, 1), 90.0)

    def enclosure(self, low: float, high: float) -> Enclosure:
        """sin θ = sin m + cos m (θ − m) ± ρ²/2 within ρ of m (Taylor, |sin″| ≤ 1)."""
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
        sine, cosine = math.sin(middle), math.cos(middle)
        slope = 1.5 * GRAVITY * np.array([[cosine, 0.0]])
        return Enclosure(
            slope, np.array([[90.0]]), 1.5 * GRAVITY * np.array([sine - middle * cosine]), 0.75 * GRAVITY * np.array([half**2])
        )

    def slopes(self) -> tuple[np.ndarray, np.ndarray]:
        steepest = np.array([[1.5 * GRAVITY, 0.0]])
        return -steepest, steepest

    def terms(self) -> np.ndarray:
        return np.array([1.5 * GRAVITY + 90.0])


THRUST = 6.0 / 7.0  # m/s² by a₁ about hover
TILT = math.pi / 12.0  # rad of tilt command by a₂, and the box of φ


class PlanarQuadrotor(System):
    """ẍ = T sin φ + ω₁, z̈ = T cos φ − g + ω₂, φ̈ = 55 u − 70 φ − 17 φ̇, with T = g + 6/7 a₁ (m/s²) and u = π/12 a₂ (rad)."""

    def drift(self, x: np.ndarray) -> np.ndarray:
        tilt, rate = x[..., 2], x[..., 5]
        return np.stack((GRAVITY * np.sin(tilt), GRAVITY * np.cos(tilt) - GRAVITY, -70.0 * tilt - 17.0 * rate), -1)

    def gain(self, x: np.ndarray) -> np.ndarray:
        gain = np.zeros((*x.shape[:-1], 3, 2))
        gain[..., 0, 0], gain[..., 1, 0], gain[..., 2, 1] = THRUST * np.sin(x[..., 2]), THRUST * np.cos(x[..., 2]), 55.0 * TILT
        return gain

    def enclosure(self, low: float, high: float) -> Enclosure:
        """Sine and cosine to first order ± ρ²/2 within ρ of m where g multiplies them (Taylor), to order zero where a₁ does (mean value):

        |sin φ − sin m| ≤ ρ, |cos φ − cos m| ≤ ρ (|m| + ρ), |a₁| ≤ 1.
        """
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
        sine, cosine = math.sin(middle), math.cos(middle)
        A, B = np.zeros((3, 6)), np.zeros((3, 2))
        A[0, 2], A[1, 2], A[2, 2], A[2, 5] = GRAVITY * cosine, -GRAVITY * sine, -70.0, -17.0
        B[0, 0], B[1, 0], B[2, 1] = THRUST * sine, THRUST * cosine, 55.0 * TILT
        c = GRAVITY * np.array([sine - middle * cosine, cosine + middle * sine - 1.0, 0.0])
        second = 0.5 * GRAVITY * half**2
        return Enclosure(A, B, c, np.array([second + THRUST * half, second + THRUST * half * min(abs(middle) + half, 1.0), 0.0]))

    def slopes(self) -> tuple[np.ndarray, np.ndarray]:
        thrust, low, high = GRAVITY + THRUST, np.zeros((3, 6)), np.zeros((3, 6))
        low[0, 2], high[0, 2] = 0.0, thrust
        low[1, 2], high[1, 2] = -thrust * math.sin(TILT), thrust * math.sin(TILT)
        for bound in (low, high):
            bound[2, 2], bound[2, 5] = -70.0, -17.0
        return low, high

    def terms(self) -> np.ndarray:
        thrust = GRAVITY + THRUST
        return np.array([thrust, thrust + GRAVITY, 55.0 * TILT + 70.0 * self.state_high[2] + 17.0 * self.state_high[5]])


SYSTEMS: dict[str, System] = {
    "pendulum": Pendulum("pendulum", ("θ rad", "θ̇ rad/s"), ("a",), (math.pi, 8.0), (0.1,), 0),
    "planar_quadrotor": PlanarQuadrotor(
        "planar_quadrotor",
        ("x m", "z m", "φ rad", "ẋ m/s", "ż m/s", "φ̇ rad/s"),
        ("a₁", "a₂"),
        (8.0, 8.0, TILT, 0.8, 1.0, math.pi / 2.0),
        (0.1, 0.1, 0.0),
        2,
    ),
}


def system(name: str) -> System:
    """The system called ``name``; raises `TetherError` naming all."""
    if name not in SYSTEMS:
        raise unknown("system", name, list(SYSTEMS))
    return SYSTEMS[name]
