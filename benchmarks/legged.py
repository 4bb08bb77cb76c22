"""What a legged engine costs on top of bare MuJoCo: ``python -m benchmarks.legged``, on a GPU ``… --sim mujoco_warp --device cuda``.

Both step the same compiled model (motors, contacts, sensors) with the same targets, sub-steps and threads, in turns, so that whatever else
the machine does hits both. Ours is `step`, with delays and its own parameters in every environment, and its signals as the task gets them.
Bare is, on the CPU, `mujoco.rollout` with one model for all and its state fed back; it gives back no warm starts, and ours keeps them. With
MuJoCo Warp it is the recorded graph of a control step, replayed with nothing around it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch
from mujoco.rollout import Rollout

from benchmarks.sim import synchroniser
from robots.go2 import go2
from sim.legged.simulator import LeggedSimulator
from training.simulators import make

RESULTS = Path(__file__).parent / "results"
ENGINES = ("mujoco_cpu", "mujoco_warp")
WARP = {"mujoco_cpu": (), "mujoco_warp": ("mujoco-warp", "warp-lang")}  # packages to name beside
FULL = mujoco.mjtState.mjSTATE_FULLPHYSICS
SPREAD_RAD = 0.2  # of random targets around the stand
BATCH, SECONDS = 20, 1.0  # control steps between two looks at the clock


def targets(num_envs: int, count: int = 10, seed: int = 0) -> torch.Tensor:
    """Random joint targets around the stand, ``[count, num_envs, 12]``."""
    random = torch.Generator().manual_seed(seed)
    return torch.tensor([go2.stand]) + SPREAD_RAD * torch.randn(count, num_envs, 12, generator=random)


def ours(engine: str, num_envs: int, device: str, randomised: bool) -> tuple[Any, Callable[[int], None]]:
    """The engine, and a function that steps it once, with the number of the step."""
    sim = make(engine, go2, num_envs, device=device)
    everyone = torch.ones(num_envs, dtype=torch.bool, device=sim.device)
    if randomised:
        sim.randomize(everyone, drawn(num_envs))
    sim.reset(everyone, {})
    commands = targets(num_envs).to(sim.device)

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


def bare(sim: Any) -> Callable[[int], None]:
    """MuJoCo alone, from where ``sim`` is: on the CPU `mujoco.rollout` into buffers of its own."""
    if sim.engine != "mujoco_cpu":
        graph: Callable[[], None] = sim._step
        return lambda step: graph()
    model, substeps, threads, num_envs = sim.model, sim.substeps, sim.batch.nthread, sim.num_envs
    start = sim.batch.state[:, : mujoco.mj_stateSize(model, FULL)].copy()
    pool, data = Rollout(nthread=threads), [mujoco.MjData(model) for _ in range(threads)]
    models, state = [model] * num_envs, np.empty((num_envs, substeps, start.shape[1]))
    sensors = np.empty((num_envs, substeps, model.nsensordata))
    commands = targets(num_envs).double().numpy()[:, :, None].repeat(substeps, axis=2)
    now = start.copy()

    def advance(step: int) -> None:
        pool.rollout(models, data, now, np.ascontiguousarray(commands[step % len(commands)]), state=state, sensordata=sensors)
        now[:] = state[:, -1]

    return advance


def speed(advance: Callable[[int], None], wait: Callable[[], None], steps: int, seconds: float) -> tuple[float, float]:
    """Steps a second, and steps a second of processor time (all threads), over at least ``seconds``; ``wait`` until all is done."""
    done, begin, processor = 0, time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - begin) < seconds:
        for step in range(done, done + steps):
            advance(step)
        wait()
        done += steps
    return done / elapsed, done / (time.process_time() - processor)


def measure(engine: str, num_envs: int, device: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Steps per second of each side, the median of rounds in turns, and ours over bare: quartiles of the rounds' ratios.

    By processor time the ratio says little of waiting threads, but hardly feels what else runs on the machine; on a GPU it says nothing.
    """
    sim, nominal = ours(engine, num_envs, device, randomised=False)
    alone, _ = ours(engine, num_envs, device, randomised=False)
    _, randomised = ours(engine, num_envs, device, randomised=True)
    wait, sides = synchroniser(sim.device), {"bare": bare(alone), "ours": nominal, "ours_randomised": randomised}
    for advance in sides.values():
        speed(advance, wait, 5, 0.2 * seconds)
    rows = [[speed(advance, wait, BATCH, seconds) for advance in sides.values()] for _ in range(rounds)]
    clocks = np.array(rows).transpose(2, 1, 0) * num_envs  # [clock, side, round]
    result = described(sim)
    for name, speeds in zip(sides, clocks[0], strict=True):
        per_second = float(np.median(speeds))
        result |= {f"{name}_env_steps_per_second": per_second, f"{name}_steps_per_second": per_second * sim.substeps}
    for clock, speeds in zip(("", "_by_processor_time"), clocks, strict=True):
        if device == "cpu" or not clock:
            ratios = dict(zip(sides, speeds / speeds[0], strict=True))
            result |= {f"{name}_over_bare{clock}": _quartiles(ratios[name]) for name in ("ours", "ours_randomised")}
    return result


def _quartiles(ratios: np.ndarray) -> list[float]:
    found: list[float] = np.quantile(ratios, (0.25, 0.5, 0.75)).round(3).tolist()
    return found


def described(sim: LeggedSimulator) -> dict[str, Any]:
    """What was run, and on what."""
    device = torch.cuda.get_device_name(sim.device) if sim.device.type == "cuda" else "cpu"
    on = {"engine": sim.engine, "device": device, "threads": torch.get_num_threads()}
    return on | {"num_envs": sim.num_envs, "substeps": sim.substeps, "physics_dt": sim.physics_dt}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sim", choices=ENGINES, default=ENGINES[0], metavar="ENGINE", help=", ".join(ENGINES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--num-envs", type=int, nargs="+", metavar="N", help="by default 256 512 1024, on a GPU 1024 4096 16384")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each side in each round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="by default beside the other results")
    args = parser.parse_args()
    results = []
    for num_envs in args.num_envs or ([256, 512, 1024] if args.device == "cpu" else [1024, 4096, 16384]):
        results.append(measure(args.sim, num_envs, args.device, args.rounds, args.seconds))
        print(json.dumps(results[-1]), flush=True)
    versions = {name: metadata.version(name) for name in ("mujoco", "torch", "numpy", *WARP[args.sim])}
    file = args.json or RESULTS / (f"legged_{args.device.partition(':')[0]}.json")
    file.write_text(json.dumps({"robot": go2.name, "versions": versions, "results": results}, indent=2) + "\n")
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
