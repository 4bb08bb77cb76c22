"""A joystick by Linux's own interface, ``/dev/input/js0``: events of eight bytes, no library.

    struct js_event { __u32 time; __s16 value; __u8 type; __u8 number; }      linux/joystick.h

Axes and buttons are numbered as the kernel's drivers do for gamepads with two sticks: left stick 0 and 1, right stick 3 and 4.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from robots.errors import TetherError
from training.sticks import PUSH, QUIT, RESET, Sticks

EVENT = struct.Struct("IhBB")
BUTTON, AXIS, INITIAL = 0x01, 0x02, 0x80
FULL = 32767
DEAD_ZONE = 0.12  # of a stick that is let go
AXES = {1: ("forward", -1.0), 0: ("left", -1.0), 3: ("turn", -1.0), 4: ("up", -1.0)}  # pushed away or to the left is negative
BUTTONS = {0: PUSH, 1: RESET, 7: QUIT}  # A, B and Start of an Xbox pad


class Joystick:
    """Sticks and buttons of one device, inside a ``with`` block.

    Args:
        path: device file.

    Raises:
        TetherError: when it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise TetherError(f"cannot read the joystick {path}: {error.strerror}; name its device by --joystick /dev/input/jsN") from error
        self._values: dict[str, float] = {}
        self._part = b""

    def __enter__(self) -> Joystick:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._fd)

    def poll(self, now_s: float) -> tuple[Sticks, list[str]]:
        """Where the sticks are, and the buttons pressed since the last call; sticks of a device that is gone are let go."""
        try:
            data = os.read(self._fd, 64 * EVENT.size)
        except BlockingIOError:
            data = b""
        except OSError:
            self._values = {}
            return Sticks(), []
        pressed = self.take(data)
        return Sticks(**self._values), pressed

    def take(self, data: bytes) -> list[str]:
        """Take events, an unfinished one included; the buttons they press."""
        data, pressed = self._part + data, []
        whole = len(data) // EVENT.size * EVENT.size
        self._part = data[whole:]
        for _, value, kind, number in EVENT.iter_unpack(data[:whole]):
            if kind & ~INITIAL == AXIS and number in AXES:
                name, sign = AXES[number]
                self._values[name] = sign * live(value / FULL)
            elif kind == BUTTON and value and number in BUTTONS:
                pressed.append(BUTTONS[number])
        return pressed


def live(value: float) -> float:
    """−1…1 of a stick beyond its dead zone, from where it begins at 0."""
    size = max(min(abs(value), 1.0) - DEAD_ZONE, 0.0) / (1.0 - DEAD_ZONE)
    return size if value > 0 else -size
