"""The one-step safe action set: a polytope, in closed form, for a control-affine model and an invariant set in half-space form.

    x⁺ = f0(x) + B(x) u + E w, |w| ≤ 1,  X = {x : H x ≤ h}
    {u : H (f0(x) + B(x) u) + |H E| 1 ≤ h} ∩ [u_lower, u_upper]

Nothing is linearised: f0 and B are evaluated at the current state, so the set is exact in u.
"""

from __future__ import annotations

import abc
import inspect
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from robots.errors import TetherError
from safety.safeguards.models import ControlAffine


class SafeActions(NamedTuple):
    """{u : A u ≤ b}, to be met within the input box.

    Attributes:
        normals: A ``[n, m, k]``.
        bounds: b ``[n, m]``.
        margin: bound of the rounding error of any row of b − A u, u in the box ``[n, m]``.
        centre: a safe action c(x) in the input box ``[n, k]``.
        inside: 1 where the state is one that the guarantee begins from ``[n, 1]``.
    """

    normals: Tensor
    bounds: Tensor
    margin: Tensor
    centre: Tensor
    inside: Tensor

    def slack(self, action: Tensor) -> Tensor:
        """b − A u ``[n, m]``; summed term by term, for a matrix unit of lower precision must not touch it."""
        return self.bounds - product(self.normals, action)


def product(normals: Tensor, vector: Tensor) -> Tensor:
    """A v ``[n, m]`` of ``[n, m, k]`` and ``[n, k]``."""
    return (normals * vector.unsqueeze(1)).sum(2)


