"""The figure-eight that tracking is judged on, for an operator to stream; `tasks.reference` has the same for training.

x = 2 sin ωt,   y = sin 2ωt,   ω = 2π/6 s    [m], about its middle; level
"""

from __future__ import annotations

import math
from typing import NamedTuple

LAP_S = 6.0
HALF_WIDTH_M = 2.0

Vector = tuple[float, float, float]


class Motion(NamedTuple):
    """Position [m], velocity [m/s] and acceleration [m/s²] in the world."""

    position: Vector
    velocity: Vector
    acceleration: Vector


def figure_eight(middle: Vector, time_s: float) -> Motion:
    """Where the reference is ``time_s`` after it left ``middle`` towards +x and +y, and how it moves there."""
    rate = 2 * math.pi / LAP_S
    x, y = HALF_WIDTH_M, HALF_WIDTH_M / 2
    sine, cosine = math.sin(rate * time_s), math.cos(rate * time_s)
    sine_2, cosine_2 = math.sin(2 * rate * time_s), math.cos(2 * rate * time_s)
    return Motion(
        (middle[0] + x * sine, middle[1] + y * sine_2, middle[2]),
        (x * rate * cosine, 2 * y * rate * cosine_2, 0.0),
        (-x * rate**2 * sine, -4 * y * rate**2 * sine_2, 0.0),
    )
