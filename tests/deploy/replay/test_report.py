"""From findings to a verdict, and from verdicts to what can be said of a fleet."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.replay.binomial import upper_bound
from deploy.replay.fleet import Fleet
from deploy.replay.junit import junit
from deploy.replay.report import Finding, Report, judge, ordered

VIOLATION = Finding(severity="violation", check="sent", what="v", tick=7, time_s=0.7, value=2.0, limit=1.0, channel="a.b", remedy="r")
DOUBTFUL = Finding(severity="violation", check="parity", what="d", stands=False)
INCONCLUSIVE = Finding(severity="inconclusive", check="quality", what="i", time_s=0.1)
NOTE = Finding(severity="note", check="timing", what="n", value=math.nan)


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ([], "pass"),
        ([NOTE], "pass"),
        ([INCONCLUSIVE], "inconclusive"),
        ([DOUBTFUL], "inconclusive"),
        ([VIOLATION], "violation"),
        ([NOTE, DOUBTFUL, INCONCLUSIVE, VIOLATION], "violation"),
        ([DOUBTFUL, INCONCLUSIVE], "inconclusive"),
    ],
)
def test_precedence(findings: list[Finding], verdict: str) -> None:
    assert judge(findings) == verdict
    assert Report(findings=tuple(findings)).exit_code == {"pass": 0, "violation": 1, "inconclusive": 2}[verdict]


@settings(deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([VIOLATION, DOUBTFUL, INCONCLUSIVE, NOTE])), st.sampled_from([VIOLATION, DOUBTFUL, INCONCLUSIVE]))
def test_nothing_said_besides_turns_a_fault_into_a_pass(others: list[Finding], fault: Finding) -> None:
    assert judge([*others, fault]) != "pass"
    assert judge(others[::-1]) == judge(others)


def test_findings_are_ordered_by_gravity_then_time() -> None:
    assert ordered([NOTE, DOUBTFUL, INCONCLUSIVE, VIOLATION]) == (VIOLATION, DOUBTFUL, INCONCLUSIVE, NOTE)


def test_json_holds_no_nan_and_no_numpy() -> None:
    report = Report(findings=(NOTE, VIOLATION), summary={"a": np.float64(1.5), "b": np.inf, "c": np.int64(2)})
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["verdict"] == "violation"
    assert data["findings"][0]["value"] is None
    assert data["summary"] == {"a": 1.5, "b": None, "c": 2}


# fleet


@pytest.mark.parametrize("trials", [1, 2, 10, 100, 5000])
def test_no_violations_in_n_is_the_closed_form_and_below_3_over_n(trials: int) -> None:
    assert upper_bound(0, trials) == pytest.approx(1 - 0.05 ** (1 / trials), abs=1e-12)
    assert upper_bound(0, trials) <= 3 / trials


@pytest.mark.parametrize(("events", "trials", "bound"), [(1, 10, 0.394163), (3, 20, 0.343662), (10, 10, 1.0), (0, 0, 1.0)])
def test_bound_against_tables(events: int, trials: int, bound: float) -> None:
    """Values of qbeta(0.95, k + 1, n − k), which is the Clopper–Pearson bound."""
    assert upper_bound(events, trials) == pytest.approx(bound, abs=2e-5)


def test_a_log_that_cannot_be_judged_counts_against_the_fleet() -> None:
    clean, doubtful = Fleet.of(["pass"] * 10), Fleet.of(["pass"] * 9 + ["inconclusive"])
    assert clean.verdict == "pass"
    assert doubtful.verdict == "inconclusive"
    assert doubtful.rate_bound == upper_bound(1, 10) > clean.rate_bound
    assert Fleet.of(["inconclusive", "violation"]).verdict == "violation"
    assert "at most 25.9 % of such runs" in clean.words()


# JUnit


def test_junit_counts_failures_and_errors_by_check() -> None:
    checks = ("quality", "parity", "sent", "timing")
    text = junit(
        [("log <1>\x00", Report(findings=(VIOLATION, DOUBTFUL, INCONCLUSIVE, NOTE), checks=checks)), ("log 2", Report(findings=()))]
    )
    first, second = ElementTree.fromstring(text.encode())
    assert first.attrib == {"name": "log <1>?", "tests": "4", "failures": "1", "errors": "2"}
    assert {case.get("name"): [child.tag for child in case] for case in first} == {
        "quality": ["error"],
        "parity": ["error"],
        "sent": ["failure"],
        "timing": [],
    }
    failure = first.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "v; tick 7 (0.700 s); a.b; 2, limit 1; r"
    assert second.get("tests") == "0"
