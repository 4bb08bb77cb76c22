"""Ledge: what the view and the way along it are worth, where it ends, and what is rare in training."""

from __future__ import annotations

import pytest
import torch

from tasks.go2_ledge import Go2Ledge
from tasks.go2_velocity import ORIENTATION, POSITION, VELOCITY, Go2Velocity
from tasks.task import Memory, Start, Transition
from training.environment import Environment
from training.simulators import make_simulator

ENVS = 6


@pytest.fixture(scope="module")
def task() -> Go2Ledge:
    return Go2Ledge()


@pytest.fixture(scope="module")
def standing(task: Go2Ledge) -> Transition:
    """Robots that stand on the ledge, in the judge's terms."""
    environment = Environment(task, make_simulator("auto", task, ENVS), suite=task.suite("nominal"), seed=0, auto_reset=False)
    environment.reset()
    resting = {name: value.expand(ENVS, -1) for name, value in environment.resting.items()}
    step = environment.step(resting)
    return Transition(dict(environment.state), dict(step.command), resting, resting, torch.full((ENVS, 1), 0.02))


def changed(standing: Transition, y_m: float, speed_m_s: float = 0.5, heading_rad: float = 0.0) -> Transition:
    """The same there, at that speed along the ledge, turned about the vertical."""
    state = dict(standing.state)
    half = torch.tensor(heading_rad / 2)
    turn = torch.stack([half.cos(), half * 0, half * 0, half.sin()]).expand(ENVS, 4)
    position = torch.cat([torch.zeros(ENVS, 1), torch.full((ENVS, 1), y_m), state[POSITION][:, 2:]], dim=1)
    velocity = torch.tensor([speed_m_s, 0.0, 0.0]).expand(ENVS, 3)
    return standing._replace(state=state | {POSITION: position, VELOCITY: velocity, ORIENTATION: turn})


def worth(task: Go2Ledge, transition: Transition, term: str) -> float:
    """Per second."""
    return task.rewards(transition)[term].mean().item() * task.rate_hz


def start(task: Go2Ledge, suite: str, count: int = 2000) -> Start:
    chosen = task.training_suite if suite == "training" else task.suite(suite)
    return task.sample(chosen, count, torch.Generator().manual_seed(0))


def test_the_view_is_best_from_far_enough_out_on_either_side_and_only_for_who_walks(task: Go2Ledge, standing: Transition) -> None:
    views = [worth(task, changed(standing, y), "view") for y in (-0.7, -0.3, 0.0, 0.15, 0.6, 0.79)]
    assert views == pytest.approx([6.0, 3.0, 0.0, 1.5, 6.0, 6.0], abs=1e-4)
    assert worth(task, changed(standing, 0.6, speed_m_s=0.0), "view") == pytest.approx(6.0 * 0.0821, abs=1e-3)


def test_only_the_way_along_the_ledge_counts(task: Go2Ledge, standing: Transition) -> None:
    assert worth(task, changed(standing, 0.0), "velocity") == pytest.approx(2.0)
    assert worth(task, changed(standing, 0.0, speed_m_s=0.3), "velocity") == pytest.approx(0.8521 + 0.3679, abs=1e-3)
    assert worth(task, changed(standing, 0.0, heading_rad=0.2), "straight") == pytest.approx(0.5 * 0.3727, abs=1e-3)
    errors = task.tracking_error(changed(standing, 0.0, speed_m_s=0.1).state, standing.command)
    torch.testing.assert_close(errors, torch.full((ENVS,), 0.4))
    assert not task.success(errors.repeat(500, 1), torch.zeros(ENVS, dtype=torch.bool)).any()


def test_other_terms_are_the_walks_but_a_fall_counts_ten_times(task: Go2Ledge, standing: Transition) -> None:
    there = changed(standing, 0.0)
    own, walks = task.rewards(there), Go2Velocity().rewards(there)
    assert own.keys() - walks.keys() == {"view", "straight"}
    torch.testing.assert_close(own["power"], walks["power"])
    assert task.rewards(changed(standing, 0.9))["fall"].tolist() == [-10.0] * ENVS


def test_over_either_edge_is_the_end(task: Go2Ledge, standing: Transition) -> None:
    ended = [task.terminated(changed(standing, y)).all().item() for y in (-0.81, -0.79, 0.0, 0.79, 0.81)]
    assert ended == [True, False, False, False, True]
    found = task.measures(changed(standing, -0.7))["edge_m"]
    torch.testing.assert_close(found, torch.full((ENVS,), 0.1))


def test_it_sees_where_it_is_and_heads_for_and_both_mirrored(task: Go2Ledge, standing: Transition) -> None:
    memory = Memory(torch.ones(ENVS, 1), torch.zeros(ENVS, 12), torch.zeros(ENVS, task.task_memory_size))
    seen = [
        task.observe(changed(standing, y, heading_rad=turn).state, standing.command, memory)[0] for y, turn in ((0.4, 0.1), (-0.4, -0.1))
    ]
    assert seen[0].shape == (ENVS, len(task.observation_names)) == (ENVS, 110)
    torch.testing.assert_close(seen[0][0, -3:], torch.tensor([0.5, 0.99500, 0.09983]), rtol=0, atol=1e-4)
    mirror = task.mirror()
    assert mirror is not None
    torch.testing.assert_close(mirror.observation(seen[0])[:, -3:], seen[1][:, -3:])


def test_one_push_in_ten_of_training_is_hard_and_loads_differ(task: Go2Ledge) -> None:
    found = start(task, "training")
    assert found.push_m_s is not None
    size = found.push_m_s.norm(dim=2)
    assert float((size > 0.9).float().mean()) == pytest.approx(0.1, abs=0.02)
    assert float(size.max()) <= 1.8
    load = found.parameters["payload_mass"]
    assert 0.0 <= float(load.min()) < 0.1 < 3.9 < float(load.max()) <= 4.0
    assert (start(task, "unseen", 50).parameters["payload_mass"] == 6.0).all()


def test_episodes_begin_on_the_ledge_and_about_along_it(task: Go2Ledge) -> None:
    found = start(task, "full")
    assert float(found.state[POSITION][:, 1].abs().max()) == pytest.approx(0.6, abs=0.01)
    heading = 2.0 * torch.atan2(found.state[ORIENTATION][:, 3], found.state[ORIENTATION][:, 0])
    assert float(heading.abs().max()) == pytest.approx(0.2, abs=0.01)
    assert found.sensor_bias is not None
    assert float(found.sensor_bias[POSITION].abs().max()) == pytest.approx(0.02, abs=0.001)
    assert not start(task, "nominal", 50).sensor_noise[POSITION].any()
