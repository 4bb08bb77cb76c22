"""Adversaries: what their disturbances may do, that they find what hurts, and that nobody else changes for them."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robots.errors import TetherError
from tasks.hover import Hover
from tasks.pendulum import SwingUp
from tasks.task import Signals, Start, Transition
from tasks.uncertainty import Uncertain
from tests.training.point import PointSimulator, PointSuite, Reach
from training.adversaries.box import Box, quantities
from training.adversaries.config import AdversaryConfig, PlayerConfig, TemperatureConfig
from training.adversaries.contest import Contest
from training.adversaries.environment import ContestedEnvironment
from training.adversaries.motions import MOTIONS
from training.adversaries.player import Player
from training.adversaries.temperature import Temperature, divergence, next_shape
from training.batched import Batch
from training.config import TrainConfig, changed, preset
from training.environment import Environment
from training.learned_law import ActorConfig, LearnedLaw
from training.ppo import PPO, PPOConfig
from training.sac import SAC, SACConfig
from training.shac import SHAC, SHACConfig
from training.train import make_environment

SHARE, SEEDS = 6, (5, 3, 11)
WILD = PointSuite("wild", reach=3.2, noise=0.05)
CPU = torch.device("cpu")
PLAYS = ("rarl", "qarl", "tc_rmdp", "grad")
NAMES = ("worst", *PLAYS)
EVERY = PlayerConfig(hidden=(8,))


class BlownSimulator(PointSimulator):
    """The wind is part of the state, and moves the point."""

    def step(self, actuation: Tensor) -> None:
        """See `Simulator`."""
        super().step(actuation + 0.3 * self.wind)

    def privileged(self) -> dict[str, Tensor]:
        """See `Simulator`."""
        return self.state | {"wind": self.wind}


class Blown(Reach):
    """`Reach` in a wind of −0.5…1.5 with a side force, a crooked sensor and a crooked actuator."""

    name = "blown"
    uncertain = (
        Uncertain("wind", "parameter", "wind", (-0.5,), (1.5,)),
        Uncertain("force", "force", "", (-0.2, 0.0, 0.0), (0.2, 0.0, 0.0)),
        Uncertain("reading", "sensor", "position", (-0.1,), (0.1,)),
        Uncertain("action", "actuation", "force", (-0.4,), (0.4,)),
    )


def contested(adversary: AdversaryConfig, seeds: Sequence[int] = SEEDS, suite: PointSuite = WILD, task: Reach | None = None) -> Any:
    simulator = BlownSimulator(SHARE * len(seeds))
    return ContestedEnvironment(task or Blown(), simulator, suite=suite, seed=seeds, auto_reset=False, adversary=adversary)


def contest(adversary: AdversaryConfig, seeds: Sequence[int] = SEEDS, kind: Any = PPO, config: Any = None) -> Any:
    config = config or PPOConfig(horizon=7, epochs=2, minibatches=2, critic_hidden=(16,))
    environment = contested(adversary, seeds)
    actor = ActorConfig(hidden=(16,), squash="tanh" if kind is SAC else "clamp")
    protagonist = kind(LearnedLaw(environment.task, actor, replicas=seeds), environment, config, seeds)
    return Contest(protagonist, environment, environment.player, list(seeds))


def named(name: str, **changes: Any) -> AdversaryConfig:
    return AdversaryConfig(**({"name": name, "player": EVERY, "critic_sees": True} | changes))


# --- motions ---


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 4), strength=st.floats(0.1, 2.0), pace=st.floats(0.01, 1.0))
def test_disturbances_keep_their_bounds(seed: int, size: int, strength: float, pace: float) -> None:
    """Whatever the actions: the box, the ball, and how far they go in a step."""
    generator = torch.Generator().manual_seed(seed)
    actions = (4.0 * torch.rand(40, 8, size, generator=generator, dtype=torch.float64) - 2.0).clamp(-1.0, 1.0)
    for name in PLAYS:
        config, delta = AdversaryConfig(name, strength=strength, pace=pace), torch.zeros(8, size, dtype=torch.float64)  # type: ignore[arg-type]
        for action in actions:
            after = MOTIONS[name](config, delta, action)
            moved = after - delta
            if name == "grad":
                assert after.norm(dim=1).max() <= strength + 1e-9
                assert moved.norm(dim=1).max() <= pace * strength + 1e-9
            else:
                assert after.abs().max() <= strength + 1e-9
            if name == "tc_rmdp":
                assert moved.abs().max() <= pace * strength + 1e-9
            delta = after


def test_every_corner_and_every_pole_is_reached() -> None:
    for name in PLAYS:
        for signs in itertools.product((-1.0, 1.0), repeat=2):
            config, delta, action = AdversaryConfig(name, pace=0.2), torch.zeros(1, 2), torch.tensor([signs])  # type: ignore[arg-type]
            for _ in range(5):
                delta = MOTIONS[name](config, delta, action)
            torch.testing.assert_close(delta, action / (math.sqrt(2.0) if name == "grad" else 1.0))


# --- the box ---


def test_coordinates_are_shares_of_the_ranges() -> None:
    box = Box(quantities(Blown()), CPU)
    assert box.labels == ["wind", "force[0]"]
    values = box.values(torch.tensor([[-1.0, 1.0], [0.0, 0.5]]))
    torch.testing.assert_close(values["wind"], torch.tensor([[-0.5], [0.5]]))
    torch.testing.assert_close(values["force"], torch.tensor([[0.2, 0.0, 0.0], [0.1, 0.0, 0.0]]))
    assert Box(quantities(Blown(), ["reading"]), CPU).labels == ["wind", "force[0]", "reading"]


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(TetherError, match=r"unknown uncertain quantity of blown 'mass'.*action, force, reading, wind"):
        quantities(Blown(), ["mass"])
    with pytest.raises(TetherError, match=r"declare Task\.uncertain"):
        quantities(Reach())
    with pytest.raises(ValueError, match="are no ranges"):
        Uncertain("wind", "parameter", "wind", (1.0,), (0.0,))
    with pytest.raises(TetherError, match="are none"):
        contested(named("rarl", share=0.01))
    for changes in ({"share": 0.0}, {"pace": 1.5}, {"strength": -1.0}, {"every": 0}):
        with pytest.raises(ValueError, match="must be"):
            AdversaryConfig(**changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="last_mean"):
        TemperatureConfig(last_mean=0.1)
    with pytest.raises(TetherError, match=r"adversary\.critic_sees=False"):
        make_environment(changed(preset("hover", "bptt"), {"adversary": {"name": "rarl", "critic_sees": True}}, "test"), Hover(), 4, 0)


# --- the environment ---


def test_what_is_uncertain_is_drawn_for_each_episode_and_held() -> None:
    environment = contested(named("random"), seeds=(1,), suite=PointSuite("near"))
    environment.reset()
    first = environment.delta.clone()
    wind = environment.simulator.parameters()["wind"]
    torch.testing.assert_close(wind[:, 0], 0.5 + first[:, 0])
    torch.testing.assert_close(environment.simulator.force[:, 0], 0.2 * first[:, 1])
    environment.step({"force": torch.zeros(SHARE, 1)})
    assert torch.equal(environment.delta, first)
    half = torch.arange(SHARE) < 3
    environment.reset(half)
    assert torch.equal(environment.delta[3:], first[3:])
    assert not torch.isclose(environment.delta[:3], first[:3]).any()
    many = contested(named("random"), seeds=tuple(range(200)), suite=PointSuite("near"))
    many.reset()
    assert many.delta.abs().max() <= 1.0
    np.testing.assert_allclose(many.delta.var(0), 1.0 / 3.0, atol=0.04)


def test_it_steps_as_the_plain_environment_does_where_the_middle_is_held() -> None:
    """In the middle there is no force and no offset, and the wind is what the suite says."""
    plain = Environment(Blown(), BlownSimulator(SHARE), suite=WILD, seed=1, auto_reset=False)
    held = contested(named("random", over=("reading", "action")), seeds=(1,))
    held.hold(torch.zeros(1, 4))
    held.adversary = dataclasses.replace(held.adversary, critic_sees=False)
    plain.reset()
    held.reset()
    for step in range(10):
        action = {"force": torch.full((SHARE, 1), math.sin(step))}
        left, right = plain.step(action), held.step(action)
        torch.testing.assert_close(left.reward, right.reward)
        torch.testing.assert_close(left.sensors, right.sensors)
        torch.testing.assert_close(plain.privileged(), held.privileged())
        done = left.terminated | left.truncated
        plain.reset(done)
        held.reset(done)


def test_sensors_and_actuators_are_set_off() -> None:
    environment = contested(named("random", over=("reading", "action")), seeds=(1,), suite=PointSuite("still", reach=0.0))
    environment.hold(torch.tensor([[-0.5, 0.0, 1.0, 0.5]]))  # no wind, no force
    environment.reset()
    step = environment.step({"force": torch.full((SHARE, 1), 0.3)})
    torch.testing.assert_close(environment.state["velocity"], torch.full((SHARE, 1), 0.05))
    torch.testing.assert_close(step.sensors["position"], environment.state["position"] + 0.1)
    torch.testing.assert_close(step.sensors["velocity"], environment.state["velocity"])


class Waving(Blown):
    """`Blown`, pushed by a force of its own that changes within the episode, and is up to three times as strong."""

    uncertain = (*Blown.uncertain[:2], Uncertain("wave", "external", "", (1.0,), (3.0,)))

    def sample(self, suite: Any, num_envs: int, generator: torch.Generator) -> Start:
        """With 0.5 N throughout."""
        return super().sample(suite, num_envs, generator)._replace(force_knots_n=torch.tensor([0.5, 0.0, 0.0]).expand(num_envs, 2, 3))


def test_its_force_acts_beside_one_that_changes() -> None:
    environment = contested(named("random"), seeds=(1,), suite=PointSuite("near"), task=Waving())
    environment.reset()
    environment.step({"force": torch.zeros(SHARE, 1)})
    _, force, factor = environment.delta.unbind(1)
    torch.testing.assert_close(environment.simulator.force[:, 0], 0.5 * (2.0 + factor) + 0.2 * force)


def test_an_adversary_moves_its_own_in_its_environments_only() -> None:
    environment = contested(named("tc_rmdp", over=("wind",), share=0.5, pace=0.1), seeds=(1, 2), suite=PointSuite("near"))
    environment.reset()
    before = environment.delta.clone()
    environment.step({"force": torch.zeros(2 * SHARE, 1)})
    moved = environment.delta - before
    assert (moved[:, 1] == 0.0).all()
    assert moved[[0, 1, 2, 6, 7, 8], 0].abs().min() > 0.0
    assert moved[:, 0].abs().max() <= 0.1 + 1e-6
    assert (moved[[3, 4, 5, 9, 10, 11]] == 0.0).all()
    torch.testing.assert_close(environment.privileged()[:, -2:], environment.delta)
    free = contested(named("grad", over=("wind",)), seeds=(1, 2))
    free.reset()
    assert (free.delta[:, 0] == 0.0).all()
    assert free.delta[:, 1].abs().min() > 0.0


def test_the_worst_of_several_worlds_is_chosen_and_held(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = contested(named("worst", over=("wind",), share=0.5, strength=0.8), seeds=(1, 2), suite=PointSuite("near"))
    monkeypatch.setattr(environment.player, "value", lambda seen: seen[..., -2])  # the wind's coordinate
    playing = [0, 1, 2, 6, 7, 8]
    drawn = contested(named("random"), seeds=(1, 2), suite=PointSuite("near"))
    environment.reset()
    drawn.reset()
    before = environment.delta.clone()
    torch.testing.assert_close(before[playing, 0], torch.full((6,), 0.8))
    assert torch.equal(before[:, 1], drawn.delta[:, 1])
    assert torch.equal(before[[3, 4, 5, 9, 10, 11]], drawn.delta[[3, 4, 5, 9, 10, 11]])
    environment.step({"force": torch.zeros(2 * SHARE, 1)})
    assert torch.equal(environment.delta, before)
    assert environment.player.moments[0].observation.shape == (2 * SHARE, environment.privileged().shape[1])


# --- the player ---


class Against(Blown):
    """What an episode is worth falls with the square of the wind's distance from 0.2, and nobody can help it."""

    name = "against"

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """Worst at a coordinate of −1, where the wind is −0.5."""
        return {"wind": -(transition.state["wind"].flatten() - 0.6).square()}


