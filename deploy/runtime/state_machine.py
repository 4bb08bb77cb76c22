"""Who is in control: one transition table for every robot.

    UNCONFIGURED → IDLE → (STAND →) READY → POLICY → HOLD | DAMPING | ESTOP

Nothing starts by itself: READY needs `activate`, POLICY needs fresh sensors and a fresh ``enable``. An e-stop is latched until reset.
"""

from __future__ import annotations

from enum import Enum, IntEnum

from robots.errors import TetherError


class State(IntEnum):
    """The values are part of the log's format: append, never renumber."""

    UNCONFIGURED = 0
    IDLE = 1
    STAND = 2
    READY = 3
    POLICY = 4
    HOLD = 5
    DAMPING = 6
    ESTOP = 7


class Event(Enum):
    """What can happen."""

    CONFIGURE = "configure"
    ACTIVATE = "activate"  # of a robot that needs no stand, or out of HOLD
    STAND_UP = "stand up"  # activate, of a robot that stands first
    STOOD = "stood"
    ENGAGE = "engage"
    LET_GO = "let go"  # the dead-man switch was released
    TRIP = "trip"
    DEACTIVATE = "deactivate"
    ESTOP = "estop"
    RESET = "reset"


TABLE: dict[tuple[State, Event], State] = {
    (State.UNCONFIGURED, Event.CONFIGURE): State.IDLE,
    (State.IDLE, Event.ACTIVATE): State.READY,
    (State.IDLE, Event.STAND_UP): State.STAND,
    (State.STAND, Event.STOOD): State.READY,
    (State.STAND, Event.TRIP): State.DAMPING,
    (State.STAND, Event.DEACTIVATE): State.IDLE,
    (State.READY, Event.ENGAGE): State.POLICY,
    (State.READY, Event.TRIP): State.DAMPING,
    (State.READY, Event.DEACTIVATE): State.IDLE,
    (State.POLICY, Event.LET_GO): State.HOLD,
    (State.POLICY, Event.TRIP): State.DAMPING,
    (State.POLICY, Event.DEACTIVATE): State.IDLE,
    (State.HOLD, Event.ACTIVATE): State.POLICY,
    (State.HOLD, Event.TRIP): State.DAMPING,
    (State.HOLD, Event.DEACTIVATE): State.IDLE,
    (State.DAMPING, Event.RESET): State.IDLE,
    (State.DAMPING, Event.DEACTIVATE): State.IDLE,
    (State.ESTOP, Event.RESET): State.IDLE,
    **{(state, Event.ESTOP): State.ESTOP for state in State},
}


FLYING = (State.POLICY, State.HOLD)
STANDING = (State.STAND, State.READY)
STOPPED = (State.DAMPING, State.ESTOP)


class IllegalTransition(TetherError):
    """An event that means nothing in the present state."""


def next_state(state: State, event: Event) -> State:
    """The state after ``event``; raises `IllegalTransition` naming the events that are legal."""
    after = TABLE.get((state, event))
    if after is None:
        legal = ", ".join(other.value for other in Event if (state, other) in TABLE)
        raise IllegalTransition(f"cannot {event.value} in state {state.name}; legal here: {legal}")
    return after
