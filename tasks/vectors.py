"""Lengths of vectors, batched and exportable."""

from __future__ import annotations

from torch import Tensor


def length(vector: Tensor) -> Tensor:
    """Euclidean norm along the last axis; several times faster than `torch.linalg.vector_norm` where that axis is short."""
    return vector.square().sum(-1).sqrt()


def shorten(vector: Tensor, limit: float) -> Tensor:
    """``vector`` scaled down to at most ``limit`` along the last axis."""
    return vector * (limit / length(vector).clamp(min=limit)).unsqueeze(-1)
