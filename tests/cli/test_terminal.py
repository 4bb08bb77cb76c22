"""Keyboard and joystick: what is pressed is read, and the terminal is as it was afterwards, whatever happens."""

from __future__ import annotations

import errno
import os
import pty
import select
import signal
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.joystick import AXIS, BUTTON, DEAD_ZONE, EVENT, FULL, INITIAL, Joystick, live
from cli.terminal import Keyboard, split
from robots.errors import TetherError
from training.sticks import PUSH, QUIT, RESET, Sticks


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: what types, and what the program has."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def typed(text: bytes, typing: int, program: int) -> None:
    """Type ``text``, and wait until it has come through."""
    os.write(typing, text)
    assert select.select([program], [], [], 10.0)[0]


def test_keys_come_one_by_one_without_echo(terminal: tuple[int, int]) -> None:
    typing, program = terminal
    before = termios.tcgetattr(program)
    with Keyboard(program) as keyboard:
        assert not termios.tcgetattr(program)[3] & (termios.ECHO | termios.ICANON)
        assert keyboard.keys() == []
        typed(b"w5 \x1b[A\x1bOD", typing, program)
        assert keyboard.keys() == ["w", "5", " ", "up", "left"]
    assert termios.tcgetattr(program) == before


def test_an_arrow_in_two_parts_is_no_escape(terminal: tuple[int, int]) -> None:
    typing, program = terminal
    with Keyboard(program) as keyboard:
        typed(b"\x1b", typing, program)
        assert keyboard.keys() == []
        typed(b"[C", typing, program)
        assert keyboard.keys() == ["right"]
        typed(b"\x1b", typing, program)
        assert keyboard.keys() == []
        assert keyboard.keys() == ["escape"]  # nothing came after it


def test_unknown_sequences_are_nothing() -> None:
    assert split("a\x1b[1;5Ab\x1b[3~c\x1b[Z") == ["a", "b", "c"]


def test_the_terminal_is_restored_after_an_error(terminal: tuple[int, int]) -> None:
    typing, program = terminal
    before, handler = termios.tcgetattr(program), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), Keyboard(program):
        raise ZeroDivisionError(typed(b"rm -rf\n", typing, program))  # typed ahead, and not for the shell
    assert termios.tcgetattr(program) == before
    assert signal.getsignal(signal.SIGTERM) is handler
    os.set_blocking(program, False)
    with pytest.raises(BlockingIOError):
        os.read(program, 100)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_key_and_the_second_one_ends_it(number: signal.Signals, terminal: tuple[int, int]) -> None:
    _, program = terminal
    before = termios.tcgetattr(program)
    with Keyboard(program) as keyboard:
        os.kill(os.getpid(), number)
        assert keyboard.keys() == ["escape"]
    with pytest.raises(KeyboardInterrupt), Keyboard(program):
        assert [os.kill(os.getpid(), number) for _ in range(2)]
    assert termios.tcgetattr(program) == before


def event(kind: int, number: int, value: int) -> bytes:
    return EVENT.pack(0, value, kind, number)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[tuple[Joystick, int]]:
    """A joystick, and what writes its events."""
    path = tmp_path / "js0"
    os.mkfifo(path)
    with Joystick(path) as joystick:
        writing = os.open(path, os.O_WRONLY)
        yield joystick, writing
        os.close(writing)


def test_a_joystick_has_sticks_and_buttons(device: tuple[Joystick, int]) -> None:
    joystick, writing = device
    assert joystick.poll(0.0) == (Sticks(), [])
    os.write(writing, event(AXIS | INITIAL, 1, -FULL) + event(AXIS, 3, FULL) + event(AXIS, 9, FULL))
    assert joystick.poll(0.0) == (Sticks(forward=1.0, turn=-1.0), [])
    os.write(writing, event(BUTTON | INITIAL, 0, 1) + event(BUTTON, 0, 1) + event(BUTTON, 0, 0) + event(BUTTON, 1, 1) + event(BUTTON, 7, 1))
    assert joystick.poll(0.0) == (Sticks(forward=1.0, turn=-1.0), [PUSH, RESET, QUIT])  # how buttons were at first says nothing


def test_an_event_in_two_parts_is_one(device: tuple[Joystick, int]) -> None:
    joystick, writing = device
    whole = event(AXIS, 0, -FULL // 2)
    os.write(writing, whole[:3])
    assert joystick.poll(0.0)[0] == Sticks()
    os.write(writing, whole[3:])
    assert joystick.poll(0.0)[0].left == pytest.approx((0.5 - DEAD_ZONE) / (1 - DEAD_ZONE), abs=1e-3)


def test_the_dead_zone_is_dead_and_the_rest_has_no_jump() -> None:
    assert live(DEAD_ZONE) == live(-DEAD_ZONE) == 0.0
    assert live(DEAD_ZONE + 1e-3) == pytest.approx(1e-3 / (1 - DEAD_ZONE))
    assert (live(1.0), live(-32768 / FULL)) == (1.0, -1.0)


def test_a_joystick_that_is_gone_lets_go(device: tuple[Joystick, int], monkeypatch: pytest.MonkeyPatch) -> None:
    joystick, writing = device
    os.write(writing, event(AXIS, 1, -FULL))
    assert joystick.poll(0.0)[0].forward == 1.0

    def gone(fd: int, size: int) -> bytes:
        raise OSError(errno.ENODEV, "No such device")

    with monkeypatch.context() as patch:
        patch.setattr("cli.joystick.os.read", gone)
        assert joystick.poll(0.0) == (Sticks(), [])
    assert joystick.poll(0.0) == (Sticks(), [])


def test_a_joystick_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TetherError, match="cannot read the joystick"):
        Joystick(tmp_path / "js9")
