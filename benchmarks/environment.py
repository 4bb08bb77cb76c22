"""How many control steps a second a whole environment takes: simulator, sensors with noise, reward, end, reset and observation.

No policy runs, and nothing is differentiated (torch's inference mode); ten random actions take turns. Episodes are drawn from the suite
`full`, with everything it randomises, and begin at random ages, so that some end and begin anew at nearly every step, as they do in
training.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.workers.protocol import Case
from benchmarks.sim import describe, synchroniser, throughput
from robots import registry
from robots.errors import TetherError
from sim.fused.fuse import Fused
from tasks.task import Memory, Signals, Task
from training.environment import Environment
from training.simulators import AUTO, make

SUITE = "full"
ACTION_STD = 0.2  # of the random actions: most flights last until they are lost or out of time
STAGGER = 1
Ended = tuple[Tensor, Tensor]  # terminated, truncated


def measure(task_name: str, num_envs: int, *, seconds: float = 1.0, **settings: Any) -> dict[str, Any]:
    """Throughput of `loop`; ``settings`` are its."""
    return throughput(loop(task_name, num_envs, **settings), seconds)


def loop(
    task_name: str,
    num_envs: int,
    *,
    robot: str | None = None,
    rate_hz: float | None = None,
    physics_dt: float | None = None,
    engine: str = AUTO,
    device: str = "cpu",
    seed: int = 0,
) -> Case:
    """A task's environment at ``rate_hz`` (its own by default)."""
    task: Task = registry.load(registry.TASKS, task_name)(registry.robot(robot) if robot else None)
    if rate_hz is not None:
        if not rate_hz > 0.0:
            raise TetherError(f"the control rate is {rate_hz:g} Hz; give a positive one")
        task.rate_hz = rate_hz
    mode, control_dt = task.actuation_mode, 1.0 / task.rate_hz
    sim = make(engine, task.robot, num_envs, actuation_mode=mode, control_dt=control_dt, physics_dt=physics_dt, device=device)
    pilot = RandomPilot(Environment(task, sim, suite=task.suite(SUITE), seed=seed), seed)
    info = {"task": task.name, "suite": SUITE, "robot": task.robot.name, "rate_hz": task.rate_hz}
    return Case(pilot.advance, synchroniser(sim.device), num_envs, round(control_dt / sim.physics_dt), describe(sim) | info)


class RandomPilot:
    """Steps an environment under random actions, and takes the observation a policy would, through fused kernels as training does."""

    @torch.no_grad()
    def __init__(self, environment: Environment, seed: int) -> None:
        self.environment, task = environment, environment.task
        device, shape = environment.device, (10, task.action_size, environment.num_envs)
        actions = ACTION_STD * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        self.actions = itertools.cycle(actions.clamp(-1.0, 1.0).to(device).mT.unbind())  # as they are read without a copy
        self.ended = (torch.zeros(environment.num_envs, dtype=torch.bool, device=device),) * 2
        self.last_action = torch.zeros(shape[1:], device=device).t()
        self.memory = torch.zeros(environment.num_envs, task.task_memory_size, device=device)
        self.perceive = Fused(self._perceive, f"the observation of {task.name}")
        self.actuate = Fused(task.actuate, f"the actuation of {task.name}")
        self.sensors, self.command = environment.reset()
        environment.stagger(STAGGER)

    @torch.inference_mode()
    def advance(self) -> None:
        """Observe, act."""
        seen = self.perceive(self.sensors, self.command, self.ended, self.last_action, self.memory)
        self.observation, self.memory = seen
        action = next(self.actions)
        step = self.environment.step(self.actuate(action))
        self.sensors, self.command, self.reward, self.last_action = step.sensors, step.command, step.reward, action
        self.ended = (step.terminated, step.truncated)

    def _perceive(self, sensors: Signals, command: Signals, ended: Ended, action: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Observation and memory; a new episode has none of the last."""
        running = torch.where(ended[0] | ended[1], 0.0, 1.0).unsqueeze(1)
        return self.environment.task.observe(sensors, command, Memory(running, action * running, memory * running))
