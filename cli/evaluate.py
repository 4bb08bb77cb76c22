"""``tether evaluate``: fly a policy file on a task's suite and report success with intervals; several files or engines: as a table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import options

if TYPE_CHECKING:
    from cli.main import Result
    from deploy.policy import Policy

HELP = (
    "Fly a policy file on a task's suite, through the runtime of the robot, and report success with intervals. Several files, or several "
    "engines after --sim, give a table of all of them on the same episodes, and how far each engine is from the first."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("policy", type=Path, nargs="+", metavar="POLICY.onnx", help="the policy file, or several")
    parser.add_argument("--episodes", type=int, default=1000, metavar="N", help="how many to fly (default: 1000)")
    parser.add_argument("--suite", default="full", help="nominal, full, unseen, or another of the task's (default: full)")
    parser.add_argument(
        "--sim", nargs="+", default=["auto"], metavar="ENGINE", help="simulator, or several (default: auto, by the kind of robot)"
    )
    parser.add_argument(
        "--video", type=Path, metavar="FILE", help="draw the first episodes to FILE: .png for a picture, .gif for an animation"
    )
    parser.add_argument(
        "--safeguard", choices=["on", "off"], default="on", help="off: send what the actor asks, not what its safeguard makes of it"
    )
    parser.add_argument(
        "--risk-level", type=float, metavar="0…1", help="how averse to risk, of a policy with that command (default: 0, neutral)"
    )
    options.seed(parser)
    options.device(parser)


def run(args: argparse.Namespace) -> Result:
    """Fly, print the table, draw if asked."""
    from cli.main import Result
    from deploy.policy import Policy
    from training.evaluate import evaluate

    if len(args.policy) > 1 or len(args.sim) > 1:
        return _transfer(args)
    policy = Policy.load(args.policy[0])
    recorder = recorder_of(args.video, policy)
    result = evaluate(
        policy,
        suite=args.suite,
        episodes=args.episodes,
        seed=args.seed,
        simulator=args.sim[0],
        device=args.device,
        observer=recorder,
        progress=True,
        safeguard=args.safeguard == "on",
        risk_level=args.risk_level,
    )
    print(report(result))
    if recorder is not None:
        draw_recorded(
            recorder,
            policy,
            args.video,
            f"{result['task']} {result['suite']}: {result['success_rate']:.1%} of {result['episodes']} episodes",
        )
        print(f"wrote {args.video}")
    return Result(result)


def _transfer(args: argparse.Namespace) -> Result:
    """Every file on every engine."""
    from cli.main import Result
    from deploy.policy import Policy
    from robots.errors import TetherError
    from training import transfer

    if args.safeguard == "off":
        raise TetherError("--safeguard off flies one policy on one engine; name one of each")
    if args.video is not None:
        raise TetherError("--video draws one policy on one engine; name one of each, or leave --video out")
    settings = {"suite": args.suite, "episodes": args.episodes, "seed": args.seed, "progress": True}
    result = transfer.transfer([Policy.load(path) for path in args.policy], args.sim, device=args.device, **settings)
    print(transfer.report(result))
    return Result(result)


def report(result: dict[str, Any]) -> str:
    """The result as a short table."""
    low, high = result["success_interval"]
    rows = [
        ("success", f"{result['success_rate']:.1%}   95 % interval {low:.1%} … {high:.1%}   {result['episodes']} episodes"),
        ("suite", f"{result['task']} {result['suite']} ({result['suite_digest']}), seed {result['seed']}, engine {result['engine']}"),
        *([("safeguard", result["safeguard"])] if "safeguard" in result else []),
        ("crashes", f"{result['crashes']}"),
        ("violations", f"{result['violations']} control steps outside the envelope"),
        ("return", "{:.1f}   95 % interval {:.1f} … {:.1f}".format(result["return_mean"], *result["return_interval"])),
    ]
    for name, figure in (("error", "tracking_error"), ("error, RMS", "tracking_rms")):
        if result[figure]["episodes"]:
            values = "mean {mean:.3f}   median {p50:.3f}   95 % {p95:.3f}   worst {worst:.3f}".format(**result[figure])
            rows.append((name, f"{values}   over {result['judged']}"))
    for name, found in result["measures"].items():
        rms = f"   RMS {found['rms']['root_mean_square']:.3f} over {result['judged']}" if found["rms"]["episodes"] else ""
        rows.append((name, f"mean {found['mean']:.3f}   least {found['least']:.3f}{rms}"))
    width = max(12, *[len(name) for name, _ in rows])
    return "\n".join(f"{name:<{width}} {text}" for name, text in rows)


def recorder_of(video: Path | None, policy: Policy) -> Any:
    """The observer for ``--video``; complains about the file's kind, or a missing matplotlib, before the flight and not after it."""
    if video is None:
        return None
    from robots import registry
    from robots.description import LeggedRobot
    from sim.obstacles import OBSTACLES
    from tasks.go2_gorge import Go2Gorge
    from training.render import FlightRecorder, check_output
    from training.render_gorge import GorgeRecorder
    from training.render_room import RoomRecorder
    from training.render_walk import WalkRecorder

    check_output(video)
    if policy.contract.task == Go2Gorge.name:
        return GorgeRecorder()
    if any(sensor.name == OBSTACLES for sensor in policy.contract.sensors):
        return RoomRecorder()
    return WalkRecorder() if isinstance(registry.robot(policy.contract.robot), LeggedRobot) else FlightRecorder()


def draw_recorded(recorder: Any, policy: Policy, path: Path, title: str) -> None:
    """Draw what `recorder_of`'s observer has seen."""
    from robots import registry
    from training.evaluate import task_of
    from training.render import draw
    from training.render_gorge import GorgeRecorder, draw_gorge
    from training.render_room import RoomRecorder, draw_room
    from training.render_walk import WalkRecorder, draw_walk

    if isinstance(recorder, GorgeRecorder):
        draw_gorge(recorder.walk(registry.robot(policy.contract.robot), policy.contract.period_s), path, title=title)
    elif isinstance(recorder, RoomRecorder):
        draw_room(recorder.flight(policy.contract.period_s), path, title=title)
    elif isinstance(recorder, WalkRecorder):
        draw_walk(recorder.walk(registry.robot(policy.contract.robot), policy.contract.period_s), path, title=title)
    else:
        draw(recorder.flight(policy), path, title=title, tolerance_m=getattr(task_of(policy), "success_m", None))
