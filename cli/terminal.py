"""The keyboard of a terminal, key by key, and the terminal as it was afterwards, whatever happens in between."""

from __future__ import annotations

import os
import select
import signal
import termios
from types import FrameType, TracebackType
from typing import Any

ESCAPE = "\x1b"
ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Keyboard:
    """Keys without Enter and without echo, inside a ``with`` block.

    Ctrl-C, SIGTERM and a closed terminal become the key ``escape``, so that whoever reads keys ends in order; the second Ctrl-C raises
    KeyboardInterrupt. Ctrl-Z is off: a shell would get a terminal without echo.

    Args:
        fd: of the terminal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = ""
        self._stopped = 0
        self._saved: list[Any] = []
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Keyboard:
        self._saved = termios.tcgetattr(self._fd)
        mode = termios.tcgetattr(self._fd)
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 0, 0  # a read takes what is there
        mode[6][termios.VSUSP] = os.fpathconf(self._fd, "PC_VDISABLE").to_bytes(1, "little")
        self._handlers = {number: signal.signal(number, self._stop) for number in STOPPING}
        termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        termios.tcsetattr(self._fd, termios.TCSAFLUSH, self._saved)  # keys nobody has read must not become a command of the shell
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def keys(self) -> list[str]:
        """What was pressed since the last call: characters, and ``up``, ``down``, ``left``, ``right``, ``escape``."""
        text, self._rest = self._rest, ""
        if select.select([self._fd], [], [], 0)[0]:
            text += os.read(self._fd, 1024).decode(errors="ignore")
            if text.endswith((ESCAPE, ESCAPE + "[", ESCAPE + "O")):  # perhaps the first part of an arrow key
                start = text.rindex(ESCAPE)
                text, self._rest = text[:start], text[start:]
        stopped, self._stopped = self._stopped > 0, 0
        return [*split(text), *(["escape"] if stopped else [])]

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped += 1
        if self._stopped > 1:
            raise KeyboardInterrupt


def split(text: str) -> list[str]:
    """Keys in what a terminal sent; an escape sequence that is no arrow key is nothing."""
    keys, at = [], 0
    while at < len(text):
        if text[at] != ESCAPE:
            keys.append(text[at])
            at += 1
        elif text[at + 1 : at + 2] in ("[", "O"):
            end = at + 2
            while end < len(text) and not text[end].isalpha() and text[end] != "~":
                end += 1
            keys += [ARROWS[text[end]]] if end == at + 2 and text[end : end + 1] in ARROWS else []
            at = end + 1
        else:
            keys.append("escape")
            at += 1
    return keys
