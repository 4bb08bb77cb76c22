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
FINALISTS = 8  # of the candidates, flown again in more episodes, for the least of many means of a few is a lucky one
FINAL = 0.25  # of the roll-outs, for them
KNOT_S = 0.5  # between the knots of a searched force


def minimise(
    worth: Callable[[np.ndarray], np.ndarray], dim: int, *, candidates: int, seed: int
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """The least of ``worth`` in the unit cube.

    Args:
        worth: returns ``[n]`` of points ``[n, dim]`` in the cube.
        dim: of the cube.
        candidates: how many points may be asked for.
        seed: of the search.

    Returns:
        All points that were asked for ``[candidates, dim]`` and what they were worth ``[candidates]``, the least first, and the least so
        far after every generation.
    """
    import cma  # of the extra `robustness`

    options = {"bounds": [0.0, 1.0], "BoundaryHandler": cma.BoundPenalty, "popsize": POPULATION, "seed": seed + 1, "verbose": -9}
    strategy = cma.CMAEvolutionStrategy(np.full(dim, 0.5), SIGMA, options)
    asked, found, course = np.empty((0, dim)), np.empty(0), []
    while len(asked) < candidates:
        points = np.array(strategy.ask())[: candidates - len(asked)]
        values = worth(points)
        asked, found = np.concatenate([asked, points]), np.concatenate([found, values])
        course.append(float(found.min()))
        if len(points) == POPULATION:
            strategy.tell(list(points), values.tolist())
    order = found.argsort(kind="stable")
    return asked[order], found[order], course


def worst_of(
    worth: Callable[[np.ndarray, int], np.ndarray], dim: int, *, rollouts: int, episodes: int, seed: int
) -> tuple[np.ndarray, float, list[float]]:
    """The worst point in the unit cube with so many roll-outs: a search, then its finalists in more episodes.

    Args:
        worth: mean returns ``[n]`` of points ``[n, dim]`` over so many episodes, the same ones for every point.
        dim: of the cube.
        rollouts, episodes: in all, and for a candidate of the search.
        seed: of the search.

    Returns:
        The point, its mean return among the finalists, and the least so far after every generation.
    """
    last = round(FINAL * rollouts) // FINALISTS
    last = last if last > episodes else 0
    candidates = (rollouts - FINALISTS * last) // episodes
    points, values, course = minimise(lambda points: worth(points, episodes), dim, candidates=candidates, seed=seed)
    if last:
        points = points[:FINALISTS]
        values = worth(points, last)
    return points[values.argmin()], float(values.min()), course


def search(where: Where, axes: Sequence[Axis], *, rollouts: int, episodes: int, fresh: int) -> dict[str, Any]:
    """The worst cell anywhere in the box of ``axes``, with at most ``rollouts`` episodes, ``episodes`` a candidate; see `worst_of`.

    Returns:
        ``at``, the candidate of least mean return, ``chosen_return``, ``rollouts`` used, ``course``, and its figures on ``fresh`` episodes.
    """
    low, high = (np.array([getattr(each, end) for each in axes]) for end in ("low", "high"))

    def worth(points: np.ndarray, episodes: int) -> np.ndarray:
        chosen = [amendment(where.task, cell(axes, low + point * (high - low))) for point in points]
        return fly_cells(where, chosen, episodes).returns.mean(1)

    best, least, course = worst_of(worth, len(axes), rollouts=rollouts, episodes=episodes, seed=where.seed)
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

    def worth(points: np.ndarray, episodes: int) -> np.ndarray:
        return fly_cells(where, [held(force(point)) for point in points], episodes).returns.mean(1)

    best, least, course = worst_of(worth, 3 * knots, rollouts=rollouts, episodes=episodes, seed=where.seed)
    wander = amendment(task, ((disturbances(task)["walk"], radius_n),))
    flown = {"none": held(0.0 * force(best)), "walk": wander, "searched": held(force(best))}
    figures = {name: of_cell(fly_cells(where, [amend], fresh, draw=FRESH), 0, where.seed) for name, amend in flown.items()}
    return {"radius_n": radius_n, "knots_n": force(best).tolist(), "chosen_return": least, "rollouts": rollouts, "course": course} | figures
