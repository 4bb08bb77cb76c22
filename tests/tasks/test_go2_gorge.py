"""Gorge: what the view and the way along it are worth, where it ends, and what is rare in training."""

from __future__ import annotations

import pytest
import torch

from tasks.go2_gorge import Go2Gorge
from tasks.go2_velocity import ORIENTATION, POSITION, VELOCITY, Go2Velocity
from tasks.task import Memory, Start, Transition
from training.environment import Environment
from training.simulators import make_simulator

ENVS = 6


@pytest.fixture(scope="module")
def task() -> Go2Gorge:
    return Go2Gorge()


@pytest.fixture(scope="module")
def standing(task: Go2Gorge) -> Transition:
    """Robots that stand by the gorge, in the judge's terms."""
    environment = Environment(task, make_simulator("auto", task, ENVS), suite=task.suite("nominal"), seed=0, auto_reset=False)
    environment.reset()
    resting = {name: value.expand(ENVS, -1) for name, value in environment.resting.items()}
    step = environment.step(resting)
    return Transition(dict(environment.state), dict(step.command), resting, resting, torch.full((ENVS, 1), 0.02))


def changed(standing: Transition, y_m: float, speed_m_s: float = 0.5, heading_rad: float = 0.0) -> Transition:
    """The same there, at that speed along the edge, turned about the vertical."""
    state = dict(standing.state)
    half = torch.tensor(heading_rad / 2)
    turn = torch.stack([half.cos(), half * 0, half * 0, half.sin()]).expand(ENVS, 4)
    position = torch.cat([torch.zeros(ENVS, 1), torch.full((ENVS, 1), y_m), state[POSITION][:, 2:]], dim=1)
    velocity = torch.tensor([speed_m_s, 0.0, 0.0]).expand(ENVS, 3)
    return standing._replace(state=state | {POSITION: position, VELOCITY: velocity, ORIENTATION: turn})


def worth(task: Go2Gorge, transition: Transition, term: str) -> float:
    """Per second."""
    return task.rewards(transition)[term].mean().item() * task.rate_hz


def start(task: Go2Gorge, suite: str, count: int = 2000) -> Start:
    chosen = task.training_suite if suite == "training" else task.suite(suite)
    return task.sample(chosen, count, torch.Generator().manual_seed(0))


def test_the_view_is_best_from_either_edge_and_only_for_who_walks(task: Go2Gorge, standing: Transition) -> None:
    views = [worth(task, changed(standing, y), "view") for y in (-0.4, -0.6, 0.39, 0.6, 0.8, 1.2, 3.0)]
    assert views == pytest.approx([5.0, 4.0, 5.0, 4.0, 3.0, 1.0, 0.0], abs=1e-4)
    assert worth(task, changed(standing, 0.4, speed_m_s=0.0), "view") == pytest.approx(5.0 * 0.0821, abs=1e-3)


def test_only_the_way_along_the_edge_counts(task: Go2Gorge, standing: Transition) -> None:
    assert worth(task, changed(standing, 1.0), "velocity") == pytest.approx(2.0)
    assert worth(task, changed(standing, 1.0, speed_m_s=0.3), "velocity") == pytest.approx(0.8521 + 0.3679, abs=1e-3)
    assert worth(task, changed(standing, 1.0, heading_rad=0.2), "straight") == pytest.approx(0.5 * 0.3727, abs=1e-3)
    errors = task.tracking_error(changed(standing, 1.0, speed_m_s=0.1).state, standing.command)
    torch.testing.assert_close(errors, torch.full((ENVS,), 0.4))
    assert not task.success(errors.repeat(500, 1), torch.zeros(ENVS, dtype=torch.bool)).any()


def test_other_terms_are_the_walks_but_a_fall_counts_ten_times(task: Go2Gorge, standing: Transition) -> None:
    there = changed(standing, 1.0)
    own, walks = task.rewards(there), Go2Velocity().rewards(there)
    assert own.keys() - walks.keys() == {"view", "straight"}
    torch.testing.assert_close(own["power"], walks["power"])
    assert task.rewards(changed(standing, 0.3))["fall"].tolist() == [-10.0] * ENVS


def test_over_the_edge_is_the_end_on_either_side(task: Go2Gorge, standing: Transition) -> None:
    ended = [task.terminated(changed(standing, y)).all().item() for y in (-0.41, -0.39, 0.0, 0.39, 0.41)]
    assert ended == [False, True, True, True, False]
    found = task.measures(changed(standing, -0.7))["edge_m"]
    torch.testing.assert_close(found, torch.full((ENVS,), 0.3))


def test_it_sees_where_it_is_and_heads_for_and_both_mirrored(task: Go2Gorge, standing: Transition) -> None:
    memory = Memory(torch.ones(ENVS, 1), torch.zeros(ENVS, 12), torch.zeros(ENVS, task.task_memory_size))
    seen = [
        task.observe(changed(standing, y, heading_rad=turn).state, standing.command, memory)[0] for y, turn in ((0.7, 0.1), (-0.7, -0.1))
    ]
    assert seen[0].shape == (ENVS, len(task.observation_names)) == (ENVS, 111)
    torch.testing.assert_close(seen[0][0, -4:], torch.tensor([1.0, 0.6, 0.99500, 0.09983]), rtol=0, atol=1e-4)
    mirror = task.mirror()
    assert mirror is not None
    torch.testing.assert_close(mirror.observation(seen[0])[:, -4:], seen[1][:, -4:])


def test_some_pushes_of_training_are_hard_and_loads_differ(task: Go2Gorge) -> None:
    found = start(task, "training")
    assert found.push_m_s is not None
    size = found.push_m_s.norm(dim=2)
    assert float((size > 0.3).float().mean()) == pytest.approx(0.15, abs=0.02)
    assert 0.8 <= float(size[size > 0.3].min()) <= float(size.max()) <= 1.5
    load = found.parameters["payload_mass"]
    assert 0.0 <= float(load.min()) < 0.1 < 3.9 < float(load.max()) <= 4.0
    unseen = start(task, "unseen", 50)
    assert (unseen.parameters["payload_mass"] == 6.0).all()
    assert unseen.push_m_s is not None
    assert float(unseen.push_m_s.norm(dim=2).min()) >= 0.7  # every one of them is hard


def test_episodes_begin_on_either_side_and_about_along_the_edge(task: Go2Gorge) -> None:
    found = start(task, "full")
    y = found.state[POSITION][:, 1]
    assert 0.45 < float((y > 0).float().mean()) < 0.55
    assert (float(y.abs().min()), float(y.abs().max())) == pytest.approx((0.6, 1.4), abs=0.01)
    heading = 2.0 * torch.atan2(found.state[ORIENTATION][:, 3], found.state[ORIENTATION][:, 0])
    assert float(heading.abs().max()) == pytest.approx(0.2, abs=0.01)
    assert found.sensor_bias is not None
    assert float(found.sensor_bias[POSITION].abs().max()) == pytest.approx(0.02, abs=0.001)
    assert not start(task, "nominal", 50).sensor_noise[POSITION].any()
