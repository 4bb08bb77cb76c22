"""``tether inspect``: show what a policy file needs, gives, and where it came from."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cli.main import Result
    from deploy.policy import Policy
    from robots.signals import Signal

HELP = "Check a policy file and show its contract, rules, provenance, parity and timing on this machine."

TIMED_STEPS = 100


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("policy", type=Path, metavar="POLICY.onnx", help="the policy file")
    parser.add_argument("--provider", default="cpu", help="cpu, cuda or auto (default: cpu)")
    parser.add_argument(
        "--steps", type=int, default=TIMED_STEPS, metavar="N", help=f"steps to time, at the control rate (default: {TIMED_STEPS})"
    )


def run(args: argparse.Namespace) -> Result:
    """Load, which runs every check, then describe."""
    from cli.main import Result
    from deploy.policy import Policy

    policy = Policy.load(args.policy, provider=args.provider)
    data = describe(policy, max(args.steps, 1))
    print(report(policy, data))
    return Result(data)


def describe(policy: Policy, steps: int) -> dict[str, Any]:
    """Everything about the file as JSON values."""
    import numpy as np

    durations = policy.time(steps)
    p50, p99 = np.percentile(durations, [50, 99])
    model = policy.model
    return {
        "policy": str(policy.path),
        "bytes": policy.path.stat().st_size,
        "digest": policy.digest,
        "contract": json.loads(policy.contract.to_json()),
        "rules": policy.rules,
        "provenance": policy.provenance,
        "graph": {
            "opset": model.opsets[""],
            "ir_version": model.ir_version,
            "nodes": sum(model.operators.values()),
            "operators": dict(sorted(model.operators.items())),
            "initializer_bytes": model.initializer_bytes,
        },
        "parity": {"passed": True, "error": policy.agreement.error, "tolerance": policy.agreement.tolerance},
        "provider": policy.provider,
        "timing_us": {"p50": float(p50), "p99": float(p99), "steps": steps},
    }


def report(policy: Policy, data: dict[str, Any]) -> str:
    """The description for people."""
    contract, graph, timing, parity = policy.contract, data["graph"], data["timing_us"], data["parity"]
    limits = ", ".join(f"{name} {value:g}" for name, value in data["contract"]["limits"].items() if not isinstance(value, dict))
    blocks = [
        f"{data['policy']}: {contract.task} for {contract.robot} at {contract.rate_hz:g} Hz, clocked by {contract.clock}",
        _rows(
            [
                ("digest", data["digest"]),
                ("parity", f"passed: largest error {parity['error']:.1e}, tolerance {parity['tolerance']:g} on {data['provider']}"),
                (
                    "graph",
                    "opset {opset}, IR {ir_version}, {nodes} nodes, {initializer_bytes} bytes of weights".format(**graph),
                ),
                ("step", f"p50 {timing['p50']:.0f} µs, p99 {timing['p99']:.0f} µs, {timing['steps']} steps paced at the control rate"),
                ("memory", f"{contract.memory_size}"),
                ("limits", limits),
                ("delay", "trained for {:g}–{:g} ms".format(*(1e3 * value for value in contract.action_delay_s))),
            ]
        ),
        "inputs\n" + _table(contract.sensors, "source") + "\n" + _table(contract.commands, "on_stale"),
        "outputs\n" + _table(contract.actuation, "field"),
        *([f"safeguard: {contract.safeguard.name}\n{textwrap.indent(contract.safeguard.promise, '  ')}"] if contract.safeguard else []),
        "provenance\n" + _rows(_flat(data["provenance"])),
    ]
    return "\n\n".join(blocks)


def _table(signals: Sequence[Signal], extra: str) -> str:
    """One line a signal: name, channels, unit, frame, bounds and one more attribute."""
    lines = []
    for signal in signals:
        bounds = f"{_numbers(signal.lower)} … {_numbers(signal.upper)}" if signal.lower else ""
        unit = f"{signal.unit:<6} {signal.frame:<6}"
        lines.append(f"  {signal.name:<30} {','.join(signal.channels):<30} {unit} {getattr(signal, extra):<10} {bounds}".rstrip())
    return "\n".join(lines)


def _numbers(values: Iterable[float]) -> str:
    return ",".join(f"{value:.4g}" for value in values)


def _rows(pairs: Iterable[tuple[str, Any]]) -> str:
    pairs = list(pairs)
    width = max(len(name) for name, _ in pairs)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in pairs)


def _flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested keys joined by dots."""
    pairs: list[tuple[str, Any]] = []
    for name, value in data.items():
        if isinstance(value, dict):
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            pairs.append((prefix + name, value))
    return pairs
