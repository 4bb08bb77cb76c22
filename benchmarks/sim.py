"""How many steps an engine takes in a second, over the number of environments.

``steps_per_second`` = environments × physics sub-steps per second, ``env_steps_per_second`` = environments × control steps per second, as
benchmarks/RESULTS.md uses them: at the sub-step and integrator that pass the accuracy gate (`benchmarks.integrator`).
"""

from __future__ import annotations

import time
from typing import Any

import torch

from robots.description import Quadrotor
from sim.quadrotor import QuadrotorSimulator

ROUNDS = 5
HEIGHT_M = 1e3  # far from the ground, whatever the random actuation does


def measure(
    robot: Quadrotor,
    num_envs: int,
    *,
    actuation_mode: str = "ctbr",
    control_dt: float = 0.01,
    physics_dt: float | None = None,
    device: str = "cpu",
    seconds: float = 1.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Throughput under random actuation held for a control step each; the best of a few rounds, since anything else only slows it down."""
    sim = QuadrotorSimulator(robot, num_envs, actuation_mode=actuation_mode, control_dt=control_dt, physics_dt=physics_dt, device=device)
    everyone = torch.ones(num_envs, dtype=torch.bool, device=sim.device)
    sim.reset(everyone, {"position_base_in_world": torch.tensor([[0.0, 0.0, HEIGHT_M]]).expand(num_envs, 3)})
    actuations = random_actuation(robot, actuation_mode, num_envs, seed).to(sim.device)
    best = 0.0
    with torch.no_grad():
        _advance(sim, actuations, 0.1 * seconds)
        for _ in range(ROUNDS):
            best = max(best, _advance(sim, actuations, seconds / ROUNDS))
    return {
        "engine": sim.engine,
        "robot": robot.name,
        "num_envs": num_envs,
        "device": str(sim.device),
        "threads": torch.get_num_threads(),
        "control_dt": sim.control_dt,
        "physics_dt": sim.physics_dt,
        "env_steps_per_second": best * num_envs,
        "steps_per_second": best * num_envs * sim.substeps,
    }


def random_actuation(robot: Quadrotor, actuation_mode: str, num_envs: int, seed: int) -> torch.Tensor:
    """Ten actuations ``[10, num_envs, 4]``, uniform in the middle half of the robot's bounds."""
    signals = robot.actuation(actuation_mode)
    low, high = (torch.tensor([value for signal in signals for value in getattr(signal, bound)]) for bound in ("lower", "upper"))
    share = 0.25 + 0.5 * torch.rand(10, num_envs, 4, generator=torch.Generator().manual_seed(seed))
    return low + share * (high - low)


def _advance(sim: QuadrotorSimulator, actuations: torch.Tensor, seconds: float) -> float:
    """Control steps per second over at least ``seconds``."""
    steps, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        for actuation in actuations:
            sim.step(actuation)
        steps += len(actuations)
        if sim.device.type == "cuda":
            torch.cuda.synchronize(sim.device)
    return steps / elapsed
