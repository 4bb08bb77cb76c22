"""What a robot does when the policy is not in control follows from what kind of robot it is."""

from __future__ import annotations

from robots.behaviour import Behaviour
from robots.crazyflie import crazyflie
from robots.go2 import NAMES, go2


def test_legs_stand_by_their_description_and_pass_control_slowly() -> None:
    behaviour = Behaviour.of(go2)
    (signal,) = go2.actuation("joint_position")
    assert behaviour.stand == {signal.name: go2.stand}
    assert go2.sensor(behaviour.measured[signal.name]).channels == NAMES
    assert behaviour.blend_s > 0.0
    assert not behaviour.silent


def test_quadrotors_do_not_stand() -> None:
    behaviour = Behaviour.of(crazyflie)
    assert not behaviour.stand
    assert behaviour.silent
    assert behaviour.holds
