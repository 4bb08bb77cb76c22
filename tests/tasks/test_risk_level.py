"""The command that any task can have beside its own."""

from __future__ import annotations

import pytest
import torch

from robots import registry
from tasks.go2_velocity import Go2Velocity
from tasks.hover import Hover
from tasks.risk_level import NAME, RATE_1_S, RISK_LEVEL, with_risk_level
from tasks.room import Room
from tasks.task import Memory, Task

TASKS = [registry.load(registry.TASKS, name) for name in registry.names(registry.TASKS)]


def asked(task: Task, level: float, memory: Memory) -> tuple[torch.Tensor, torch.Tensor]:
    start = task.sample(task.training_suite, len(memory.task), torch.Generator().manual_seed(0))
    sensors = {name: torch.zeros(len(memory.task), task.robot.sensor(name).size) for name in task.sensors}
    for name, value in sensors.items():
        if "orientation" in name:
            value[:, 0] = 1.0
    return task.observe(sensors, {**start.command, NAME: torch.full((len(memory.task), 1), level)}, memory)


def blank(task: Task, batch: int = 2, started: float = 0.0) -> Memory:
    zeros = torch.zeros(batch, task.task_memory_size)
    return Memory(torch.full((batch, 1), started), torch.zeros(batch, task.action_size), zeros)


@pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.name)
def test_every_task_can_have_it(kind: type[Task]) -> None:
    plain, task = kind(), with_risk_level(kind)()
    assert task.name == plain.name
    assert task.observation_names == (*plain.observation_names, NAME)
    assert task.commands == (*plain.commands, RISK_LEVEL)
    observation, memory = asked(task, 0.4, blank(task))
    assert observation.shape == (2, len(task.observation_names))
    assert memory.shape == (2, task.task_memory_size)
    assert observation[:, -1].tolist() == pytest.approx([0.4, 0.4])
    own, _ = asked(plain, 0.4, blank(plain))
    torch.testing.assert_close(observation[:, :-1], own)


def test_level_is_brought_within_bounds_and_follows_no_faster_than_its_rate() -> None:
    task = with_risk_level(Hover)()
    observation, memory = asked(task, 7.0, blank(task))
    assert observation[0, -1] == 1.0
    seen = []
    for _ in range(5):
        observation, memory = asked(task, -3.0, blank(task, started=1.0)._replace(task=memory))
        seen.append(float(observation[0, -1]))
    step = RATE_1_S / task.rate_hz
    assert seen == pytest.approx([1.0 - step * k for k in range(1, 6)])
    for _ in range(round(1.0 / step)):
        observation, memory = asked(task, 0.5, blank(task, started=1.0)._replace(task=memory))
    assert float(observation[0, -1]) == pytest.approx(0.5)


def test_a_new_episode_begins_at_what_is_asked() -> None:
    task = with_risk_level(Hover)()
    old = blank(task)
    old.task[:, -1] = 0.9
    observation, _ = asked(task, 0.1, old)
    assert observation[:, -1].tolist() == pytest.approx([0.1, 0.1])


def test_training_asks_for_any_level_and_evaluation_for_one() -> None:
    task = with_risk_level(Hover)()
    levels = task.sample(task.training_suite, 1000, torch.Generator().manual_seed(1)).command[NAME]
    assert levels.shape == (1000, 1)
    assert float((levels == 0.0).float().mean()) == pytest.approx(1 / 3, abs=0.05)
    assert float((levels == 1.0).float().mean()) == pytest.approx(1 / 3, abs=0.05)
    assert ((levels >= 0.0) & (levels <= 1.0)).all()
    task.asked_level = 0.25
    assert task.sample(task.training_suite, 3, torch.Generator().manual_seed(1)).command[NAME].flatten().tolist() == [0.25] * 3


def test_other_random_numbers_of_a_start_are_the_tasks() -> None:
    plain, task = Hover(), with_risk_level(Hover)()
    starts = [each.sample(each.training_suite, 5, torch.Generator().manual_seed(2)) for each in (plain, task)]
    for name, value in starts[0].state.items():
        assert torch.equal(value, starts[1].state[name])


def test_left_and_right_stay_alike() -> None:
    task, plain = with_risk_level(Go2Velocity)(), Go2Velocity()
    mirror, own = task.mirror(), plain.mirror()
    assert mirror is not None
    assert own is not None
    x = torch.randn(4, len(task.observation_names))
    torch.testing.assert_close(mirror.observation(x)[:, :-1], own.observation(x[:, :-1]))
    assert torch.equal(mirror.observation(x)[:, -1], x[:, -1])


def test_the_safeguard_and_the_inner_loop_see_the_tasks_own_memory() -> None:
    plain, task = Room(), with_risk_level(Room)()
    memory = blank(task)
    memory.task[:] = torch.randn(memory.task.shape, generator=torch.Generator().manual_seed(3))
    action = torch.zeros(2, task.action_size)
    found, expected = task.follow(memory.task, action), plain.follow(memory.task[:, :-1], action)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, equal_nan=True)
