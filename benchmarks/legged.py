"""What the legged engine costs on top of bare MuJoCo: ``python -m benchmarks.legged``.

Both step the same compiled model (motors, contacts, sensors) with the same targets, sub-steps and threads, in turns, so that whatever else
the machine does hits both. Bare is `mujoco.rollout` with one model for all and its state fed back; ours is `MujocoCpuSimulator.step`, with
delays and its own parameters in every environment, and its signals as the task gets them. Ours keeps warm starts between calls, which
`mujoco.rollout` does not give back.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch
from mujoco.rollout import Rollout

from robots.go2 import go2
from sim.mujoco_cpu.simulator import MujocoCpuSimulator

RESULTS = Path(__file__).parent / "results" / "legged_cpu.json"
FULL = mujoco.mjtState.mjSTATE_FULLPHYSICS
SPREAD_RAD = 0.2  # of random targets around the stand
BATCH, SECONDS = 20, 1.0  # control steps between two looks at the clock


def targets(num_envs: int, count: int = 10, seed: int = 0) -> torch.Tensor:
    """Random joint targets around the stand, ``[count, num_envs, 12]``."""
    random = torch.Generator().manual_seed(seed)
    return torch.tensor([go2.stand]) + SPREAD_RAD * torch.randn(count, num_envs, 12, generator=random)


def ours(num_envs: int, randomised: bool) -> tuple[MujocoCpuSimulator, Callable[[int], None]]:
    """The engine, and a function that steps it once, with the number of the step."""
    sim = MujocoCpuSimulator(go2, num_envs)
    everyone = torch.ones(num_envs, dtype=torch.bool)
    if randomised:
        sim.randomize(everyone, drawn(num_envs))
    sim.reset(everyone, {})
    commands = targets(num_envs)

    def advance(step: int) -> None:
        sim.step(commands[step % len(commands)])
        sim.privileged()

    return sim, advance


def drawn(num_envs: int) -> dict[str, torch.Tensor]:
    """The ranges of the suite ``full`` of velocity tracking."""
    random = torch.Generator().manual_seed(1)

    def between(low: float, high: float, width: int = 1) -> torch.Tensor:
        return low + (high - low) * torch.rand(num_envs, width, generator=random)

    scales = {name: between(0.85, 1.15, 12) for name in ("kp_scale", "kd_scale", "strength_scale")}
    base = {"base_mass": between(5.921, 9.921), "base_centre_of_mass_offset": between(-0.05, 0.05, 3)}
    return scales | base | {"friction": between(0.4, 1.25), "action_delay": between(0.0, 0.02)}


def bare(model: mujoco.MjModel, start: np.ndarray, substeps: int, threads: int) -> Callable[[int], None]:
    """`mujoco.rollout` into buffers of its own, from ``start`` ``[num_envs, state]`` on."""
    num_envs = len(start)
    pool, data = Rollout(nthread=threads), [mujoco.MjData(model) for _ in range(threads)]
    models, state = [model] * num_envs, np.empty((num_envs, substeps, start.shape[1]))
    sensors = np.empty((num_envs, substeps, model.nsensordata))
    commands = targets(num_envs).double().numpy()[:, :, None].repeat(substeps, axis=2)
    now = start.copy()

    def advance(step: int) -> None:
        pool.rollout(models, data, now, np.ascontiguousarray(commands[step % len(commands)]), state=state, sensordata=sensors)
        now[:] = state[:, -1]

    return advance


def speed(advance: Callable[[int], None], steps: int, seconds: float) -> tuple[float, float]:
    """Steps a second, and steps a second of processor time (all threads), over at least ``seconds``."""
    done, begin, processor = 0, time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - begin) < seconds:
        for step in range(done, done + steps):
            advance(step)
        done += steps
    return done / elapsed, done / (time.process_time() - processor)


def measure(num_envs: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Physics steps per second of each side, the median of rounds in turns, and ours over bare: quartiles of the rounds' ratios.

    By processor time the ratio says little of waiting threads, but hardly feels what else runs on the machine.
    """
    sim, nominal = ours(num_envs, randomised=False)
    _, randomised = ours(num_envs, randomised=True)
    start = sim.batch.state[:, : mujoco.mj_stateSize(sim.model, FULL)].copy()
    sides = {"bare": bare(sim.model, start, sim.substeps, sim.batch.nthread), "ours": nominal, "ours_randomised": randomised}
    for advance in sides.values():
        speed(advance, 5, 0.2 * seconds)
    rows = [[speed(advance, BATCH, seconds) for advance in sides.values()] for _ in range(rounds)]
    clocks = np.array(rows).transpose(2, 1, 0) * num_envs * sim.substeps  # [clock, side, round]
    result: dict[str, Any] = {"num_envs": num_envs, "threads": sim.batch.nthread, "substeps": sim.substeps, "physics_dt": sim.physics_dt}
    result |= {f"{name}_steps_per_second": float(np.median(speeds)) for name, speeds in zip(sides, clocks[0], strict=True)}
    for clock, speeds in zip(("", "_by_processor_time"), clocks, strict=True):
        for name, ratio in zip(sides, speeds / speeds[0], strict=True):
            result |= {} if name == "bare" else {f"{name}_over_bare{clock}": np.quantile(ratio, (0.25, 0.5, 0.75)).round(3).tolist()}
    return result


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-envs", type=int, nargs="+", default=[256, 512, 1024], metavar="N")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each side in each round")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE")
    args = parser.parse_args()
    results = []
    for num_envs in args.num_envs:
        results.append(measure(num_envs, args.rounds, args.seconds))
        print(json.dumps(results[-1]), flush=True)
    versions = {"mujoco": mujoco.__version__, "torch": torch.__version__, "numpy": np.__version__}
    args.json.write_text(json.dumps({"robot": go2.name, "versions": versions, "results": results}, indent=2) + "\n")
    print(f"wrote {args.json}")


if __name__ == "__main__":
    main()
