"""``tether VERB …``: finds the verb, parses its arguments, runs it, writes its result, and turns errors into one line.

A verb is a module ``cli/<verb>.py`` with

    HELP: str                                                  one line
    def arguments(parser: argparse.ArgumentParser) -> None     declares what it takes; imports nothing heavy
    def run(args: argparse.Namespace) -> Result                does it; heavy imports inside
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from robots.errors import TetherError, unknown

VERBS = {
    "list": "robots, tasks with their suites, algorithms and engines that are installed",
    "train": "train a policy for a task",
    "evaluate": "fly a policy file on a task's suite and report success with intervals",
    "export": "write a trained or hand-written control law as one policy file",
    "inspect": "show what a policy file needs, gives, and where it came from",
    "run": "close the loop with a simulated robot, without ROS",
    "play": "steer a policy in simulation by keyboard, joystick or script",
    "replay": "judge logged flights against a policy file and its rules",
    "bench": "measure speed, how far engines are from each other, and how much policies bear",
    "new": "start a package for a robot of your own from its URDF or MJCF",
    "doctor": "check this machine and say what to do about what it finds",
}

# What to install when an optional import fails, by top-level module.
EXTRAS = {
    "cma": "robustness",
    "rclpy": "ros",
    "rosidl_runtime_py": "ros",
    "sensor_msgs": "ros",
    "nav_msgs": "ros",
    "mujoco_warp": "warp",
    "warp": "warp",
    "gymnasium": "rrls",
    "imageio": "rrls",
    "tensorboard": "dev",
    "matplotlib": "dev",
    "pinocchio": "dev",
    "rosbags": "dev",
}


@dataclass(frozen=True)
class Result:
    """What a verb found out: ``data`` goes to ``--json``, ``exit_code`` to the shell."""

    data: dict[str, Any] = field(default_factory=dict)
    exit_code: int = 0


class Parser(argparse.ArgumentParser):
    """argparse, with errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise TetherError(f"{message}; see {self.prog} --help")


def main(argv: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code."""
    try:
        return _dispatch(list(argv))
    except TetherError as error:
        return _fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        return _fail(missing_module(error))
    except BrokenPipeError:  # the reader of our output, `head` for example, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        from importlib.metadata import version

        print(f"tether {version('tether')}")
        return 0
    verb = argv[0]
    if verb not in VERBS:
        raise unknown("verb", verb, list(VERBS))
    module = importlib.import_module(f"cli.{verb}")
    args = _parse(verb, module, argv[1:])
    result: Result = module.run(args)
    if args.json:
        write_json(args.json, result.data)
        print(f"wrote {args.json}")
    return result.exit_code


def _parse(verb: str, module: ModuleType, argv: list[str]) -> argparse.Namespace:
    parser = Parser(prog=f"tether {verb}", description=module.HELP, allow_abbrev=False)
    module.arguments(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to FILE as JSON")
    nested = any(action.nargs == argparse.PARSER for action in parser._actions)  # sub-commands keep their words together
    args = parser.parse_args(argv) if nested else parser.parse_intermixed_args(argv)
    if args.json and not args.json.absolute().parent.is_dir():  # before the work, not after it
        raise TetherError(f"--json: there is no directory {args.json.absolute().parent}; create it first")
    return args


def usage() -> str:
    """The verbs, one line each."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {text}" for name, text in VERBS.items())
    return f"usage: tether VERB …\n\n{verbs}\n\nEvery verb has --help and --json FILE."


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write ``data`` so that a reader never sees half of it; numbers that are not finite become null."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(_plain(data), indent=2) + "\n")
    partial.replace(path)


def _plain(value: Any) -> Any:
    """Only what JSON knows: numpy and torch values become lists and numbers, paths become text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int, type(None))) else str(value)


def missing_module(error: ModuleNotFoundError) -> str:
    """What to install, in one line."""
    name = (error.name or str(error)).partition(".")[0]
    if name in EXTRAS:
        return f"this needs the Python package {name}; install it with: pip install 'tether[{EXTRAS[name]}]'"
    return f"the Python package {error.name} is missing; install it, or reinstall tether with: pip install --force-reinstall tether"


def _fail(message: str, exit_code: int = 2) -> int:
    print(f"tether: error: {' '.join(message.split())}", file=sys.stderr)
    return exit_code
