"""What Isaac's process of its own costs: ``python -m benchmarks.isaac``, on a GPU ``… --device cuda``.

The worker says how long its engine took for a control step; everything else that passes until the signals are there is the price
of the other process: requests and answers, waking up, targets and delays in, readings out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.legged import described, targets
from robots.go2 import go2
from sim.isaac.legged import IsaacLeggedSimulator

RESULTS = Path(__file__).parent / "results"
WARM_UP = 5


def measure(num_envs: int, device: str, steps: int) -> dict[str, Any]:
    """Quartiles over control steps of seconds in the engine, and of shares of that around it."""
    sim, commands = IsaacLeggedSimulator(go2, num_envs, device=device), targets(num_envs)
    inside: list[float] = []
    asked: list[float] = []
    ask = sim.worker.ask

    def timed(do: str, **fields: Any) -> dict[str, Any]:
        begin = time.perf_counter()
        answer = ask(do, **fields)
        asked.append(time.perf_counter() - begin)
        inside.append(answer["seconds"])
        return answer

    sim.worker.ask = timed  # type: ignore[method-assign]
    whole = []
    for step in range(WARM_UP + steps):
        command = commands[step % len(commands)].to(sim.device)
        begin = time.perf_counter()
        sim.step(command)
        sim.privileged()
        whole.append(time.perf_counter() - begin)
    engine, around, total = (np.array(seconds[-steps:]) for seconds in (inside, asked, whole))
    shares = {"transport": (around - engine) / engine, "whole_step": (total - engine) / engine}
    result = described(sim) | {"versions": sim.worker.versions, "engine_seconds": _quartiles(engine)}
    result["env_steps_per_second"] = num_envs / float(np.median(total))
    return result | {f"{name}_over_engine": _quartiles(share) for name, share in shares.items()}


def _quartiles(values: np.ndarray) -> list[float]:
    found: list[float] = np.quantile(values, (0.25, 0.5, 0.75)).round(5).tolist()
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--num-envs", type=int, nargs="+", metavar="N", help="by default 64 256 1024, on a GPU 1024 4096")
    parser.add_argument("--steps", type=int, default=100, help="control steps of each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="by default beside the other results")
    args = parser.parse_args()
    results = []
    for num_envs in args.num_envs or ([64, 256, 1024] if args.device == "cpu" else [1024, 4096]):
        results.append(measure(num_envs, args.device, args.steps))
        print(json.dumps(results[-1]), flush=True)
    file = args.json or RESULTS / f"isaac_{args.device.partition(':')[0]}.json"
    file.write_text(json.dumps({"robot": go2.name, "results": results}, indent=2) + "\n")
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