class ActionSet(nn.Module, abc.ABC):
    """From a state to the actions that are safe there, within the input box ``[k]``."""

    def __init__(self, lower: Any, upper: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.lower: Tensor
        self.upper: Tensor
        low, high = torch.as_tensor(lower, dtype=dtype), torch.as_tensor(upper, dtype=dtype)
        if low.ndim != 1 or low.shape != high.shape or not bool((low < high).all()):
            raise TetherError(f"the input box needs lower < upper, both [k]; got {low.tolist()} and {high.tolist()}")
        self.register_buffer("lower", low)
        self.register_buffer("upper", high)

    @property
    def promise(self) -> str:
        """Inequality, model, disturbance bound and guarantee, in words: what the class says of itself."""
        return inspect.cleandoc(type(self).__doc__ or "")

    @property
    def size(self) -> int:
        """k."""
        return len(self.lower)

    def clamp(self, action: Tensor) -> Tensor:
        """``action`` within the input box."""
        return torch.clamp(action, self.lower, self.upper)

    def rounding(self, state: Tensor, depth: int) -> float:
        """Relative error of a value ``depth`` roundings deep, from stored constants, for an action that is rounded to their dtype."""
        return 2.0 * torch.finfo(self.lower.dtype).eps + depth * torch.finfo(state.dtype).eps

    @abc.abstractmethod
    def forward(self, state: Tensor) -> SafeActions:
        """The safe actions of a batch of states ``[n, dim]``."""


class CertifiedActions(ActionSet):
    """Inequality: H x⁺ ≤ h for every |w| ≤ 1.  Model: ``model`` with its disturbance E w in every step; the state is known.

    Guarantee: with X certified robustly invariant under c(x) = u0 + K (x − x0) with c(x) in the input box, c is safe in all of X, so the
    set is never empty there, and whoever takes only its members never leaves X.

    Rows are scaled to h − H x0 = 1: slack is 1 at x0 and 0 at the boundary, whatever the state's units.

    Rounding: a row of b − A u is at most 2k + dim + r + 8 roundings deep in the state's dtype (the products with B, H and u, the
    r = ``model.roundings`` of f0 and B and the sums around them). In the stored one H and h are rounded, and the action will be. So the
    error is at most ``margin``, `rounding` times 1 + |H| (|E| 1 + magnitude(x) + |x0| + |B| ū), where ū adds |u0| + |K| |x − x0| to the
    largest |u| (Higham 2002, eq. 3.5; ε is twice the unit roundoff). An action whose computed slack is ≥ ``margin`` is safe in exact
    arithmetic. c(x) is safe to within ``margin`` by the certificate alone, and strictly if the certificate left a slack of twice that.

    Args:
        model: f0 and B.
        faces, offsets: H ``[m, dim]``, h ``[m]``.
        disturbance: E, generators ``[dim, q]``, or the half-widths ``[dim]`` of a box, which is E = diag.
        lower, upper: the input box ``[k]``.
        gain: K ``[k, dim]``.
        centre_state, centre_action: x0 ``[dim]``, inside X, and u0 ``[k]``; zero by default.
        dtype: of the stored tensors; scaling is done in float64 before.
    """

    def __init__(
        self,
        model: ControlAffine,
        faces: Any,
        offsets: Any,
        *,
        disturbance: Any,
        lower: Any,
        upper: Any,
        gain: Any,
        centre_state: Any = None,
        centre_action: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(lower, upper, dtype)
        self.model = model
        dim, k = model.state_size, model.action_size
        rest = torch.as_tensor(offsets, dtype=torch.float64)
        h_rows = _shaped("faces", faces, len(rest), dim)
        noise = torch.as_tensor(disturbance, dtype=torch.float64)
        noise = _shaped("disturbance", noise.diag() if noise.ndim == 1 else noise, dim, noise.shape[-1])
        feedback = _shaped("gain", gain, k, dim)
        x0 = _shaped("centre_state", [0.0] * dim if centre_state is None else centre_state, dim)
        u0 = _shaped("centre_action", [0.0] * k if centre_action is None else centre_action, k)
        _shaped("lower", self.lower, k)
        room = rest - h_rows @ x0
        if not bool((room > 0.0).all()):
            raise TetherError(f"centre_state lies outside face {int(room.argmin())} of the set; give a state inside")
        h_rows = h_rows / room.unsqueeze(1)
        self.faces: Tensor
        self.reach: Tensor
        self.reserve: Tensor
        self.x0: Tensor
        self.u0: Tensor
        self.gain: Tensor
        self.noise: Tensor
        reach = h_rows.abs()
        stored = {"faces": h_rows, "reach": reach, "reserve": 1.0 - (h_rows @ noise).abs().sum(1), "x0": x0, "u0": u0, "gain": feedback}
        for name, tensor in {**stored, "noise": noise.abs().sum(1) + x0.abs()}.items():
            self.register_buffer(name, tensor.to(dtype))

    def forward(self, state: Tensor) -> SafeActions:
        """One batched product H [f0 − x0, B], and the margin."""
        drift, matrix = self.model.drift(state), self.model.input_matrix(state)
        mapped = self.faces.to(state.dtype) @ torch.cat([(drift - self.x0).unsqueeze(2), matrix], 2)
        offset, gain = state - self.x0, self.gain.to(state.dtype)
        centre = self.clamp(self.u0 + offset @ gain.mT)
        effort = torch.maximum(self.lower.abs(), self.upper.abs()) + self.u0.abs() + offset.abs() @ gain.abs().mT
        size = self.noise + self.model.magnitude(state) + product(matrix.abs(), effort)
        depth = 2 * self.size + state.shape[1] + self.model.roundings + 8
        margin = self.rounding(state, depth) * (1.0 + size @ self.reach.to(state.dtype).mT)
        return SafeActions(mapped[:, :, 1:], self.reserve - mapped[:, :, 0], margin.detach(), centre, torch.ones_like(state[:, :1]))


def _shaped(name: str, values: Any, *shape: int) -> Tensor:
    """``values`` in float64, of this shape."""
    found = torch.as_tensor(values, dtype=torch.float64)
    if found.shape != shape:
        raise TetherError(f"{name} is {list(found.shape)}, must be {list(shape)} for this model")
    return found
