"""Families of disturbances, one at a time, from nothing to severe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from robustness.disturbance import Disturbance, amendment
from robustness.figures import of_cell, of_grid
from robustness.rollouts import Where, fly_cells


def sweep(where: Where, family: Disturbance, *, severities: int, episodes: int) -> dict[str, Any]:
    """Fly the family at so many severities, the first of which is none.

    Returns:
        ``cells``: of each severity, its ``value`` and figures; ``bears``: the largest that still has half of the success of the first,
        interpolated, None if all have; and the figures of `of_grid` over the whole sweep.
    """
    values = family.severities(severities)
    outcome = fly_cells(where, [amendment(where.task, ((family, value),)) for value in values], episodes)
    cells = [{"value": value} | of_cell(outcome, index, where.seed) for index, value in enumerate(values)]
    told = {"family": family.name, "unit": family.unit, "words": family.words}
    return told | of_grid(outcome, where.seed) | {"bears": bears(values, [cell["success_rate"] for cell in cells]), "cells": cells}


def bears(values: Sequence[float], success: Sequence[float]) -> float | None:
    """Where success, joined by straight lines, first falls below half of the first; None if it never does."""
    half = success[0] / 2
    for left in range(len(values) - 1):
        if success[left + 1] < half:
            share = (success[left] - half) / (success[left] - success[left + 1])
            return float(values[left] + share * (values[left + 1] - values[left]))
    return None
