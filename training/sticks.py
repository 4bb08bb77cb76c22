"""What a player does, whatever with: four sticks, and words for what is pressed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import yaml

from robots.errors import TetherError, unknown

PUSH, RESET, QUIT = "push", "reset", "quit"
SCALES = tuple("123456789")
WORDS = (PUSH, RESET, QUIT, *SCALES)
HELD_S = 0.5  # a key that a terminal has not repeated for so long was let go


@dataclass(frozen=True)
class Sticks:
    """Each −1…1: forward, to the left, up, and turning to the left."""

    forward: float = 0.0
    left: float = 0.0
    up: float = 0.0
    turn: float = 0.0

    def __add__(self, other: Sticks) -> Sticks:
        """Both at once."""
        names = [item.name for item in fields(self)]
        return Sticks(**{name: min(max(getattr(self, name) + getattr(other, name), -1.0), 1.0) for name in names})


NAMES = tuple(item.name for item in fields(Sticks))


class Pad(Protocol):
    """A keyboard, a joystick, a script."""

    def poll(self, now_s: float) -> tuple[Sticks, list[str]]:
        """The sticks at ``now_s``, and which of `WORDS` were pressed since the last call."""


KEYS = {
    **dict.fromkeys(("w", "up"), ("forward", 1.0)),
    **dict.fromkeys(("s", "down"), ("forward", -1.0)),
    **dict.fromkeys(("a", "left"), ("left", 1.0)),
    **dict.fromkeys(("d", "right"), ("left", -1.0)),
    "q": ("turn", 1.0),
    "e": ("turn", -1.0),
    "t": ("up", 1.0),
    "g": ("up", -1.0),
}
PRESSED = {"p": PUSH, "r": RESET, "x": QUIT, "escape": QUIT, "\x03": QUIT, "\x04": QUIT, **{digit: digit for digit in SCALES}}
HELP = "W S A D or arrows: move   Q E: turn   T G: up, down   space: stop   1…9: how fast   P: push   R: again   X, Esc: quit"


class KeyPad:
    """Sticks made of keys. A terminal says when a key is pressed and that it still is, never that it was let go: a stick goes back when its
    key was not repeated for `HELD_S`, which makes every key a dead-man switch. Most terminals repeat only the last of several keys.

    Args:
        keys: what was pressed since the last call, as `cli.terminal.Keyboard.keys`.
    """

    def __init__(self, keys: Callable[[], list[str]]) -> None:
        self._keys = keys
        self._held: dict[str, tuple[float, float]] = {}  # stick: where to, and since when

    def poll(self, now_s: float) -> tuple[Sticks, list[str]]:
        """See `Pad.poll`."""
        pressed = []
        for key in (key.lower() for key in self._keys()):
            if key == " ":
                self._held.clear()
            elif key in KEYS:
                stick, to = KEYS[key]
                self._held[stick] = to, now_s
            elif key in PRESSED:
                pressed.append(PRESSED[key])
        self._held = {stick: (to, since) for stick, (to, since) in self._held.items() if now_s - since <= HELD_S}
        return Sticks(**{stick: to for stick, (to, _) in self._held.items()}), pressed


class Script:
    """What to do when: a YAML list of

        - {at_s: 3.0, forward: 1.0, turn: 0.5, press: [push]}

    Sticks stay where an entry puts them until the next, which lets go of those it does not name. Time is the session's, standing included.

    Args:
        path: the file.

    Raises:
        TetherError: for a file that is no such list.
    """

    def __init__(self, path: Path) -> None:
        try:
            entries = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise TetherError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(entries, list) or not entries:
            raise TetherError(f"{path}: give a list of entries such as {{at_s: 3.0, forward: 1.0, press: [push]}}")
        self._due = [_entry(entry, f"{path}, entry {number + 1}") for number, entry in enumerate(entries)]
        times = [at_s for at_s, _, _ in self._due]
        if times != sorted(times):
            raise TetherError(f"{path}: at_s falls; put the entries in the order of their times")
        self._sticks = Sticks()

    def poll(self, now_s: float) -> tuple[Sticks, list[str]]:
        """See `Pad.poll`."""
        pressed: list[str] = []
        while self._due and self._due[0][0] <= now_s + 1e-9:
            _, self._sticks, words = self._due.pop(0)
            pressed += words
        return self._sticks, pressed


def _entry(entry: Any, where: str) -> tuple[float, Sticks, list[str]]:
    valid = ("at_s", *NAMES, "press")
    if not isinstance(entry, Mapping) or "at_s" not in entry:
        raise TetherError(f"{where}: needs at_s; it may have {', '.join(valid[1:])}")
    for key in entry:
        if key not in valid:
            raise unknown(f"key in {where}", str(key), valid)
    for key in ("at_s", *NAMES):
        value, low, high = entry.get(key, 0.0), 0.0 if key == "at_s" else -1.0, float("inf") if key == "at_s" else 1.0
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise TetherError(f"{where}: {key} is {value!r}; give a number in {low:g}…{high:g}")
    words = entry.get("press", [])
    words = [str(word) for word in (words if isinstance(words, list) else [words])]
    for word in words:
        if word not in WORDS:
            raise unknown(f"word to press in {where}", word, WORDS)
    return float(entry["at_s"]), Sticks(**{name: float(entry.get(name, 0.0)) for name in NAMES}), words
