"""Dash: speed that is worth something at every bit of it, and what is rare in training."""

from __future__ import annotations

import pytest
import torch

from tasks.go2_dash import Go2Dash
from tasks.go2_velocity import VELOCITY, WALK, Go2Velocity
from tasks.task import Start, Transition
from training.environment import Environment
from training.simulators import make_simulator


@pytest.fixture(scope="module")
def task() -> Go2Dash:
    return Go2Dash()


@pytest.fixture(scope="module")
def standing(task: Go2Dash) -> Transition:
    """Six robots that stand as they start, in the judge's terms."""
    environment = Environment(task, make_simulator("auto", task, 6), suite=task.suite("nominal"), seed=0, auto_reset=False)
    environment.reset()
    resting = {name: value.expand(6, -1) for name, value in environment.resting.items()}
    step = environment.step(resting)
    return Transition(dict(step.state), dict(step.command), resting, resting, torch.full((6, 1), 0.02))


def start(task: Go2Dash, suite: str, count: int = 2000) -> Start:
    chosen = task.training_suite if suite == "training" else task.suite(suite)
    return task.sample(chosen, count, torch.Generator().manual_seed(0))


def moving(standing: Transition, speed_m_s: float) -> Transition:
    """The same at a speed along the heading that they start in."""
    state = dict(standing.state)
    w, _, _, z = state["orientation_base_in_world"].unbind(1)
    heading = 2.0 * torch.atan2(z, w)
    velocity = torch.stack([heading.cos(), heading.sin(), torch.zeros(6)], dim=1) * speed_m_s
    return standing._replace(state=state | {VELOCITY: velocity})


def test_every_bit_of_speed_is_worth_the_same_up_to_the_fastest(task: Go2Dash, standing: Transition) -> None:
    paces = [task.rewards(moving(standing, speed))["pace"].mean().item() * task.rate_hz for speed in (-1.0, 0.0, 0.5, 1.0, 2.0, 3.0)]
    assert paces == pytest.approx([0.0, 0.0, 1.0, 2.0, 4.0, 4.0], abs=0.05)
    own, walks = task.rewards(standing), Go2Velocity().rewards(standing)
    assert own.keys() - walks.keys() == {"pace"}
    assert walks.keys() - own.keys() == {"velocity"}
    torch.testing.assert_close(own["power"], walks["power"])


def test_who_is_slow_or_falls_does_not_succeed(task: Go2Dash, standing: Transition) -> None:
    lacks = [task.tracking_error(moving(standing, speed).state, standing.command).mean().item() for speed in (0.0, 0.5, 1.0, 2.5)]
    assert lacks == pytest.approx([2.0, 1.5, 1.0, 0.0], abs=0.05)
    errors = torch.tensor(lacks).repeat(500, 1)
    assert task.success(errors, torch.zeros(4, dtype=torch.bool)).tolist() == [False, False, True, True]
    assert not task.success(errors, torch.ones(4, dtype=torch.bool)).any()


def test_everybody_is_asked_to_run_straight_ahead(task: Go2Dash) -> None:
    found = start(task, "full", 50)
    assert torch.equal(found.command[WALK], torch.tensor([[2.0, 0.0]]).expand(50, 2))


def test_one_robot_and_one_push_in_ten_of_training_is_out_of_the_ordinary(task: Go2Dash) -> None:
    found = start(task, "training")
    load = found.parameters["payload_mass"]
    assert float((load > 0.0).float().mean()) == pytest.approx(0.1, abs=0.02)
    assert float(load[load > 0.0].min()) >= 2.0
    assert float(load.max()) <= 9.0
    assert found.push_m_s is not None
    size = found.push_m_s.norm(dim=2)
    assert float((size > 0.9).float().mean()) == pytest.approx(0.1, abs=0.02)
    assert float(size.max()) <= 2.0
    assert not start(task, "full", 50).parameters["payload_mass"].any()
