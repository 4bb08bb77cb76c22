"""Our quadrotor engine beside its peers, in one run on one machine: `make peers`, then `python -m benchmarks.peers`.

Each engine runs in an environment and a process of its own; only one computes at a time. The cases of a group take turns, round after
round, so that drift of the machine hits all of them alike; the best round counts, since anything else only slows it down. Every engine may
use all processors of the process: `taskset -c 0 python -m benchmarks.peers` compares them on one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.peers import cases, report
from benchmarks.peers.client import CaseError, Worker, interpreter
from cli.main import write_json
from robots.errors import TetherError

TREE = Path(__file__).parents[2]


class Bench:
    """The workers, started when first asked for, and what could not be measured."""

    def __init__(self, engines: Sequence[str], environments: Path, device: str, stack: contextlib.ExitStack) -> None:
        self.environments, self.device, self.stack = environments, device, stack
        self.workers: dict[str, Worker] = {}
        self.missing = [{"peer": name, "reason": reason} for name, reason in cases.UNAVAILABLE.items()]
        self.absent: set[str] = {*cases.PEERS} - {*engines}
        for engine in engines:
            try:
                interpreter(engine, environments)
            except TetherError as error:
                if engine in cases.NEEDED:
                    raise
                self.give_up(engine, str(error))

    def give_up(self, engine: str, reason: str) -> None:
        """Do without an engine."""
        self.absent.add(engine)
        self.missing.append({"peer": engine, "reason": reason})

    def worker(self, engine: str) -> Worker:
        """The engine's process."""
        if engine not in self.workers:
            self.workers[engine] = self.stack.enter_context(Worker(engine, interpreter(engine, self.environments), self.device))
        return self.workers[engine]

    def measure(self, group: cases.Group, seconds: float, rounds: int) -> dict[str, Any]:
        """One group: build all of its cases, measure them in turn, forget them."""
        built: dict[str, dict[str, Any]] = {}
        for member in group.members:
            if member.engine in self.absent:
                continue
            try:
                built[member.label] = self.worker(member.engine).ask(do="build", name=member.label, case=member.case)
            except CaseError as error:
                self.missing.append({"peer": f"{member.engine}, {member.label} ({group.name})", "reason": str(error)})
                if self.worker(member.engine).process.poll() is not None:
                    self.absent.add(member.engine)
        speeds: dict[str, list[float]] = {label: [] for label in built}
        for _ in range(rounds):
            for member in group.members:
                if member.label in built:
                    answer = self.worker(member.engine).ask(do="measure", name=member.label, seconds=seconds / rounds)
                    speeds[member.label].append(answer["calls_per_second"])
        for engine in {member.engine for member in group.members} - self.absent:
            self.worker(engine).ask(do="drop")
        return report.group_result(group, built, speeds)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The whole report."""
    machine = report.machine()
    groups = cases.groups(options.only, options.device, options.table_envs, options.num_envs, options.substeps)
    with contextlib.ExitStack() as stack:
        bench = Bench(options.peers, options.venv, options.device, stack)
        results = [bench.measure(group, options.seconds, options.rounds) for group in tqdm(groups, desc="groups", disable=None)]
    settings = {"seconds": options.seconds, "rounds": options.rounds, "device": options.device}
    return {"machine": machine, **settings, "groups": results, "missing": bench.missing}


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.peers", description="Our quadrotor engine beside its peers, in one run.")
    for option, names in (("--only", cases.GROUPS), ("--peers", cases.PEERS)):
        parser.add_argument(option, nargs="+", choices=names, default=list(names), metavar="NAME", help=", ".join(names))
    parser.add_argument("--num-envs", type=int, nargs="+", default=list(cases.SWEEP_ENVS), metavar="N", help="of the sweep (1, 4 … 65536)")
    parser.add_argument("--table-envs", type=int, default=cases.TABLE_ENVS, metavar="N", help="of the tables (default 4096)")
    parser.add_argument("--substeps", type=int, default=cases.SUBSTEPS, metavar="N", help="physics steps a call (default 10)")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="for each case, all rounds together (default 5)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="in turn with the others (default 5)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of crazyflow and ours (default cpu)")
    parser.add_argument("--venv", type=Path, default=TREE / ".venv-peers", metavar="DIR", help="with an environment a peer (.venv-peers)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the sweep there")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing: print, and draw, what --json wrote")
    return parser


def main(argv: Sequence[str]) -> int:
    """Measure, print, write, draw."""
    options = arguments().parse_args(argv)
    try:
        if options.seconds <= 0.0 or min(options.rounds, options.substeps, options.table_envs, *options.num_envs) < 1:
            raise TetherError("--seconds must be positive, and --rounds, --substeps, --table-envs and --num-envs at least 1")
        result = json.loads(options.read.read_text()) if options.read else measure(options)
        if options.json:
            write_json(options.json, result)
        print(report.text(result))
        if options.plot:
            from benchmarks.peers.plot import draw

            draw(result, options.plot)
            print(f"wrote {options.plot}")
    except (TetherError, OSError) as error:
        print(f"benchmarks.peers: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
