"""What a kind of robot does when the policy is not in control: data, no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from robots.description import ArticulatedRobot, Quadrotor, Robot

TARGET, MEASURED = "joint_position_target", "joint_position"  # what moves joints to a stand, and what tells where they are


@dataclass(frozen=True)
class Behaviour:
    """Stand and damping data of a robot.

    Attributes:
        silent: DAMPING and ESTOP send nothing and request the autopilot's failsafe; else they send the final safe command every tick.
        holds: HOLD is possible: the policy stays in control, commanded to stay where it is. Needs fresh state.
        stand: actuation values to reach before READY, by actuation name; empty for robots that do not stand.
        measured: sensor that tells where each stand actuation starts, by actuation name.
        stand_s: time to reach the stand.
        blend_s: time over which control passes from the stand to the policy; 0 at once (blending a quadrotor with nothing is a fall).
    """

    silent: bool = False
    holds: bool = False
    stand: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)
    stand_s: float = 2.0
    blend_s: float = 0.0

    @classmethod
    def of(cls, robot: Robot) -> Behaviour:
        """The behaviour of a robot, as its description says."""
        if isinstance(robot, Quadrotor):
            return cls(silent=True, holds=True)
        if isinstance(robot, ArticulatedRobot) and robot.stand:
            return cls(stand={TARGET: robot.stand}, measured={TARGET: MEASURED}, blend_s=0.5)
        return cls()
