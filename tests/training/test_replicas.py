"""Replicas: each is what it would be alone, and none feels another."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robots.errors import TetherError
from sim.random_numbers import RandomNumbers, normal
from tasks.hover import Hover
from tests.training.point import PointSimulator, PointSuite, Reach, SlowReach
from training.batched import Batch, train_batched
from training.config import changed, preset
from training.environment import Environment
from training.guard import SafeguardConfig
from training.learned_law import ActorConfig, LearnedLaw
from training.metrics import Metrics, Progress
from training.normalizer import RunningNormalizer
from training.perceptron import perceptron
from training.ppo import PPO, PPOConfig, clip_gradient
from training.replicas import Streams, spread
from training.sac import SAC, SACConfig
from training.shac import BPTT, SHAC, SHACConfig
from training.train import Run

SHARE, SEEDS = 6, (5, 3, 11)
WILD = PointSuite("wild", reach=3.2, noise=0.05)  # episodes end at any moment, by failure too
SHORT = SHACConfig(horizon=7, critic_hidden=(16,), critic_epochs=2, critic_minibatches=3, discount=0.9)
ROLLED = PPOConfig(horizon=7, epochs=2, minibatches=2, critic_hidden=(16,), entropy_coefficient=0.01)
OFF_POLICY = SACConfig(horizon=7, updates=4, batch=8, capacity=60, warm_up=40, critic_hidden=(16,))
EACH = [(SHAC, SHORT), (BPTT, SHORT), (PPO, ROLLED), (SAC, OFF_POLICY)]
KINDS = pytest.mark.parametrize(("kind", "config"), EACH, ids=["shac", "bptt", "ppo", "sac"])
GUARDED = SafeguardConfig("brake", regularisation=0.1)


def learner(kind: Any, config: Any, seeds: Sequence[int] = SEEDS, safeguard: SafeguardConfig = GUARDED) -> Any:
    task = SlowReach()
    environment = Environment(task, PointSimulator(SHARE * len(seeds)), suite=WILD, seed=seeds, auto_reset=False)
    actor = ActorConfig(hidden=(16,), activation="elu", squash="tanh" if kind is SAC else "clamp")
    found = kind(LearnedLaw(task, actor, safeguard, seeds), environment, config, seeds)
    with torch.no_grad():  # bold, so that safeguards and ends of episodes matter
        for parameter in found.law.actor.parameters():
            parameter *= 3.0
    return found


def weights(learner: Any) -> dict[str, Tensor]:
    """Of law and critic, and the statistics; for replicas they have a leading axis."""
    found = dict(learner.law.state_dict())
    if hasattr(learner, "log_std"):
        found["log_std"] = learner.log_std
    for name in ("critic", "deviation", "critic_normalizer", "return_normalizer"):
        if hasattr(learner, name):
            found |= {f"{name}.{key}": value for key, value in getattr(learner, name).state_dict().items()}
    if isinstance(learner, SAC) and learner.replicas > 1:  # twin critics are replicas too
        found |= {name: value.unflatten(0, (-1, 2)) for name, value in found.items() if name.startswith("critic.")}
    return {name: value.clone() for name, value in found.items()}


@KINDS
def test_no_replica_feels_another(kind: Any, config: Any) -> None:
    """Other weights and other states of replica 1 leave 0 and 2 as they were, to the bit, though its episodes end at other times."""
    plain, other = learner(kind, config), learner(kind, config)
    with torch.no_grad():
        for parameter in other.law.actor.parameters():
            parameter[1] += 1.0
        other.environment.simulator.state["position"][SHARE : 2 * SHARE] += 0.5
    lengths = []
    for _ in range(6):
        lengths.append([each.iterate()["episode_steps"] for each in (plain, other)])
    left, right = weights(plain), weights(other)
    assert lengths[-1][0] != lengths[-1][1]
    for name, value in left.items():
        assert torch.equal(value[[0, 2]], right[name][[0, 2]]), name
    assert not torch.allclose(left["actor.head.0.weight"][1], right["actor.head.0.weight"][1], atol=0.1)
    found, expected = other.episodes.by_replica(), plain.episodes.by_replica()
    assert (found[0], found[2]) == (expected[0], expected[2])
    assert found[1] != expected[1]


@KINDS
def test_every_replica_is_what_it_would_be_alone(kind: Any, config: Any) -> None:
    """First weights, starts, noise, minibatches, windows with ends of episodes inside, clipped gradients: all from its own seed."""
    together, alone = learner(kind, config), [learner(kind, config, [seed]) for seed in SEEDS]
    for _ in range(4):
        metrics = together.iterate()
        apart = [each.iterate() for each in alone]
    for index, each in enumerate(alone):
        assert metrics[f"return_{index}"] == pytest.approx(apart[index]["return"], rel=1e-4)
        for name, value in weights(each).items():
            torch.testing.assert_close(weights(together)[name][index], value, rtol=2e-3, atol=2e-4)
    means = {name: sum(each[name] for each in apart) / len(SEEDS) for name in ("policy_loss", "value_loss") if name in metrics}
    factor = {"policy_loss": len(SEEDS) if issubclass(kind, SHAC) else 1.0}  # SHAC reports what it differentiates
    for name, mean in means.items():
        assert metrics[name] == pytest.approx(mean * factor.get(name, 1.0), rel=1e-3)


def test_a_replica_by_itself_does_what_it_did_among_the_others() -> None:
    shac = learner(SHAC, SHORT)
    shac.iterate()
    law, memory = shac.law, shac.memory.detach()
    together = law(shac.sensors, shac.command, memory)
    for index in range(len(SEEDS)):
        own = slice(SHARE * index, SHARE * (index + 1))
        single = law.replica(index)
        assert isinstance(single.actor.head[0], nn.Linear)
        given = ({name: value[own] for name, value in signals.items()} for signals in (shac.sensors, shac.command))
        found = single(*given, memory[own])
        torch.testing.assert_close(found.actuation["force"], together.actuation["force"][own], rtol=0, atol=1e-6)
        torch.testing.assert_close(found.unguarded, together.unguarded[own], rtol=0, atol=1e-6)
    with pytest.raises(TetherError, match="there is no replica 3 of 3"):
        law.replica(3)


def test_networks_side_by_side_for_any_leading_axes() -> None:
    together = perceptron(3, (8,), 2, "tanh", streams=Streams(SEEDS))
    alone = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        alone.append(perceptron(3, (8,), 2, "tanh"))
    for shape in ((), (4,), (4, 2)):
        x = torch.randn(*shape, 15, 3)
        expected = torch.cat([network(part) for network, part in zip(alone, x.chunk(3, dim=-2), strict=True)], dim=-2)
        torch.testing.assert_close(together(x), expected)


def test_first_weights_leave_torchs_own_stream_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    Streams(SEEDS).draw(lambda: torch.rand(5))
    assert torch.equal(torch.rand(3), expected)


def test_statistics_of_each_replica() -> None:
    together, alone = RunningNormalizer(2, replicas=2), [RunningNormalizer(2), RunningNormalizer(2)]
    for sizes in ((5, 3), (1, 9)):
        batches = [torch.randn(size, 2) + size for size in sizes]
        together.update(*batches)
        for each, batch in zip(alone, batches, strict=True):
            each.update(batch)
    for name in ("mean", "variance", "count"):
        torch.testing.assert_close(getattr(together, name), torch.stack([getattr(each, name) for each in alone]))
    x = torch.randn(3, 8, 2)
    expected = torch.cat([each(part) for each, part in zip(alone, x.chunk(2, dim=1), strict=True)], dim=1)
    torch.testing.assert_close(together(x), expected)
    torch.testing.assert_close(together.inverse(together.standardized(x)), x)


def test_gradients_are_clipped_one_replica_at_a_time() -> None:
    parameters = [nn.Parameter(torch.zeros(2, 3, 4)), nn.Parameter(torch.zeros(2, 5))]
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape) * torch.tensor([10.0, 1e-3]).view(-1, *[1] * (parameter.dim() - 1))
    before = [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]
    norms = clip_gradient(parameters, 0.5, replicas=2)
    for index in range(2):
        norm = math.sqrt(sum(part[index].square().sum().item() for part in before))
        assert norms[index].item() == pytest.approx(norm)
        for part, parameter in zip(before, parameters, strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad[index], part[index] * min(1.0, 0.5 / norm), rtol=1e-4, atol=1e-8)


def test_environments_draw_what_they_would_alone() -> None:
    together, alone = RandomNumbers(6, SEEDS), [RandomNumbers(2, seed) for seed in SEEDS]
    expected = torch.cat([normal(each.advance(), 1, 5) for each in alone])
    assert torch.equal(normal(together.advance(), 1, 5), expected)
    assert torch.equal(spread(torch.arange(3.0), 3, 6), torch.tensor([0.0, 0.0, 1.0, 1.0, 2.0, 2.0]))


def test_what_cannot_be_replicated_is_refused() -> None:
    for actor in ({"memory": "gru"}, {"symmetric": True}):
        with pytest.raises(TetherError, match=r"actor\.symmetric"):
            LearnedLaw(Reach(), ActorConfig(**actor), replicas=2)
    with pytest.raises(TetherError, match="share one learning rate"):
        learner(PPO, dataclasses.replace(ROLLED, target_kl=0.01))
    with pytest.raises(TetherError, match="7 environments cannot be shared out to 3 seeds"):
        Environment(Reach(), PointSimulator(7), suite=WILD, seed=SEEDS)
    for seeds, message in (((), "at least one seed"), ((1, 1), "none twice"), ((-1,), "seed must be within")):
        with pytest.raises(TetherError, match=message):
            train_batched(preset("hover"), seeds)


@KINDS
def test_state_dict_continues_bit_for_bit(kind: Any, config: Any) -> None:
    whole, first, second = learner(kind, config), learner(kind, config), learner(kind, config, SEEDS[::-1])
    expected = [whole.iterate() for _ in range(6)][3:]
    for _ in range(3):
        first.iterate()
    second.load_state_dict(first.state_dict())
    assert [second.iterate() for _ in range(3)] == expected


# with 32 environments and more there are kernels
@pytest.mark.parametrize(("algorithm", "num_envs", "checks"), [("shac", 12, 0), ("ppo", 4, 2)], ids=["shac with kernels", "ppo without"])
def test_a_batch_of_trainings_is_the_trainings(
    algorithm: str, num_envs: int, checks: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hover, "episode_s", 1.2)
    section = {"shac": {"horizon": 4}, "ppo": {"horizon": 4, "minibatches": 2}}[algorithm]
    small = {"num_envs": num_envs, "iterations": 2, "check_every": checks, "check_from": 0, "check_episodes": 4, algorithm: section}
    config, told = changed(preset("hover", algorithm), small, "test"), []
    trained = train_batched(config, SEEDS, progress=lambda iteration, metrics: told.append(iteration))
    assert told == [1, 2]
    assert [curve.env_steps for curve in trained.curves] == [[4 * num_envs, 8 * num_envs]] * 3
    for seed, law, curve in zip(SEEDS, trained.laws, trained.curves, strict=True):
        one = dataclasses.replace(config, seed=seed)
        run = Run(one, tmp_path, Metrics(tmp_path), Progress(one, enabled=False))
        for _ in range(config.iterations):
            run.algorithm.iterate()
        for name, value in run.law.state_dict().items():
            torch.testing.assert_close(law.state_dict()[name], value, rtol=1e-3, atol=1e-4)
        errors = [check["tracking_error"] for check in curve.checks]
        assert errors == ([pytest.approx(run.examine()["tracking_error"], rel=1e-2)] if checks else [])
    again = train_batched(config, SEEDS)
    assert again.curves == trained.curves
    for law, same in zip(trained.laws, again.laws, strict=True):
        assert all(map(torch.equal, law.state_dict().values(), same.state_dict().values()))


def test_a_batch_goes_on_where_it_was_saved() -> None:
    config = changed(preset("hover"), {"num_envs": 4, "iterations": 2, "check_every": 0, "ppo": {"horizon": 4, "minibatches": 1}}, "test")
    first, second = Batch(config, SEEDS), Batch(config, SEEDS)
    first.iterate()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert first.iterate() == second.iterate()
    assert first.curves == second.curves
