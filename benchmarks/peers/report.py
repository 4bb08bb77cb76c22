"""Rates, ratios and tables out of what the workers measured."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peers.cases import CONTROL, OURS, PHYSICS, Group


def group_result(group: Group, built: Mapping[str, dict[str, Any]], rounds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """One group as JSON.

    Args:
        built: what each worker said about a case, by label; what is missing there was not measured.
        rounds: calls per second of each round, by label.
    """
    rows = []
    for member in group.members:
        if member.label in built:
            info = built[member.label]
            best, middle = max(rounds[member.label]), statistics.median(rounds[member.label])
            speeds = {CONTROL: best * info["num_envs"], PHYSICS: best * info["num_envs"] * info["substeps"]}
            spread = {"median_of_best": middle / best, "rounds_calls_per_second": list(rounds[member.label])}
            rows.append({"implementation": info.get("engine", member.engine)} | info | asdict(member) | speeds | spread)
    named = {"name": group.name, "kind": group.kind, "title": group.title, "metric": group.metric}
    return named | {"rows": rows} | comparison(rows, group.metric)


def comparison(rows: Sequence[Mapping[str, Any]], metric: str) -> dict[str, Any]:
    """Ours over each peer's, and our fastest over the fastest peer's whatever its integrator."""
    ours = {row["label"]: row for row in rows if row["engine"] == OURS}
    peers = [row for row in rows if row["engine"] != OURS]
    ratios = [
        {
            "engine": row["engine"],
            "label": row["label"],
            "ours": row["against"],
            "ratio": ours[row["against"]][metric] / row[metric],
            "same_integrator": row["integrator"] == ours[row["against"]]["integrator"],
        }
        for row in peers
        if row["against"] in ours
    ]
    fastest = max(peers, key=lambda row: float(row[metric]), default=None)
    against = ours.get(fastest["against"]) if fastest else None
    if fastest is None or against is None:
        return {"ratios": ratios, "against_fastest": None}
    return {"ratios": ratios, "against_fastest": {"label": fastest["label"], "ratio": against[metric] / fastest[metric]}}


def table(group: Mapping[str, Any]) -> str:
    """One group as Markdown."""
    unit = "physics steps/s" if group["metric"] == PHYSICS else "control steps/s"
    lines = [f"**{group['title']}**", "", f"| engine | what | integrator | {unit} | ours over it |", "|---|---|---|---|---|"]
    ratios = {(ratio["engine"], ratio["label"]): ratio for ratio in group["ratios"]}
    for row in group["rows"]:
        ratio = ratios.get((row["engine"], row["label"]))
        shown = f"{ratio['ratio']:.2f} × ({ratio['ours']}{'' if ratio['same_integrator'] else ', rk4'})" if ratio else ""
        name = row["engine"] if row["implementation"] == row["engine"] else f"{row['engine']} ({row['implementation']})"
        lines.append(f"| {name} | {row['label']} | {row['integrator']} | {human(row[group['metric']])} | {shown} |")
    return "\n".join(lines)


def sweep_table(groups: Sequence[Mapping[str, Any]]) -> str:
    """All groups of a sweep as one Markdown table, a row for each number of environments."""
    labels = list(dict.fromkeys((row["engine"], row["label"]) for group in groups for row in group["rows"]))
    lines = ["| environments | " + " | ".join(" ".join(label) for label in labels) + " |", "|---" * (len(labels) + 1) + "|"]
    for group in groups:
        speed = {(row["engine"], row["label"]): human(row[group["metric"]]) for row in group["rows"]}
        lines.append(f"| {group['rows'][0]['num_envs']} | " + " | ".join(speed.get(label, "–") for label in labels) + " |")
    return "\n".join(lines)


def text(report: Mapping[str, Any]) -> str:
    """The whole report as Markdown."""
    machine = report["machine"]
    load = machine["load_average_at_start"]
    parts = [f"{machine['cpu']}, {machine['cores_used']} of {machine['cores']} cores for each side, load average {load:.2f} at the start"]
    parts += [table(group) for group in report["groups"] if group["kind"] != "throughput"]
    if sweep := [group for group in report["groups"] if group["kind"] == "throughput" and group["rows"]]:
        parts.append(f"**Physics steps/s over environments**\n\n{sweep_table(sweep)}")
    notes = [f"- {row['label']}: {said}" for group in report["groups"] for row in group["rows"] for said in own_warnings(row)]
    if notes:
        parts.append("Ours said:\n" + "\n".join(notes))
    if report["missing"]:
        parts.append("Not measured:\n" + "\n".join(f"- {item['peer']}: {item['reason']}" for item in report["missing"]))
    return "\n\n".join(parts)


def own_warnings(row: Mapping[str, Any]) -> Sequence[str]:
    """What our engine warned of while it was built: that it runs eagerly, for example."""
    warnings: Sequence[str] = row.get("warnings", ()) if row["engine"] == OURS else ()
    return warnings


def human(value: float) -> str:
    """Three digits and k, M or G."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def machine() -> dict[str, Any]:
    """What everything ran on."""
    cpu = "unknown processor"
    try:
        names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    except OSError:
        pass
    cores = {"cores": os.cpu_count(), "cores_used": len(os.sched_getaffinity(0))}
    return {"cpu": cpu, **cores, "load_average_at_start": os.getloadavg()[0]}
