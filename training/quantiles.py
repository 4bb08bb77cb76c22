"""N quantiles of a return: how they are fitted, bootstrapped, weighed and judged.

The i-th of N stands for the level τ̂_i = (i − ½)/N. Everything here is ``[…, N]`` along the last axis.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def midpoints(like: Tensor) -> Tensor:
    """τ̂ ``[N]`` for quantiles ``[…, N]``."""
    count = like.shape[-1]
    return (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count


def quantile_loss(quantiles: Tensor, targets: Tensor, kappa: float) -> Tensor:
    """Quantile Huber loss ``[…]`` (Dabney et al. 2018, arXiv 1710.10044), the mean over all pairs of a quantile and a target.

        mean_ij |τ̂_i − 1{u_ij < 0}| H_κ(u_ij) / κ,   u_ij = y_j − θ_i,   H_κ(u) = u²/2 within ±κ, else κ (|u| − κ/2)

    The quantiles found are off by about κ, so it should be a hundredth of the return's scale or less.

    Args:
        quantiles: θ ``[…, N]``.
        targets: y ``[…, M]``, samples of the return; no gradient goes to them.
        kappa: κ > 0.
    """
    loss: Tensor = _QuantileHuber.apply(quantiles, targets, kappa)
    return loss


class _QuantileHuber(torch.autograd.Function):
    """In terms of c = clamp(−u, ±κ): H_κ = c (−u − c/2), whose slope is c; a fifth of the operations of the formula."""

    @staticmethod
    def forward(ctx: Any, quantiles: Tensor, targets: Tensor, kappa: float) -> Tensor:
        above = quantiles.unsqueeze(-1) - targets.unsqueeze(-2)
        level = midpoints(quantiles).unsqueeze(-1)
        held = above.clamp(-kappa, kappa)
        pull = torch.where(above > 0.0, 1.0 - level, level) * held
        scale = kappa * above.shape[-1] * above.shape[-2]
        ctx.save_for_backward(pull.sum(-1) / scale)
        return (pull * (above - 0.5 * held)).sum((-1, -2)) / scale

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (pull,) = ctx.saved_tensors
        return gradients[0].unsqueeze(-1) * pull, None, None


def thinned(samples: Tensor, count: int, turn: int) -> Tensor:
    """About ``count`` of sorted samples ``[…, N]``, evenly, others every ``turn``; all where there are no more."""
    stride = max(samples.shape[-1] // count, 1)
    return samples[..., turn % stride :: stride]


def drawn(samples: Tensor, turn: int) -> Tensor:
    """One of the samples ``[horizon, num_envs, N]`` of `sample_replacement` for every state ``[horizon, num_envs]``, evenly of every rank.

    Those of one rank alone are no sample: what they are bootstrapped with is of that rank, too.
    """
    horizon, num_envs, count = samples.shape
    rank = (torch.arange(num_envs, device=samples.device) + turn) % count
    return samples.gather(2, rank.view(1, -1, 1).expand(horizon, -1, 1)).squeeze(2)


def sample_replacement(rewards: Tensor, values: Tensor, done: Tensor, final: Tensor, replaced: Tensor, discount: float) -> Tensor:
    """SR(λ): samples y ``[horizon, num_envs, N]`` of the λ-return (Nam et al. 2021, arXiv 2105.11366).

        y_t = r_t + γ × ( y_{t+1} where replaced, else θ(s_{t+1}) );    y_H = θ(s_H);    r_t + γ θ(final state) where the episode ended

    With probability λ each, samples of the next state's quantiles give way to the next step's own: a mixture of n-step returns with the
    weights of TD(λ), whole distributions of it, where averaging them would shrink the spread.

    Args:
        rewards, done: ``[horizon, num_envs]``.
        values: quantiles θ ``[horizon + 1, num_envs, N]``, sorted, so that what is replaced is of about the same level.
        final: quantiles of the state an episode was cut in by time ``[horizon, num_envs, N]``; zero where it failed.
        replaced: bool ``[horizon, num_envs, N]``, true with probability λ.
    """
    running, result = values[-1], torch.empty_like(values[:-1])
    for t in reversed(range(len(rewards))):
        after = torch.where(replaced[t], running, values[t + 1])
        running = rewards[t].unsqueeze(-1) + discount * torch.where(done[t].unsqueeze(-1), final[t], after)
        result[t] = running
    return result


def utility(samples: Tensor, quantiles: Tensor, weight: Tensor) -> Tensor:
    """φ of samples ``[…, M]``: what a return is worth to a risk measure, given the distribution it is drawn from.

    φ is continuous, its slope N w_k where a sample falls nearest to the k-th of N sorted quantiles: g′(F(y)). Its mean moves as the measure
    does, to first order, when the distribution moves (ρ's influence function, Huber 1981, up to a constant):

        d ρ = E[ g′(F(Z)) dZ ] = d E[ φ(Z) ]

    so the gradient of E[φ], by score function or through Z itself, is that of ρ. The mean is φ(y) = y; CVaR_η is min(y, VaR_η)/η.

    Args:
        samples: of the return; gradients pass.
        quantiles: ``[…, N]`` in any order; no gradient goes to them.
        weight: w ``[…, N]`` or ``[N]``, see `training.risk_measures.weights`.
    """
    ordered = quantiles.detach().sort(dim=-1).values
    slope = (weight * ordered.shape[-1]).expand_as(ordered)
    edges = (0.5 * (ordered[..., 1:] + ordered[..., :-1])).contiguous()
    rises = (slope[..., :-1] - slope[..., 1:]) * edges  # φ is continuous: c_{k+1} = c_k + (s_k − s_{k+1}) e_k
    offset = torch.cat([torch.zeros_like(slope[..., :1]), rises.cumsum(-1)], dim=-1)
    nearest = torch.searchsorted(edges, samples.detach().contiguous())
    return offset.gather(-1, nearest) + slope.gather(-1, nearest) * samples


def coverage_error(quantiles: Tensor, sample: Tensor) -> Tensor:
    """Largest distance between a level and the share of samples below its quantile, a number: 0 for quantiles that are calibrated.

    The largest deviation of the probability integral transform from uniform, at the N levels.

    Args:
        quantiles: ``[…, N]`` in any order.
        sample: of the same returns, ``[…]``.
    """
    below = (sample.unsqueeze(-1) <= quantiles.sort(dim=-1).values).to(quantiles.dtype)
    return (below.flatten(0, -2).mean(0) - midpoints(quantiles)).abs().max()


def transform_histogram(quantiles: Tensor, sample: Tensor, bins: int = 10) -> Tensor:
    """Share of samples whose probability integral transform falls into each of ``bins``, ``[bins]``; 1/bins each if calibrated.

    Args:
        quantiles: ``[…, N]`` in any order.
        sample: of the same returns, ``[…]``.
    """
    count = quantiles.shape[-1]
    rank = torch.searchsorted(quantiles.sort(dim=-1).values.contiguous(), sample.unsqueeze(-1).contiguous())
    index = (rank * bins // (count + 1)).flatten()
    return torch.bincount(index, minlength=bins).to(quantiles.dtype) / index.numel()
