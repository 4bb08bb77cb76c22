"""Logs in, reports on disk out: what the command line does, usable from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.policy import Policy
from deploy.record import read_log
from deploy.replay import html
from deploy.replay.fleet import Fleet
from deploy.replay.junit import junit
from deploy.replay.replay import examine
from deploy.replay.report import EXIT_CODES, STATEMENT, Finding, Report
from robots.errors import TetherError
from safety.rules import Rule


@dataclass(frozen=True)
class Outcome:
    """The report of one log, and its page if one was asked for."""

    path: Path
    report: Report
    page: str


def judge_file(path: Path, policy: Policy, rules: Sequence[Rule], *, page: bool) -> Outcome:
    """Replay one file; one that is there but cannot be read is inconclusive.

    Raises:
        TetherError: if there is no such file, or a rule names a signal that the log has not.
    """
    if not path.is_file():
        raise TetherError(f"there is no log {path}; name an MCAP file that `tether run` or the policy node recorded")
    try:
        log = read_log(path)
    except Exception as error:  # a damaged file may fail in any way; none of them is a pass, and none may stop the other logs
        report = unreadable(str(error))
        return Outcome(path, report, html.unreadable_page(report, path.name) if page else "")
    case, report = examine(log, policy, rules)
    return Outcome(path, report, html.page(case, report, path.name) if page else "")


def unreadable(reason: str) -> Report:
    """The report of a file that holds no log that can be read."""
    remedy = "copy the file again from the robot; if it is like this there, record the run again"
    finding = Finding(severity="inconclusive", check="container", what=f"the log cannot be read: {reason}", remedy=remedy)
    return Report(findings=(finding,), checks=("container",))


def result(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The JSON result: ``verdict`` and ``findings`` over all logs, then every log's own."""
    fleet = Fleet.of([outcome.report.verdict for outcome in outcomes])
    findings = [{"log": str(outcome.path), **finding} for outcome in outcomes for finding in outcome.report.to_dict()["findings"]]
    return {
        "verdict": fleet.verdict,
        "findings": findings,
        "logs": [{"log": str(outcome.path), **outcome.report.to_dict()} for outcome in outcomes],
        "fleet": dict(fleet.__dict__),
        "statement": STATEMENT,
    }


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 pass, 1 violation, 2 inconclusive, over all logs."""
    return EXIT_CODES[Fleet.of([outcome.report.verdict for outcome in outcomes]).verdict]


def write_html(path: Path, outcomes: Sequence[Outcome]) -> None:
    """One log: its report. Several: an overview at ``path``, and theirs in a folder of the same name beside it."""
    if len(outcomes) == 1:
        path.write_text(outcomes[0].page, encoding="utf-8")
        return
    folder = path.with_name(path.stem + "_logs")
    folder.mkdir(exist_ok=True)
    links = []
    for number, outcome in enumerate(outcomes):
        target = folder / f"{number:03d}_{outcome.path.stem}.html"
        target.write_text(outcome.page, encoding="utf-8")
        links.append(f"{folder.name}/{target.name}")
    fleet = Fleet.of([outcome.report.verdict for outcome in outcomes])
    rows = [(outcome.path.name, outcome.report) for outcome in outcomes]
    path.write_text(html.fleet_page(fleet, rows, links), encoding="utf-8")


def write_junit(path: Path, outcomes: Sequence[Outcome]) -> None:
    """JUnit XML of all logs."""
    path.write_text(junit([(str(outcome.path), outcome.report) for outcome in outcomes]), encoding="utf-8")
