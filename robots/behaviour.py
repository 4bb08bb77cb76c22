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
        silent: DAMPING and ESTOP send nothing and request the robot's own failsafe; else they send the final safe command every tick.
        holds: HOLD is possible: the policy stays in control, commanded to stay where it is. Needs fresh state.
        stand: actuation values to reach before READY, by actuation name; empty for robots that do not stand.
        measured: sensor that tells where each stand actuation starts, by actuation name.
        stand_s: time to reach the stand.
        damping: kd by joint that DAMPING and ESTOP send, with kp = 0; empty for a robot without joint gains.
        blend_s: time over which control passes from the stand to the policy; 0 at once (blending a quadrotor with nothing is a fall).
    """

    silent: bool = False
    holds: bool = False
    stand: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)
    damping: Mapping[str, float] = field(default_factory=dict)
    stand_s: float = 2.0
    blend_s: float = 0.0

    @classmethod
    def of(cls, robot: Robot) -> Behaviour:
        """The behaviour of a robot, as its description says."""
        if isinstance(robot, Quadrotor):
            return cls(silent=True, holds=True)
        if not isinstance(robot, ArticulatedRobot):
            return cls()
        kd = robot.damping or tuple(actuator.kd for actuator in robot.actuators)
        damping = {joint.name: value for joint, value in zip(robot.joints, kd)}
        if not robot.stand:
            return cls(damping=damping)
        return cls(stand={TARGET: robot.stand}, measured={TARGET: MEASURED}, damping=damping, blend_s=0.5)
