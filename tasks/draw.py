"""Random draws for the starts of episodes."""

from __future__ import annotations

import torch
from torch import Tensor


class Draw:
    """Random tensors ``[num_envs, …]`` from one generator, on its device."""

    def __init__(self, num_envs: int, generator: torch.Generator) -> None:
        self.num_envs, self.generator, self.device = num_envs, generator, generator.device

    def uniform(self, low: float, high: float, size: int = 1) -> Tensor:
        """Uniform in low…high."""
        return low + (high - low) * torch.rand(self.num_envs, size, generator=self.generator, device=self.device)

    def direction(self) -> Tensor:
        """Unit vectors, uniform on the sphere."""
        return torch.nn.functional.normalize(torch.randn(self.num_envs, 3, generator=self.generator, device=self.device), dim=1)

    def ball(self, radius: float) -> Tensor:
        """Uniform inside a ball."""
        return self.direction() * self.uniform(0.0, 1.0) ** (1 / 3) * radius

    def integer(self, count: int) -> Tensor:
        """Uniform in 0…count − 1."""
        return torch.randint(count, (self.num_envs,), generator=self.generator, device=self.device)
