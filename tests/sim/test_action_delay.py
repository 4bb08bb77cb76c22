"""The history of commands: the same with and without gradients, for as long as one likes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sim.action_delay import SPARE, History

LENGTH, WIDTH, ENVS = 3, 2, 5


def commands(count: int) -> list[Tensor]:
    return list(torch.arange(float(count * ENVS * WIDTH)).view(count, ENVS, WIDTH).unbind())


@pytest.mark.parametrize("graph", [False, True])
def test_the_newest_come_first_however_often_it_begins_anew(graph: bool) -> None:
    pushed = [torch.full((ENVS, WIDTH), -1.0)] * LENGTH
    history = History(torch.full((LENGTH, WIDTH, 1), -1.0).expand(-1, -1, ENVS))
    for command in commands(3 * SPARE):
        with torch.set_grad_enabled(graph):
            history.push(command)
        pushed.append(command)
        assert torch.equal(history.latest, torch.cat(pushed[: -LENGTH - 1 : -1], dim=1))
    assert torch.equal(history.each(), torch.stack([each.t() for each in pushed[: -LENGTH - 1 : -1]]))


def test_a_long_history_begins_anew_over_itself() -> None:
    length = SPARE + 7
    history = History(torch.zeros(length, WIDTH, ENVS))
    for command in commands(3 * length):
        with torch.no_grad():
            history.push(command)
    assert torch.equal(history.latest, torch.cat(commands(3 * length)[: -length - 1 : -1], dim=1))


def test_what_a_graph_remembers_is_never_written_over() -> None:
    history = History(torch.zeros(LENGTH, WIDTH, ENVS))
    first = torch.ones(ENVS, WIDTH, requires_grad=True)
    with torch.no_grad():
        history.push(torch.full((ENVS, WIDTH), 3.0))
    history.push(first)
    history.push(first * 2.0)
    worth = history.latest.square().sum()
    kept = history.latest
    with torch.no_grad():
        for command in commands(2 * SPARE):
            history.push(command)
    assert kept[0].tolist() == [2.0, 2.0, 1.0, 1.0, 3.0, 3.0]
    worth.backward()
    assert first.grad is not None
    assert torch.equal(first.grad, torch.full((ENVS, WIDTH), 2.0 * 2.0 * 2.0 + 2.0))


def test_what_was_changed_in_place_goes_on_and_what_is_given_is_taken() -> None:
    history = History(torch.zeros(LENGTH, WIDTH, ENVS))
    with torch.no_grad():
        history.push(torch.ones(ENVS, WIDTH))
        history.latest[2] = 7.0
        history.take(history.latest)
        history.push(torch.full((ENVS, WIDTH), 2.0))
        assert history.latest[2].tolist() == [2.0, 2.0, 7.0, 7.0, 7.0, 7.0]
        history.take(torch.zeros(LENGTH * WIDTH, ENVS).t())
        history.push(torch.full((ENVS, WIDTH), 2.0))
        assert history.latest[2].tolist() == [2.0, 2.0, 0.0, 0.0, 0.0, 0.0]
