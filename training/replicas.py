"""Replicas: the same training S times over, side by side, each from a seed of its own.

Small networks spend their time between operators, so S of them cost little more than one. Environments are ordered by replica: replica s
owns environments s·N…(s + 1)·N − 1. Networks have a leading axis S on every parameter, losses are sums over replicas of each one's mean,
and whatever else joins rows joins those of one replica, so that no replica ever influences another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from sim.random_numbers import as_seeds

Made = TypeVar("Made")


def shares(x: Tensor, replicas: int, mask: Tensor | None = None) -> list[Tensor]:
    """Each replica's part of ``x`` ``[steps, S·N, …]``: ``[steps, N, …]``, or ``[rows, …]`` of those set in ``mask`` ``[steps, S·N]``."""
    parts = x.chunk(replicas, dim=1)
    return list(parts) if mask is None else [part[chosen] for part, chosen in zip(parts, mask.chunk(replicas, dim=1), strict=True)]


def spread(x: Tensor, replicas: int, num_envs: int) -> Tensor:
    """What replicas have, ``[S, …]``, for their environments, ``[S·N, …]``; ``x`` itself for a single one, which has no such axis."""
    return x if replicas == 1 else x.unsqueeze(1).expand(-1, num_envs // replicas, *x.shape[1:]).flatten(0, 1)


def padded(parts: Sequence[Tensor], filling: float = 0.0) -> Tensor:
    """Rows of replicas, ``[rows, …]`` each, as ``[S, most rows, …]``."""
    return parts[0].unsqueeze(0) if len(parts) == 1 else pad_sequence(list(parts), batch_first=True, padding_value=filling)


class Streams:
    """The numbers that first weights are drawn from, a stream for each replica.

    Args:
        seeds: what `torch.manual_seed` would be given, were the replica alone; or how many replicas there are, which then draw one after
            the other from torch's own stream.
    """

    def __init__(self, seeds: int | Sequence[int]) -> None:
        self.replicas = seeds if isinstance(seeds, int) else len(seeds)
        self._states = None if isinstance(seeds, int) else [torch.Generator().manual_seed(seed).get_state() for seed in seeds]

    def draw(self, make: Callable[[], Made]) -> list[Made]:
        """What ``make`` gives for every replica."""
        if self._states is None:
            return [make() for _ in range(self.replicas)]
        made = []
        with torch.random.fork_rng(devices=()):
            for index, state in enumerate(self._states):
                torch.set_rng_state(state)
                made.append(make())
                self._states[index] = torch.get_rng_state()
        return made


class Generators:
    """A generator for each of ``seeds``, on ``device``."""

    def __init__(self, seeds: int | Sequence[int], device: torch.device) -> None:
        self.device = device
        self.each = [torch.Generator(device).manual_seed(seed) for seed in as_seeds(seeds)]

    def normal(self, steps: int, num_envs: int, size: int) -> Tensor:
        """Standard normal ``[steps, num_envs, size]``."""
        shape = (steps, num_envs // len(self.each), size)
        return torch.cat([torch.randn(shape, generator=generator, device=self.device) for generator in self.each], dim=1)

    def uniform(self, steps: int, num_envs: int, size: int) -> Tensor:
        """Within 0…1, ``[steps, num_envs, size]``."""
        shape = (steps, num_envs // len(self.each), size)
        return torch.cat([torch.rand(shape, generator=generator, device=self.device) for generator in self.each], dim=1)

    def integers(self, below: int, count: int) -> Tensor:
        """So many numbers below ``below`` for every replica, ``[replicas, count]``."""
        drawn = [torch.randint(below, (count,), generator=generator, device=self.device) for generator in self.each]
        return torch.stack(drawn)

    def orders(self, counts: Sequence[int]) -> list[Tensor]:
        """For every replica the numbers below its count, in random order."""
        pairs = zip(counts, self.each, strict=True)
        return [torch.randperm(count, generator=generator, device=self.device) for count, generator in pairs]

    def get_state(self) -> Tensor:
        """Of all generators, one after the other."""
        return torch.cat([generator.get_state() for generator in self.each])

    def set_state(self, state: Tensor) -> None:
        """Inverse of `get_state`."""
        for generator, own in zip(self.each, state.chunk(len(self.each)), strict=True):
            generator.set_state(own.clone())


class ReplicatedLinear(nn.Module):
    """y = W_s x + b_s for every replica s: ``[S, rows, inputs]`` to ``[S, rows, outputs]``."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        """``[S, rows, outputs]``."""
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.mT)


class ReplicatedPerceptron(nn.Sequential):
    """Perceptrons of the same shape side by side: ``[…, S·N, inputs]`` to ``[…, S·N, outputs]``, the environments of replica s by the s-th.

    Its parameters are theirs, stacked along a leading axis, under the same names.
    """

    def __init__(self, networks: Sequence[nn.Sequential]) -> None:
        self.replicas = len(networks)
        super().__init__(*[_joined(layers) for layers in zip(*networks, strict=True)])

    def forward(self, x: Tensor) -> Tensor:
        """``[…, S·N, outputs]``."""
        own = x.unflatten(-2, (self.replicas, -1)).movedim(-3, 0)  # [S, …, N, inputs]
        y: Tensor = super().forward(own.flatten(1, -2))
        return y.unflatten(1, own.shape[1:-1]).movedim(0, -3).flatten(-3, -2)


def side_by_side(networks: Sequence[nn.Sequential]) -> nn.Sequential:
    """The network itself where there is one, `ReplicatedPerceptron` of several."""
    return networks[0] if len(networks) == 1 else ReplicatedPerceptron(networks)


def _joined(layers: Sequence[nn.Module]) -> nn.Module:
    """One layer of every network as one module; activations have nothing of their own."""
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    return ReplicatedLinear(linear) if linear else layers[0]
