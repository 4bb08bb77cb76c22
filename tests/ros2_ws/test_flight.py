"""Processes of their own, over real DDS: a whole flight, and what becomes of the robot when the policy node dies in the air."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from deploy.policy import Policy
from deploy.record import read_log
from deploy.runtime import State
from robots.crazyflie import crazyflie
from robots.errors import TetherError
from tasks.track import Track
from tests.ros2_ws.helpers import POLICIES, POLICY, undisturbed
from tether_bringup.flight import ROOM, ROOM_GOALS, START, fly
from tether_bringup.mission import fulfil, robot_parameters, scheduling
from tether_bringup.processes import Process, parameters
from tether_bringup.witness import Witness
from tether_ros import qos
from tether_ros.goal_operator import GoalOperator
from tether_ros.operator_node import Operator
from tether_sim.modes import SILENCE_PERIODS
from training.export import export_law
from training.geometric_track import GeometricTrack

HALF_S = 6.0  # of a flight of two halves
# A busy test machine misses deadlines that a robot's computer must meet; the guard on them has tests of its own.
UNHURRIED = {"guards.missed_in_row": 1000, "guards.missed_fraction": 1.0, "guards.clock_trip_periods": 100.0, **scheduling()}


def test_a_flight_in_three_processes_reaches_its_goals_lands_and_is_recorded(domain: None, tmp_path: Path) -> None:
    log = tmp_path / "flight.mcap"
    result = undisturbed(lambda: fly(POLICY, log, seconds=6.0, goals=[(0.0, 0.0, 1.5), (0.5, 0.0, 1.5)], options=UNHURRIED))
    assert result["distances_m"][-1] < 0.25
    assert result["modes"] == ["held", "commanded", "failsafe", "resting"]
    recorded = read_log(log)
    assert not recorded.truncated
    assert not recorded.problems
    assert recorded.metadata["policy_digest"] == Policy.load(POLICY).digest == result["policy_digest"]
    flown = recorded.columns["state"] == State.POLICY
    assert flown.sum() > 300, "at 100 Hz for 6 s"
    height = recorded.block("sensor.position_base_in_world")[flown, 2]
    assert np.isfinite(recorded.block("actuation")[flown]).all()
    assert height.min() > 0.3
    assert abs(height[-1] - 1.5) < 0.25


def test_a_figure_eight_is_streamed_and_followed(domain: None, tmp_path: Path) -> None:
    policy = export_law(GeometricTrack(Track()), tmp_path / "track.onnx", provenance={"command": "a test"})
    result = undisturbed(lambda: fly(policy, tmp_path / "flight.mcap", seconds=8.0, options=UNHURRIED, eight=True))
    assert result["distances_m"][0] < 0.25
    recorded = read_log(tmp_path / "flight.mcap")
    goal = recorded.block("command.goal_position_in_world")[recorded.columns["state"] == State.POLICY]
    assert goal[:, 0].max() > 1.9
    assert recorded.block("command.goal_velocity_in_world").any()


def test_a_policy_that_senses_obstacles_flies_around_them(domain: None, tmp_path: Path) -> None:
    """There and back through the middle of a pillar, if it were not for what it is told."""
    log = tmp_path / "flight.mcap"
    beeline = POLICIES / "room_beeline.onnx"
    result = undisturbed(lambda: fly(beeline, log, seconds=20.0, goals=ROOM_GOALS, options=UNHURRIED, world=ROOM))
    assert max(result["distances_m"]) < 0.2
    recorded = read_log(log)
    flown = recorded.columns["state"] == State.POLICY
    position = recorded.block("sensor.position_base_in_world")[flown]
    slots = recorded.block("sensor.nearest_obstacles_in_base")[flown].reshape(-1, 6, 4)
    gap = (np.linalg.norm(slots[:, :, :3], axis=2) - slots[:, :, 3]).min(1)
    assert 0.07 + 0.02 < gap.min() < 0.35, "clear of what it passes, and past something"
    assert np.abs(position[:, :2]).max() < 2.9


def test_a_policy_that_is_asked_to_be_averse_flies_higher_from_then_on(domain: None, tmp_path: Path) -> None:
    """Skim's policy holds a place at 15 cm above the ground; half-way through the flight its node's parameter ``risk_level`` goes to 1."""
    log, skim, goal = tmp_path / "flight.mcap", Policy.load(POLICIES / "skim.onnx"), (0.0, 0.0, 0.15)

    def operate(operator: GoalOperator) -> dict[str, Any]:
        operator.fly([goal], HALF_S)
        client: Any = operator.node.create_client(SetParameters, "policy_node/set_parameters")
        operator.wait(client.service_is_ready, 30.0, "discovery of the policy node's parameters")
        averse = Parameter("risk_level", value=1.0).to_parameter_msg()
        done = client.call_async(SetParameters.Request(parameters=[averse]))
        operator.wait(done.done, 30.0, "an answer to a parameter")
        assert done.result().results[0].successful
        operator.fly([goal], HALF_S)
        return {}

    robot = {"start_position_m": (0.0, 0.0, 1.0)}
    undisturbed(lambda: fulfil(skim, robot, {"log": log, **UNHURRIED}, GoalOperator, operate))
    recorded = read_log(log)
    flown = recorded.columns["state"] == State.POLICY
    asked, height = recorded.block("command.risk_level")[flown, 0], recorded.block("sensor.position_base_in_world")[flown, 2]
    settled = 100  # of its steps, at 100 Hz
    before, after = height[asked == 0.0][-settled:], height[asked == 1.0][-settled:]
    assert min(len(before), len(after)) == settled
    assert after.mean() > before.mean() + 0.1
    assert max(before.std(), after.std()) < 0.05


def test_a_policy_for_goals_that_stand_still_is_not_sent_a_figure_eight(domain: None, tmp_path: Path) -> None:
    with pytest.raises(TetherError, match="takes no goal that moves"):
        fly(POLICY, tmp_path / "flight.mcap", eight=True)


def take_off(operator: Operator, witness: Witness, commands: list[JointState]) -> None:
    """Be flying, by the robot's word; on a machine too busy to answer for five periods, start over."""
    restart: Any = operator.node.create_client(Trigger, "simulated_robot/restart")
    operator.wait(restart.service_is_ready, 30.0, "discovery of the simulated robot")
    for _ in range(20):
        commands.clear()
        operator.wait(lambda: bool(witness.mode) and len(commands) >= 5, 30.0, "a few commands")
        if witness.mode == "commanded":
            return
        done = restart.call_async(Trigger.Request())
        operator.wait(done.done, 30.0, "a restart")
    pytest.fail("the robot never flew")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_policy_node_that_dies_leaves_the_robot_in_its_failsafe_within_five_periods(
    domain: None, tmp_path: Path, number: signal.Signals
) -> None:
    log = tmp_path / "flight.mcap"
    robot_options = parameters(robot_parameters(Policy.load(POLICY)) | START)
    with (
        Process("tether_sim.simulated_robot", robot_options) as robot,
        Process("tether_ros.policy_node", parameters({"policy": POLICY, "log": log, **UNHURRIED})) as pilot,
        Operator(watch=(robot.check,)) as operator,
    ):
        commands: list[JointState] = []
        operator.node.create_subscription(JointState, "actuation", commands.append, qos.actuation(1.0))
        witness = Witness(operator.node)
        operator.engage()
        take_off(operator, witness, commands)
        pilot.send(number)
        operator.wait(lambda: witness.mode == "failsafe", 30.0, "the failsafe")
        assert int(witness.events[-1]["silent_periods"]) <= SILENCE_PERIODS
        operator.lost()
        code = pilot.wait()
        if number is signal.SIGKILL:
            assert code == -signal.SIGKILL
            assert witness.events[-1]["reason"] == "no command for 5 control periods"
            assert len(read_log(log)) > 0, "what was recorded survives"
            return
        assert code == 0
        operator.wait(lambda: list(commands[-1].velocity) == [0.0] * 4, 10.0, "the final safe command")
        assert commands[-1].effort[0] == pytest.approx(crazyflie.actuation("ctbr")[0].safe[0], rel=1e-6)
        assert witness.events[-1]["reason"] == "requested"
        assert not read_log(log).truncated


def test_the_console_operator_flies_a_goal_and_hands_the_robot_over(domain: None, tmp_path: Path) -> None:
    with (
        Process("tether_sim.simulated_robot", parameters(robot_parameters(Policy.load(POLICY)) | START)) as robot,
        Process("tether_ros.policy_node", parameters({"policy": POLICY, **UNHURRIED})) as pilot,
        Process("tether_ros.operator", ["--goal", "0", "0", "1.5", "--dwell", "0.5"]) as console,
        Operator(watch=(robot.check, pilot.check)) as watcher,
    ):
        witness = Witness(watcher.node)
        watcher.wait(lambda: witness.mode == "failsafe", 60.0, "the hand-over")
        assert console.wait() == 0
        assert "goal 0 0 1.5: " in console.output()
        assert witness.modes == ["held", "commanded", "failsafe"]
        assert (pilot.stop(), robot.stop()) == (0, 0)