def test_a_critic_learns_which_world_is_worst() -> None:
    environment = contested(named("worst", share=0.5, player=PlayerConfig(hidden=(16,), learning_rate=1e-2)), task=Against())
    law = LearnedLaw(environment.task, ActorConfig(hidden=(8,)), replicas=SEEDS)
    found = Contest(PPO(law, environment, PPOConfig(horizon=10, critic_hidden=(8,)), SEEDS), environment, environment.player, list(SEEDS))
    for _ in range(40):
        found.iterate()
    environment.reset()
    wind = environment.delta[environment.playing, 0]
    assert (wind < -0.9).float().mean() > 0.8


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_adversary_finds_the_worst_direction_of_a_linear_payoff(replicas: int) -> None:
    """The protagonist's reward is w·a, another w for each replica: the worst a in the box is −sign(w)."""
    weights = torch.tensor([[1.0, -0.5, 0.25], [-1.0, 0.3, 0.6]])[:replicas]
    rows = weights.repeat_interleave(16, dim=0)
    player = Player(2, 3, 16 * replicas, PlayerConfig(hidden=(8,), learning_rate=2e-2), range(replicas), CPU)
    nothing, nobody = torch.zeros(16 * replicas, 2), torch.zeros(16 * replicas, dtype=torch.bool)
    everyone = ~nobody
    for iteration in range(60):
        for _ in range(8):
            action = player.act(nothing)
            player.feel((rows * action).sum(1), nobody, nobody, everyone, nothing)
        player.learn(iteration, nothing)
    with torch.no_grad():
        mean = player.actor(player.normalizer(nothing))
    assert (mean * -rows.sign() > 0.7).all()


