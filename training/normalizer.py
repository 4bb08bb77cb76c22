"""Running mean and variance of a vector, kept in the graph as buffers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasks.symmetry import Reflection
from training.replicas import spread


class RunningNormalizer(nn.Module):
    """y = clamp((x − mean) / std, ±limit), with the statistics of everything seen by `update`.

    Batches are merged by Chan, Golub & LeVeque (1979): with counts n, m and batch mean and variance x̄, s²,

        δ = x̄ − mean;  mean' = mean + δ·m/(n+m);  var' = (n·var + m·s² + δ²·n·m/(n+m)) / (n+m).

    Args:
        size: width of x.
        limit: of the output, in standard deviations.
        floor: smallest standard deviation divided by, so that a constant input stays harmless.
        reflection: count every x and its mirror image, so that y of the image is the image of y.
        replicas: with more than one, statistics are ``[replicas, …]`` and x is ``[…, S·N, size]``, see `training.replicas`.
        kept: how many of x, the last, stay as they are.
    """

    def __init__(
        self,
        size: int,
        limit: float = 5.0,
        floor: float = 1e-2,
        reflection: Reflection | None = None,
        replicas: int = 1,
        kept: int = 0,
    ) -> None:
        super().__init__()
        self.limit, self.floor, self.reflection, self.replicas, self.kept = limit, floor, reflection, replicas, kept
        shape = () if replicas == 1 else (replicas,)
        self.mean: Tensor
        self.variance: Tensor
        self.count: Tensor
        self.register_buffer("mean", torch.zeros(*shape, size))
        self.register_buffer("variance", torch.ones(*shape, size))
        self.register_buffer("count", torch.zeros(shape))

    @property
    def std(self) -> Tensor:
        """Standard deviation ``[size]``, at least ``floor``."""
        return self.variance.sqrt().clamp(min=self.floor)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised ``[batch, size]``."""
        return self.standardized(x).clamp(-self.limit, self.limit)

    def standardized(self, x: Tensor) -> Tensor:
        """(x − mean) / std, unclamped."""
        return (x - self._spread(self.mean, x)) / self._spread(self.std, x)

    def inverse(self, y: Tensor) -> Tensor:
        """x from an unclamped y."""
        return y * self._spread(self.std, y) + self._spread(self.mean, y)

    @torch.no_grad()
    def update(self, *batches: Tensor) -> None:
        """Merge a batch ``[…, size]``, or one of each replica."""
        rows = [x.reshape(-1, x.shape[-1]) for x in batches]
        size = torch.tensor([float(len(x)) for x in rows], device=self.count.device).view(self.count.shape)
        moments = zip(*[torch.var_mean(x, dim=0, correction=0) for x in rows], strict=True)
        variance, mean = (torch.stack(part).view(self.mean.shape) for part in moments)
        if self.reflection is not None:
            variance, mean = _symmetric(variance, mean, self.reflection)
        if self.kept:
            variance[..., -self.kept :], mean[..., -self.kept :] = 1.0, 0.0
        count, delta = self.count + size, mean - self.mean
        weight = (count.reciprocal() * size).unsqueeze(-1)
        self.variance.copy_(self.variance + weight * (variance - self.variance) + delta.square() * weight * (1 - weight))
        self.mean.copy_(self.mean + delta * weight)
        self.count.copy_(count)

    def _spread(self, statistic: Tensor, x: Tensor) -> Tensor:
        return statistic if self.replicas == 1 else spread(statistic, self.replicas, x.shape[-2])


def _symmetric(variance: Tensor, mean: Tensor, reflection: Reflection) -> tuple[Tensor, Tensor]:
    """Of what has these, together with its mirror image."""
    square, middle = variance + mean.square(), 0.5 * (mean + reflection(mean))
    return 0.5 * (square + square[reflection.place]) - middle.square(), middle
