"""How many steps an engine takes in a second, over the number of environments.

``steps_per_second`` = environments × physics sub-steps per second, ``env_steps_per_second`` = environments × control steps per second, as
benchmarks/RESULTS.md uses them: at the sub-step and integrator that pass the accuracy gate (`benchmarks.integrator`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.peers.workers.protocol import Case, calls_per_second
from robots.description import LeggedRobot, Robot
from sim.simulator import Simulator
from training.simulators import AUTO, make

ROUNDS = 5
HEIGHT_M = 1e3  # of what flies: far from the ground, whatever the random actuation does
NEAR = 0.2  # of the range of a leg's joints: it stays on its feet, and steps


def measure(
    robot: Robot,
    num_envs: int,
    *,
    seconds: float = 1.0,
    **settings: Any,
) -> dict[str, Any]:
    """Throughput of `loop`, under random actuation held for a control step each; ``settings`` are its."""
    return throughput(loop(robot, num_envs, **settings), seconds)


def throughput(case: Case, seconds: float) -> dict[str, Any]:
    """The best of a few rounds, since anything else only slows it down, with what was run."""
    calls_per_second(case, 0.1 * seconds)
    best = max(calls_per_second(case, seconds / ROUNDS) for _ in range(ROUNDS))
    counts = {"num_envs": case.num_envs, "threads": torch.get_num_threads()}
    speeds = {"env_steps_per_second": best * case.num_envs, "steps_per_second": best * case.num_envs * case.substeps}
    return case.info | counts | speeds


def loop(
    robot: Robot,
    num_envs: int,
    *,
    actuation_mode: str | None = None,
    control_dt: float | None = None,
    physics_dt: float | None = None,
    engine: str = AUTO,
    device: str = "cpu",
    seed: int = 0,
) -> Case:
    """The simulator alone, under ten random actuations in turn; mode and period are the robot's usual ones unless given."""
    mode, legs = actuation_mode or next(iter(robot.actuations)), isinstance(robot, LeggedRobot)
    period = control_dt or (0.02 if legs else 0.01)
    sim = make(engine, robot, num_envs, actuation_mode=mode, control_dt=period, physics_dt=physics_dt, device=device)
    everyone = torch.ones(num_envs, dtype=torch.bool, device=sim.device)
    high = {} if legs else {"position_base_in_world": torch.tensor([[0.0, 0.0, HEIGHT_M]], device=sim.device).expand(num_envs, 3)}
    sim.reset(everyone, high)
    actuations = itertools.cycle(random_actuation(robot, mode, num_envs, seed).to(sim.device).unbind())

    @torch.no_grad()
    def advance() -> None:
        sim.step(next(actuations))

    substeps = round(sim.control_dt / sim.physics_dt)
    return Case(advance, synchroniser(sim.device), num_envs, substeps, describe(sim) | {"robot": robot.name})


INTEGRATORS = {"torch": "rk4", "mujoco_cpu": "implicitfast", "mujoco_warp": "implicitfast"}


def describe(sim: Simulator) -> dict[str, Any]:
    """What the report says about a simulator."""
    steps = {"control_dt": sim.control_dt, "physics_dt": sim.physics_dt}
    return {"engine": sim.engine, "device": str(sim.device), "integrator": INTEGRATORS[sim.engine]} | steps


def synchroniser(device: torch.device) -> Callable[[], None]:
    """Waits until ``device`` has done everything it was told."""
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)


def random_actuation(robot: Robot, actuation_mode: str, num_envs: int, seed: int) -> torch.Tensor:
    """Ten actuations ``[10, num_envs, size]``: uniform in the middle half of the robot's bounds, or, of legs, near its safe value."""
    signals = robot.actuation(actuation_mode)
    low, high, safe = (torch.tensor([v for signal in signals for v in getattr(signal, name)]) for name in ("lower", "upper", "safe"))
    share = torch.rand(10, num_envs, len(low), generator=torch.Generator().manual_seed(seed))
    if isinstance(robot, LeggedRobot):
        return safe + NEAR * (high - low) * (share - 0.5)
    return low + (0.25 + 0.5 * share) * (high - low)
