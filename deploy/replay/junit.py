"""The verdict as JUnit XML: one suite a log, one test case a check, so that continuous integration shows what failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from deploy.replay.report import Finding, Report

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0, even escaped


def junit(reports: Sequence[tuple[str, Report]]) -> str:
    """XML of (log name, report) pairs. A violation is a failure, an inconclusive check an error."""
    suites = ElementTree.Element("testsuites", name="tether replay")
    for name, report in reports:
        kinds = [_worst(report, check) for check in report.checks]
        counts = {"tests": len(kinds), "failures": kinds.count("violation"), "errors": kinds.count("inconclusive")}
        suite = ElementTree.SubElement(suites, "testsuite", {"name": _clean(name), **{key: str(value) for key, value in counts.items()}})
        for check, kind in zip(report.checks, kinds):
            case = ElementTree.SubElement(suite, "testcase", classname=_clean(name), name=check)
            if kind != "note":
                serious = [finding for finding in report.findings if finding.check == check and finding.severity != "note"]
                _add(case, "failure" if kind == "violation" else "error", serious)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _worst(report: Report, check: str) -> str:
    """``violation`` only where one stands: a doubtful one is an error, as in the verdict."""
    kinds = {(finding.severity, finding.stands) for finding in report.findings if finding.check == check and finding.severity != "note"}
    return "violation" if ("violation", True) in kinds else "inconclusive" if kinds else "note"


def _add(case: ElementTree.Element, tag: str, findings: Sequence[Finding]) -> None:
    lines = [line(finding) for finding in findings]
    ElementTree.SubElement(case, tag, message=_clean(lines[0])).text = _clean("\n".join(lines))


def line(finding: Finding) -> str:
    """A finding in one line of text."""
    where = [] if finding.tick is None else [f"tick {finding.tick} ({finding.time_s:.3f} s)"]
    where += [finding.channel] if finding.channel else []
    limit = "" if finding.limit is None else f", limit {finding.limit:.4g}"
    size = [] if finding.value is None else [f"{finding.value:.4g}{limit} {finding.unit}".rstrip()]
    doubtful = "" if finding.stands else " (only on doubtful data)"
    return f"{finding.what}{doubtful}" + "".join(f"; {part}" for part in [*where, *size, finding.remedy] if part)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
