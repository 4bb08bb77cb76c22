"""What every registered task must be, whoever wrote it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from robots import registry
from tasks.task import Memory, Task, Transition
from training.environment import Environment
from training.simulators import make_simulator

BATCH = 7


@pytest.fixture(params=registry.names(registry.TASKS))
def task(request: pytest.FixtureRequest) -> Task:
    return registry.load(registry.TASKS, request.param)()


@pytest.fixture
def environment(task: Task) -> Environment:
    environment = Environment(task, make_simulator("auto", task, BATCH), suite=task.training_suite, seed=3)
    environment.reset()
    return environment


def memory(task: Task, batch: int, seed: int = 0) -> Memory:
    generator = torch.Generator().manual_seed(seed)
    action, rest = (torch.rand(batch, size, generator=generator) * 0.2 - 0.1 for size in (task.action_size, task.task_memory_size))
    return Memory(torch.ones(batch, 1), action, rest)


def test_names_and_sizes_agree(task: Task, environment: Environment) -> None:
    observation, task_memory = task.observe(environment.sensors, environment.command, memory(task, BATCH))
    assert observation.shape == (BATCH, len(task.observation_names))
    assert task_memory.shape == (BATCH, task.task_memory_size)
    assert len(set(task.observation_names)) == len(task.observation_names)
    assert observation.isfinite().all()
    assert task_memory.isfinite().all()


def test_observe_is_pure(task: Task, environment: Environment) -> None:
    before = {name: value.clone() for name, value in environment.sensors.items()}
    view = memory(task, BATCH)
    kept = Memory(*(part.clone() for part in view))
    first = task.observe(environment.sensors, environment.command, view)
    second = task.observe(environment.sensors, environment.command, view)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(environment.sensors[name], value) for name, value in before.items())
    assert all(torch.equal(a, b) for a, b in zip(view, kept, strict=True))


def test_observe_treats_each_row_by_itself(task: Task, environment: Environment) -> None:
    view = memory(task, BATCH)
    together, _ = task.observe(environment.sensors, environment.command, view)
    for row in range(BATCH):
        only = slice(row, row + 1)
        sensors = {name: value[only] for name, value in environment.sensors.items()}
        command = {name: value[only] for name, value in environment.command.items()}
        alone, _ = task.observe(sensors, command, Memory(*(part[only] for part in view)))
        torch.testing.assert_close(alone, together[only], rtol=1e-5, atol=1e-5)


def test_zero_action_is_inside_the_limits_and_safe(task: Task) -> None:
    for action in (torch.zeros(BATCH, task.action_size), torch.ones(BATCH, task.action_size), -torch.ones(BATCH, task.action_size)):
        actuation = task.actuate(action)
        signals = task.robot.actuation(task.actuation_mode)
        assert list(actuation) == [signal.name for signal in signals]
        for signal in signals:
            assert actuation[signal.name].shape == (BATCH, signal.size)
            assert (actuation[signal.name] >= torch.tensor(signal.lower) - 1e-6).all()
            assert (actuation[signal.name] <= torch.tensor(signal.upper) + 1e-6).all()


def test_rewards_and_errors_are_finite_and_one_per_environment(task: Task, environment: Environment) -> None:
    for _ in range(5):
        step = environment.step(task.actuate(torch.zeros(BATCH, task.action_size)))
        for value in (*step.rewards.values(), step.tracking_error):
            assert value.shape == (BATCH,)
            assert value.isfinite().all()
        assert step.terminated.dtype == step.truncated.dtype == torch.bool
        assert not (step.terminated & step.truncated).any()


def test_a_state_that_is_not_finite_terminates(task: Task, environment: Environment) -> None:
    rest = task.actuate(torch.zeros(BATCH, task.action_size))
    state: dict[str, Any] = {name: value * torch.nan if value.is_floating_point() else value for name, value in environment.state.items()}
    assert task.terminated(Transition(state, environment.command, rest, rest, torch.zeros(BATCH, 1))).all()


def test_privileged_observation_is_finite(environment: Environment) -> None:
    privileged = environment.privileged()
    assert privileged.shape[0] == BATCH
    assert privileged.dim() == 2
    assert privileged.isfinite().all()


def test_every_suite_can_be_drawn_and_flown(task: Task) -> None:
    for suite in (*task.suites.values(), task.training_suite):
        environment = Environment(task, make_simulator("auto", task, BATCH), suite=suite, seed=1)
        environment.reset()
        step = environment.step(task.actuate(torch.zeros(BATCH, task.action_size)))
        assert step.tracking_error.isfinite().all()
        assert not step.terminated.any()


def test_suites_are_told_apart_by_their_digest(task: Task) -> None:
    digests = {suite.digest() for suite in task.suites.values()}
    assert len(digests) == len(task.suites)
    assert {"nominal", "full", "unseen"} <= set(task.suites)


def test_success_needs_a_whole_episode_without_failure(task: Task) -> None:
    steps = round(task.episode_s * task.rate_hz)
    perfect = torch.zeros(steps, 2)
    assert task.success(perfect, torch.tensor([False, True])).tolist() == [True, False]
    assert not task.success(perfect + 1e3, torch.zeros(2, dtype=torch.bool)).any()


def test_contract_follows_from_robot_and_task(task: Task) -> None:
    contract = task.contract(memory_size=11)
    assert contract.robot == task.robot.name
    assert contract.task == task.name
    assert contract.rate_hz == task.rate_hz
    assert tuple(sensor.name for sensor in contract.sensors) == task.sensors
    assert any(sensor.source == contract.clock for sensor in contract.sensors)
