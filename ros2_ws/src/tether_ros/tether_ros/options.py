"""The policy node's parameters."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from deploy.guards.config import GuardConfig
from tether_ros import inputs, outputs
from tether_ros.parameters import REALTIME_PRIORITY, Declaration

GUARDS = "guards."
LIVE = (inputs.RISK_LEVEL,)  # what may be set on a configured node


def _guard(name: str, default: Any) -> Declaration:
    upper = 2**31 - 1 if isinstance(default, int) else math.inf
    return Declaration(GUARDS + name, default, "threshold of a guard, see deploy/guards/config.py; .inf turns a timing guard off", 0, upper)


DECLARATIONS = (
    Declaration("policy", "", "path of the policy file, .onnx"),
    Declaration("provider", "cpu", "where the policy runs; auto times each one there is, paced", choices=("cpu", "cuda", "auto")),
    Declaration("robot", "", "registered robot whose limits apply; empty for the one the policy was made for"),
    Declaration("log", "", "path of the log to write, .mcap, replaced if it exists; empty for no log"),
    Declaration("require_enable", True, "lose control when ~/enable stops coming; false only where nobody can be hurt"),
    Declaration("world_frame", "odom", "frame that odometry and goals are in; messages of another one are refused"),
    Declaration("base_frame", "base_link", "frame that stamped velocity commands are in"),
    Declaration("imu_frame", "base_link", "frame of the IMU's readings, whose axes must be the base's"),
    Declaration("cmd_vel", inputs.PLAIN, "type of the messages on cmd_vel, geometry_msgs/Twist or TwistStamped", choices=inputs.CMD_VEL),
    Declaration("output", outputs.JOINT_STATE, "what the robot is sent, see tether_ros/outputs.py", choices=outputs.FORMS),
    Declaration("output_joints", [""], "joints in the order of a position_array; empty for the policy's order"),
    Declaration(inputs.RISK_LEVEL, 0.0, "how averse to risk, of a policy that can be asked; may be set in flight", 0.0, 1.0),
    Declaration("robot_failsafe", False, "the robot lets go by itself when commands stop or failsafe is true; without gains it must"),
    REALTIME_PRIORITY,
    *(_guard(item.name, item.default) for item in dataclasses.fields(GuardConfig)),
)


def frames(values: Mapping[str, Any]) -> inputs.Frames:
    """What messages must say they are in."""
    return inputs.Frames(values["world_frame"], values["base_frame"], values["imu_frame"])


def joints(values: Mapping[str, Any]) -> list[str]:
    """The order of joints in a position_array; empty for the policy's."""
    return [joint for joint in values["output_joints"] if joint]


def guards(values: Mapping[str, Any]) -> GuardConfig:
    """The guard configuration in parameter values; raises `TetherError` for a value that makes no sense."""
    chosen = {name[len(GUARDS) :]: value for name, value in values.items() if name.startswith(GUARDS)}
    if not values["require_enable"]:
        chosen["dead_man_s"] = math.inf
    return GuardConfig(**chosen)
