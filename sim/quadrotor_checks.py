"""What the quadrotor engine refuses, and how it says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from torch import Tensor

from robots.description import Quadrotor, Robot
from robots.errors import TetherError
from sim.action_delay import MAX_ACTION_DELAY_S
from sim.quadrotor_constants import GIVEN_BY, PARAMETER_WIDTHS, Given

POSITIVE, ANY = (0.0, math.inf), (-math.inf, math.inf)
BOUNDS = {
    "mass": POSITIVE,
    "inertia": POSITIVE,
    "motor_time_scale": POSITIVE,
    "action_delay": (-1e-6, MAX_ACTION_DELAY_S + 1e-6),
    "battery_charge": (-1e-6, 1.0 + 1e-6),
    "battery_resistance_scale": POSITIVE,
}


def with_four_rotors(robot: Robot) -> Quadrotor:
    """``robot``, if the engine can simulate it."""
    if not isinstance(robot, Quadrotor) or len(robot.rotors) != 4:
        raise TetherError(f"the quadrotor engine simulates robots with four rotors; {robot.name} is none: choose another --sim")
    return robot


def check_battery(given: Given, robot: Quadrotor) -> None:
    """Refuse battery parameters for a robot that describes no battery."""
    if given.battery and robot.battery is None:
        named = " and ".join(sorted(GIVEN_BY[-1]))
        raise TetherError(f"{robot.name} describes no battery, which {named} are about; give it one: dataclasses.replace(robot, battery=…)")


def check_values(good: Tensor, detail: Callable[[], Tensor], widths: Mapping[str, int], kind: str, complaint: str) -> None:
    """Refuse an environment that is not ``good`` ``[n]``, for what is wrong in ``detail`` ``[sum of widths, n]``; on the CPU only, where
    looking waits for nothing.
    """
    if good.device.type == "cpu" and not good.all():
        wrong = ~detail()
        name = [name for name, width in widths.items() for _ in range(width)][int(wrong.any(1).nonzero()[0])]
        worst = wrong.any(0).nonzero().flatten()[:8].tolist()
        raise TetherError(f"{kind} {name!r} {complaint}{_within(name)} in environments {worst}")


def _within(name: str) -> str:
    low, high = BOUNDS.get(name, ANY)
    return f" ({low:g}…{high:g})" if name in BOUNDS else ""


def bounds() -> tuple[list[float], list[float]]:
    """Lowest and highest packed parameters, exclusive."""
    pairs = [BOUNDS.get(name, ANY) for name, width in PARAMETER_WIDTHS.items() for _ in range(width)]
    return [low for low, _ in pairs], [high for _, high in pairs]
