"""Saving and going on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from robots.errors import TetherError
from sim.simulator import Simulator
from tests.sim.conformance.subject import assert_same, everyone, give, promise, run, spread, start, varied


def test_a_saved_state_continues(sim: Simulator, tmp_path: Path) -> None:
    """With its parameters, its wrench, and commands on their way, through a file, after something else has been in between."""
    give(sim, "action_delay", [0.0, 0.005, 0.013])
    sim.apply_wrench(spread(sim, [sim.robot.mass_kg * pull for pull in (1.0, 2.0, 3.0)]), spread(sim, [0.0] * 3))
    start(sim)
    commands = varied(sim)
    run(sim, commands[:5])
    torch.save(sim.state_dict(), tmp_path / "state.pt")
    parameters = {name: value.clone() for name, value in sim.parameters().items()}
    expected = run(sim, commands[5:])
    give(sim, "action_delay", [0.02])
    sim.apply_wrench(spread(sim, [0.0] * 3), spread(sim, [0.0] * 3))
    sim.reset(everyone(sim), {})
    run(sim, varied(sim, seed=1)[:2])
    sim.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert all(torch.equal(value, parameters[name]) for name, value in sim.parameters().items())
    assert_same(run(sim, commands[5:]), expected, promise(sim).repeats)


def test_what_was_saved_is_a_copy(sim: Simulator) -> None:
    saved = sim.state_dict()
    before = _tensors(saved)
    run(sim, varied(sim)[:2])
    assert all(torch.equal(value, kept) for value, kept in zip(_tensors(saved, clone=False), before, strict=True))


def _tensors(state: Any, clone: bool = True) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state.clone() if clone else state]
    values = state.values() if isinstance(state, dict) else state if isinstance(state, (list, tuple)) else ()
    return [tensor for value in values for tensor in _tensors(value, clone)]


def test_a_state_of_something_else_is_refused(sim: Simulator) -> None:
    with pytest.raises(TetherError, match="environments"):
        sim.load_state_dict({"nonsense": torch.zeros(3)})
