"""What a worker says and hears: one JSON object a line, on stdin and stdout. Standard library only, since every peer's environment runs it.

    {"do": "build", "name": N, "case": {…}}     build and warm up case N, compilation included   → what it is, as JSON
    {"do": "measure", "name": N, "seconds": S}  run it for S seconds                             → {"calls_per_second": …}
    {"do": "drop"}                              forget all cases                                 → {}

A case that cannot be built answers {"error": …}. Cases stay alive between measurements, so that those of several workers can alternate.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

CALLS = 10  # between two synchronisations, so that a device's queue may fill as it would in use


class Case(NamedTuple):
    """A loop to be timed.

    Attributes:
        advance: one control step of all environments; may return before it is done.
        synchronise: waits until everything is done.
        num_envs, substeps: environments, and physics steps of each in a call of ``advance``.
        info: what it is, for the report.
    """

    advance: Callable[[], Any]
    synchronise: Callable[[], Any]
    num_envs: int
    substeps: int
    info: dict[str, Any]


def calls_per_second(case: Case, seconds: float) -> float:
    """Calls of ``advance`` per second over at least ``seconds``."""
    calls, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        for _ in range(CALLS):
            case.advance()
        case.synchronise()
        calls += CALLS
    return calls / elapsed


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))


def serve(build: Callable[[dict[str, Any]], Case], *packages: str) -> None:
    """Answer requests until stdin ends. ``packages`` are named with their versions in every answer to a build."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints from here on must not be taken for an answer
    print(file=answers)  # nor what it printed so far without ending its line
    versions = {name: metadata.version(name) for name in packages}
    cases: dict[str, Case] = {}
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line), build, cases, versions)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def _answer(
    request: dict[str, Any], build: Callable[[dict[str, Any]], Case], cases: dict[str, Case], versions: dict[str, str]
) -> dict[str, Any]:
    if request["do"] == "drop":
        cases.clear()
        return {}
    if request["do"] == "measure":
        return {"calls_per_second": calls_per_second(cases[request["name"]], request["seconds"])}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        case = cases[request["name"]] = build(request["case"])
        calls_per_second(case, 1e-9)
        calls_per_second(case, 0.1)
    said = [str(warning.message) for warning in caught if issubclass(warning.category, RuntimeWarning)]
    counts = {"num_envs": case.num_envs, "substeps": case.substeps, "threads": cores(), "warnings": said}
    return counts | {"python": sys.version.split()[0], "versions": versions} | case.info
