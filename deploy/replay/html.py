"""The report as one HTML file: no script, no link, nothing fetched; whatever comes from a log is escaped."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from deploy.replay.case import Case
from deploy.replay.fleet import Fleet
from deploy.replay.plots import sections
from deploy.replay.report import STATEMENT, Finding, Report
from deploy.replay.svg import FULL, label

STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
WORDS = {"pass": "Pass", "violation": "Violation", "inconclusive": "Inconclusive"}
SYMBOL = {"pass": "✓", "violation": "✕", "inconclusive": "?", "note": "·"}
SHOWN = 200  # findings in the table; all are in the JSON


def page(case: Case, report: Report, name: str) -> str:
    """The report of one log, called ``name``."""
    with np.errstate(all="ignore"):  # a damaged log holds any bit pattern, and every plot leaves out what cannot be drawn
        pictures = _pictures(case, report)
    body = [_verdict(report), _tiles(report, case), _findings(report.findings), *pictures, _provenance(report)]
    return _document(name, report.verdict, body)


def unreadable_page(report: Report, name: str) -> str:
    """The report of a file without a log in it."""
    return _document(name, report.verdict, [_verdict(report), _findings(report.findings)])


def fleet_page(fleet: Fleet, rows: Sequence[tuple[str, Report]], links: Sequence[str]) -> str:
    """The overview of several logs: one row each, ``links`` to their own reports."""
    cells = []
    for (name, report), link in zip(rows, links):
        first = report.findings[0].what if report.findings and report.verdict != "pass" else ""
        summary = report.summary
        cells.append(
            f'<tr><td>{_badge(report.verdict)}</td><td><a href="{escape(link, quote=True)}">{escape(name)}</a></td>'
            f'<td class="number">{summary.get("duration_s", 0.0):.1f}</td><td class="number">{_milli(summary.get("latency_p99_ms"))}</td>'
            f"<td>{escape(first)}</td></tr>"
        )
    head = "<th>verdict</th><th>log</th><th class=number>duration [s]</th><th class=number>latency p99 [ms]</th><th>first finding</th>"
    table = f"<section><table><thead><tr>{head}</tr></thead><tbody>{''.join(cells)}</tbody></table></section>"
    return _document(f"{fleet.logs} logs", fleet.verdict, [_banner(fleet.verdict, fleet.words()), table])


def _document(name: str, verdict: str, body: Sequence[str]) -> str:
    return document(f"{WORDS[verdict]}: {name}", ("tether replay", name), body, f"<strong>{STATEMENT}</strong>")


def document(title: str, header: Sequence[str], body: Sequence[str], statement: str) -> str:
    """A whole page; ``body`` and ``statement`` are HTML, the rest is text."""
    made = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    spans = "".join(f"<span>{escape(words)}</span>" for words in header)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title><style>{STYLE}</style></head><body><main>'
        f"<header>{spans}</header>{''.join(body)}"
        f"<footer><p>{statement}</p><p>Written {escape(made)}.</p></footer></main></body></html>\n"
    )


def _banner(verdict: str, words: str) -> str:
    return (
        f'<section class="verdict {verdict}"><div class="symbol" aria-hidden="true">{SYMBOL[verdict]}</div>'
        f"<div><h1>{WORDS[verdict]}</h1><p>{escape(words)}</p></div></section>"
    )


def _verdict(report: Report) -> str:
    return _banner(report.verdict, sentence(report))


def sentence(report: Report) -> str:
    """The verdict in one sentence."""
    if report.verdict == "pass":
        return f"No rule was broken and the data can be trusted: {len(report.checks)} checks over {report.summary.get('rows', 0)} steps."
    first = report.findings[0]
    more = sum(finding.severity != "note" for finding in report.findings) - 1
    when = f" at {first.time_s:.2f} s" if first.time_s is not None else ""
    rest = f", and {more} more finding{'s' if more > 1 else ''}" if more else ""
    return f"{first.what[:1].upper()}{first.what[1:]}{when}{rest}."


def _tiles(report: Report, case: Case) -> str:
    summary = report.summary
    tiles = [
        ("duration", f"{summary.get('duration_s', 0.0):.1f}", "s"),
        ("policy in charge", f"{summary.get('policy_s', 0.0):.1f}", "s"),
        ("repeated exactly", f"{100 * summary['verified_share']:.4g}" if "verified_share" in summary else "–", "% of steps"),
        (
            "largest difference",
            label(float(f"{summary['parity_max']:.1e}")) if "parity_max" in summary else "–",
            f"of {label(case.tolerance)}",
        ),
        ("latency p50 / p99", f"{_milli(summary.get('latency_p50_ms'))} / {_milli(summary.get('latency_p99_ms'))}", "ms"),
        *(("settled error", f"{value:.3f}", "m") for key, value in summary.items() if key.startswith("settled_")),
    ]
    boxes = "".join(f"<div><dt>{escape(name)}</dt><dd>{value} <small>{escape(unit)}</small></dd></div>" for name, value, unit in tiles)
    return f'<dl class="tiles">{boxes}</dl><p class="checks">{_checks(report)}</p>'


def _checks(report: Report) -> str:
    marks = []
    for check in report.checks:
        kinds = {finding.severity for finding in report.findings if finding.check == check}
        kind = "violation" if "violation" in kinds else "inconclusive" if "inconclusive" in kinds else "pass"
        marks.append(f'<span class="{kind}"><b>{SYMBOL[kind]}</b> {escape(check)}</span>')
    return "".join(marks)


def _badge(kind: str) -> str:
    return f'<span class="badge {kind}">{SYMBOL[kind]} {escape(kind)}</span>'


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    rows = "".join(_finding(finding) for finding in findings[:SHOWN])
    more = f"<p>{len(findings) - SHOWN} more are in the JSON result.</p>" if len(findings) > SHOWN else ""
    head = "<tr><th></th><th>what</th><th>where</th><th class=number>value</th><th class=number>limit</th><th class=number>rows</th></tr>"
    return f'<section><h2>Findings</h2><table class="findings"><thead>{head}</thead><tbody>{rows}</tbody></table>{more}</section>'


def _finding(finding: Finding) -> str:
    where = [f"<code>{escape(finding.channel).replace('.', '.<wbr>').replace('_', '_<wbr>')}</code>"] if finding.channel else []
    where += [f"{finding.time_s:.3f} s, tick {finding.tick}"] if finding.time_s is not None else []
    doubtful = "" if finding.stands else " <em>(seen only on data that cannot be trusted)</em>"
    remedy = f'<div class="remedy">{escape(finding.remedy)}</div>' if finding.remedy else ""
    what = f"{escape(finding.what)}{doubtful}{remedy}"
    values = "".join(f'<td class="number">{_number(value, finding.unit)}</td>' for value in (finding.value, finding.limit))
    return (
        f'<tr class="{finding.severity}"><td>{_badge(finding.severity)}<div class="check">{escape(finding.check)}</div></td><td>{what}</td>'
        f'<td class="where">{"<br>".join(where)}</td>{values}'
        f'<td class="number">{finding.count}</td></tr>'
    )


def _pictures(case: Case, report: Report) -> list[str]:
    found = []
    for title, words, plots in sections(case):
        figures = "".join(f'<figure class="{"full" if plot.width == FULL else ""}">{plot.render()}</figure>' for plot in plots)
        table = _rules(report) if title == "Envelope" else ""
        found.append(
            f'<section><h2>{escape(title)}</h2><p class=lead>{escape(words)}</p>{table}<div class="plots">{figures}</div></section>'
        )
    return found


def _rules(report: Report) -> str:
    """Every rule and how far it was from failing."""
    kinds = {"satisfied": "pass", "violated": "violation", "not judged": "inconclusive"}
    rows = "".join(
        f'<tr><td><span class="mark {kinds[rule["verdict"]]}">{SYMBOL[kinds[rule["verdict"]]]}</span> {escape(rule["name"])}</td>'
        f"<td><code>{escape(rule['channel'])}</code></td>"
        + "".join(f'<td class="number">{_number(rule[key])}</td>' for key in ("worst", "limit", "margin", "time_s"))
        + "</tr>"
        for rule in report.rules
    )
    columns = "".join(f'<th class="number">{name}</th>' for name in ("nearest", "limit", "margin", "at [s]"))
    return f"<table><thead><tr><th>rule</th><th></th>{columns}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""


def _provenance(report: Report) -> str:
    rows = "".join(f"<div><dt>{escape(str(key))}</dt><dd>{_value(value)}</dd></div>" for key, value in report.provenance.items())
    return f'<section><h2>Provenance</h2><dl class="provenance">{rows}</dl></section>'


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return escape(", ".join(f"{key} {item}" for key, item in value.items()))
    return escape(str(value))


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    return escape(f"{label(float(f'{value:.4g}'))} {unit}".rstrip())


def _milli(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
