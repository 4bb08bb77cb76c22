"""SAC against closed forms, finite differences and distributions that others wrote."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from robots.errors import TetherError
from tests.training.point import PointSimulator, Reach, SlowReach
from training.environment import Environment
from training.examination import Examination
from training.guard import SafeguardConfig
from training.learned_law import ActorConfig, LearnedLaw
from training.ppo import NotFinite
from training.replay_buffer import ReplayBuffer, Transitions
from training.replicas import Generators
from training.sac import LOG_STD, SAC, SACConfig, bounded_log_std, squashed

SMALL = SACConfig(horizon=4, updates=4, batch=32, capacity=600, warm_up=100, critic_hidden=(16,), discount=0.9)
CPU = torch.device("cpu")


def learner(task_kind: type[Reach] = Reach, config: SACConfig = SMALL, num_envs: int = 8, seed: int = 0, safeguard: str = "none") -> SAC:
    torch.manual_seed(seed)
    task = task_kind()
    environment = Environment(task, PointSimulator(num_envs), suite=task.training_suite, seed=seed, auto_reset=False)
    law = LearnedLaw(task, ActorConfig(hidden=(16,), activation="elu", squash="tanh"), SafeguardConfig(safeguard, regularisation=0.1))
    return SAC(law, environment, config, seed)


def test_log_probability_is_the_transformed_distributions() -> None:
    mean, log_std, noise = torch.randn(3, 50, 2).double()
    action, found = squashed(mean, 0.5 * log_std, noise)
    normal = torch.distributions.Normal(mean, (0.5 * log_std).exp())
    other = torch.distributions.TransformedDistribution(normal, [torch.distributions.TanhTransform(cache_size=1)])
    u = mean + (0.5 * log_std).exp() * noise
    torch.testing.assert_close(action, u.tanh())
    torch.testing.assert_close(found, (normal.log_prob(u) - other.transforms[0].log_abs_det_jacobian(u, action)).sum(-1))
    _, far = squashed(torch.full((1, 1), 40.0), torch.zeros(1, 1), torch.zeros(1, 1))  # where 1 − tanh² is zero in floating point
    assert far.item() == pytest.approx(-0.5 * math.log(2 * math.pi) - 2 * (math.log(2) - 40.0), rel=1e-5)


def test_density_integrates_to_one_and_its_entropy_is_the_mean() -> None:
    mean, log_std = torch.tensor(0.3).double(), torch.tensor(-0.4).double()
    a = torch.linspace(-1, 1, 200_001).double()[1:-1]
    _, log_density = squashed(mean, log_std, ((a.atanh() - mean) / log_std.exp()).unsqueeze(1))
    density = log_density.exp()
    assert torch.trapezoid(density, a).item() == pytest.approx(1.0, abs=1e-4)
    noise = torch.randn(400_000, 1, generator=torch.Generator().manual_seed(0)).double()
    entropy = -squashed(mean, log_std, noise)[1].mean().item()
    assert entropy == pytest.approx(-torch.trapezoid(density * log_density, a).item(), abs=5e-3)


def test_standard_deviation_is_bounded_and_one_at_first() -> None:
    raw = torch.tensor([-100.0, 0.0, 100.0])
    assert bounded_log_std(raw).tolist() == pytest.approx([LOG_STD[0], 0.0, LOG_STD[1]], abs=1e-6)


def transitions(rows: int, **changed: Tensor) -> Transitions:
    """Of `Reach` with width-3 observations and 2 privileged numbers."""
    widths = {"seen": 5, "guarded": 0, "action": 1, "reward": 1, "terminated": 1, "next_seen": 5, "next_guarded": 0}
    return Transitions(**{name: torch.zeros(rows, width) for name, width in widths.items()} | changed)


def test_targets_by_hand() -> None:
    """γ = 0.9, α = 0.1, log π' = 2, min Q' = 3: y = 1 + 0.9 (3 − 0.2), and 1 after a failure."""
    found = learner()
    found.policy = lambda observation, noise: (torch.full((2, 1), 0.5), torch.full((2,), 2.0))  # type: ignore[method-assign]
    asked: list[Tensor] = []
    found.values = lambda critics, seen, action: asked.append(action) or torch.tensor([[[[3.0], [3.0]], [[7.0], [7.0]]]])  # type: ignore[method-assign]
    y = found.targets(transitions(2, reward=torch.ones(2, 1), terminated=torch.tensor([[0.0], [1.0]])))
    assert y.flatten().tolist() == pytest.approx([1 + 0.9 * (3 - 0.1 * 2), 1.0])
    assert asked[0].tolist() == [[0.5], [0.5]]


def test_targets_judge_the_safe_action() -> None:
    """At 0.5 m/s nothing that accelerates is safe: Q' is asked for 0, not for 0.5."""
    found = learner(SlowReach, safeguard="brake")
    found.policy = lambda observation, noise: (torch.full((2, 1), 0.5), torch.zeros(2))  # type: ignore[method-assign]
    found.values = lambda critics, seen, action: action.view(1, 1, 2, 1).expand(1, 2, 2, 1)  # type: ignore[method-assign]
    y = found.targets(transitions(2, next_guarded=torch.tensor([[0.5], [0.0]])))
    assert y.flatten().tolist() == pytest.approx([0.0, 0.9 * 0.5])