@pytest.mark.parametrize("replicas", [1, 2])
def test_nothing_is_learned_from_what_has_ended(replicas: int) -> None:
    """Some protagonists reset an environment only with their next window: what happens there until then is no episode's."""
    count, generator = 4 * replicas, torch.Generator().manual_seed(0)
    players = [Player(2, 3, count, EVERY, range(replicas), CPU) for _ in range(2)]
    ends = torch.arange(count) % 4 == 1
    for step in range(6):
        seen, reward, running = torch.randn(count, 2, generator=generator), torch.randn(count, generator=generator), ~ends | (step <= 2)
        for player, wrong in zip(players, (0.0, 1e3), strict=True):
            player.act(torch.where(running.unsqueeze(1), seen, wrong))
            player.feel(torch.where(running, reward, wrong), ends & (step >= 2), torch.zeros_like(ends), running, seen)
    for player in players:
        player.learn(0, seen)
    left, right = (player.state_dict() for player in players)
    torch.testing.assert_close([left["actor"], left["critic"], left["log_std"]], [right["actor"], right["critic"], right["log_std"]])


class Payoff(Blown):
    """A zero-sum game in one step: −(x − ¼)² + (x − ¼)(y + ½) + (y + ½)² with the force x and the coordinate y of the wind.

    It is concave in x and convex in y, so (¼, −½) is its saddle point; against y = 0 the best x is ½.
    """

    name = "payoff"

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """The payoff."""
        x, y = transition.actuation["force"].flatten() - 0.25, transition.state["wind"].flatten()
        return {"payoff": -x.square() + x * y + y.square()}  # a coordinate of −½ is a wind of 0

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """Nothing."""
        return 0.0 * state["position"]


