"""Which machine simulates which kind of robot."""

from __future__ import annotations

from typing import NamedTuple

from robots.description import LeggedRobot, Quadrotor, Robot
from robots.errors import TetherError
from tether_ros.parameters import Declaration
from tether_sim import flyer, walker
from tether_sim.machine import MakeMachine


class Kind(NamedTuple):
    """A kind of robot.

    Attributes:
        parameters: of the node, in addition to those of every simulated robot.
        make: the machine.
    """

    parameters: tuple[Declaration, ...]
    make: MakeMachine


KINDS: dict[type[Robot], Kind] = {
    Quadrotor: Kind(flyer.PARAMETERS, flyer.Flyer),
    LeggedRobot: Kind(walker.PARAMETERS, walker.Walker),
}


def kind(robot: Robot) -> Kind:
    """Of ``robot``; raises `TetherError` for one that nothing here simulates."""
    for description, found in KINDS.items():
        if isinstance(robot, description):
            return found
    raise TetherError(f"{robot.name} cannot be simulated in real time: it is a {type(robot).__name__}, neither a quadrotor nor legged")
