"""Every registered task on its robot's engine, fused against eager: the same flight and the same gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robots import registry
from sim.fused import fuse
from tasks.task import Task
from training.environment import Environment
from training.learned_law import LearnedLaw
from training.pilot import Pilot
from training.simulators import make_simulator

COUNT, STEPS = 70, 12


@pytest.fixture(params=registry.names(registry.TASKS))
def task(request: pytest.FixtureRequest) -> Task:
    return registry.load(registry.TASKS, request.param)()


def fly(task: Task, suite: str) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Readings and rewards of a flight with resets, and the gradient of the rewards by the network's weights."""
    torch.manual_seed(0)
    law = LearnedLaw(task)
    pilot = Pilot(law)
    environment = Environment(task, make_simulator("auto", task, COUNT), suite=task.suites[suite], seed=1, auto_reset=False)
    sensors, command = environment.reset()
    memory, total, seen = law.initial_memory(COUNT), torch.zeros(COUNT), []
    for step in range(STEPS):
        output = pilot(sensors, command, memory)
        result = environment.step(output.actuation)
        sensors, command, memory = result.sensors, result.command, output.memory
        total = total + result.reward
        seen.append(torch.cat([*sensors.values(), *command.values(), result.tracking_error.unsqueeze(1)], dim=1).detach())
        if step == STEPS // 2:
            again = torch.arange(COUNT) % 3 == 0
            sensors, command = environment.reset(again)
            memory = torch.where(again.unsqueeze(1), 0.0, memory)
    total.sum().backward()
    return torch.stack(seen), total.detach(), [parameter.grad for parameter in law.actor.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("suite", ["full", "unseen"])
def test_fused_flights_are_eager_flights(task: Task, suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are errors here, so the first flight has a kernel for everything."""
    monkeypatch.delenv(fuse.SWITCH, raising=False)
    fused = fly(task, suite)
    monkeypatch.setenv(fuse.SWITCH, "0")
    eager = fly(task, suite)
    torch.testing.assert_close(fused[0], eager[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fused[1], eager[1], rtol=1e-4, atol=1e-4)
    for mine, other in zip(fused[2], eager[2], strict=True):
        torch.testing.assert_close(mine, other, rtol=2e-3, atol=2e-3 * float(other.abs().max()))
