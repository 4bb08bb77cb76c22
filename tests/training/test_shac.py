"""SHAC against finite differences, against plain automatic differentiation, and against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from robots.errors import TetherError
from sim.fused.source import BLOCK
from tasks.task import Transition
from tasks.track import Track
from tests.training.point import PointSimulator, Reach, Recall
from training.environment import Environment
from training.learned_law import ActorConfig, LearnedLaw
from training.ppo import NotFinite
from training.shac import BPTT, SHAC, SHACConfig, value_targets
from training.simulators import make_simulator

SMALL = SHACConfig(horizon=5, discount=0.9, trace=0.8, critic_hidden=(16,), critic_epochs=2, critic_minibatches=2, terminal_weight=2.0)
GRU = {"memory": "gru", "memory_size": 4, "hidden": (6,)}
ACTORS = pytest.mark.parametrize("actor", [{}, GRU, {"squash": "tanh"}], ids=["feed-forward", "gru", "squashed"])
KINDS = pytest.mark.parametrize("kind", [SHAC, BPTT])


def learner(
    kind: type[SHAC] = SHAC,
    config: SHACConfig = SMALL,
    task_kind: type[Reach] = Reach,
    num_envs: int = 8,
    seed: int = 0,
    noise: float = 0.01,
    **actor: object,
) -> SHAC:
    torch.manual_seed(seed)
    task = task_kind()
    suite = dataclasses.replace(task.training_suite, noise=noise)
    environment = Environment(task, PointSimulator(num_envs), suite=suite, seed=seed, auto_reset=False)
    found = kind(LearnedLaw(task, ActorConfig(**({"hidden": (16,)} | actor))), environment, config, seed)
    with torch.no_grad():  # away from the resting action, where the reward's kinks are
        for parameter in found.parameters:
            parameter += 0.2 * torch.randn_like(parameter)
    return found


def weight_gradient(learner: SHAC) -> list[Tensor]:
    """The gradient of the next window, by `SHAC.improve`, unclipped."""
    learner.config = dataclasses.replace(learner.config, gradient_clip=math.inf)
    learner.optimizer.step = lambda: None  # type: ignore[method-assign, assignment]
    learner.improve(learner.collect())
    return [parameter.grad.clone() for parameter in learner.parameters if parameter.grad is not None]


@KINDS
@ACTORS
def test_gradient_in_two_stages_is_automatic_differentiations(kind: type[SHAC], actor: dict[str, object]) -> None:
    """From the second window on, so that memory is carried and must be detached."""
    staged, plain = learner(kind, **actor), learner(kind, **actor)
    for each in (staged, plain):
        each.iterate()
    expected = torch.autograd.grad(plain.loss(plain.collect()), plain.parameters)
    torch.testing.assert_close(weight_gradient(staged), list(expected), rtol=1e-4, atol=1e-6)


@KINDS
@ACTORS
def test_gradient_against_finite_differences(kind: type[SHAC], actor: dict[str, object]) -> None:
    """Along random directions in weight space, with the same noise."""
    torch.set_default_dtype(torch.float64)
    try:
        gradient = weight_gradient(learner(kind, noise=0.0, **actor))
        generator, step = torch.Generator().manual_seed(1), 1e-6
        for _ in range(3):
            along = [torch.randn(part.shape, generator=generator) for part in gradient]
            losses = []
            for sign in (1, -1):
                moved = learner(kind, noise=0.0, **actor)
                with torch.no_grad():
                    torch._foreach_add_(moved.parameters, along, alpha=sign * step)
                losses.append(moved.loss(moved.collect()).item())
            expected = sum((g * d).sum().item() for g, d in zip(gradient, along, strict=True))
            assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(expected, rel=1e-4)
    finally:
        torch.set_default_dtype(torch.float32)


def test_loss_by_hand() -> None:
    """Three steps, γ = ½; one environment goes on, one fails after its second step, one runs out of time there."""
    for kind, after in ((SHAC, (8 / 8, 0.0, 4 / 4)), (BPTT, (2 * 3 / 8, 0.0, 2 * 2 / 4))):
        found = learner(kind, dataclasses.replace(SMALL, horizon=3, discount=0.5), num_envs=3)
        found.environment.age[:] = torch.tensor([0, 0, found.environment.episode_steps - 2])
        window = found.collect()
        never = torch.zeros(3, 3, dtype=torch.bool)
        failed, over, running = never.clone(), never.clone(), ~never
        failed[1, 1] = over[1, 2] = True
        running[2, 1:] = False
        rewards = torch.tensor([1.0, 2.0, 3.0]).unsqueeze(1).expand(3, 3) * running
        found.value = lambda seen: seen[:, 0]  # type: ignore[method-assign]
        marks = torch.tensor([1.0, 2.0, 4.0, 8.0]).view(4, 1, 1).expand(4, 3, 1)  # the state after step t is worth 2^(t + 1)
        window = window._replace(rewards=rewards, terminated=failed, truncated=over, running=running, critic_observations=marks)
        returns = (1 + 2 / 2 + 3 / 4 + after[0], 1 + 2 / 2 + after[1], 1 + 2 / 2 + after[2])
        assert found.loss(window).item() == pytest.approx(-sum(returns) / 3)


def test_value_targets_by_hand() -> None:
    """Two steps, γ = ½, λ = ½; V' is 4, 8, 16."""
    values = torch.tensor([4.0, 8.0, 16.0]).unsqueeze(1).expand(3, 3)
    rewards = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    failed = torch.tensor([[False, True, False], [False, False, False]])
    over = torch.tensor([[False, False, True], [False, False, False]])
    found = value_targets(rewards, values, failed, over, discount=0.5, trace=0.5)
    last = 2 + 8  # r + γ V'(s_2)
    assert found[:, 0].tolist() == [1 + 0.5 * (0.5 * 8 + 0.5 * last), last]
    assert found[0, 1].item() == 1  # failure: nothing follows
    assert found[0, 2].item() == 1 + 0.5 * 8  # out of time: the value of the state it ran out in


