"""The learned law: how memory is packed, that zero memory means episode start, and that rows do not mix."""

from __future__ import annotations

import pytest
import torch

from robots.errors import TetherError
from tasks.risk_level import NAME, with_risk_level
from tests.training.point import Reach
from training.learned_law import ActorConfig, GatedCell, LearnedLaw


def law(**config: object) -> LearnedLaw:
    torch.manual_seed(0)
    built = LearnedLaw(Reach(), ActorConfig(**({"hidden": (8,)} | config)))
    for parameter in built.actor.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    built.normalizer.update(torch.randn(100, 3))
    return built.requires_grad_(False)


def inputs(batch: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(batch)
    sensors = {name: torch.randn(batch, 1, generator=generator) for name in ("position", "velocity")}
    return sensors, {"goal": torch.randn(batch, 1, generator=generator)}


def test_memory_is_started_action_task_and_recurrent_state() -> None:
    learned = law(memory="gru", memory_size=5)
    sensors, command = inputs(4)
    first = learned(sensors, command, learned.initial_memory(4))
    assert learned.memory_size == first.memory.shape[1] == 1 + 1 + 1 + 5
    assert (first.memory[:, 0] == 1).all()
    assert torch.equal(first.memory[:, 1:2], first.actuation["force"])
    assert (first.memory[:, 2] == 1).all()  # the task counts its steps
    assert torch.equal(first.memory[:, 3:], learned.recurrent(first.memory))
    second = learned(sensors, command, first.memory)
    assert (second.observation[:, 2] == 1).all()
    assert (second.memory[:, 2] == 2).all()
    assert not torch.equal(first.memory[:, 3:], second.memory[:, 3:])


def test_a_new_law_rests() -> None:
    learned = LearnedLaw(Reach())
    sensors, command = inputs(6)
    assert learned(sensors, command, learned.initial_memory(6)).actuation["force"].abs().max() < 0.1


def test_action_is_clamped() -> None:
    learned = law()
    sensors, command = inputs(50)
    sensors["position"] *= 100
    force = learned(sensors, command, learned.initial_memory(50)).actuation["force"]
    assert force.abs().max() == 1.0


@pytest.mark.parametrize("memory", ["none", "gru"])
def test_a_squashed_action_keeps_its_gradient_where_a_clamped_one_has_none(memory: str) -> None:
    for squash, slope in (("clamp", False), ("tanh", True)):
        learned = law(squash=squash, memory=memory)
        with torch.no_grad():
            learned.actor.head[-1].bias.fill_(3.0)
        learned.actor.head[-1].bias.requires_grad_(True)
        sensors, command = inputs(6)
        force = learned({n: v * 0 for n, v in sensors.items()}, {"goal": command["goal"] * 0}, learned.initial_memory(6)).actuation["force"]
        assert (force > 0.9).all()
        assert (torch.autograd.grad(force.sum(), learned.actor.head[-1].bias)[0] != 0).all().item() is slope


@pytest.mark.parametrize("memory", ["none", "gru"])
def test_rows_do_not_mix(memory: str) -> None:
    learned = law(memory=memory)
    sensors, command = inputs(5)
    start = torch.rand(5, learned.memory_size)
    together = learned(sensors, command, start)
    alone = learned({n: v[2:3] for n, v in sensors.items()}, {n: v[2:3] for n, v in command.items()}, start[2:3])
    torch.testing.assert_close(alone.memory, together.memory[2:3])


def test_gated_cell_is_torchs() -> None:
    cell, reference = GatedCell(3, 4), torch.nn.GRUCell(3, 4)
    with torch.no_grad():
        for ours, theirs in ((cell.input, "ih"), (cell.recurrent, "hh")):
            torch.nn.init.normal_(ours.bias)
            getattr(reference, f"weight_{theirs}").copy_(ours.weight)
            getattr(reference, f"bias_{theirs}").copy_(ours.bias)
        x, h = torch.randn(10, 3), torch.randn(10, 4)
        torch.testing.assert_close(cell(x, h), reference(x, h))


def levelled(level: float, **config: object) -> tuple[LearnedLaw, torch.Tensor]:
    """A law that takes a level of risk, and what it does at one, ``[6, 1]``."""
    torch.manual_seed(0)
    built = LearnedLaw(with_risk_level(Reach)(), ActorConfig(**({"hidden": (8,)} | config)))
    built.normalizer.update(torch.randn(100, 4) + 3.0)
    sensors, command = inputs(6)
    command[NAME] = torch.full((6, 1), level)
    return built, built(sensors, command, built.initial_memory(6)).actuation["force"]


def test_a_level_of_risk_is_a_place_between_two_networks() -> None:
    for level, untaught in ((0.0, "averse"), (1.0, "neutral")):
        built, force = levelled(level)
        force.sum().backward()
        for name, parameter in built.actor.named_parameters():
            assert parameter.grad is not None
            assert bool(parameter.grad.any()) is (untaught not in name), name
    (_, low), (_, middle), (_, high) = (levelled(level) for level in (0.0, 0.5, 1.0))
    torch.testing.assert_close(levelled(1.0)[0].normalizer(torch.full((1, 4), 0.7))[0, -1], torch.tensor(0.7))  # the level stays what it is
    assert bool(((low - middle) * (middle - high) > -1e-6).all())
    assert not torch.allclose(low, high)


def test_a_recurrent_actor_takes_the_level_as_it_takes_the_rest() -> None:
    built, _ = levelled(0.5, memory="gru", memory_size=5)
    assert not any("averse" in name for name, _ in built.actor.named_parameters())


def test_levelled_laws_side_by_side_are_each_alone() -> None:
    task = with_risk_level(Reach)()
    together = LearnedLaw(task, ActorConfig(hidden=(8,)), replicas=(3, 4))
    x = torch.rand(10, 4)
    expected = torch.cat([together.replica(index).actor(x[5 * index : 5 * index + 5], x[:5, :0])[0] for index in range(2)])
    torch.testing.assert_close(together.actor(x, x[:, :0])[0], expected)


def test_unknown_activation_names_the_valid_ones() -> None:
    with pytest.raises(TetherError, match="unknown activation 'swish'; choose one of: elu, relu, silu, tanh"):
        LearnedLaw(Reach(), ActorConfig(activation="swish"))
