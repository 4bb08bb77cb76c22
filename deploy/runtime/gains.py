"""The gains that joint positions travel with: the policy's while somebody is in control, damping when the robot must give way."""

from __future__ import annotations

from typing import NamedTuple

from deploy.runtime.state_machine import FLYING, STANDING, State
from robots.behaviour import Behaviour
from robots.contract import Contract
from robots.description import Robot
from robots.errors import TetherError


class Gains(NamedTuple):
    """Of a robot's own position loop, one a joint, τ = kp (q* − q) − kd q̇: ``kp`` [N·m/rad], ``kd`` [N·m·s/rad]."""

    kp: tuple[float, ...]
    kd: tuple[float, ...]


class GainTable:
    """Gains by state: those the policy was trained with, and damping (kp = 0) in every state that does not control the robot.

    Args:
        contract: names joints and the policy's gains.
        robot: the installed description; gains above its own are refused, as every limit is.
        behaviour: its damping.

    Attributes:
        joints: that positions are sent to, in contract order; none where the policy names no gains.

    Raises:
        TetherError: for a joint without gains or damping, gains that are no gains, and gains above the robot's.
    """

    def __init__(self, contract: Contract, robot: Robot, behaviour: Behaviour) -> None:
        names = [channel for signal in contract.actuation if signal.field == "position" for channel in signal.channels]
        self.joints = tuple(names) if contract.gains else ()
        for found, what in ((contract.gains, "gains in the policy file"), (behaviour.damping, f"damping of {robot.name}")):
            missing = [joint for joint in self.joints if joint not in found]
            if missing:
                raise TetherError(f"the {what} lack {', '.join(missing)}; positions must not be sent without gains")
        _check(contract, robot)
        given = [contract.gains[joint] for joint in self.joints]
        self._control = Gains(tuple([kp for kp, _ in given]), tuple([kd for _, kd in given]))
        self._damping = Gains((0.0,) * len(self.joints), tuple([float(behaviour.damping[joint]) for joint in self.joints]))

    def of(self, state: State) -> Gains:
        """What accompanies whatever is sent in ``state``."""
        return self._control if state in (*STANDING, *FLYING) else self._damping


def _check(contract: Contract, robot: Robot) -> None:
    """Comparisons are written so that a NaN is refused."""
    allowed = robot.gains(contract.actuation_mode)
    for joint, given in contract.gains.items():
        highest = allowed.get(joint, (float("inf"),) * 2)
        if len(given) != 2 or not all(0.0 <= value <= limit and value < float("inf") for value, limit in zip(given, highest)):
            raise TetherError(
                f"the policy file asks for gains {given} at {joint}; {robot.name} allows kp and kd in 0…{highest[0]:g} and 0…{highest[1]:g}"
            )
