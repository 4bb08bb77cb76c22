"""Starts of episodes: each used once, the same whatever the number of environments, and again from a saved state."""

from __future__ import annotations

import torch

from tasks.task import Start
from training.starts import DRAWN, Starts


def counted(size: int, generator: torch.Generator) -> Start:
    """Starts that say which they are: the index within a draw, and a number for all of a draw."""
    draw = torch.rand(1, generator=generator).expand(size, 1)
    index = torch.arange(size, dtype=torch.float32).unsqueeze(1)
    return Start({"index": index, "draw": draw}, {}, {"goal": torch.stack([index, index + 0.5], dim=2)}, {}, gust_m_s=None)


def indices(starts: Starts) -> list[int]:
    return starts.current.state["index"].flatten().int().tolist()


@torch.no_grad()
def test_each_start_is_used_once_and_only_where_the_mask_is_set() -> None:
    starts = Starts(counted, 4, seed=0)
    assert len(starts.renew(torch.ones(4, dtype=torch.bool))) == 4
    assert indices(starts) == [0, 1, 2, 3]
    assert len(starts.renew(torch.tensor([False, True, False, True]))) == 2
    assert indices(starts) == [0, 4, 2, 5]
    assert starts.current.command["goal"].shape == (4, 1, 2)
    assert starts.current.command["goal"][1].flatten().tolist() == [4.0, 4.5]
    assert starts.current.gust_m_s is None
    assert len(starts.renew(torch.zeros(4, dtype=torch.bool))) == 0


@torch.no_grad()
def test_a_new_stack_is_drawn_when_the_old_one_is_used_up() -> None:
    starts, everyone = Starts(counted, 600, seed=0), torch.ones(600, dtype=torch.bool)
    starts.renew(everyone)
    before = starts.current.state["draw"].clone()
    starts.renew(everyone)
    assert DRAWN < 2 * 600
    assert indices(starts)[:2] == [0, 1]
    assert (starts.current.state["draw"] != before).all()


def test_a_graph_keeps_the_starts_it_was_made_with() -> None:
    starts = Starts(counted, 2, seed=0)
    starts.renew(torch.ones(2, dtype=torch.bool))
    held = starts.current.state["index"]
    starts.renew(torch.ones(2, dtype=torch.bool))
    assert held.flatten().tolist() == [0.0, 1.0]
    assert indices(starts) == [2, 3]


@torch.no_grad()
def test_saved_and_continued() -> None:
    starts, other = Starts(counted, 4, seed=0), Starts(counted, 4, seed=1)
    for _ in range(3):
        starts.renew(torch.tensor([True, False, True, True]))
    other.load_state_dict(starts.state_dict())
    assert indices(other) == indices(starts)
    for each in (starts, other):
        each.renew(torch.ones(4, dtype=torch.bool))
    assert indices(other) == indices(starts)
    assert torch.equal(other.current.state["draw"], starts.current.state["draw"])