def test_both_come_to_the_saddle_point() -> None:
    environment = contested(named("rarl", over=("wind",), player=PlayerConfig(hidden=(8,), least_std=0.05, halve_every=40)), task=Payoff())
    config = PPOConfig(horizon=16, epochs=4, discount=0.01, learning_rate=1e-2, halve_every=40, initial_std=0.3, critic_hidden=(8,))
    law = LearnedLaw(environment.task, ActorConfig(hidden=(8,)), replicas=SEEDS)
    found = Contest(PPO(law, environment, config, SEEDS), environment, environment.player, list(SEEDS))
    for _ in range(160):
        found.iterate()
    with torch.no_grad():
        y = environment.player.actor(environment.player.normalizer(environment.seen()))
        x = law(found.protagonist.sensors, found.protagonist.command, found.protagonist.memory).actuation["force"]
    for strategy, saddle in ((x, 0.25), (y, -0.5)):
        for part in strategy.chunk(len(SEEDS)):
            assert part.mean().item() == pytest.approx(saddle, abs=0.12)


# --- QARL's curriculum ---


def gamma_density(x: np.ndarray, shape: float, rate: float) -> np.ndarray:
    found: np.ndarray = np.exp(shape * math.log(rate) + (shape - 1.0) * np.log(x) - rate * x - math.lgamma(shape))
    return found


