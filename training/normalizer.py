"""Running mean and variance of a vector, kept in the graph as buffers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasks.symmetry import Reflection


class RunningNormalizer(nn.Module):
    """y = clamp((x − mean) / std, ±limit), with the statistics of everything seen by `update`.

    Batches are merged by Chan, Golub & LeVeque (1979): with counts n, m and batch mean and variance x̄, s²,

        δ = x̄ − mean;  mean' = mean + δ·m/(n+m);  var' = (n·var + m·s² + δ²·n·m/(n+m)) / (n+m).

    Args:
        size: width of x.
        limit: of the output, in standard deviations.
        floor: smallest standard deviation divided by, so that a constant input stays harmless.
        reflection: count every x and its mirror image, so that y of the image is the image of y.
    """

    def __init__(self, size: int, limit: float = 5.0, floor: float = 1e-2, reflection: Reflection | None = None) -> None:
        super().__init__()
        self.limit, self.floor, self.reflection = limit, floor, reflection
        self.mean: Tensor
        self.variance: Tensor
        self.count: Tensor
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))
        self.register_buffer("count", torch.zeros(()))

    @property
    def std(self) -> Tensor:
        """Standard deviation ``[size]``, at least ``floor``."""
        return self.variance.sqrt().clamp(min=self.floor)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised ``[batch, size]``."""
        return ((x - self.mean) / self.std).clamp(-self.limit, self.limit)

    def inverse(self, y: Tensor) -> Tensor:
        """x from an unclamped y."""
        return y * self.std + self.mean

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Merge a batch ``[…, size]``."""
        x = x.reshape(-1, x.shape[-1])
        count = self.count + x.shape[0]
        variance, mean = torch.var_mean(x, dim=0, correction=0)
        if self.reflection is not None:
            variance, mean = _symmetric(variance, mean, self.reflection)
        delta = mean - self.mean
        weight = x.shape[0] / count
        self.variance.copy_(self.variance + weight * (variance - self.variance) + delta.square() * weight * (1 - weight))
        self.mean.copy_(self.mean + delta * weight)
        self.count.copy_(count)


def _symmetric(variance: Tensor, mean: Tensor, reflection: Reflection) -> tuple[Tensor, Tensor]:
    """Of what has these, together with its mirror image."""
    square, middle = variance + mean.square(), 0.5 * (mean + reflection(mean))
    return 0.5 * (square + square[reflection.place]) - middle.square(), middle
