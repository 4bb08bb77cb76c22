"""The Go2 over real DDS, in processes of its own: a whole walk with its verdict, and what becomes of it when the policy node dies."""

from __future__ import annotations

import dataclasses
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.policy import Policy
from deploy.record import read_log
from deploy.replay.replay import replay
from deploy.runtime import State
from robots.errors import TetherError
from tests.ros2_ws.helpers import ATTEMPTS, GO2, undisturbed
from tests.ros2_ws.test_flight import UNHURRIED
from tether_bringup.mission import robot_parameters
from tether_bringup.processes import Process, parameters
from tether_bringup.walk import judge, walk
from tether_bringup.witness import Witness
from tether_ros.walk_operator import WalkOperator
from tether_sim.modes import SILENCE_PERIODS


def test_a_walk_stands_up_follows_lies_down_and_passes_while_a_changed_log_does_not(domain: None, tmp_path: Path) -> None:
    path, policy = tmp_path / "walk.mcap", Policy.load(GO2)
    result = undisturbed(lambda: walk(GO2, path, seconds=8.0, profile=((0.6, 0.0, 0.0), (0.3, 0.0, 0.6), (0.0,) * 3), options=UNHURRIED))
    assert result["modes"] == ["held", "commanded", "failsafe", "resting"]
    assert not result["fell"]
    log = read_log(path)
    states = log.columns["state"].astype(int)
    assert [State(value).name for value in dict.fromkeys(states)][-3:] == ["STAND", "READY", "POLICY"] or State.POLICY in states
    asked = log.block("command.linear_velocity_command")[states == State.POLICY]
    assert asked[:, 0].max() == np.float32(0.6)
    assert not asked[-10:].any(), "it ends standing still"
    report = replay(log, policy)
    assert not [finding for finding in report.findings if finding.severity == "violation"], report.findings
    rows = log.rows.copy()
    tick = int(np.flatnonzero(log.columns["policy_ran"] == 1)[100])
    rows[tick, log.layout.blocks["actuation"].start + 4] += 0.01
    changed = replay(dataclasses.replace(log, rows=rows), policy)
    assert changed.verdict == "violation"
    assert any(finding.check == "sent" and finding.tick == tick for finding in changed.findings)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fell": True}, "the robot fell: it tilted by up to 1.50 rad"),
        ({"rms_velocity_m_s": 0.31}, "0.31 m/s and 0.10 rad/s RMS off what it was asked"),
        ({"rms_yaw_rad_s": math.nan}, "nan rad/s RMS off"),
    ],
)
def test_a_walk_that_is_none_is_an_error(change: dict[str, Any], reason: str) -> None:
    good = {"fell": False, "largest_tilt_rad": 1.5, "rms_velocity_m_s": 0.1, "rms_yaw_rad_s": 0.1}
    judge(good)
    with pytest.raises(TetherError, match=reason):
        judge(good | change)


def test_a_policy_node_that_is_killed_leaves_the_robot_giving_way_within_five_periods(domain: None) -> None:
    assert any(killed_while_standing() for _ in range(ATTEMPTS)), "the robot never stood by the policy's commands"


def killed_while_standing() -> bool:
    """Kill the node and see what the robot does; false where it had taken over before, on a machine too busy to answer for 100 ms."""
    options = parameters(robot_parameters(Policy.load(GO2)) | {"start": "standing"})
    with (
        Process("tether_sim.simulated_robot", options) as robot,
        Process("tether_ros.policy_node", parameters({"policy": GO2, **UNHURRIED})) as pilot,
        WalkOperator(watch=(robot.check,)) as operator,
    ):
        witness = Witness(operator.node)
        operator.engage()
        if witness.mode != "commanded":
            return False
        pilot.send(signal.SIGKILL)
        operator.wait(lambda: witness.mode == "failsafe", 30.0, "the failsafe")
        assert int(witness.events[-1]["silent_periods"]) <= SILENCE_PERIODS
        assert witness.events[-1]["reason"] == "no command for 5 control periods"
        operator.lost()
        operator.wait(lambda: witness.mode == "resting", 30.0, "rest")
        return True
