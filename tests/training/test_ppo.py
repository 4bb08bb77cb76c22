"""PPO against numbers worked out by hand and against naive loops."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch

from robots.errors import TetherError
from tests.training.point import PointSimulator, Reach, Recall
from training.environment import Environment
from training.learned_law import ActorConfig, LearnedLaw
from training.ppo import PPO, NotFinite, PPOConfig, advantages, clip_gradient, clipped_loss, log_probability, value_loss

SMALL = PPOConfig(horizon=8, epochs=2, minibatches=2, critic_hidden=(16,), discount=0.9, trace=0.8, learning_rate=3e-3)


def learner(task_kind: type[Reach] = Reach, config: PPOConfig = SMALL, num_envs: int = 16, seed: int = 0, **actor: object) -> PPO:
    torch.manual_seed(seed)
    task = task_kind()
    environment = Environment(task, PointSimulator(num_envs), suite=task.training_suite, seed=seed, auto_reset=False)
    return PPO(LearnedLaw(task, ActorConfig(**({"hidden": (16,)} | actor))), environment, config, seed)


def test_advantages_by_hand() -> None:
    """Three steps, γ = ½, λ = ½; environment 0 goes on, environment 1 ends after its second step."""
    rewards = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    values = torch.tensor([[4.0, 4.0], [8.0, 8.0], [16.0, 16.0], [32.0, 32.0]])
    done = torch.tensor([[False, False], [False, True], [False, False]])
    found = advantages(rewards, values, done, discount=0.5, trace=0.5)
    # δ = (1 + 4 − 4, 2 + 8 − 8, 3 + 16 − 16) = (1, 2, 3);  A = (1 + ¼·2.75, 2 + ¼·3, 3)
    assert found[:, 0].tolist() == [1.6875, 2.75, 3.0]
    # the end cuts both the value and the trace: δ₁ = 2 − 8 = −6, A₀ = 1 + ¼·(−6)
    assert found[:, 1].tolist() == [-0.5, -6.0, 3.0]


def test_truncation_is_bootstrapped_and_termination_is_not() -> None:
    """One reward of 1, then the episode ends; the final state is worth 10, the next episode's first state 100."""
    for truncated, expected in ((True, 1 + 0.9 * 10 - 5), (False, 1 - 5)):
        reward = torch.tensor([[1.0]]) + 0.9 * 10.0 * truncated  # what `PPO.estimate` adds
        found = advantages(reward, torch.tensor([[5.0], [100.0]]), torch.tensor([[True]]), discount=0.9, trace=0.95)
        assert found.item() == pytest.approx(expected)


def test_rollout_adds_the_value_of_the_final_state_only_where_time_ran_out() -> None:
    ppo = learner()
    valued: list[torch.Tensor] = []
    ppo.final_value = lambda: valued.append(torch.full((16, 1), 7.0)) or valued[-1]  # type: ignore[method-assign]
    ppo.environment.age[:] = 0
    ppo.environment.age[0] = ppo.environment.episode_steps - 1  # runs out of time at the first step
    ppo.environment.simulator.state["position"][1] = 5.0  # leaves the table at the first step
    rollout = ppo.collect()
    assert rollout.done[0].tolist() == [True, True] + [False] * 14
    assert rollout.terminated[0].tolist() == [False, True] + [False] * 14
    assert rollout.rewards[0, 1].item() == pytest.approx(-0.1 * 5.0, abs=0.15)
    assert rollout.finals[0].flatten().tolist() == [7.0] + [0.0] * 15
    assert len(valued) == 1


def test_log_probability_is_the_normal_distributions() -> None:
    actions, mean, log_std = torch.randn(5, 3, 2), torch.randn(5, 3, 2), torch.tensor([-0.3, 0.4])
    expected = torch.distributions.Normal(mean, log_std.exp()).log_prob(actions).sum(-1)
    torch.testing.assert_close(log_probability(actions, mean, log_std), expected)