def test_what_is_executed_is_remembered_and_time_outs_go_on() -> None:
    """Environment 0 runs out of time, 1 leaves the table: the next state is where it happened, and only 1 has terminated."""
    found = learner(SlowReach, safeguard="brake")
    environment, simulator = found.environment, found.environment.simulator
    environment.age[:] = 0
    environment.age[0] = environment.episode_steps - 1
    simulator.state["position"][:2] = torch.tensor([[0.2], [4.0]])
    simulator.state["velocity"][:] = 0.5
    found.sensors = simulator.signals()
    found.percept = found.perceive()
    with torch.no_grad():
        seen = found.advance(torch.full((8, 1), 3.0))
    assert (seen.action == 0.0).all()
    assert (seen.guarded == 0.5).all()
    assert seen.terminated.flatten().tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    goal = found.environment.episode.command["goal"]
    assert seen.next_seen[2, 3].item() == pytest.approx((goal[2] - simulator.state["position"][2]).item(), abs=1e-6)
    assert environment.age[:3].tolist() == [0, 0, 1]
    assert (seen.next_seen[:2, 2] == 1).all()  # the task counts its steps: no reset yet
    assert (found.percept.observation[:2, 2] == 0).all()


def test_the_actors_gradient_goes_through_the_safeguard() -> None:
    """Against finite differences of the loss, in states of which the safeguard binds in some."""
    torch.set_default_dtype(torch.float64)
    try:
        found = learner(SlowReach, dataclasses.replace(SMALL, gradient_clip=math.inf), safeguard="brake")
        found.pilot._guard = found.law.guard  # in double precision throughout
        found.pilot.guarded = lambda state, action: found.law.guard(state, action)  # type: ignore[method-assign, misc]
        found.optimizer.step = found.temperature_optimizer.step = lambda: None  # type: ignore[method-assign, assignment]
        batch = transitions(40, seen=torch.randn(40, 5), guarded=torch.linspace(-0.6, 0.6, 40).unsqueeze(1))
        before = found.generator.get_state()

        def loss() -> float:
            found.generator.set_state(before)
            return found.improve_policy(batch)[0].item()

        loss()
        gradient = [parameter.grad.clone() for parameter in found.parameters if parameter.grad is not None]
        changed = found.improve_policy(batch)[2].item()
        assert changed > 0.01
        for _ in range(3):
            along = [torch.randn_like(part) for part in gradient]
            step, losses = 1e-6, []
            for sign in (1, -2):
                with torch.no_grad():
                    torch._foreach_add_(found.parameters, along, alpha=sign * step)
                losses.append(loss())
            with torch.no_grad():
                torch._foreach_add_(found.parameters, along, alpha=step)
            expected = sum((g * d).sum().item() for g, d in zip(gradient, along, strict=True))
            assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(expected, rel=1e-3)
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_temperature_seeks_the_target_entropy() -> None:
    found = learner()
    for log_probability, direction in ((5.0, 1), (-5.0, -1)):  # too certain: α grows
        before = found.temperature.clone()
        for _ in range(3):
            found.improve_temperature(torch.full((32,), log_probability))
        assert ((found.temperature - before) * direction > 0).all()
        found.temperature_optimizer.state.clear()


