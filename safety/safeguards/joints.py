"""Joint limits that are kept by braking in time: the interval of next velocities from which every joint can still stop.

    q⁺ = q + dt v⁺,  |v⁺ − v| ≤ e = dt a_max,  |v⁺| ≤ v_max,  q_min ≤ q⁺ ≤ q_max

Braking from v⁺ as hard as allowed covers, with this step, F(v⁺) = max_N dt ((N + 1) v⁺ − e N (N + 1)/2): N = ⌊v⁺/e⌋ further steps. It is
convex, rising and piecewise linear, so the fastest velocity that still stops within D has a closed form,

    V(D) = min_N (D/dt + e N (N + 1)/2)/(N + 1),  reached at N = ⌊(√(1 + 8 D/(dt e)) − 1)/2⌋.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from robots.errors import TetherError, unknown
from safety.safeguards.safeguard import Guarded, Safeguard, usable

COMMANDS = ("velocity", "position")


class Interval(NamedTuple):
    """Safe next velocities ``[n, joints]``, and what the actuators can do at all."""

    lower: Tensor
    upper: Tensor
    slowest: Tensor
    fastest: Tensor


class JointLimits(Safeguard):
    """Inequality: −V(q − q_min) ≤ v⁺ ≤ V(q_max − q), |v⁺| ≤ v_max, |v⁺ − v| ≤ e, per joint.

    Model: as in the module's docstring: set-points are followed exactly, joints are independent, nothing is touched. Where the
    measured joint is within ``tube`` of its set-point, as measured in free motion, limits are tightened by that much.

    Guarantee: from a viable state (interval not empty) all limits hold for ever, whatever is asked; the interval is the largest with
    that property, for a velocity outside it leaves no way to stop. No guarantee under contact. From elsewhere it brakes as hard as allowed.

    State is (q, v) ``[n, 2 joints]``, v = (q − q before)/dt; the action is v⁺ or, for ``position``, q⁺. ``distance`` is the least way of
    v⁺ to an end of its interval, over v_max. The gradient is 1 inside the interval and on its ends, and that of the end outside.

    Rounding: it computes in float64, from limits and for an action in the module's precision, ε. D loses 2 ε (|q| + |limit|), V the factor
    1 − 2 ε, and braking is planned with e less 4 ε (v_max + |q|_max/dt), which is more than what reading q anew and rounding the action can
    cost the next step. So limits of q hold in exact arithmetic for float32 actions, those of v⁺ and v⁺ − v to the action's last digit.

    Args:
        lower, upper: q_min, q_max [rad] ``[joints]``.
        velocity: v_max [rad/s].
        acceleration: a_max [rad/s²].
        dt: control period [s].
        command: what the action is, ``velocity`` [rad/s] or ``position`` [rad].
        tube: largest distance of a joint from its set-point [rad].
    """

    def __init__(
        self,
        lower: Any,
        upper: Any,
        velocity: Any,
        acceleration: Any,
        dt: float,
        *,
        command: Literal["velocity", "position"] = "velocity",
        tube: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if command not in COMMANDS:
            raise unknown("command of joints", command, COMMANDS)
        low, high = (torch.as_tensor(values, dtype=torch.float64) for values in (lower, upper))
        fast, step = (torch.as_tensor(values, dtype=torch.float64).expand(low.shape) for values in (velocity, acceleration))
        low, high, step = low + tube, high - tube, step * dt
        planned = step - 4.0 * torch.finfo(dtype).eps * (fast + torch.maximum(low.abs(), high.abs()) / dt)
        needs = {"upper > lower + 2 tube": high > low, "velocity > 0": fast > 0.0, "acceleration · dt > rounding": planned > 0.0}
        for name, good in needs.items():
            if not bool(good.all()):
                raise TetherError(f"joint {int((~good).nonzero()[0])} needs {name}")
        self.command, self.dt = command, dt
        self.low: Tensor
        self.high: Tensor
        self.fast: Tensor
        self.step: Tensor
        self.planned: Tensor
        for name, tensor in {"low": low, "high": high, "fast": fast, "step": step, "planned": planned}.items():
            self.register_buffer(name, tensor.to(dtype))

    def interval(self, position: Tensor, velocity: Tensor) -> Interval:
        """Safe next velocities ``[n, joints]``."""
        eps = 2.0 * torch.finfo(self.low.dtype).eps
        above = self.high - position - eps * (self.high.abs() + position.abs())
        below = position - self.low - eps * (self.low.abs() + position.abs())
        top, bottom = torch.minimum(self.stoppable(above), self.fast), -torch.minimum(self.stoppable(below), self.fast)
        return Interval(bottom, top, velocity - self.step, velocity + self.step)

    def stoppable(self, way: Tensor) -> Tensor:
        """V(D) [rad/s]: D/dt for D < 0; the neighbours of N are tried too, so that rounding N does no harm."""
        steps = ((1.0 + 8.0 * way.clamp(min=0.0) / (self.dt * self.planned)).sqrt() * 0.5 - 0.5).floor().detach()
        fastest = [self._within(way, (steps + more).clamp(min=0.0)) for more in (-1.0, 0.0, 1.0)]
        found = torch.minimum(torch.minimum(fastest[0], fastest[1]), fastest[2])
        return found - 2.0 * torch.finfo(self.low.dtype).eps * found.abs()

    def forward(self, state: Tensor, action: Tensor) -> Guarded:
        """See `Safeguard`."""
        state, known = usable(state)
        action, asked = usable(action)
        position, velocity = state.double().chunk(2, 1)
        safe = self.interval(position, velocity)
        wanted = action.double() if self.command == "velocity" else (action - position) / self.dt
        chosen = torch.clamp(torch.clamp(wanted, safe.lower, safe.upper), safe.slowest, safe.fastest)  # what can be done comes last
        spare = torch.minimum(safe.upper - chosen, chosen - safe.lower)
        tolerance = self.step - self.planned
        feasible = (spare >= -tolerance).to(action.dtype).amin(1, keepdim=True)
        sent = (chosen if self.command == "velocity" else position + self.dt * chosen).to(action.dtype)
        distance = (spare / self.fast).amin(1, keepdim=True).to(action.dtype)
        intervention = torch.linalg.vector_norm(sent - action, dim=1, keepdim=True)
        return Guarded(sent, distance, feasible * known * asked, intervention)

    def _within(self, way: Tensor, steps: Tensor) -> Tensor:
        return (way / self.dt + 0.5 * self.planned * steps * (steps + 1.0)) / (steps + 1.0)
