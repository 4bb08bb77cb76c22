"""The transition table, exhaustively: every pair of state and event either has the successor written here or is refused."""

from __future__ import annotations

import itertools

import pytest

from deploy.runtime.state_machine import TABLE, Event, IllegalTransition, State, next_state
from robots.errors import TetherError

LEGAL = {
    State.UNCONFIGURED: {Event.CONFIGURE: State.IDLE},
    State.IDLE: {Event.ACTIVATE: State.READY, Event.STAND_UP: State.STAND},
    State.STAND: {Event.STOOD: State.READY, Event.TRIP: State.DAMPING, Event.DEACTIVATE: State.IDLE},
    State.READY: {Event.ENGAGE: State.POLICY, Event.TRIP: State.DAMPING, Event.DEACTIVATE: State.IDLE},
    State.POLICY: {Event.LET_GO: State.HOLD, Event.TRIP: State.DAMPING, Event.DEACTIVATE: State.IDLE},
    State.HOLD: {Event.ACTIVATE: State.POLICY, Event.TRIP: State.DAMPING, Event.DEACTIVATE: State.IDLE},
    State.DAMPING: {Event.RESET: State.IDLE, Event.DEACTIVATE: State.IDLE},
    State.ESTOP: {Event.RESET: State.IDLE},
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)), ids=lambda item: item.name)
def test_every_state_and_event(state: State, event: Event) -> None:
    expected = State.ESTOP if event is Event.ESTOP else LEGAL[state].get(event)
    if expected is not None:
        assert next_state(state, event) is expected
        return
    with pytest.raises(IllegalTransition) as caught:
        next_state(state, event)
    message = str(caught.value)
    assert "\n" not in message
    assert state.name in message
    for legal in [*LEGAL[state], Event.ESTOP]:
        assert legal.value in message.split("legal here:")[1]


def test_an_illegal_transition_is_for_the_user_to_read() -> None:
    assert issubclass(IllegalTransition, TetherError)


def test_only_a_reset_leaves_estop() -> None:
    assert {event for (state, event), after in TABLE.items() if state is State.ESTOP and after is not State.ESTOP} == {Event.RESET}


def test_the_policy_gets_control_only_from_ready_and_hold() -> None:
    assert {state for (state, _), after in TABLE.items() if after is State.POLICY} == {State.READY, State.HOLD}


def test_codes_are_the_log_format() -> None:
    codes = {"UNCONFIGURED": 0, "IDLE": 1, "STAND": 2, "READY": 3, "POLICY": 4, "HOLD": 5, "DAMPING": 6, "ESTOP": 7}
    assert {state.name: state.value for state in State} == codes