def test_the_ring_keeps_the_latest_and_draws_from_all_of_them() -> None:
    """Three environments of two replicas; the reward says which step and environment it was."""
    buffer = ReplayBuffer(7, 6, 2, (5, 0, 1, 1, 1, 5, 0), CPU)
    assert buffer.capacity == 6
    for step in range(5):
        assert len(buffer) == min(step, 2) * 3
        buffer.add(transitions(6, reward=torch.arange(6.0).unsqueeze(1) + 10 * step))
    drawn = buffer.draw(3000, Generators((1, 2), CPU)).reward.view(2, -1)
    for index, expected in enumerate(([30, 31, 32, 40, 41, 42], [33, 34, 35, 43, 44, 45])):
        values, counts = drawn[index].unique(return_counts=True)
        assert values.tolist() == expected
        assert (counts - 500).abs().max().item() < 100
    other = ReplayBuffer(7, 6, 2, (5, 0, 1, 1, 1, 5, 0), CPU)
    other.load_state_dict(buffer.state_dict())
    assert torch.equal(other.draw(9, Generators((1, 2), CPU)).reward, buffer.draw(9, Generators((1, 2), CPU)).reward)
    with pytest.raises(TetherError, match="2 transitions are not one step of 3 environments"):
        ReplayBuffer(2, 6, 2, (5, 0, 1, 1, 1, 5, 0), CPU)


@pytest.mark.parametrize(("task", "safeguard", "enough"), [(Reach, "none", 0.2), (SlowReach, "brake", 0.3)])
def test_training_reaches_the_goal(task: type[Reach], safeguard: str, enough: float) -> None:
    """From a median of 0.6 m; where the safeguard allows 0.5 m/s, a quarter of the goals are too far to be reached at all."""
    rates = {"learning_rate": 3e-3, "critic_learning_rate": 3e-3, "temperature_learning_rate": 1e-2, "halve_every": 40}
    entropy = {"initial_temperature": 0.01, "target_entropy": -1.5, "target_rate": 0.05}
    config = SACConfig(horizon=4, updates=8, batch=128, warm_up=500, discount=0.95, critic_hidden=(32, 32), **rates, **entropy)
    found = learner(task, config, num_envs=32, safeguard=safeguard)
    for _ in range(90):
        found.iterate()
    checked = Environment(found.law.task, PointSimulator(256), suite=found.law.task.training_suite, seed=1, auto_reset=False)
    error = Examination(found.pilot, checked, 1)()["tracking_error"]
    assert error < enough


def test_the_law_is_the_squashed_mean() -> None:
    found = learner()
    percept = found.percept
    expected = found.law.actor.head(found.law.normalizer(percept.observation)).tanh()
    output = found.law(found.sensors, found.command, found.memory)
    torch.testing.assert_close(output.actuation["force"], expected)
    torch.testing.assert_close(found.policy(percept.observation, torch.zeros(8, 1))[0], expected)


def test_state_dict_continues_bit_for_bit() -> None:
    whole, first, second = learner(seed=3), learner(seed=3), learner(seed=4)
    expected = [whole.iterate() for _ in range(24)][12:]
    assert expected[0]["value_loss"] is not None
    for _ in range(12):
        first.iterate()
    second.load_state_dict(first.state_dict())
    assert [second.iterate() for _ in range(12)] == expected


def test_not_a_number_stops_with_what_led_to_it() -> None:
    found = learner()
    found.environment.simulator.state["velocity"][3] = math.nan
    with pytest.raises(NotFinite, match="reward is not finite") as caught:
        found.collect()
    assert caught.value.tensors["seen"].shape == (8, 5)
    broken = learner()
    for _ in range(4):
        broken.iterate()
    broken.buffer.ring[:, :, 6] = math.nan
    with pytest.raises(NotFinite, match="loss is not finite"):
        broken.improve()


def test_what_does_not_fit_is_refused() -> None:
    task = Reach()
    environment = Environment(task, PointSimulator(4), suite=task.training_suite, seed=0, auto_reset=False)
    for actor in (ActorConfig(), ActorConfig(squash="tanh", memory="gru")):
        with pytest.raises(TetherError, match=r"set actor\.squash=tanh and actor\.memory=none"):
            SAC(LearnedLaw(task, actor), environment, SMALL, 0)
    with pytest.raises(TetherError, match="more than the 600 transitions"):
        SAC(LearnedLaw(task, ActorConfig(squash="tanh")), environment, dataclasses.replace(SMALL, warm_up=601), 0)
    resets = Environment(task, PointSimulator(4), suite=task.training_suite, seed=0)
    with pytest.raises(TetherError, match="auto_reset=False"):
        SAC(LearnedLaw(task), resets, SMALL, 0)


@pytest.mark.parametrize("initial_std", [0.0, 0.001, 8.0])
def test_a_deviation_at_first_that_could_not_be_is_refused(initial_std: float) -> None:
    with pytest.raises(ValueError, match=r"sac\.initial_std must be within 0\.007 … 7\.4"):
        SACConfig(initial_std=initial_std)