def test_a_window_ends_with_its_episode() -> None:
    """Environment 0 leaves the table at the second step, 1 runs out of time there; both rest, and begin anew after the window."""
    found = learner(num_envs=3)
    simulator = found.environment.simulator
    found.environment.age[:] = torch.tensor([0, found.environment.episode_steps - 2, 0])
    simulator.state["position"][0], simulator.state["velocity"][0] = 2.9, 0.9
    window = found.collect()
    assert window.running.sum(0).tolist() == [2, 2, 5]
    assert window.terminated.nonzero().tolist() == [[1, 0]]
    assert window.truncated.nonzero().tolist() == [[1, 1]]
    assert (window.rewards[2:, :2] == 0).all()
    gradient = torch.autograd.grad(found.loss(window), window.offsets.action)[0]
    assert (gradient[2:, :2] == 0).all()
    assert (gradient[1, 1] != 0).all()
    sensors = simulator.state["position"].clone()
    found.begin_anew(window)
    assert found.environment.age.tolist() == [0, 0, 5]
    assert (found.environment.simulator.state["position"] == sensors).flatten().tolist() == [False, False, True]
    assert (found.memory[:2] == 0).all()
    assert found.memory[2, 0] == 1


class Cusp(Reach):
    """A reward that is finite at the goal and has no slope there."""

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """−√distance."""
        return {"distance": -(transition.state["position"] - transition.command["goal"]).abs().sqrt().flatten()}


@KINDS
def test_gradients_that_are_not_finite_are_dropped_and_counted(kind: type[SHAC]) -> None:
    """Environment 2 rests on the goal under a law that does nothing; without it the gradient is that of the others."""
    poisoned, clean = (learner(kind, task_kind=Cusp, num_envs=4, noise=0.0, hidden=()) for _ in range(2))
    for each in (poisoned, clean):
        for parameter in each.parameters:
            torch.nn.init.zeros_(parameter)
        for state in each.environment.simulator.state.values():
            state[2] = 0.0
    poisoned.environment.episode.command["goal"][2] = 0.0
    clean.loss = lambda window: -(window.rewards[:, [0, 1, 3]] * 0.9 ** torch.arange(5).unsqueeze(1)).sum() / 4  # type: ignore[method-assign]
    poisoned.afterwards = lambda window: torch.zeros(4)  # type: ignore[method-assign]
    expected, found = weight_gradient(clean), weight_gradient(poisoned)
    torch.testing.assert_close(found, expected)
    metrics = poisoned.improve(poisoned.collect())
    assert metrics["gradient_dropped"] == 1
    assert math.isfinite(metrics["gradient_norm"])


def test_nothing_moves_when_no_gradient_is_finite() -> None:
    found = learner(BPTT, num_envs=4)
    before = [parameter.clone() for parameter in found.parameters]
    found.loss = lambda window: (window.rewards * math.nan).sum()  # type: ignore[method-assign]
    assert found.improve(found.collect())["gradient_dropped"] == 4
    assert all(torch.equal(a, b) for a, b in zip(before, found.parameters, strict=True))


def test_gradient_health_is_reported() -> None:
    found = learner(config=dataclasses.replace(SMALL, gradient_clip=1e-3, learning_rate=0.0))
    first, second = found.iterate(), found.iterate()
    assert first["gradient_clipped"] == second["gradient_clipped"] == 1.0
    assert first["gradient_alignment"] == 0.0  # there was no gradient before
    assert second["gradient_alignment"] is not None
    assert -1.0 <= second["gradient_alignment"] <= 1.0
    assert second["gradient_growth"] is not None
    assert second["gradient_growth"] > 0.0
    assert found.health.last.norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_the_target_critic_follows() -> None:
    found = learner(config=dataclasses.replace(SMALL, target_rate=0.25))
    found.renormalize = lambda targets: None  # type: ignore[method-assign]
    before = [parameter.clone() for parameter in found.target.parameters()]
    found.iterate()
    for old, new, critic in zip(before, found.target.parameters(), found.critic.parameters(), strict=True):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * critic)
    assert not any(parameter.requires_grad for parameter in found.target.parameters())


