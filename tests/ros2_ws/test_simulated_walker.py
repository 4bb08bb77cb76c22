"""The simulated Go2 without its node: gains do what they say, it sinks onto its belly, and commands need both their halves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rclpy.node import Node
from sensor_msgs.msg import JointState

from robots.crazyflie import crazyflie
from robots.description import Robot
from robots.errors import TetherError
from robots.go2 import NAMES, go2
from tests.deploy.fakes import LEG
from tether_sim import node as simulated_robot
from tether_sim.flyer import Flyer
from tether_sim.kinds import kind
from tether_sim.legs import Legs
from tether_sim.machine import Seat
from tether_sim.messages import Gains
from tether_sim.walker import Walker

STAND = np.array(go2.stand)
STIFF, SOFT = Gains(np.full(12, 25.0), np.full(12, 0.5)), Gains(np.full(12, 12.5), np.full(12, 0.5))
OPTIONS = {item.name: item.default for robot in (crazyflie, go2) for item in (*simulated_robot.PARAMETERS, *kind(robot).parameters)}


def legs(noise: float = 0.0, seed: int = 0) -> Legs:
    return Legs(go2, 50.0, {"joint_position": (noise,) * 12} if noise else {}, seed)


def settled(one: Legs, gains: Gains) -> dict[str, np.ndarray]:
    one.place(lying=False)
    for _ in range(150):
        one.step(STAND, gains)
    return one.read() | one.truth()


def test_torque_is_gain_times_error() -> None:
    """Standing still, τ = kp (q* − q) for the gains that were commanded: half as stiff, about twice as far off."""
    one, errors = legs(), []
    for gains in (STIFF, SOFT):
        found = settled(one, gains)
        np.testing.assert_allclose(found["joint_torque"], gains.kp * (STAND - found["joint_position"]), atol=0.05)
        errors.append(np.abs(STAND - found["joint_position"]).max())
    assert errors[1] > 1.5 * errors[0]


def test_giving_way_lets_it_sink_slowly_onto_its_belly_and_stay_there() -> None:
    one = legs()
    settled(one, STIFF)
    assert not one.resting
    speeds = []
    for _ in range(150):
        one.damp()
        speeds.append(np.linalg.norm(one.truth()["linear_velocity_base_in_world"]))
    assert one.resting
    assert max(speeds) < 0.7
    one.place(lying=True)
    assert one.resting
    assert one.truth()["position_base_in_world"][2] < 0.08


def test_noise_is_what_was_asked_for_and_repeats_with_its_seed() -> None:
    def readings(seed: int) -> np.ndarray:
        one = legs(0.02, seed)
        one.place(lying=False)
        return np.array([one.read()["joint_position"] for _ in range(300)])

    first = readings(1)
    np.testing.assert_allclose(first.std(axis=0), 0.02, rtol=0.2)
    np.testing.assert_array_equal(first, readings(1))
    assert not np.array_equal(first, readings(2))


class Commanded:
    """A Walker on a node, and how often it was commanded."""

    def __init__(self) -> None:
        self.count = 0
        self.node = Node("walker")
        self.walker = Walker(go2, {**OPTIONS, "rate_hz": 50.0, "actuation_mode": "joint_position"}, Seat(self.node, self.on_command, 0.1))
        self.callbacks = {sub.topic_name: sub.callback for sub in self.node.subscriptions}

    def on_command(self) -> None:
        self.count += 1

    def send(self, topic: str, stamp: int, position: float, velocity: float = 0.0) -> None:
        message = JointState(name=list(NAMES), position=[position] * 12, velocity=[velocity] * 12)
        message.header.stamp.nanosec = stamp
        self.callbacks[topic](message)


def test_positions_count_once_the_gains_of_their_stamp_are_there(domain: None) -> None:
    one = Commanded()
    one.send("/actuation", 1, 0.1)
    assert one.count == 0, "positions alone are no command"
    one.send("/policy_node/gains", 2, 25.0, 0.5)
    assert one.count == 0, "nor are those of another stamp"
    one.send("/actuation", 2, 0.2)
    assert one.count == 1
    one.send("/policy_node/gains", 2, 0.0, 3.0)
    assert one.count == 2, "giving way may answer the same observation again"
    one.walker.obey()
    one.send("/policy_node/gains", 3, -1.0, 3.0)
    one.send("/actuation", 3, 0.2)
    assert one.count == 2, "refused gains make no command"
    one.node.destroy_node()


def test_a_robot_and_its_machine_must_be_of_one_kind() -> None:
    nobody: Any = None
    with pytest.raises(TetherError, match="crazyflie has no legs"):
        Walker(crazyflie, OPTIONS, nobody)
    with pytest.raises(TetherError, match="go2 is no quadrotor"):
        Flyer(go2, OPTIONS, nobody)
    arm: Robot = LEG
    with pytest.raises(TetherError, match="test_leg cannot be simulated in real time"):
        kind(arm)
