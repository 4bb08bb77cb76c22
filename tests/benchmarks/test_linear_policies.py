"""The search for linear policies: its statistics, its step, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.linear_policies import SETTINGS, Normaliser, Trainer
from robustness.gymnasium_tasks.tasks import TASKS, task_of


def test_there_are_settings_for_tasks_that_exist():
    assert SETTINGS.keys() <= TASKS.keys()
    assert all(search.used <= search.directions for search in SETTINGS.values())


def test_running_statistics_are_those_of_all_observations():
    seen = 5.0 + np.random.default_rng(0).standard_normal((50, 4)) * [1.0, 10.0, 0.1, 0.0]
    normaliser = Normaliser(4)
    for batch in np.split(seen, [1, 7, 30]):
        normaliser.add(batch)
    np.testing.assert_allclose(normaliser.mean, seen.mean(0))
    np.testing.assert_allclose(normaliser.scale, 1.0 / np.array([*seen.std(0)[:3], 1.0]))


def test_a_step_follows_the_difference_of_returns():
    """On returns that are linear in the matrix, r = ⟨G, M⟩, with all directions used: the step is α/(b σ_R) Σ 2ν⟨G, δ⟩ δ."""
    trainer = Trainer("invertedpendulum", (), seed=0)
    trainer.search = replace(trainer.search, directions=6, used=6)
    goal = np.array([[1.0, -2.0, 0.5, 3.0]])
    deltas = np.random.default_rng(0).standard_normal((6, 1, 4))
    trainer.generator = type("Given", (), {"standard_normal": lambda self, shape: deltas, "integers": lambda self, n: 0})()
    trainer.roll_out = lambda matrix, seed, cell, alive, horizon: (float((goal * matrix).sum()), np.zeros((1, 4)))
    trainer.iterate()
    slopes = (goal * deltas).sum((1, 2))
    noise = trainer.search.noise
    spread = np.concatenate([noise * slopes, -noise * slopes]).std() + 1e-8
    expected = trainer.search.step / (6 * spread) * (2 * noise * slopes[:, None, None] * deltas).sum(0)
    np.testing.assert_allclose(trainer.matrix, expected)


@pytest.mark.parametrize("chosen", [[], ["1"]])
def test_it_learns_to_balance_and_the_same_from_the_same_seed(chosen):
    parameters = task_of("invertedpendulum").parameters(chosen) if chosen else ()
    trainers = [Trainer("invertedpendulum", parameters, seed=1) for _ in range(2)]
    for trainer in trainers:
        for _ in range(3):
            trainer.iterate()
    np.testing.assert_array_equal(trainers[0].matrix, trainers[1].matrix)
    still, _ = trainers[0].roll_out(np.zeros((1, 4)), 0, {})
    learned, seen = trainers[0].roll_out(trainers[0].matrix, 0, {})
    assert learned > still
    assert len(trainers[0].roll_out(trainers[0].matrix, 0, {}, horizon=7)[1]) == 7 < len(seen)