def test_new_statistics_of_the_returns_change_no_value() -> None:
    found = learner()
    seen = found.collect().critic_observations.detach()
    before, critic = found.value(seen), found.return_normalizer.inverse(found.critic(seen))
    found.renormalize(torch.randn(50, 1) * 3.0 - 7.0)
    torch.testing.assert_close(found.value(seen), before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.return_normalizer.inverse(found.critic(seen)), critic, rtol=1e-4, atol=1e-5)
    assert found.return_normalizer.mean.item() == pytest.approx(-7.0, abs=1.0)


def test_the_critic_learns_the_value_of_standing_still() -> None:
    """A law that does nothing at γ = ½: the value of an error e is −0.1 |e| · 2, but for the noise and the end of time."""
    config = dataclasses.replace(SMALL, discount=0.5, learning_rate=0.0, critic_learning_rate=1e-2)
    found = learner(config=config, num_envs=64, noise=0.0, hidden=())
    for parameter in found.parameters:
        torch.nn.init.zeros_(parameter)
    for _ in range(60):
        found.iterate()
    window = found.collect()
    wanted = -0.2 * found.law.task.tracking_error(found.environment.state, found.command)
    assert (found.value(window.critic_observations[-1]).squeeze(-1) - wanted).abs().mean().item() < 0.02


@KINDS
def test_training_reaches_the_goal(kind: type[SHAC]) -> None:
    critic = {"critic_epochs": 8, "critic_learning_rate": 5e-3}
    config = dataclasses.replace(SMALL, horizon=10, discount=0.99, learning_rate=3e-2, halve_every=30, terminal_weight=5.0, **critic)
    found = learner(kind, config, num_envs=64)
    for _ in range(100):
        metrics = found.iterate()
    assert metrics["success"] is not None
    assert metrics["success"] > 0.8


@KINDS
@pytest.mark.parametrize(("memory", "solved"), [("gru", True), ("none", False)])
def test_recall_needs_memory(kind: type[SHAC], memory: str, solved: bool) -> None:
    """The sign is shown on the first step only, so the gradient must pass through the recurrent state."""
    config = dataclasses.replace(SMALL, horizon=6, learning_rate=1e-2, critic_epochs=1)
    found = learner(kind, config, Recall, num_envs=64, memory=memory, memory_size=16)
    for _ in range(60):
        metrics = found.iterate()
    assert metrics["return"] is not None
    assert (metrics["return"] > 0.4) is solved


@KINDS
@ACTORS
def test_state_dict_continues_bit_for_bit(kind: type[SHAC], actor: dict[str, object]) -> None:
    whole, first, second = learner(kind, seed=3, **actor), learner(kind, seed=3, **actor), learner(kind, seed=4, **actor)
    expected = [whole.iterate() for _ in range(6)][3:]
    for _ in range(3):
        first.iterate()
    second.load_state_dict(first.state_dict())
    assert [second.iterate() for _ in range(3)] == expected


def test_not_a_number_stops_with_what_led_to_it() -> None:
    found = learner()
    found.environment.simulator.state["velocity"][3] = math.nan
    with pytest.raises(NotFinite, match="reward is not finite") as caught:
        found.collect()
    assert caught.value.tensors["observations"].shape == (5, 8, 3)


def test_environments_that_cannot_be_differentiated_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Reach()
    with pytest.raises(TetherError, match="auto_reset=False"):
        SHAC(LearnedLaw(task), Environment(task, PointSimulator(4), suite=task.training_suite, seed=0), SMALL, 0)
    monkeypatch.delattr(PointSimulator, "detach")
    environment = Environment(task, PointSimulator(4), suite=task.training_suite, seed=0, auto_reset=False)
    with pytest.raises(TetherError, match="the engine point has no gradients"):
        SHAC(LearnedLaw(task), environment, SMALL, 0)


def test_a_command_that_moves_begins_anew_with_its_episode() -> None:
    """What a kernel gave with a graph is changed in place only after the graph is gone."""
    task = Track()
    environment = Environment(
        task, make_simulator("torch", task, 2 * BLOCK), suite=task.suite("full_random"), seed=0, auto_reset=False, episode_s=0.08
    )
    shac = SHAC(LearnedLaw(task, ActorConfig()), environment, SHACConfig(horizon=4, critic_epochs=1), seed=0)
    for _ in range(4):
        shac.iterate()
    time_s = ((environment.age - environment.skipped) / task.rate_hz).unsqueeze(1)
    expected = task.command_at(environment.episode, time_s)
    for name, value in environment.command.items():
        torch.testing.assert_close(value, expected[name])
        assert not value.requires_grad
