"""Which tasks there are, and their uncertainty sets, in one table.

Ranges are those of RRLS (arXiv 2406.08406), the sets of one, two and three parameters one within the other; in its code HalfCheetah's
are not, for friction ends at 3 where it is alone. Bodies have the names of Gymnasium's models: `bthigh` is the back thigh,
`front_left_leg` the link at the hip that RRLS calls front left leg.

The sets of forces are RRLS's too, ±3 N on the same bodies, but for directions in which nothing can move: a planar robot that is pushed
across its plane (y) there is pushed upwards (z) here, and the cart is pushed along its rail only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robots.errors import TetherError, unknown
from robustness.gymnasium_tasks.parameters import Parameter, parse

FORCE_N = 3.0
FORCES = "rarl"
SIZES = ("1", "2", "3")


@dataclass(frozen=True)
class GymnasiumTask:
    """A task of Gymnasium and what may be uncertain about it.

    Args:
        name: on the command line.
        environment: Gymnasium's identifier.
        axes: the first one, two or three are the sets of that size.
        forces: the set `rarl`.
    """

    name: str
    environment: str
    axes: tuple[Parameter, ...]
    forces: tuple[Parameter, ...]

    def parameters(self, chosen: Sequence[str]) -> tuple[Parameter, ...]:
        """The set that ``chosen`` names: ``1``, ``2``, ``3`` or ``rarl``, or parameters of the user's own.

        Raises:
            TetherError: for a set that the task does not have, and a parameter named twice.
        """
        if len(chosen) == 1 and "=" not in chosen[0]:
            sets = {size: self.axes[: int(size)] for size in SIZES if int(size) <= len(self.axes)} | {FORCES: self.forces}
            if chosen[0] not in sets:
                raise unknown(f"set of {self.name}", chosen[0], [*sets, "NAME=LOW:HIGH …"])
            return sets[chosen[0]]
        own = tuple(map(parse, chosen))
        if len({parameter.name for parameter in own}) < len(own) or not own:
            raise TetherError(f"name each parameter once; got {' '.join(chosen) or 'none'}")
        return own


def _forces(*names: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(f"force.{name}", -FORCE_N, FORCE_N) for name in names)


TASKS = {
    task.name: task
    for task in (
        GymnasiumTask(
            "hopper",
            "Hopper-v5",
            (Parameter("friction", 0.1, 3.0), Parameter("mass.torso", 0.1, 3.0), Parameter("mass.thigh", 0.1, 4.0)),
            _forces("foot.x", "foot.z"),
        ),
        GymnasiumTask(
            "halfcheetah",
            "HalfCheetah-v5",
            (Parameter("friction", 0.1, 4.0), Parameter("mass.torso", 0.1, 7.0), Parameter("mass.bthigh", 0.1, 3.0)),
            _forces("torso.x", "torso.z", "bfoot.x", "bfoot.z", "ffoot.x", "ffoot.z"),
        ),
        GymnasiumTask(
            "walker2d",
            "Walker2d-v5",
            (Parameter("friction", 0.1, 4.0), Parameter("mass.torso", 0.1, 5.0), Parameter("mass.thigh", 0.1, 6.0)),
            _forces("leg.x", "leg.z", "foot_left.x", "foot_left.z"),
        ),
        GymnasiumTask(
            "ant",
            "Ant-v5",
            (Parameter("mass.torso", 0.1, 3.0), Parameter("mass.front_left_leg", 0.01, 3.0), Parameter("mass.front_right_leg", 0.01, 3.0)),
            _forces("torso.x", "torso.y", "front_left_leg.x", "front_left_leg.y", "front_right_leg.x", "front_right_leg.y"),
        ),
        GymnasiumTask(
            "humanoidstandup",
            "HumanoidStandup-v5",
            (Parameter("mass.torso", 0.1, 16.0), Parameter("mass.right_foot", 0.1, 8.0), Parameter("mass.left_thigh", 0.1, 5.0)),
            _forces("torso.x", "torso.y", "right_thigh.x", "right_thigh.y", "left_foot.x", "left_foot.y"),
        ),
        GymnasiumTask(
            "invertedpendulum",
            "InvertedPendulum-v5",
            (Parameter("mass.pole", 1.0, 31.0), Parameter("mass.cart", 1.0, 11.0)),
            _forces("cart.x", "pole.x", "pole.z"),
        ),
    )
}


def task_of(name: str) -> GymnasiumTask:
    """The task of that name; raises `TetherError` with those that there are."""
    if name not in TASKS:
        raise unknown("task", name, list(TASKS))
    return TASKS[name]
