"""What the simulated autopilot is doing, and why; counts control periods, so that it can be tested without a clock."""

from __future__ import annotations

from enum import Enum

SILENCE_PERIODS = 5
"""A robot whose commands stop is in its failsafe within this many control periods of the last one."""


class Mode(Enum):
    """Modes of the simulated autopilot."""

    HELD = "held"
    """Held in place at the start pose, for example in a hand, until the first command."""
    FLYING = "flying"
    """Doing as commanded."""
    FAILSAFE = "failsafe"
    """Levelling and descending by its own loop; commands are ignored until a reset."""
    LANDED = "landed"
    """On the ground after a failsafe, motors off."""


class Supervisor:
    """Chooses the mode.

    Attributes:
        mode: the present mode.
        reason: why it was entered, one line.
        silent: control periods since the last command.
    """

    def __init__(self, silence_periods: int = SILENCE_PERIODS) -> None:
        self.silence_periods = silence_periods
        self.reset()

    def reset(self) -> None:
        """Back to the start, as after picking the robot up."""
        self.mode, self.reason, self.silent = Mode.HELD, "start", 0

    def on_command(self) -> None:
        """A valid command arrived; the first one releases the robot."""
        self.silent = 0
        if self.mode is Mode.HELD:
            self._enter(Mode.FLYING, "first command")

    def on_failsafe_request(self) -> None:
        """Someone asked for the failsafe; a robot that is held needs none."""
        if self.mode is Mode.FLYING:
            self._enter(Mode.FAILSAFE, "requested")

    def on_landed(self) -> None:
        """The robot touches the ground slowly."""
        if self.mode is Mode.FAILSAFE:
            self._enter(Mode.LANDED, "touch-down")

    def on_period(self) -> None:
        """A control period begins. The limit is met early: at the last period that still ends within it."""
        self.silent += 1
        if self.mode is Mode.FLYING and self.silent >= self.silence_periods:
            self._enter(Mode.FAILSAFE, f"no command for {self.silent} control periods")

    def _enter(self, mode: Mode, reason: str) -> None:
        self.mode, self.reason = mode, reason
