"""A safe set as it is stored: half-spaces, the feedback that keeps a state inside, and the disturbance it is kept inside under."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from robots.errors import TetherError, unknown
from safety.sets.polytope import Polytope
from safety.sets.systems import System, system

DATA = Path(__file__).parent / "data"
ROUNDINGS = 32  # of the longest chain to a slack: ≤ 16 in f, ≤ 12 in a row of H, sine and cosine within 4
GAMMA = ROUNDINGS * 2.0**-24 / (1.0 - ROUNDINGS * 2.0**-24)  # relative error of as many roundings to float32, together
RESERVE = 4.0  # margins of float32 that a certified facet has


@dataclass(frozen=True, eq=False)
class SafeSet:
    """X = {x : H x ≤ h}: from any x in X, f(x, c(x)) + w is in X for every |w| ≤ w_max, where c(x) = u0 + K (x − x0).

    `safety.sets.certificate` proves it for `system`, on the exact map. So at every x in X the safe inputs

        {u : H (f₀(x) + B(x) u) ≤ h − |H| w_max,  u_low ≤ u ≤ u_high}

    contain c(x), and a filter that chooses among them never has to fail.

    Attributes:
        system: name of the system.
        H, h: ``[m, n]``, ``[m]``.
        K, x0, u0: ``[k, n]``, ``[n]``, ``[k]``.
        u_low, u_high: the input box, ``[k]``.
        w_max: by state of one step ``[n]``; includes what the next two add (`System.disturbance_bound`).
        estimation_error: of the state that the set is asked about, ``[n]``; X stays this far inside the state box.
        action_delay_s: lag of the actuation, at most dt.
        dt: step, s.
        box_fraction: volume of X in that of the state box, by sampling.
    """

    system: str
    H: np.ndarray
    h: np.ndarray
    K: np.ndarray
    x0: np.ndarray
    u0: np.ndarray
    u_low: np.ndarray
    u_high: np.ndarray
    w_max: np.ndarray
    estimation_error: np.ndarray
    action_delay_s: float
    dt: float
    box_fraction: float

    @property
    def polytope(self) -> Polytope:
        """X."""
        return Polytope(self.H, self.h)

    @property
    def dynamics(self) -> System:
        """What `system` names."""
        return system(self.system)

    def centre(self, x: np.ndarray) -> np.ndarray:
        """c(x) of states ``[..., n]``, ``[..., k]``."""
        return self.u0 + (x - self.x0) @ self.K.T

    def float32_margin(self) -> np.ndarray:
        """m = γ (|H| (F + w_max) + |h|), ``[m]``: how far a slack h − H (f(x, u) + w) is from the exact one in float32, in the box.

        γ = N ε/(1 − N ε), ε = 2⁻²⁴, bounds N = `ROUNDINGS` roundings in a row of any term (Higham 2002, section 3.1), those of H, h and the
        constants of f to float32 included; F sums the absolute values of f's terms (`System.magnitude`). A filter in float32 takes m off
        every slack that it computes, and 2 m where the simulation is in float32 too: what it then sees as ≥ 0 is ≥ 0. `RESERVE` such
        margins are asked of a certified facet, so that c(x) is still seen as safe: one for the error of its slack, two for those taken
        off, and one for c(x) in float32, which moves f by less than f's own terms may err.
        """
        return GAMMA * (np.abs(self.H) @ (self.dynamics.magnitude() + self.w_max) + np.abs(self.h))

    def save(self, path: Path) -> None:
        """Write as JSON, a row of a matrix a line."""
        path.write_text("{\n" + ",\n".join(f" {json.dumps(key)}: {_text(value)}" for key, value in asdict(self).items()) + "\n}\n")


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.ndim == 2:
        return "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in value.tolist()) + "\n ]"
    return json.dumps(value.tolist() if isinstance(value, np.ndarray) else value)


def names() -> list[str]:
    """Sets that are shipped."""
    return sorted(path.stem for path in DATA.glob("*.json"))


def load(name_or_path: str | Path) -> SafeSet:
    """A shipped set by name, or any by the path of its file; shapes are checked, safety is not (`safety.sets.certificate`)."""
    path = Path(name_or_path)
    if path.suffix != ".json":
        if path.name not in names():
            raise unknown("safe set", str(name_or_path), names())
        path = DATA / f"{path.name}.json"
    try:
        stored = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise TetherError(f"{path}: not a safe set: {error}") from error
    expected = {field.name for field in fields(SafeSet)}
    if not isinstance(stored, dict) or set(stored) != expected:
        raise TetherError(f"{path}: a safe set has exactly the keys {', '.join(sorted(expected))}")
    values: dict[str, Any] = {key: np.array(value, float) if isinstance(value, list) else value for key, value in stored.items()}
    safe_set = SafeSet(**values)
    _refuse_shapes(safe_set, path)
    return safe_set


def _refuse_shapes(s: SafeSet, path: Path) -> None:
    n, k, m = len(s.dynamics.states), len(s.dynamics.inputs), len(s.h)
    shapes = {
        "H": (m, n),
        "h": (m,),
        "K": (k, n),
        "x0": (n,),
        "u0": (k,),
        "u_low": (k,),
        "u_high": (k,),
        "w_max": (n,),
        "estimation_error": (n,),
    }
    for name, shape in shapes.items():
        value = getattr(s, name)
        if np.shape(value) != shape or not np.isfinite(value).all():
            raise TetherError(f"{path}: {name} must be finite, of shape {shape}; it has shape {np.shape(value)}")
