"""A policy's return over an uncertainty set: pristine, over the grid, in its tail and at its worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from robots.errors import TetherError
from robustness.gymnasium_tasks.episodes import Episode, Outcome, Player
from robustness.gymnasium_tasks.parameters import Cell, Parameter, grid
from robustness.gymnasium_tasks.smoothing import certified_probability, success_lower_bound
from robustness.gymnasium_tasks.summary import interquartile_mean, interval, tail_mean, worst_cells

TAIL = 0.1
CERTIFIED = 100  # episodes behind a certificate
BUDGETS = (0.0, 0.5, 1.0, 2.0)  # ‖ε‖₂/σ that a certificate is given for


class Stage(IntEnum):
    """No two stages share a start."""

    PRISTINE = 0
    GRID = 1
    FRESH = 2
    CERTIFICATE = 3


@dataclass(frozen=True)
class Plan:
    """How much is played.

    Args:
        points: values of each parameter, both ends among them.
        episodes: of each cell.
        fresh: episodes of the pristine model, and of each of the worst tenth of the cells, again, on starts of their own.
        seed: everything follows from it.
        threshold: of return, for certificates; half the pristine mean if None.
    """

    points: int = 10
    episodes: int = 5
    fresh: int = 20
    seed: int = 0
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.fresh < 1:
            raise TetherError(f"{self.episodes} episodes a cell and {self.fresh} fresh ones: play at least one")


def evaluate(player: Player, parameters: Sequence[Parameter], plan: Plan) -> dict[str, Any]:
    """Play the pristine model, every cell, and the worst tenth of the cells again; what is found, ready for JSON.

    The least of many noisy means is too low by selection. So the worst cell and the tail are chosen on the grid's episodes (`grid_mean`)
    and measured on fresh ones (`mean`, `interval`).

    Raises:
        TetherError: for a grid that cannot be played, and for a body that the task does not have.
    """
    cells = grid(parameters, plan.points)
    nominal = {parameter.name: player.nominal(parameter.name) for parameter in parameters}
    pristine = _play(player, [{}], plan.fresh, Stage.PRISTINE, plan.seed)
    outcomes = _play(player, cells, plan.episodes, Stage.GRID, plan.seed)
    returns = _returns(outcomes)
    tail = worst_cells(returns, TAIL)
    again = _play(player, [cells[index] for index in tail], plan.fresh, Stage.FRESH, plan.seed)
    result = {
        "task": player.task.name,
        "environment": player.task.environment,
        "parameters": [_axis(parameter, nominal[parameter.name]) for parameter in parameters],
        **{name: getattr(plan, name) for name in ("points", "episodes", "fresh", "seed")},
        "sigma": player.sigma,
        "nominal": _mean(_returns(pristine), plan.seed),
        "grid": {**_mean(returns, plan.seed), **_interquartile(returns, plan.seed)},
        "cvar": {"level": TAIL, "grid_mean": tail_mean(returns, TAIL), **_mean(_returns(again), plan.seed)},
        "worst": {"cell": cells[tail[0]], "grid_mean": float(returns[tail[0]].mean()), **_mean(_returns(again[:1]), plan.seed)},
        "unstable": sum(outcome.unstable for row in (*pristine, *outcomes, *again) for outcome in row),
        "cells": [
            {"values": cell, "returns": [outcome.total for outcome in row], "steps": [outcome.steps for outcome in row]}
            for cell, row in zip(cells, outcomes)
        ],
    }
    if player.sigma:
        result["certificates"] = _certificates(player, {"pristine": {}, "worst": cells[tail[0]]}, result["nominal"]["mean"], plan)
    return result


def _play(player: Player, cells: Sequence[Cell], count: int, stage: Stage, seed: int) -> list[list[Outcome]]:
    """Outcomes ``[cells][count]``."""
    episodes = [Episode(cell, (seed, stage, index, episode)) for index, cell in enumerate(cells) for episode in range(count)]
    outcomes = player.play(episodes, f"{stage.name.lower()}, {len(episodes)} episodes")
    return [outcomes[start : start + count] for start in range(0, len(outcomes), count)]


def _returns(outcomes: Sequence[Sequence[Outcome]]) -> np.ndarray:
    return np.array([[outcome.total for outcome in row] for row in outcomes])


def _axis(parameter: Parameter, nominal: float) -> dict[str, Any]:
    return {"name": parameter.name, "unit": parameter.unit, "low": parameter.low, "high": parameter.high, "nominal": nominal}


def _mean(returns: np.ndarray, seed: int) -> dict[str, Any]:
    return {"mean": float(returns.mean()), "interval": interval(returns, np.mean, seed), "played": returns.size}


def _interquartile(returns: np.ndarray, seed: int) -> dict[str, Any]:
    return {"iqm": interquartile_mean(returns), "iqm_interval": interval(returns, interquartile_mean, seed)}


def _certificates(player: Player, cells: dict[str, Cell], pristine_mean: float, plan: Plan) -> dict[str, Any]:
    """P(R ≥ threshold) and what is left of it under adversaries, for each of ``cells``; the threshold is not of these episodes."""
    threshold = pristine_mean / 2 if plan.threshold is None else plan.threshold
    rows = _play(player, list(cells.values()), CERTIFIED, Stage.CERTIFICATE, plan.seed)
    found: dict[str, Any] = {"threshold": threshold, "episodes": CERTIFIED}
    for name, row in zip(cells, rows):
        successes = sum(outcome.total >= threshold for outcome in row)
        lower = success_lower_bound(successes, len(row))
        certified = [
            {"budget": ratio * player.sigma, "probability": certified_probability(lower, ratio * player.sigma, player.sigma)}
            for ratio in BUDGETS
        ]
        found[name] = {"share": successes / len(row), "certified": certified}
    return found
