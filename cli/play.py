"""``tether play``: steer a policy in simulation, in real time, from a terminal."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import options
from robots.errors import TetherError

if TYPE_CHECKING:
    from cli.main import Result
    from training.play import Status
    from training.sticks import Pad

HELP = "Steer a policy against a simulated robot by keyboard, joystick or script, through the runtime of the robot, and record it."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("policy", type=Path, metavar="POLICY.onnx", help="the policy file")
    parser.add_argument("--joystick", type=Path, metavar="DEVICE", help="steer by this too, for example /dev/input/js0")
    parser.add_argument("--script", type=Path, metavar="FILE.yaml", help="steer by timed entries: - {at_s: 3, forward: 1, press: [push]}")
    parser.add_argument("--log", type=Path, metavar="FILE.mcap", help="record to FILE (default: runs/play.mcap), one file a flight")
    parser.add_argument("--video", type=Path, metavar="FILE", help="draw what was played to FILE: .png or .gif")
    parser.add_argument("--viewer", action="store_true", help="show the robot in MuJoCo's viewer, where there is a display")
    parser.add_argument("--seconds", type=float, default=600.0, metavar="S", help="end a flight after so long (default: 600)")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="of time: 1 is real, inf as fast as it goes (default: 1)")
    parser.add_argument("--suite", default="nominal", help="where flights start and what disturbs them (default: nominal)")
    parser.add_argument("--sim", default="auto", metavar="ENGINE", help="simulator (default: auto, by the kind of robot)")
    options.seed(parser)


def run(args: argparse.Namespace) -> Result:
    """Play, then say where the logs are and how to judge them."""
    import torch

    from cli.evaluate import draw_recorded, recorder_of
    from cli.main import Result
    from deploy.policy import Policy
    from robots import registry
    from training.play import session
    from training.sticks import HELP as KEYS

    if not 0 < args.seconds < math.inf or not args.speed > 0:
        raise TetherError("--seconds and --speed must be more than 0, --seconds also finite")
    interactive = _interactive(args)
    torch.set_num_threads(1)  # one environment: more threads only get in each other's way
    policy = Policy.load(args.policy)
    recorder = recorder_of(args.video, policy)
    log = _log_path(args.log)
    print(f"{policy.contract.task} of {policy.contract.robot}" + (f"\n{KEYS}" if interactive else ""))
    with ExitStack() as stack:
        pads = stack.enter_context(_pads(args, interactive))
        observers = [] if recorder is None else [recorder]
        if args.viewer:
            from training.window import Window

            observers.append(stack.enter_context(Window(registry.robot(policy.contract.robot))))
        flight = {"suite": args.suite, "seed": args.seed, "seconds": args.seconds, "simulator": args.sim}
        results = session(
            policy, pads, log, wait=lambda: _wait(pads, interactive), speed=args.speed, show=_show, observers=observers, **flight
        )
    print()
    for result in results:
        end = f"{result['state']}{', crashed' if result['crashed'] else ''}"
        print(f"{result['flown_s']:.1f} s, {end}, {result['late']} periods late: {result['log']}")
    if recorder is not None:
        draw_recorded(recorder, policy, args.video, f"{policy.contract.task}, played")
        print(f"wrote {args.video}")
    print(f"judge it with: tether replay {' '.join(result['log'] for result in results)} --policy {args.policy}")
    return Result({"flights": results})


def _interactive(args: argparse.Namespace) -> bool:
    """Whether a keyboard steers; refuses where nothing would."""
    if args.script is not None:
        return False
    if sys.stdin.isatty():
        return True
    if args.joystick is None:
        raise TetherError("nobody can steer: stdin is no terminal; run it in one, or give --joystick /dev/input/js0 or --script FILE.yaml")
    return False


@contextmanager
def _pads(args: argparse.Namespace, interactive: bool) -> Iterator[list[Pad]]:
    """All that steers; the terminal is as it was afterwards."""
    from cli.joystick import Joystick
    from cli.terminal import Keyboard
    from training.sticks import KeyPad, Script

    with ExitStack() as stack:
        pads: list[Pad] = [Script(args.script)] if args.script is not None else []
        if args.joystick is not None:
            pads.append(stack.enter_context(Joystick(args.joystick)))
        if interactive:
            pads.append(KeyPad(stack.enter_context(Keyboard(sys.stdin.fileno())).keys))
        yield pads


def _wait(pads: Sequence[Pad], interactive: bool) -> str:
    """What the player wants after a crash."""
    from training.sticks import QUIT, RESET

    if not interactive:
        return QUIT
    print("\ncrashed; R: again   X, Esc: quit", flush=True)
    while True:
        words = [word for pad in pads for word in pad.poll(0.0)[1] if word in (QUIT, RESET)]
        if words:
            return words[-1]
        time.sleep(0.05)


def _show(status: Status) -> None:
    """One line, written over itself on a terminal."""
    if sys.stdout.isatty():
        width = os.get_terminal_size(sys.stdout.fileno()).columns or 120  # a terminal may not know
        sys.stdout.write(f"\r{line(status)[: width - 1]}\x1b[K")
        sys.stdout.flush()


def line(status: Status) -> str:
    """The status as text."""
    asked = "  ".join(f"{name.removesuffix('_command')} {_numbers(value)}" for name, value in status.command.items())
    error = "–" if status.error is None else f"{status.error:.2f}"
    return f"{status.time_s:6.1f} s {status.state:<7} asked {asked}  is {_numbers(status.velocity)}  error {error}  late {status.late}"


def _numbers(values: Any) -> str:
    return " ".join(f"{float(value):+.2f}" for value in values)


def _log_path(path: Path | None) -> Path:
    if path is not None:
        return path
    Path("runs").mkdir(exist_ok=True)
    return Path("runs/play.mcap")
