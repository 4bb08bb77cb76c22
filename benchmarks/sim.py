"""How many steps an engine takes in a second, over the number of environments.

``steps_per_second`` = environments × physics sub-steps per second, ``env_steps_per_second`` = environments × control steps per second, as
benchmarks/RESULTS.md uses them: at the sub-step and integrator that pass the accuracy gate (`benchmarks.integrator`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
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
    """`in_turns` of one."""
    return in_turns([case], seconds)[0]


def in_turns(cases: Sequence[Case], seconds: float) -> list[dict[str, Any]]:
    """The best of a few rounds of each, since anything else only slows it down, with what was run."""
    for case in cases:
        calls_per_second(case, 0.1 * seconds)
    rounds = [[calls_per_second(case, seconds / ROUNDS) for case in cases] for _ in range(ROUNDS)]
    return [_speeds(case, max(speeds)) for case, speeds in zip(cases, zip(*rounds, strict=True), strict=True)]


def _speeds(case: Case, best: float) -> dict[str, Any]:
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
    """The simulator alone; mode and period are the robot's usual ones unless given."""
    mode, period = actuation_mode or next(iter(robot.actuations)), control_dt or usual_period(robot)
    return driven(make(engine, robot, num_envs, actuation_mode=mode, control_dt=period, physics_dt=physics_dt, device=device), seed)


def usual_period(robot: Robot) -> float:
    """How often robots of this kind are commanded [s]."""
    return 0.02 if isinstance(robot, LeggedRobot) else 0.01


def driven(sim: Simulator, seed: int) -> Case:
    """A simulator under ten random actuations in turn."""
    robot, num_envs = sim.robot, sim.num_envs
    everyone = torch.ones(num_envs, dtype=torch.bool, device=sim.device)
    place = torch.tensor([[0.0, 0.0, HEIGHT_M]], device=sim.device).expand(num_envs, 3)
    sim.reset(everyone, {} if isinstance(robot, LeggedRobot) else {"position_base_in_world": place})
    actuations = itertools.cycle(random_actuation(robot, sim.actuation_mode, num_envs, seed).to(sim.device).unbind())

    @torch.no_grad()
    def advance() -> None:
        sim.step(next(actuations))

    substeps = round(sim.control_dt / sim.physics_dt)
    return Case(advance, synchroniser(sim.device), num_envs, substeps, describe(sim) | {"robot": robot.name})


INTEGRATORS = {"torch": "rk4", "mujoco_cpu": "implicitfast", "mujoco_warp": "implicitfast", "isaac": "implicitfast", "isaacgym": "physx"}


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
