"""What the simulated robot is doing, and why; counts control periods, so that it can be tested without a clock."""

from __future__ import annotations

from enum import Enum

SILENCE_PERIODS = 5
"""A robot whose commands stop is in its failsafe within this many control periods of the last one."""


class Mode(Enum):
    """Modes of the simulated robot."""

    HELD = "held"
    """Held in place at its start, for example in a hand or on a stand, until the first command."""
    COMMANDED = "commanded"
    """Doing as commanded."""
    FAILSAFE = "failsafe"
    """Going to rest by its own means; commands are ignored until a reset."""
    RESTING = "resting"
    """On the ground after a failsafe, motors off."""


class Supervisor:
    """Chooses the mode.

    Attributes:
        mode: the present mode.
        reason: why it was entered, one line.
        silent: control periods since the last command.
        unanswered: control periods so far that had to go on with the command before, and after which a new one came.
    """

    def __init__(self, silence_periods: int = SILENCE_PERIODS) -> None:
        self.silence_periods = silence_periods
        self.reset()

    def reset(self) -> None:
        """Back to the start, as after picking the robot up."""
        self.mode, self.reason, self.silent, self.unanswered = Mode.HELD, "start", 0, 0

    def on_command(self) -> None:
        """A valid command arrived; the first one releases the robot."""
        if self.mode is Mode.COMMANDED:
            self.unanswered += max(0, self.silent - 1)
        self.silent = 0
        if self.mode is Mode.HELD:
            self._enter(Mode.COMMANDED, "first command")

    def on_failsafe_request(self) -> None:
        """Someone asked for the failsafe; a robot that is held needs none."""
        if self.mode is Mode.COMMANDED:
            self._enter(Mode.FAILSAFE, "requested")

    def on_rest(self) -> None:
        """The robot lies on the ground and hardly moves."""
        if self.mode is Mode.FAILSAFE:
            self._enter(Mode.RESTING, "on the ground")

    def on_period(self) -> None:
        """A control period begins. The limit is met early: at the last period that still ends within it."""
        self.silent += 1
        if self.mode is Mode.COMMANDED and self.silent >= self.silence_periods:
            self._enter(Mode.FAILSAFE, f"no command for {self.silent} control periods")

    def _enter(self, mode: Mode, reason: str) -> None:
        self.mode, self.reason = mode, reason