@pytest.mark.parametrize(("shape", "other"), [(50.0, 43.0), (3.0, 1.0), (1.0, 3.0), (1.5, 20.0)])
def test_divergence_of_gamma_distributions_is_its_integral(shape: float, other: float) -> None:
    u = np.linspace(-30.0, -1.0, 400_001)
    x = np.exp(u)
    p, q = gamma_density(x, shape, 1000.0), gamma_density(x, other, 1000.0)
    inside = p > 1e-200
    integrand = np.where(inside, p * np.log(np.where(inside, p, 1.0) / np.where(inside, np.maximum(q, 1e-300), 1.0)), 0.0)
    assert divergence(shape, other) == pytest.approx(float(np.trapezoid(integrand * x, u)), rel=1e-5)


def test_a_step_goes_as_far_as_it_may() -> None:
    shape, shapes = 50.0, [50.0]
    while shape > 1.0:
        after = next_shape(shape, 1.0, 0.5)
        assert after < shape
        assert divergence(after, shape) <= 0.5 + 1e-9
        assert after == 1.0 or divergence(after, shape) == pytest.approx(0.5, abs=1e-9)
        shape = after
        shapes.append(after)
    assert 5 < len(shapes) < 25


def test_temperatures_wait_for_the_return_and_follow_from_the_seed() -> None:
    config = TemperatureConfig(every=2, least_return=1.0)
    curriculum = Temperature(config, [7, 8, 9])
    assert curriculum.draw(4) == Temperature(config, [7, 8, 9]).draw(4)
    assert len(set(curriculum.draw(4))) == 3
    assert np.mean([curriculum.draw(i)[0] for i in range(400)]) == pytest.approx(0.05, rel=0.03)
    curriculum.advance(1, [2.0, 2.0, 2.0])
    assert curriculum.shapes == [50.0] * 3
    curriculum.advance(2, [2.0, 0.5, None])
    assert curriculum.shapes[0] == next_shape(50.0, 1.0, 0.5)
    assert curriculum.shapes[1:] == [50.0, 50.0]


# --- training ---


def weights(found: Any) -> dict[str, Tensor]:
    """Of both, with an axis of replicas in front."""
    player = found.player
    both = {f"law.{name}": value for name, value in found.protagonist.law.state_dict().items()}
    for name in player.modules[:-1]:
        both |= {f"{name}.{key}": value for key, value in getattr(player, name).state_dict().items()}
    both |= {"log_std": player.log_std.detach()} if isinstance(player, Player) else {}
    return {name: value.clone() for name, value in both.items()}


