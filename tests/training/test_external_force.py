"""Forces that change within an episode, and starts that are amended for each seed."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from robots.errors import TetherError
from tasks.task import Start, Wave
from tests.training.point import PointSimulator, PointSuite, Reach
from training.environment import Environment
from training.external_force import between, changes, scheduled


def test_knots_are_joined_by_straight_lines() -> None:
    knots = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 2.0, -4.0], [1.0, 0.0, 0.0]]]).repeat(5, 1, 1)
    found = between(knots, torch.tensor([[0.0], [0.25], [0.5], [0.75], [2.0]]))
    expected = [[0.0, 0.0, 0.0], [0.5, 1.0, -2.0], [1.0, 2.0, -4.0], [1.0, 1.0, -2.0], [1.0, 0.0, 0.0]]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_constant_force_and_wave_add_up() -> None:
    one, force = torch.ones(2, 1), torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    start = Start({}, {}, {}, {}, force_in_world=force, wave=Wave(force, 0.5 * one, 0.0 * one))
    assert not changes(Start({}, {}, {}, {}, force_in_world=force))
    assert changes(start)
    torch.testing.assert_close(scheduled(start, 1.0 * one, 2.0), force)
    torch.testing.assert_close(scheduled(start, 0.5 * one, 2.0), 2 * force)


def waved(force: float, start: Start, generator: torch.Generator) -> Start:
    """A wave of 0.5 Hz along x."""
    some = torch.ones_like(start.command["goal"])
    return start._replace(wave=Wave(force * some * torch.tensor([[1.0, 0.0, 0.0]]), 0.5 * some, 0.0 * some))


def test_the_simulator_feels_the_wave_at_the_beginning_of_each_step() -> None:
    env = Environment(Reach(), PointSimulator(4), suite=PointSuite("still"), seed=0, amend=partial(waved, 2.0))
    env.reset()
    for index in range(12):
        env.step({"force": torch.zeros(4, 1)})
        torch.testing.assert_close(env.simulator.force[:, 0], torch.full((4,), 2.0 * math.sin(math.pi * 0.1 * index)), rtol=0, atol=1e-5)


def test_each_seed_has_its_own_amendment_and_the_rest_in_common() -> None:
    amend = [partial(waved, force) for force in (0.0, 1.0)]
    env = Environment(Reach(), PointSimulator(6), suite=PointSuite("noisy", noise=0.1), seed=[3, 3], amend=amend)
    sensors, command = env.reset()
    assert torch.equal(sensors["position"][:3], sensors["position"][3:])
    assert torch.equal(command["goal"][:3], command["goal"][3:])
    assert env.episode.wave is not None
    assert env.episode.wave.force_n[:, 0].tolist() == [0.0] * 3 + [1.0] * 3


def test_amendments_must_be_as_many_as_the_seeds() -> None:
    with pytest.raises(TetherError, match="3 ways to begin an episode for 2 seeds"):
        Environment(Reach(), PointSimulator(6), suite=PointSuite("still"), seed=[3, 3], amend=[partial(waved, 0.0)] * 3)
