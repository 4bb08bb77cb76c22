"""Temporally coupled perturbations: forces that are bounded, and change by little from step to step (GRAD, arXiv 2307.12062).

    ‖δ_t‖ ≤ ε,   ‖δ_t − δ_{t−1}‖ ≤ ε̄ = ε/5

for every control step t. A force that is piecewise linear through knots within the ball keeps both, if knots are at least 2ε/ε̄ = 10 control
steps apart: it stays in the ball, which is convex, and changes by at most 2ε over the ten.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.draw import Draw
from tasks.task import Start, Task
from training.environment import Amend

COUPLING = 0.2  # ε̄/ε
APART = round(2 / COUPLING)  # control steps from knot to knot, at least
STRIDE = 0.5  # of a wandering force, standard deviation along each axis from knot to knot, over ε


def most_knots(task: Task) -> int:
    """How many knots an episode may have."""
    return round(task.episode_s * task.rate_hz) // APART + 1


def in_ball(knots: Tensor, radius: float) -> Tensor:
    """``knots`` ``[…, 3]``, those outside moved to the sphere."""
    return knots * (radius / knots.norm(dim=-1, keepdim=True).clamp(min=1e-12)).clamp(max=1.0)


def walk(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """A random walk from zero in the ball of radius ``value`` [N], a force beside all others."""
    steps = STRIDE * torch.randn(most_knots(task), draw.num_envs, 3, generator=draw.generator, device=draw.device)
    knots = [torch.zeros(draw.num_envs, 3, device=draw.device)]
    for step in steps[1:]:
        knots.append(in_ball(knots[-1] + step, 1.0))
    return start._replace(force_knots_n=value * torch.stack(knots, dim=1))


def held(knots_n: Tensor) -> Amend:
    """The same ``knots_n`` ``[knots, 3]`` in every episode."""

    def amend(start: Start, generator: torch.Generator) -> Start:
        count = len(next(iter(start.state.values())))
        return start._replace(force_knots_n=knots_n.to(generator.device).expand(count, -1, -1).contiguous())

    return amend
