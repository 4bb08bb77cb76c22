"""``tether export``: write a trained or hand-written control law as one policy file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robots.errors import TetherError, unknown

if TYPE_CHECKING:
    from cli.main import Result
    from training.control_law import ControlLaw

HELP = "Write a control law as one policy file: graph, contract, rules, provenance and a recorded flight, sealed by a digest."

HAND_WRITTEN = {
    "geometric:hover": ("hover", "training.geometric_hover:GeometricHover"),
    "geometric:track": ("track", "training.geometric_track:GeometricTrack"),
    "beeline:room": ("room", "training.beeline:Beeline"),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("source", metavar="SOURCE", help=f"a run directory, a checkpoint, or a hand-written law: {', '.join(HAND_WRITTEN)}")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where to write the .onnx file")
    parser.add_argument("--rate", type=float, metavar="HZ", help="control rate of a hand-written law (default: the task's)")
    parser.add_argument("--robot", metavar="NAME", help="robot of a hand-written law (default: the task's)")


def run(args: argparse.Namespace) -> Result:
    """Export, check against torch, and say what was written."""
    from cli.main import Result
    from deploy.policy import Policy
    from training.export import export_law
    from training.provenance import portable, provenance

    law, known = _load(args)
    command = ["tether", "export", _source(args.source), *_options(args), "-o", portable(args.output)]
    path = export_law(law, args.output, provenance=provenance(command, law.task.robot, **known))
    policy = Policy.load(path)
    print(f"wrote {path} ({path.stat().st_size / 1024:.0f} KiB, {policy.contract.rate_hz:g} Hz, digest {policy.digest[:12]})")
    return Result({"policy": str(path), "digest": policy.digest, "rate_hz": policy.contract.rate_hz, "bytes": path.stat().st_size})


def _load(args: argparse.Namespace) -> tuple[ControlLaw, dict[str, Any]]:
    """The law and what is known of its making."""
    if args.rate is not None and not 1.0 <= args.rate <= 10_000.0:
        raise TetherError(f"--rate {args.rate:g}: give a control rate between 1 and 10000 Hz")
    if ":" in args.source:
        return _hand_written(args), {"law": args.source}
    if args.rate is not None or args.robot is not None:
        raise TetherError("--rate and --robot are for hand-written laws; a trained one keeps those it was trained with")
    if not Path(args.source).exists():
        raise TetherError(
            f"there is no run or checkpoint {args.source}; train one with `tether train`, or choose: {', '.join(HAND_WRITTEN)}"
        )
    from training.checkpoint import load_law

    law, known = load_law(Path(args.source))
    return law, {"training_command": known.pop("command")} | known


def _hand_written(args: argparse.Namespace) -> ControlLaw:
    import importlib

    from robots import registry

    if args.source not in HAND_WRITTEN:
        raise unknown("hand-written law", args.source, list(HAND_WRITTEN))
    task_name, place = HAND_WRITTEN[args.source]
    task = registry.load(registry.TASKS, task_name)
    module, name = place.split(":")
    law: ControlLaw = getattr(importlib.import_module(module), name)(task(registry.robot(args.robot) if args.robot else None), args.rate)
    return law


def _source(source: str) -> str:
    from training.provenance import portable

    return source if ":" in source else portable(Path(source))


def _options(args: argparse.Namespace) -> list[str]:
    pairs = {"--rate": f"{args.rate:g}" if args.rate else "", "--robot": args.robot or ""}
    return [word for option, value in pairs.items() if value for word in (option, value)]
