"""Skim: a low goal, loads and gusts that training does not have, and a reward that is worth a risk."""

from __future__ import annotations

import math

import pytest
import torch

from tasks.quadrotor_flight import GOAL, ORIENTATION, POSITION, RATES, VELOCITY
from tasks.skim import HIGH_M, Skim
from tasks.task import Memory, Start, Transition


def start(suite: str, count: int = 400) -> Start:
    task = Skim()
    chosen = task.training_suite if suite == "training" else task.suite(suite)
    return task.sample(chosen, count, torch.Generator().manual_seed(0))


def test_goals_are_a_hands_breadth_above_ground_and_starts_above_them() -> None:
    found = start("full")
    assert torch.allclose(found.command[GOAL][:, 2], torch.tensor(0.15))
    height = found.state[POSITION][:, 2]
    assert float(height.min()) >= 0.8
    assert float(height.max()) <= 2.8


def test_training_flies_high_too_goal_and_all() -> None:
    found = start("training")
    high = found.command[GOAL][:, 2] > 10.0
    assert 0.5 < float(high.float().mean()) < 0.7
    assert torch.allclose(found.command[GOAL][high, 2], torch.tensor(HIGH_M + 0.15))
    assert (found.state[POSITION][high, 2] > HIGH_M).all()


def test_unseen_is_heavier_and_gustier_than_training() -> None:
    found, trained = start("unseen"), start("training")
    assert float(found.burst_n.min()) > float(trained.burst_n.max())
    assert float(found.parameters["mass"].mean()) > 1.05 * float(trained.parameters["mass"].mean())


def reward(height: float, crashed: bool = False) -> dict[str, float]:
    task = Skim()
    place = torch.tensor([[0.0, 0.0, height]])
    state = {
        POSITION: place,
        VELOCITY: torch.zeros(1, 3),
        RATES: torch.zeros(1, 3),
        ORIENTATION: torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        "ground_contact": torch.tensor([[crashed]]),
    }
    resting = task.actuate(torch.zeros(1, 4))
    command = {GOAL: torch.tensor([[0.0, 0.0, 0.15]])}
    return {name: float(value) for name, value in task.rewards(Transition(state, command, resting, resting, torch.zeros(1, 1))).items()}


def test_lower_pays_and_touching_the_ground_costs_a_second_of_it() -> None:
    totals = [sum(reward(height).values()) for height in (0.15, 0.5, 1.0, 2.0)]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] * 100 == pytest.approx(11.0)  # a second at the goal
    assert reward(0.03, crashed=True)["crash"] == -5.0


def test_the_ground_is_seen_at_its_scale_and_not_from_far() -> None:
    task = Skim()
    assert task.observation_names[-1] == "ground"
    sensors = {name: torch.zeros(2, task.robot.sensor(name).size) for name in task.sensors}
    sensors[ORIENTATION][:, 0] = 1.0
    sensors[POSITION][:, 2] = torch.tensor([0.3, 9.0])
    memory = Memory(torch.zeros(2, 1), torch.zeros(2, 4), torch.zeros(2, task.task_memory_size))
    observation, _ = task.observe(sensors, {GOAL: torch.zeros(2, 3)}, memory)
    assert observation[:, -1].tolist() == pytest.approx([math.exp(-1.0), 0.0], abs=1e-6)
