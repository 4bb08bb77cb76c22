"""How long training takes and how well it then flies, over algorithms and seeds.

`python -m benchmarks.training --task hover --algorithms ppo shac bptt --seeds 10 11 12 13 14`

Per algorithm and seed, in processes of their own as a user would start them: train, export, evaluate on 1000 episodes of the suite `full`
whose seeds no training used. Wall time is from command start to checkpoint, interpreter start, imports and compilation included. Processor
time stands beside it: on a machine that does other things as well, it says what the wall time would be alone. The algorithms take turns,
seed after seed, so that drift of the machine hits all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import training_report
from cli.main import write_json
from robots.errors import TetherError

RESULTS = Path(__file__).parent / "results"
EVALUATION_SEED = 20_000_003
OUTCOME = ("success_rate", "success_interval", "crashes", "episodes", "suite_digest", "return_mean")
KEPT = (*OUTCOME, "tracking_error", "tracking_rms", "measures")  # as far as there
CURVE = ("env_steps", "return", "success", "check_success", "check_tracking_error")


def measure(task: str, algorithm: str, seed: int, options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Train, export and evaluate one seed."""
    name = f"{algorithm}_{seed}"
    run_dir, policy, clock = directory / name, directory / f"{name}.onnx", directory / f"{name}.clock"
    words = [task, "--algorithm", algorithm, "--seed", str(seed), "--device", options.device, "--run-dir", str(run_dir), *options.overrides]
    load, before = os.getloadavg()[0], processor_s()
    trained = run("benchmarks.timed_train", str(clock), *words)
    spent = processor_s() - before
    run("cli", "export", str(run_dir), "-o", str(policy))
    flight = ["--episodes", str(options.episodes), "--seed", str(EVALUATION_SEED + seed)]
    flown = {suite: run("cli", "evaluate", str(policy), *flight, "--suite", suite) for suite in ("full", *options.also)}
    kept = {suite: {key: result[key] for key in KEPT if key in result} for suite, result in flown.items()}
    return {
        "task": task,
        "algorithm": algorithm,
        "seed": seed,
        "device": options.device,
        "overrides": list(options.overrides),
        "wall_time_s": trained["wall_time_s"],
        "compile_time_s": trained["compile_time_s"],
        "processor_time_s": spent,
        "load_average_at_start": load,
        "env_steps": trained["env_steps"],
        "iterations": trained["iterations"],
        "check": trained["check"],
        "curve": curve(run_dir / "metrics.jsonl", clock),
        **kept.pop("full"),
        "also": kept,
    }


def curve(metrics: Path, clock: Path) -> dict[str, list[Any]]:
    """What training said about itself, by iteration: `CURVE` and ``wall_time_s``; None where it said nothing."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    times = [float(line) for line in clock.read_text().split()]
    return {"wall_time_s": times} | {key: [line.get(key) for line in lines] for key in CURVE}


def run(module: str, *words: str) -> dict[str, Any]:
    """Run one command and return its JSON result."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        done = subprocess.run([sys.executable, "-m", module, *words, "--json", out.name], capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["nothing"]
            raise TetherError(f"{module} {' '.join(words)} failed: {said[-1]}")
        result: dict[str, Any] = json.loads(Path(out.name).read_text())
        return result


def processor_s() -> float:
    """Processor time of all finished child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def stored(directory: Path, task: str, algorithms: Sequence[str], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The results of an earlier run; raises `TetherError` for what is not there."""
    files = [directory / file_name(task, algorithm, seed) for algorithm in algorithms for seed in seeds]
    if missing := [file.name for file in files if not file.exists()]:
        raise TetherError(f"{directory} has no {', '.join(missing)}; leave --read out to measure")
    return [json.loads(file.read_text()) for file in files]


def file_name(task: str, algorithm: str, seed: int) -> str:
    """Where the result of a seed is kept."""
    return f"training_{task}_{algorithm}_seed_{seed}.json"


def measure_all(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every seed of every algorithm; one JSON file each, written as soon as it is there."""
    options.output.mkdir(parents=True, exist_ok=True)
    results = []
    pairs = [(algorithm, seed) for seed in options.seeds for algorithm in options.algorithms]
    with tempfile.TemporaryDirectory() as passing:
        directory = options.keep or Path(passing)
        directory.mkdir(parents=True, exist_ok=True)
        for algorithm, seed in tqdm(pairs, desc=f"training {options.task}", disable=None):
            results.append(measure(options.task, algorithm, seed, options, directory))
            write_json(options.output / file_name(options.task, algorithm, seed), results[-1])
    print(f"wrote {len(results)} files to {options.output}")
    return results


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks.training", description="How long training takes, and how well it then flies.")
    parser.add_argument("--task", default="hover", metavar="NAME", help="what to train (default hover)")
    parser.add_argument("--algorithms", nargs="+", default=["ppo"], metavar="NAME", help="ppo, shac, bptt (default ppo)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], metavar="S", help="default 0 1 2 3 4")
    parser.add_argument("--episodes", type=int, default=1000, metavar="N", help="of the evaluation (default 1000)")
    parser.add_argument("--also", nargs="+", default=[], metavar="SUITE", help="evaluate on these too, beside full")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep runs and policies there")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="of the training (default cpu)")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="DIR", help="for one JSON file a seed (benchmarks/results)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw success over wall time and over samples there")
    parser.add_argument("--read", action="store_true", help="measure nothing: print, and draw, what is in the output directory")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="passed on to tether train")
    return parser


def main(argv: Sequence[str]) -> int:
    """Measure, print, draw."""
    options = arguments().parse_intermixed_args(argv)
    try:
        if options.read:
            results = stored(options.output, options.task, options.algorithms, options.seeds)
        else:
            results = measure_all(options)
        print(training_report.text(results))
        if options.plot:
            training_report.draw(results, options.plot)
            print(f"wrote {options.plot}")
    except (TetherError, OSError) as error:
        print(f"benchmarks.training: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
