"""A safeguard: the last stage of a control law, which turns any action into one that keeps a promise.

    (state x [n, dim], action a [n, k])  →  (safe action a_s, distance, feasible, intervention)

It is pure, batched, differentiable, exportable and total: an action comes back whatever goes in, NaN included. Each one's docstring states
its inequality, its model, the disturbance bound and the guarantee.

Gradients come in three variants (Walter et al. 2025, arXiv 2506.01665): *plain*, the mapping's own; *regularised*, the plain one and
`regularisation` in the loss; *pass-through*, `pass_through`, the identity.
"""

from __future__ import annotations

import abc
import inspect
from typing import NamedTuple

import torch
from torch import Tensor, nn

LARGEST = 1e9  # what is larger in magnitude, or NaN, is no measurement and no action


class Guarded(NamedTuple):
    """What a safeguard gives, ``[n, …]`` in the action's dtype.

    Attributes:
        action: a_s ``[n, k]``, always finite and within the actuators' limits.
        distance: least slack of the promised inequality at a_s ``[n, 1]``, in the safeguard's unit; below zero where it does not hold.
        feasible: 1 where the promise holds, 0 where it could not be kept or the input was not finite ``[n, 1]``.
        intervention: ‖a_s − a‖ ``[n, 1]``; parts of a that are not finite count as zero.
    """

    action: Tensor
    distance: Tensor
    feasible: Tensor
    intervention: Tensor


class Safeguard(nn.Module, abc.ABC):
    """See the module's docstring."""

    @property
    def promise(self) -> str:
        """Inequality, model, disturbance bound and guarantee, in words: what the class says of itself."""
        return inspect.cleandoc(type(self).__doc__ or "")

    @abc.abstractmethod
    def forward(self, state: Tensor, action: Tensor) -> Guarded:
        """Guard a batch: ``[n, dim]``, ``[n, k]``."""


def usable(values: Tensor) -> tuple[Tensor, Tensor]:
    """(``values`` with zeros for what is not finite, 1 for every row without such ``[n, 1]``)."""
    finite = values.abs() <= LARGEST
    return torch.where(finite, values, 0.0), finite.to(values.dtype).amin(1, keepdim=True)


def regularisation(guarded: Guarded, action: Tensor, weight: float = 0.1) -> Tensor:
    """c_d · mean (a_s − a)², a loss term that pulls the actor into the safe set; c_d = 0.1 as published."""
    return weight * (guarded.action - action).square().mean()


def pass_through(safe: Tensor, action: Tensor) -> Tensor:
    """``safe`` exactly, with the gradient of ``action``."""
    return with_gradient_of(usable(action)[0], safe)


def with_gradient_of(value: Tensor, result: Tensor) -> Tensor:
    """``result`` exactly, with the gradient of ``value``, which must be finite; nothing is added to a graph that needs no gradients."""
    return result.detach() + (value - value.detach()) if torch.is_grad_enabled() else result  # the bracket is zero, without rounding
