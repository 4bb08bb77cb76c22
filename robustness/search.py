"""The worst case by CMA-ES (Hansen 2016, arXiv 1604.00772), anywhere in the box of a grid, or among all forces that change slowly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from robustness.coupled import held, in_ball, most_knots
from robustness.disturbance import amendment, disturbances
from robustness.figures import of_cell
from robustness.grid import Axis, again, cell, told
from robustness.rollouts import FRESH, Where, fly_cells

SIGMA = 0.35  # first standard deviation, of a box of length 1
POPULATION = 24  # flown side by side
KNOT_S = 0.5  # between the knots of a searched force


def minimise(worth: Callable[[np.ndarray], np.ndarray], dim: int, *, candidates: int, seed: int) -> tuple[np.ndarray, float, list[float]]:
    """The least of ``worth`` in the unit cube.

    Args:
        worth: returns ``[n]`` of points ``[n, dim]`` in the cube.
        dim: of the cube.
        candidates: how many points may be asked for.
        seed: of the search.

    Returns:
        The best point, what it was worth, and the least so far after every generation.
    """
    import cma  # of the extra `robustness`

    options = {"bounds": [0.0, 1.0], "BoundaryHandler": cma.BoundPenalty, "popsize": POPULATION, "seed": seed + 1, "verbose": -9}
    strategy = cma.CMAEvolutionStrategy(np.full(dim, 0.5), SIGMA, options)
    best, least, course = np.full(dim, 0.5), np.inf, []
    while candidates > 0:
        points = np.array(strategy.ask())
        values = worth(points[:candidates])
        if values.min() < least:
            best, least = points[values.argmin()], float(values.min())
        course.append(least)
        if len(values) == len(points):
            strategy.tell(list(points), values.tolist())
        candidates -= len(points)
    return best, least, course


def search(where: Where, axes: Sequence[Axis], *, rollouts: int, episodes: int, fresh: int) -> dict[str, Any]:
    """The worst cell anywhere in the box of ``axes``, with at most ``rollouts`` episodes, ``episodes`` a candidate.

    Returns:
        ``at``, the candidate of least mean return, ``chosen_return``, ``rollouts`` used, ``course``, and its figures on ``fresh`` episodes.
    """
    low, high = (np.array([getattr(each, end) for each in axes]) for end in ("low", "high"))

    def worth(points: np.ndarray) -> np.ndarray:
        chosen = [amendment(where.task, cell(axes, low + point * (high - low))) for point in points]
        return fly_cells(where, chosen, episodes).returns.mean(1)

    best, least, course = minimise(worth, len(axes), candidates=rollouts // episodes, seed=where.seed)
    worst = cell(axes, low + best * (high - low))
    figures = again(where, worst, fresh)
    return {"at": told(worst), "chosen_return": least, "rollouts": rollouts, "course": course, **figures}


def search_force(where: Where, radius_n: float, *, rollouts: int, episodes: int, fresh: int) -> dict[str, Any]:
    """The worst force of `robustness.coupled` that is the same in every episode, beside no force and forces that wander at random.

    Returns:
        ``radius_n``, ``knots_n`` ``[knots, 3]``, ``rollouts``, ``course``, and the figures of ``none``, ``walk``, ``searched`` on ``fresh``
        episodes.
    """
    task = where.task
    knots = min(most_knots(task), round(task.episode_s / KNOT_S) + 1)

    def force(point: np.ndarray) -> torch.Tensor:
        return in_ball(torch.tensor(2.0 * point - 1.0, dtype=torch.float32).view(knots, 3), 1.0) * radius_n

    def worth(points: np.ndarray) -> np.ndarray:
        return fly_cells(where, [held(force(point)) for point in points], episodes).returns.mean(1)

    best, least, course = minimise(worth, 3 * knots, candidates=rollouts // episodes, seed=where.seed)
    wander = amendment(task, ((disturbances(task)["walk"], radius_n),))
    flown = {"none": held(0.0 * force(best)), "walk": wander, "searched": held(force(best))}
    figures = {name: of_cell(fly_cells(where, [amend], fresh, draw=FRESH), 0, where.seed) for name, amend in flown.items()}
    return {"radius_n": radius_n, "knots_n": force(best).tolist(), "chosen_return": least, "rollouts": rollouts, "course": course} | figures
