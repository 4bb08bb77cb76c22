"""What a guard can report, as bits of the log's ``trips`` and ``warnings`` columns."""

from __future__ import annotations

from enum import IntFlag

from safety.envelope import Violation


class Trip(IntFlag):
    """Reasons to take control from the policy. The values are part of the log's format: append, never renumber."""

    TILT = Violation.TILT.value
    SPEED = Violation.SPEED.value
    BODY_RATE = Violation.BODY_RATE.value
    DISTANCE = Violation.DISTANCE.value
    IMPLAUSIBLE = Violation.IMPLAUSIBLE.value
    NON_FINITE_INPUT = 1 << 8
    BAD_INPUT = 1 << 9
    STALE_CLOCK = 1 << 10
    STALE_SENSOR = 1 << 11
    NON_FINITE_OUTPUT = 1 << 12
    BAD_OUTPUT = 1 << 13
    POLICY_ERROR = 1 << 14
    DEADLINE = 1 << 15
    DEAD_MAN = 1 << 16
    HOLD_TIMEOUT = 1 << 17
    ESTOP = 1 << 18


class Warn(IntFlag):
    """Worth saying, not worth stopping for. The values are part of the log's format: append, never renumber."""

    LATE_CLOCK = 1
    OUT_OF_ORDER = 2
    MISSED = 4
    CLAMPED = 8
    COMMAND_STALE = 16
    COMMAND_REFUSED = 32
    OUTSIDE_ENVELOPE = 64
    NOT_READY = 128
    COMMAND_BOUNDED = 256


def names(kind: type[IntFlag], mask: int) -> tuple[str, ...]:
    """Lower-case names of the bits of ``mask``, for example ``("tilt", "stale_clock")``."""
    return tuple(bit.name.lower() for bit in kind if bit.name and mask & bit.value) if mask else ()