def test_clipped_loss_against_a_loop() -> None:
    ratio, advantage = torch.rand(50) * 2, torch.randn(50)
    total = 0.0
    for rho, a in zip(ratio.tolist(), advantage.tolist(), strict=True):
        total += max(-a * rho, -a * min(max(rho, 0.8), 1.2))
    assert clipped_loss(ratio, advantage, 0.2).item() == pytest.approx(total / 50, rel=1e-5)


def test_clipped_ratios_have_no_gradient() -> None:
    ratio = torch.tensor([1.5, 0.5, 1.5, 0.5], requires_grad=True)
    clipped_loss(ratio, torch.tensor([1.0, -1.0, -1.0, 1.0]), 0.2).backward()
    assert ratio.grad is not None
    assert (ratio.grad == 0).tolist() == [True, True, False, False]


def test_value_loss_against_a_loop() -> None:
    value, old, target = torch.randn(3, 20)
    plain, clipped = 0.0, 0.0
    for v, o, r in zip(value.tolist(), old.tolist(), target.tolist(), strict=True):
        held = o + min(max(v - o, -0.2), 0.2)
        plain += (v - r) ** 2 / 2
        clipped += max((v - r) ** 2, (held - r) ** 2) / 2
    assert value_loss(value, old, target, 0.0).item() == pytest.approx(plain / 20, rel=1e-5)
    assert value_loss(value, old, target, 0.2).item() == pytest.approx(clipped / 20, rel=1e-5)


def test_gradient_clipping_is_torchs() -> None:
    ours, theirs = ([torch.nn.Parameter(torch.ones(shape)) for shape in ((3, 2), (4,), ())] for _ in range(2))
    for largest in (0.5, 100.0):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=torch.Generator().manual_seed(mine.numel()))
            other.grad = mine.grad.clone()
        norm = clip_gradient(ours, largest)
        torch.testing.assert_close(norm, torch.nn.utils.clip_grad_norm_(theirs, largest))
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine.grad, other.grad)


def test_first_gradient_step_sees_ratio_one() -> None:
    """Right after a roll-out the policy is the one that acted, so ρ = 1 everywhere; recurrent actors are unrolled to the same means."""
    for actor in ({}, {"squash": "tanh"}, {"memory": "gru", "memory_size": 8}):
        ppo = learner(**actor)
        for _ in range(3):  # roll-outs with ends of episodes inside and memory carried over
            batch = ppo.prepare(ppo.collect())
            _, report = ppo.loss(batch)
            assert report[2].item() == pytest.approx(0.0, abs=1e-6)
            assert report[3].item() == 0.0


def test_advantages_are_normalised_and_returns_fit_the_critic() -> None:
    ppo = learner()
    rollout = ppo.collect()
    values = ppo.value(rollout.critic_observations)
    rewards = rollout.rewards + 0.9 * rollout.finals.squeeze(-1)
    expected = advantages(rewards, values.squeeze(-1), rollout.done, 0.9, 0.8)
    batch = ppo.prepare(rollout)
    torch.testing.assert_close(batch.advantages, (expected - expected.mean()) / (expected.std() + 1e-8))
    normal = ppo.return_normalizer
    torch.testing.assert_close(normal.inverse(batch.returns), expected.unsqueeze(-1) + values[:-1], rtol=1e-4, atol=1e-5)


def test_minibatches_share_out_every_environment_once() -> None:
    ppo = learner(config=dataclasses.replace(SMALL, minibatches=4))
    batch = ppo.prepare(ppo.collect())
    parts = ppo.minibatches(batch)
    assert [part.done.shape for part in parts] == [(8, 4)] * 4
    seen = torch.cat([part.actions for part in parts], dim=1).sort(dim=1).values
    torch.testing.assert_close(seen, batch.actions.sort(dim=1).values)


def test_learning_rate_schedules() -> None:
    ppo = learner(config=dataclasses.replace(SMALL, halve_every=2, learning_rate=1e-3))
    rates = []
    for _ in range(5):
        rates.append(ppo.iterate()["learning_rate"])
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4])
    adaptive = learner(config=dataclasses.replace(SMALL, target_kl=0.01))
    adaptive.learning_rate = 1e-3
    adaptive.adapt(0.05)
    assert adaptive.learning_rate == pytest.approx(1e-3 / 1.2)
    adaptive.adapt(0.001)
    assert adaptive.learning_rate == pytest.approx(1e-3)
    adaptive.adapt(0.01)
    assert adaptive.learning_rate == pytest.approx(1e-3)


