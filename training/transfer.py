"""The same policy files on several engines: what one simulator taught, does another confirm it?

Every cell of the table is a whole evaluation (`training.evaluate`), on the same suite, seed and number of episodes, so that episodes begin
alike and what differs is the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deploy.policy import Policy
from training.evaluate import evaluate
from training.simulators import AUTO, device_for, engine_class

COLUMNS = ("policy", "engine", "success", "95 % interval", "falls", "tracking RMS", "points")


def transfer(
    policies: Sequence[Policy],
    engines: Sequence[str],
    *,
    device: str = "cpu",
    evaluation: Callable[..., dict[str, Any]] = evaluate,
    **settings: Any,
) -> dict[str, Any]:
    """Fly every policy on every engine.

    Args:
        policies: loaded files.
        engines: keys of `training.simulators.SIMULATORS`, or `AUTO`; the first is what the others are compared with.
        device: of every engine that runs there; the others stay on the CPU.
        evaluation: `training.evaluate.evaluate`.
        settings: its, the same for all.

    Returns:
        ``results``: of the evaluations, policies in turn, with ``difference_points``, success in percentage points over that on the first
        engine; ``engines``.
    """
    for engine in engines:
        if engine != AUTO:
            engine_class(engine)  # complains before anything flies
    results = []
    for policy in policies:
        row = [evaluation(policy, simulator=engine, device=device_for(engine, device), **settings) for engine in engines]
        first = row[0]["success_rate"]
        results += [result | {"difference_points": 100.0 * (result["success_rate"] - first)} for result in row]
    return {"engines": [result["engine"] for result in results[: len(engines)]], "results": results}


def report(result: dict[str, Any]) -> str:
    """The table, one line a policy and engine."""
    rows = [COLUMNS, *map(_row, result["results"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    one = result["results"][0]
    flown = f"suite {one['suite']} ({one['suite_digest']}), {one['episodes']} episodes each, seed {one['seed']}"
    return "\n".join([f"{flown}; points: of success, over the first engine", *lines])


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    low, high = result["success_interval"]
    rms = result["tracking_rms"]
    return (
        result["policy"],
        result["engine"],
        f"{result['success_rate']:.1%}",
        f"{low:.1%} … {high:.1%}",
        str(result["crashes"]),
        f"{rms['root_mean_square']:.3f}" if rms["episodes"] else "–",
        f"{result['difference_points']:+.1f}",
    )
