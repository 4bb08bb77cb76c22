"""The operator and a policy node, spun by one executor, when answers are lost between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from robots.errors import TetherError
from tests.ros2_ws.helpers import POLICY, UNHURRIED
from tether_ros import operator_node
from tether_ros.node import PolicyNode
from tether_ros.operator_node import Operator, Unanswered


@pytest.fixture
def node(domain: None) -> Iterator[Any]:
    one = PolicyNode([Parameter(name, value=value) for name, value in {"policy": str(POLICY), **UNHURRIED}.items()])
    yield one
    one.stop()
    one.destroy_node()


@pytest.fixture
def operator(node: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    monkeypatch.setattr(operator_node, "ASK_S", 0.2)
    with Operator() as one:
        one.executor.add_node(node)
        yield one
        one.executor.remove_node(node)
        one.lost()


def lose_answers(node: Any) -> None:
    node._service_change_state.send_response = lambda response, header: None


def life_cycle_state(node: Any) -> str:
    return str(node._state_machine.current_state[1])


def test_a_transition_that_happened_counts_though_its_answer_was_lost(node: Any, operator: Operator) -> None:
    lose_answers(node)
    operator.configure()
    assert life_cycle_state(node) == "inactive"
    operator.activate()
    assert life_cycle_state(node) == "active"
    operator.deactivate()
    assert life_cycle_state(node) == "inactive"


def test_a_refusal_whose_answer_was_lost_is_no_success(node: Any, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_node, "SERVICE_S", 1.0)
    operator.configure()
    lose_answers(node)
    monkeypatch.setattr(node, "_attempt", lambda transition, action: TransitionCallbackReturn.FAILURE)
    with pytest.raises(Unanswered, match=r"last heard in IDLE, did not answer to activate within 1 s"):
        operator.activate()
    assert life_cycle_state(node) == "inactive"


def test_a_refusal_is_told_as_one(operator: Operator) -> None:
    with pytest.raises(TetherError, match="policy_node cannot activate"):
        operator.activate()


def test_a_node_that_falls_silent_is_given_up(node: Any, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_node, "SERVICE_S", 1.0)
    operator.configure()
    operator.executor.remove_node(node)
    with pytest.raises(Unanswered, match="policy_node, last heard in IDLE, did not answer to activate"):
        operator.activate()
