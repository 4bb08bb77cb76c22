"""How long `tether train hover` takes and how well it then flies: `python -m benchmarks.hover_training --seeds 0 1 2 3 4`.

Per seed, in processes of their own as a user would start them: train, export, evaluate on 1000 episodes of hover `full` whose seed no
training used. Wall time is from command start to checkpoint, interpreter start and imports included. Processor time stands beside it: on a
machine that does other things as well, it says what the wall time would be alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cli.main import write_json
from robots.errors import TetherError

EVALUATION_SEED = 20_000_003


def measure(seed: int, episodes: int, directory: Path, overrides: list[str]) -> dict[str, Any]:
    """Train, export and evaluate one seed."""
    run_dir, policy = directory / f"seed_{seed}", directory / f"seed_{seed}.onnx"
    load, before = os.getloadavg()[0], processor_s()
    trained = tether("train", "hover", "--seed", str(seed), "--run-dir", str(run_dir), *overrides)
    spent = processor_s() - before
    tether("export", str(run_dir), "-o", str(policy))
    flown = tether("evaluate", str(policy), "--episodes", str(episodes), "--seed", str(EVALUATION_SEED + seed), "--suite", "full")
    kept = ("success_rate", "success_interval", "crashes", "episodes", "suite_digest", "return_mean")
    return {
        "seed": seed,
        "wall_time_s": trained["wall_time_s"],
        "compile_time_s": trained["compile_time_s"],
        "processor_time_s": spent,
        "load_average_at_start": load,
        "env_steps": trained["env_steps"],
        "check": trained["check"],
    } | {name: flown[name] for name in kept}


def tether(*words: str) -> dict[str, Any]:
    """Run one command and return its JSON result."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, "-m", "cli", *words, "--json", out.name]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise TetherError(f"tether {' '.join(words)} failed: {done.stderr.strip().splitlines()[-1]}")
        result: dict[str, Any] = json.loads(Path(out.name).read_text())
        return result


def processor_s() -> float:
    """Processor time of all finished child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    rows = [
        "| seed | success on `full` | 95 % interval | crashes | wall time | processor time | control steps |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        low, high = result["success_interval"]
        rows.append(
            f"| {result['seed']} | {result['success_rate']:.1%} | {low:.1%} – {high:.1%} | {result['crashes']} / {result['episodes']} "
            f"| {result['wall_time_s']:.1f} s | {result['processor_time_s']:.1f} s | {result['env_steps'] / 1e6:.2f} M |"
        )
    return "\n".join(rows)


def main() -> int:
    """Measure every seed, write one JSON file each, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", help="directory for one JSON file a seed")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="passed on to tether train")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    results = []
    with tempfile.TemporaryDirectory() as directory:
        for seed in tqdm(options.seeds, desc="seeds"):
            results.append(measure(seed, options.episodes, Path(directory), options.overrides))
            write_json(options.output / f"hover_training_seed_{seed}.json", results[-1])
    print(table(results))
    print(f"wrote {len(results)} files to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
