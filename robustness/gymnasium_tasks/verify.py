"""Does a parameter change the dynamics, everywhere on its axis? The same actions from the same start, at every point of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from robustness.gymnasium_tasks.environment import UncertainEnvironment
from robustness.gymnasium_tasks.parameters import Parameter
from robustness.gymnasium_tasks.tasks import GymnasiumTask

STEPS = 100
STARTS = 3
DEAD = 1e-9


@dataclass(frozen=True)
class Effect:
    """How far trajectories of one parameter's values come apart, in the coordinates' units (m and rad).

    Args:
        parameter: which, and its range.
        nominal: its value in the pristine model.
        low, high: largest difference of any coordinate from the pristine model's, with the parameter at that end.
        least: the smallest such difference between neighbours on the axis; 0 where a stretch of it is dead.
    """

    parameter: Parameter
    nominal: float
    low: float
    high: float
    least: float

    @property
    def dead(self) -> bool:
        """Whether some two neighbours cannot be told apart (to 1e-9), or an end from the pristine model."""
        return min(self.low, self.high, self.least) <= DEAD


def verify(task: GymnasiumTask, parameters: Sequence[Parameter], points: int = 10, seed: int = 0, steps: int = STEPS) -> list[Effect]:
    """The effect of each parameter by itself, all others pristine.

    Actions are uniform over the action space and the same for all values; the largest difference over ``STARTS`` starts counts, because a
    foot that is in the air for all of one start feels no friction there.
    """
    environment = UncertainEnvironment(task)
    try:
        return [_effect(environment, parameter, points, seed, steps) for parameter in parameters]
    finally:
        environment.close()


def _effect(environment: UncertainEnvironment, parameter: Parameter, points: int, seed: int, steps: int) -> Effect:
    settings: list[Mapping[str, float]] = [{}, *({parameter.name: value} for value in parameter.points(points))]
    apart = np.zeros(len(settings))  # from the setting before; and at the end, of the last from the first
    for start in range(STARTS):
        played = [play(environment, values, [seed, start], steps) for values in settings]
        apart = np.maximum(apart, [difference(played[index - 1], one) for index, one in enumerate(played)])
    nominal = environment.dynamics.nominal(parameter.name)
    return Effect(parameter, nominal, low=float(apart[1]), high=float(apart[0]), least=float(apart[2:].min()))


def play(environment: UncertainEnvironment, values: Mapping[str, float], seed: Sequence[int], steps: int) -> np.ndarray:
    """Coordinates ``[steps, nq]`` under random actions that depend on ``seed`` alone; less steps if the simulation became unstable."""
    generator = np.random.default_rng(seed)
    environment.reset(int(generator.integers(2**31)), values)
    coordinates = []
    for action in generator.uniform(environment.low, environment.high, (steps, environment.action_size)):
        environment.step(action)
        if environment.unstable:
            break
        coordinates.append(environment.data.qpos.copy())
    return np.array(coordinates).reshape(len(coordinates), environment.model.nq)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest of any coordinate at any step; infinite where one has become unstable before the other."""
    return float(np.abs(one - other).max(initial=0.0)) if len(one) == len(other) else float("inf")


def table(effects: Sequence[Effect]) -> str:
    """Effects as text, one parameter a line."""
    head = f"{'parameter':<26}{'unit':>5}{'low':>8}{'high':>8}{'nominal':>9}{'low apart':>11}{'high apart':>12}{'least step':>12}"
    lines = [
        f"{effect.parameter.name:<26}{effect.parameter.unit:>5}{effect.parameter.low:>8g}{effect.parameter.high:>8g}{effect.nominal:>9.3g}"
        f"{effect.low:>11.2g}{effect.high:>12.2g}{effect.least:>12.2g}{'  DEAD' if effect.dead else ''}"
        for effect in effects
    ]
    return "\n".join([head, *lines])
