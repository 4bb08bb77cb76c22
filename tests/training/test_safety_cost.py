"""The critic of failing, on a walk whose chances are known."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.training.point import PointSimulator, PointSuite, Reach
from training.environment import Environment
from training.learned_law import ActorConfig, LearnedLaw
from training.ppo import PPO, PPOConfig
from training.replicas import Generators, Streams
from training.risk import RiskConfig
from training.safety_cost import CostCritic, CostLearner
from training.shac import SHAC, SHACConfig

CONFIG = RiskConfig(cost_quantiles=16, cost_tail=0.25, cost_discount=0.9, cost_learning_rate=3e-3)


def test_discounted_cost_of_a_chain() -> None:
    """States 1…4 steps before a failure that comes for sure, and a state from which nothing happens: 0.9^k and 0."""
    torch.manual_seed(0)
    critic = CostCritic(5, CONFIG, Streams(1))
    learner, generator = CostLearner(critic, CONFIG, 1), Generators(0, torch.device("cpu"))
    observations = torch.zeros(5, 2, 5)
    for step in range(4):
        observations[step, 0, step] = 1.0
    observations[:, 1, 4] = 1.0
    terminated = torch.zeros(5, 2, dtype=torch.bool)
    terminated[3, 0] = True
    for _ in range(600):
        learner.learn(observations.repeat(1, 8, 1), terminated.repeat(1, 8), terminated.repeat(1, 8), generator)
    with torch.no_grad():
        risks = critic.risk(observations[:4, 0]).flatten().tolist()
        safe = float(critic.risk(observations[0, 1:]))
    assert [*risks, safe] == pytest.approx([0.9**3, 0.9**2, 0.9, 1.0, 0.0], abs=0.05)


def test_tail_tells_how_often_it_fails() -> None:
    """Fails in 1 of 10 now, or never: nine tenths of the quantiles are 0, the others 1."""
    torch.manual_seed(1)
    critic = CostCritic(2, CONFIG, Streams(1))
    learner, generator = CostLearner(critic, CONFIG, 1), Generators(0, torch.device("cpu"))
    draws, observations = torch.Generator().manual_seed(2), torch.zeros(5, 64, 2)
    observations[0, :, 0] = observations[1:, :, 1] = 1.0
    for _ in range(800):
        terminated = torch.zeros(5, 64, dtype=torch.bool)
        terminated[0] = torch.rand(64, generator=draws) < 0.1
        learner.learn(observations, terminated, terminated, generator)
    with torch.no_grad():
        quantiles = critic(observations[0, :1]).flatten().sort().values
    assert quantiles[:13].max() < 0.3
    assert quantiles[-1] > 0.9


def test_time_running_out_is_no_failure() -> None:
    critic = CostCritic(1, CONFIG, Streams(1))
    learner = CostLearner(critic, CONFIG, 1)
    done = torch.ones(2, 3, dtype=torch.bool)
    targets = learner.targets(torch.zeros(2, 3, 1), ~done, done, Generators(0, torch.device("cpu")))
    torch.testing.assert_close(targets, critic(torch.zeros(1, 3, 1)).detach())


class Edge(Reach):
    """Starts anywhere on the table, hardly able to move: how near the edge it is tells how soon it falls."""

    training_suite = PointSuite("training", reach=2.9, force=2.0)


@pytest.mark.parametrize("kind", [PPO, SHAC])
def test_risk_ships_in_the_file(kind: type) -> None:
    """Blown towards +3 m: the risk the file reports grows that way, agrees with torch (checked by the export) and is within 0…1."""
    torch.manual_seed(0)
    task = Edge()
    environment = Environment(task, PointSimulator(256), suite=task.training_suite, seed=0, auto_reset=False)
    risk = dataclasses.replace(CONFIG, cost_tail=0.5)
    law = LearnedLaw(task, ActorConfig(hidden=(8,)), risk=risk)
    small = {"horizon": 5, "critic_hidden": (8,), "learning_rate": 1e-5}
    config = PPOConfig(epochs=1, **small) if kind is PPO else SHACConfig(critic_epochs=1, **small)
    found = kind(law, environment, config, 0)
    for _ in range(150):
        assert "cost_loss" in found.iterate()
    steps = torch.linspace(-2.5, 2.8, 6).unsqueeze(1)
    sensors = {"position": steps, "velocity": torch.ones(6, 1)}
    with torch.no_grad():
        risks = law(sensors, {"goal": torch.zeros(6, 1)}, law.initial_memory(6)).risk.flatten()
    assert ((risks >= 0.0) & (risks <= 1.0)).all()
    assert float(risks[-1]) > float(risks[0]) + 0.2