def test_noise_falls_to_its_last_bound() -> None:
    ppo = learner(config=dataclasses.replace(SMALL, initial_std=0.4, final_std=0.1, calm_from=1, calm_until=3, entropy_coefficient=1.0))
    bounds, stds = [], []
    for _ in range(5):
        ppo.schedule()
        bounds.append(ppo.largest_std)
        stds.append(ppo.log_std.exp().max().item())
        ppo.iterate()
    assert bounds == pytest.approx([0.4, 0.4, 0.25, 0.1, 0.1])
    assert stds == pytest.approx(bounds)  # the bonus for entropy pushes it against the bound


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"final_std": 0.5}, "0…0.4"),
        ({"final_std": -0.1}, "final_std"),
        ({"calm_from": 4, "calm_until": 3}, "calm_until 3"),
        ({"calm_from": -1}, "calm_from"),
    ],
)
def test_noise_that_cannot_fall_so_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PPOConfig(**change)


def test_statistics_change_only_between_iterations() -> None:
    ppo = learner()
    before = ppo.law.normalizer.mean.clone()
    rollout = ppo.collect()
    assert torch.equal(ppo.law.normalizer.mean, before)
    ppo.prepare(rollout)
    torch.testing.assert_close(ppo.law.normalizer.mean, rollout.observations.flatten(0, 1).mean(0))


def test_training_improves_the_return() -> None:
    ppo = learner(num_envs=64, config=dataclasses.replace(SMALL, horizon=16, epochs=4, learning_rate=1e-2))
    first = [ppo.iterate()["return"] for _ in range(5)][-1]
    for _ in range(120):
        last = ppo.iterate()
    assert first is not None
    assert last["return"] is not None
    assert last["success"] is not None
    assert last["return"] > 0.6 * first  # both negative: less than two thirds of the cost
    assert last["success"] > 0.5


@pytest.mark.parametrize(("memory", "solved"), [("gru", True), ("none", False)])
def test_recall_needs_memory(memory: str, solved: bool) -> None:
    """Six steps, the sign is shown on the first: perfect is 0.6; one step right and nothing known afterwards is 0.1."""
    config = dataclasses.replace(SMALL, horizon=12, epochs=4, minibatches=1, learning_rate=1e-2, discount=0.5)
    ppo = learner(Recall, config, num_envs=64, memory=memory, memory_size=16)
    for _ in range(30):
        metrics = ppo.iterate()
    assert metrics["return"] is not None
    assert (metrics["return"] > 0.4) is solved


def test_state_dict_continues_bit_for_bit() -> None:
    for actor in ({}, {"memory": "gru", "memory_size": 8}):
        whole, first, second = learner(seed=3, **actor), learner(seed=3, **actor), learner(seed=4, **actor)
        expected = [whole.iterate() for _ in range(6)][3:]
        for _ in range(3):
            first.iterate()
        second.load_state_dict(first.state_dict())
        assert [second.iterate() for _ in range(3)] == expected


def test_not_a_number_stops_with_what_led_to_it() -> None:
    ppo = learner()
    ppo.collect()
    ppo.environment.simulator.state["position"][3] = math.nan
    with pytest.raises(NotFinite, match="reward is not finite") as caught:
        ppo.collect()
    assert caught.value.tensors["observation"].shape[1:] == (16, 3)
    broken = learner()
    batch = broken.prepare(broken.collect())
    with pytest.raises(NotFinite, match="loss or weight is not finite"):
        broken.improve(batch._replace(returns=batch.returns * math.nan))


def test_an_environment_that_resets_itself_is_refused() -> None:
    task = Reach()
    environment = Environment(task, PointSimulator(4), suite=task.training_suite, seed=0)
    with pytest.raises(TetherError, match="auto_reset=False"):
        PPO(LearnedLaw(task), environment, SMALL, 0)
