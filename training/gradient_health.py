"""What the gradients of a window looked like, for the log: analytic gradients fail silently, by exploding, vanishing or turning about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class GradientHealth:
    """What the gradients of the law looked like: large, clipped, dropped, turning, growing.

    Args:
        size: number of the law's weights.
        memory: windows after which an old one weighs 1/e in the share of those clipped.
    """

    def __init__(self, size: int, device: torch.device, memory: float = 20.0) -> None:
        self.last = torch.zeros(size, device=device)
        self.clipped, self.keep = 0.0, math.exp(-1.0 / memory)
        self.weight = 0.0

    @torch.no_grad()
    def report(self, parameters: list[Tensor], norm: Tensor, clip: float, finite: Tensor, actions: Tensor) -> dict[str, float]:
        """Numbers for the log.

        Args:
            parameters: with the window's gradient.
            norm: of that gradient before clipping; or of each replica's ``[replicas]``, whose mean is reported.
            finite: environments whose gradient was used ``[num_envs]``.
            actions: gradient with respect to the actions ``[horizon, num_envs, size]``.

        Returns:
            ``gradient_norm``; ``gradient_clipped``, the share of the last windows that were; ``gradient_dropped``, how many environments
            were; ``gradient_alignment``, the cosine between this gradient and the last; ``gradient_growth``, that of an action in the
            window's first quarter over one in its last, root mean square.
        """
        flat = torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])
        alignment = torch.nn.functional.cosine_similarity(flat, self.last, dim=0)
        self.last = flat
        quarter = max(1, len(actions) // 4)
        growth = (actions[:quarter].square().mean() / actions[-quarter:].square().mean().clamp(min=1e-30)).sqrt()
        over = (norm > clip).to(norm.dtype).mean()
        found = [norm.mean(), (~finite).sum().to(norm.dtype), alignment, growth, over]
        size, dropped, cosine, ratio, share = torch.stack(found).tolist()
        self.weight = 1.0 + self.keep * self.weight
        self.clipped += (share - self.clipped) / self.weight
        return {
            "gradient_norm": size,
            "gradient_clipped": self.clipped,
            "gradient_dropped": dropped,
            "gradient_alignment": cosine,
            "gradient_growth": ratio,
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return {"last": self.last, "clipped": self.clipped, "weight": self.weight}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.last, self.clipped, self.weight = state["last"], state["clipped"], state["weight"]
