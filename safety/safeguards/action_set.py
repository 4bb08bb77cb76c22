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
    """Inequality: H x⁺ ≤ h for every |w| ≤ 1.  Model: ``model`` with its disturbance E w in every step; the state is known, or it is an
    estimate, and E w contains its error and what late actions add (`safety.sets.systems.System.disturbance_bound`).

    Guarantee: with X certified robustly invariant under c(x) = u0 + K (x − x0) with c(x) in the input box, c is safe in all of X, so the
    set is never empty there, and whoever takes only its members never leaves X.

    Rows are scaled to h − H x0 = 1: slack is 1 at x0 and 0 at the boundary, whatever the state's units.

    The model is linear in features ψ(x), so that (b, A) = R (1, ψ) with constant R, products of H with the model's terms made in float64.

    Rounding: a row of b − A u is at most p + 2k + r + 8 roundings deep in the state's dtype (the sums over p features and k actions and the
    r = ``model.roundings`` of ψ). In the stored one R is rounded, and the action will be. So the error is at most ``margin``, `rounding`
    times 1 + |H| (|E| 1 + |x0| + |M₀| (1, |ψ|) + |B| ū), where ū adds |u0| + |K| (|x| + |x0|) to the largest |u| and curved features are at
    their ``model.bounds`` (Higham 2002, eq. 3.5; ε is twice the unit roundoff): linear in |x|. An action whose computed slack is ≥
    ``margin`` is safe in exact arithmetic. c(x) is safe to within ``margin`` by the certificate alone, and strictly if the certificate left
    a slack of twice that.

    Args:
        model: f0 and B; B must not have the state itself in it, only curved features.
        faces, offsets: H ``[m, dim]``, h ``[m]``.
        disturbance: E, generators ``[dim, q]``, or the half-widths ``[dim]`` of a box, which is E = diag.
        lower, upper: the input box ``[k]``.
        gain: K ``[k, dim]``.
        centre_state, centre_action: x0 ``[dim]``, inside X, and u0 ``[k]``; zero by default.
        dtype: of the stored tensors; they are made in float64 before.
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
        rows = _rows(model, h_rows, noise, x0)
        sizes = _sizes(model, h_rows.abs(), noise.abs().sum(1) + x0.abs(), self._effort(feedback, x0, u0))
        self.faces: Tensor
        self.rows: Tensor
        self.sizes: Tensor
        self.feedback: Tensor
        stored = {"faces": h_rows, "rows": rows, "sizes": sizes, "feedback": torch.cat([(u0 - feedback @ x0).unsqueeze(1), feedback], 1)}
        for name, tensor in stored.items():
            self.register_buffer(name, tensor.to(dtype))

    def _effort(self, feedback: Tensor, x0: Tensor, u0: Tensor) -> Tensor:
        """ū as coefficients of (1, |x|) ``[k, 1 + dim]``."""
        largest = torch.maximum(self.lower.abs(), self.upper.abs()).double() + u0.abs() + feedback.abs() @ x0.abs()
        return torch.cat([largest.unsqueeze(1), feedback.abs()], 1)

    def forward(self, state: Tensor) -> SafeActions:
        """Three products with constant matrices: rows, their margin, and the centre."""
        mapped = _linear(self.rows, self.model.features(state))
        margin = self.rounding(state, self._depth) * _linear(self.sizes, state.abs())
        centre = self.clamp(_linear(self.feedback, state))
        faces = len(self.faces)
        normals = mapped[:, faces:].view(-1, faces, self.size)
        return SafeActions(normals, mapped[:, :faces], margin.detach(), centre, torch.ones_like(state[:, :1]))

    @property
    def _depth(self) -> int:
        """Roundings of a row of b − A u."""
        return self.rows.shape[1] - 1 + 2 * self.size + self.model.roundings + 8


def _rows(model: ControlAffine, faces: Tensor, noise: Tensor, x0: Tensor) -> Tensor:
    """R: b of every face, then A ``[m + m k, 1 + p]``."""
    mapped = torch.einsum("mi,ijp->mjp", faces, model.terms)
    bounds = -mapped[:, 0]
    bounds[:, 0] += 1.0 + faces @ x0 - (faces @ noise).abs().sum(1)
    return torch.cat([bounds, mapped[:, 1:].flatten(0, 1)])


def _sizes(model: ControlAffine, reach: Tensor, known: Tensor, effort: Tensor) -> Tensor:
    """What a margin is relative to, as coefficients of (1, |x|) ``[m, 1 + dim]``; ``reach`` is |H|, ``known`` |E| 1 + |x0|."""
    terms, dim = model.terms.abs(), model.state_size
    if bool((terms[:, 1:, 1 : 1 + dim] > 0.0).any()):
        raise TetherError(f"{type(model).__name__}: B(x) has the state itself in it, which has no rounding margin; use curved terms")
    curved = terms[:, :, 1 + dim :] @ terms.new_tensor(model.bounds)
    constant = terms[:, :, 0] + curved
    size = constant[:, 1:] @ effort
    size[:, 0] += known + constant[:, 0]
    size[:, 1:] += terms[:, 0, 1 : 1 + dim]
    found = reach @ size
    found[:, 0] += 1.0
    return found


def _linear(matrix: Tensor, values: Tensor) -> Tensor:
    """M (1, values) ``[n, rows]``."""
    matrix = matrix.to(values.dtype)
    return matrix[:, 0] + values @ matrix[:, 1:].mT


def _shaped(name: str, values: Any, *shape: int) -> Tensor:
    """``values`` in float64, of this shape."""
    found = torch.as_tensor(values, dtype=torch.float64)
    if found.shape != shape:
        raise TetherError(f"{name} is {list(found.shape)}, must be {list(shape)} for this model")
    return found
