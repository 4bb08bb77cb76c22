"""``tether replay LOG… --policy POLICY.onnx``: judge logged flights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cli.main import Result
from robots.errors import TetherError

if TYPE_CHECKING:
    from deploy.policy import Policy
    from deploy.replay.outcome import Outcome
    from safety.rules import Rule

HELP = "judge logged flights against the policy file that flew and its rules; exit code 0 pass, 1 violation, 2 inconclusive"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Logs, the policy file, and where reports go."""
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG", help="MCAP files recorded by tether run or the policy node")
    parser.add_argument("--policy", type=Path, required=True, metavar="FILE", help="the policy file that flew")
    parser.add_argument("--rules", type=Path, metavar="FILE", help="YAML file of further rules")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report with plots; of several logs an overview beside theirs")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML")


def run(args: argparse.Namespace) -> Result:
    """Judge every log, print a line for each, write what was asked for."""
    from deploy.policy import Policy
    from deploy.replay import outcome
    from safety.rules import load_rules

    for name in ("html", "junit"):
        _check_folder(f"--{name}", getattr(args, name))
    rules = load_rules(args.rules) if args.rules else ()
    policy = Policy.load(args.policy)
    outcomes = [_one(path, policy, rules, page=args.html is not None) for path in args.logs]
    if args.html:
        outcome.write_html(args.html, outcomes)
        print(f"wrote {args.html}")
    if args.junit:
        outcome.write_junit(args.junit, outcomes)
        print(f"wrote {args.junit}")
    data = outcome.result(outcomes)
    if len(outcomes) > 1:
        from deploy.replay.fleet import Fleet

        print(Fleet(**data["fleet"]).words())
    return Result(data, outcome.exit_code(outcomes))


def _one(path: Path, policy: Policy, rules: tuple[Rule, ...], *, page: bool) -> Outcome:
    from deploy.replay.html import sentence
    from deploy.replay.outcome import judge_file

    found = judge_file(path, policy, rules, page=page)
    print(f"{found.report.verdict.upper():<12} {path}: {sentence(found.report)}", flush=True)
    return found


def _check_folder(option: str, path: Path | None) -> None:
    """Before the work, not after it."""
    if path is not None and not path.absolute().parent.is_dir():
        raise TetherError(f"{option}: there is no directory {path.absolute().parent}; create it first")
