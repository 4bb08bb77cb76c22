"""Keys, scripts and sticks become commands that a robot can take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.policy import Policy
from robots.errors import TetherError
from training.commander import GOAL_SPEED_M_S, LOWEST_M, NEAR, Commander
from training.sticks import HELD_S, PUSH, QUIT, KeyPad, Script, Sticks

POLICIES = Path(__file__).parents[2] / "policies"
GOAL, WALK, TURN = "goal_position_in_world", "linear_velocity_command", "yaw_rate_command"
ORIGIN = np.array([0.0, 0.0, 1.0])


def test_a_key_that_is_not_repeated_was_let_go() -> None:
    pressed: list[list[str]] = [["w"], ["a"], [], ["a"], []]
    pad = KeyPad(lambda: pressed.pop(0))
    assert pad.poll(0.0) == (Sticks(forward=1.0), [])
    assert pad.poll(0.3) == (Sticks(forward=1.0, left=1.0), [])
    assert pad.poll(HELD_S + 0.01) == (Sticks(left=1.0), [])
    assert pad.poll(0.7) == (Sticks(left=1.0), [])
    assert pad.poll(0.7 + HELD_S + 0.01) == (Sticks(), [])


def test_space_stops_and_words_are_passed_on() -> None:
    pressed = [["W", "q", "t"], ["s", " ", "7", "p", "x"]]
    pad = KeyPad(lambda: pressed.pop(0))
    assert pad.poll(0.0) == (Sticks(forward=1.0, turn=1.0, up=1.0), [])
    assert pad.poll(0.1) == (Sticks(), ["7", PUSH, QUIT])


def test_sticks_add_up_to_no_more_than_all() -> None:
    assert Sticks(forward=0.8, turn=-0.5) + Sticks(forward=0.8, turn=0.25) == Sticks(forward=1.0, turn=-0.25)


def test_a_script_holds_until_its_next_entry(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("- {at_s: 1, forward: 1, press: push}\n- {at_s: 2.5, turn: -0.5, press: [5, quit]}\n")
    script = Script(tmp_path / "s.yaml")
    assert script.poll(0.98) == (Sticks(), [])
    assert script.poll(1.0) == (Sticks(forward=1.0), [PUSH])
    assert script.poll(2.4) == (Sticks(forward=1.0), [])
    assert script.poll(9.0) == (Sticks(turn=-0.5), ["5", QUIT])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("forward: 1", "give a list of entries"),
        ("[[", "is not YAML"),
        ("- {forward: 1}", "needs at_s"),
        ("- {at_s: 0, forwards: 1}", "at_s, forward, left, press, turn, up"),
        ("- {at_s: 0, forward: 2}", "forward is 2; give a number in -1…1"),
        ("- {at_s: .nan}", "at_s is nan"),
        ("- {at_s: 0, press: jump}", "push, quit, reset"),
        ("- {at_s: 2}\n- {at_s: 1}", "in the order of their times"),
    ],
)
def test_a_script_that_makes_no_sense_is_told(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(TetherError, match=r"s\.yaml") as error:
        Script(tmp_path / "s.yaml")
    assert words in str(error.value)


@pytest.fixture(scope="module")
def walking() -> Policy:
    return Policy.load(POLICIES / "go2_velocity.onnx")


@pytest.fixture(scope="module")
def hovering() -> Policy:
    return Policy.load(POLICIES / "hover_geometric.onnx")


def test_velocities_rise_to_their_share_of_the_bounds(walking: Policy) -> None:
    commander = Commander(walking.contract, {})
    commander.scale = 9
    rows = [commander.command(Sticks(forward=1.0, left=-1.0, turn=1.0), 0.02, ORIGIN) for _ in range(100)]
    walk, turn = np.array([row[WALK] for row in rows]), np.array([row[TURN] for row in rows])
    assert np.abs(np.diff(walk, axis=0)).max() == pytest.approx(2.0 * 0.02)  # the bound, in one second
    np.testing.assert_allclose((*walk[-1], *turn[-1]), (2.0, -2.0, 3.0))
    commander.scale = 3
    for _ in range(100):
        last = commander.command(Sticks(forward=1.0), 0.02, ORIGIN)
    np.testing.assert_allclose((*last[WALK], *last[TURN]), (2.0 / 3, 0.0, 0.0), atol=1e-12)


def test_a_goal_moves_and_stays_near_and_off_the_ground(hovering: Policy) -> None:
    commander = Commander(hovering.contract, {GOAL: ORIGIN})
    commander.scale = 9
    for _ in range(300):
        goal = commander.command(Sticks(left=1.0), 0.01, ORIGIN)[GOAL]
    assert goal[1] == pytest.approx(GOAL_SPEED_M_S * (3.0 - 0.5), abs=0.02)  # it takes a second to get there
    for _ in range(3000):
        goal = commander.command(Sticks(left=1.0), 0.01, ORIGIN)[GOAL]
    assert goal[1] == pytest.approx(NEAR * hovering.contract.limits.distance_m, rel=1e-6)
    for _ in range(1000):
        goal = commander.command(Sticks(up=-1.0), 0.01, ORIGIN)[GOAL]
    assert goal[2] == LOWEST_M


def test_a_policy_without_such_commands_is_refused(hovering: Policy) -> None:
    with pytest.raises(TetherError, match="play commands velocities"):
        Commander(hovering.contract, {})