@pytest.mark.parametrize("name", NAMES)
def test_training_goes_on_bit_for_bit(name: str) -> None:
    adversary = named(name, share=0.5, every=2, over=("wind", "force", "action"))
    whole, first, second = contest(adversary), contest(adversary), contest(adversary, SEEDS[::-1])
    expected = [whole.iterate() for _ in range(6)][3:]
    for _ in range(3):
        first.iterate()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert [second.iterate() for _ in range(3)] == expected
    assert any("adversary_value_loss" in metrics for metrics in expected)
    assert all(torch.equal(value, weights(second)[key]) for key, value in weights(whole).items())


@pytest.mark.parametrize("name", NAMES)
def test_every_replica_is_what_it_would_be_alone(name: str) -> None:
    adversary = named(name, share=0.5)
    together, alone = contest(adversary), [contest(adversary, [seed]) for seed in SEEDS]
    for _ in range(3):
        together.iterate()
        for each in alone:
            each.iterate()
    for index, each in enumerate(alone):
        for key, value in weights(each).items():
            torch.testing.assert_close(weights(together)[key][index], value, rtol=2e-3, atol=2e-4)


def test_no_replica_feels_another() -> None:
    plain, other = contest(named("tc_rmdp")), contest(named("tc_rmdp"))
    with torch.no_grad():
        for parameter in other.player.actor.parameters():
            parameter[1] += 1.0
        other.environment.simulator.state["position"][SHARE : 2 * SHARE] += 0.5
    for _ in range(4):
        plain.iterate()
        other.iterate()
    left, right = weights(plain), weights(other)
    for key, value in left.items():
        assert torch.equal(value[[0, 2]], right[key][[0, 2]]), key
    assert not torch.allclose(left["law.actor.head.0.weight"][1], right["law.actor.head.0.weight"][1], atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "config"),
    [(SHAC, SHACConfig(horizon=7, critic_hidden=(16,))), (SAC, SACConfig(horizon=7, updates=2, batch=8, warm_up=20, critic_hidden=(16,)))],
)
@pytest.mark.parametrize("name", ["worst", "grad"])
def test_any_algorithm_may_be_the_protagonist(name: str, kind: Any, config: Any) -> None:
    found = contest(named(name), kind=kind, config=config)
    for _ in range(3):
        metrics = found.iterate()
    assert math.isfinite(metrics["adversary_value_loss"])
    assert all(value.isfinite().all() for value in weights(found).values())


def test_nothing_changes_without_an_adversary() -> None:
    config = preset("pendulum")
    task = SwingUp()
    assert type(make_environment(config, task, 4, 0)) is Environment
    assert config_without_adversary_has_no_word_of_it(config)
    checked = make_environment(changed(config, {"adversary": {"name": "rarl"}}, "test"), task, 4, 0, contested=False)
    assert isinstance(checked, ContestedEnvironment)
    assert checked.player is None


def config_without_adversary_has_no_word_of_it(config: TrainConfig) -> bool:
    return "adversary" not in config.command()


@pytest.mark.parametrize(
    ("task", "algorithm"), [("pendulum", "ppo"), ("planar_quadrotor", "ppo"), ("hover", "ppo"), ("hover", "shac"), ("skim", "shac")]
)
def test_tasks_can_be_trained_against_one(task: str, algorithm: str) -> None:
    small = {"num_envs": 4, "iterations": 2, "check_every": 0, "adversary": {"name": "tc_rmdp"}}
    small |= {"ppo": {"horizon": 4, "minibatches": 1}} if algorithm == "ppo" else {"shac": {"horizon": 4}}
    batch = Batch(changed(preset(task, algorithm), small, "test"), SEEDS)
    batch.iterate()
    assert "adversary_std" in batch.iterate()
