"""Gains by state: the policy's in control, damping else, and never more than the robot's own."""

from __future__ import annotations

import dataclasses
import math

import pytest

from deploy.runtime import Behaviour, State
from deploy.runtime.gains import GainTable
from robots.errors import TetherError
from robots.go2 import DAMPING, NAMES, go2
from tests.deploy.fakes import LEG, contract_of

GAINS = {"hip": (20.0, 0.5), "knee": (30.0, 0.7)}
CONTRACT = dataclasses.replace(contract_of(LEG), gains=GAINS)
DAMPED = Behaviour(damping={"hip": 2.0, "knee": 3.0})


@pytest.mark.parametrize("state", list(State))
def test_only_who_controls_the_robot_has_stiff_joints(state: State) -> None:
    table = GainTable(CONTRACT, LEG, DAMPED)
    assert table.joints == ("hip", "knee")
    if state in (State.STAND, State.READY, State.POLICY, State.HOLD):
        assert table.of(state) == ((20.0, 30.0), (0.5, 0.7))
    else:
        assert table.of(state) == ((0.0, 0.0), (2.0, 3.0))


def test_a_policy_without_gains_needs_none() -> None:
    table = GainTable(contract_of(LEG), LEG, Behaviour())
    assert table.joints == ()
    assert table.of(State.POLICY) == ((), ())


def test_positions_are_not_sent_without_gains_or_without_a_way_to_give_way() -> None:
    with pytest.raises(TetherError, match="gains in the policy file lack knee"):
        GainTable(dataclasses.replace(CONTRACT, gains={"hip": (20.0, 0.5)}), LEG, DAMPED)
    with pytest.raises(TetherError, match="damping of test_leg lack hip, knee"):
        GainTable(CONTRACT, LEG, Behaviour())


@pytest.mark.parametrize("given", [(math.nan, 0.5), (25.0, math.inf), (-1.0, 0.5), (25.1, 0.5), (25.0, 0.6), (25.0,)])
def test_gains_that_are_none_or_above_the_robots_are_refused(given: tuple[float, ...]) -> None:
    gains = dict.fromkeys(NAMES, (25.0, 0.5)) | {NAMES[3]: given}
    contract = dataclasses.replace(CONTRACT, actuation=go2.actuation("joint_position"), actuation_mode="joint_position", gains=gains)
    with pytest.raises(TetherError, match=r"asks for gains .* at FL_hip_joint; go2 allows kp and kd in 0…25 and 0…0.5"):
        GainTable(contract, go2, Behaviour.of(go2))


def test_a_go2_gives_way_with_more_damping_than_it_walks_with() -> None:
    behaviour = Behaviour.of(go2)
    assert behaviour.damping == dict.fromkeys(NAMES, DAMPING)
    assert go2.actuators[0].kd < DAMPING
    undescribed = dataclasses.replace(go2, damping=())
    assert Behaviour.of(undescribed).damping == dict.fromkeys(NAMES, go2.actuators[0].kd)
