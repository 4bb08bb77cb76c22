"""Training with an attitude to risk, on a bet: good on average, terrible for one robot in fourteen, and only simulation knows which."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from robots.errors import TetherError
from tasks.risk_level import with_risk_level
from tasks.task import Memory, Signals, Start, Transition
from tests.training.point import PointSimulator, PointSuite, Reach
from training.environment import Environment
from training.learned_law import ActorConfig, LearnedLaw
from training.ppo import PPOConfig
from training.quantiles import transform_histogram
from training.risk import RiskConfig
from training.risk_ppo import RiskPPO
from training.risk_sac import RiskSAC
from training.risk_shac import RiskSHAC
from training.sac import SACConfig
from training.shac import SHACConfig

PPO_CONFIG = PPOConfig(horizon=6, epochs=4, minibatches=2, critic_hidden=(16,), discount=0.8, learning_rate=1e-2, halve_every=0)
SHAC_CONFIG = SHACConfig(
    horizon=6,
    discount=0.8,
    critic_hidden=(16,),
    critic_epochs=16,
    critic_minibatches=2,
    critic_learning_rate=1e-2,
    learning_rate=5e-3,
    target_rate=1.0,
)
SAC_CONFIG = SACConfig(
    horizon=6,
    updates=4,
    batch=128,
    capacity=20_000,
    warm_up=256,
    discount=0.8,
    learning_rate=1e-2,
    critic_learning_rate=1e-2,
    critic_hidden=(16,),
    initial_temperature=0.01,
    temperature_learning_rate=1e-6,
    target_rate=0.1,
)
NEUTRAL = RiskConfig(quantiles=16)
AVERSE = RiskConfig(quantiles=16, measure="cvar", level=0.25)


class Bet(Reach):
    """Whatever is staked, up to 1, pays 0.1 a step; one robot in fourteen loses all of it. Neutral: 1; to a quarter's tail: nothing."""

    name = "bet"
    episode_s = 0.6
    observation_names = ("nothing",)
    task_memory_size = 0
    training_suite = PointSuite("training")
    suites: ClassVar = {"full": PointSuite("full")}

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """Nothing that tells who is unlucky."""
        return sensors["position"] * 0.0, memory.task

    def sample(self, suite: PointSuite, num_envs: int, generator: torch.Generator) -> Start:
        """Luck is the parameter ``wind``."""
        start = super().sample(suite, num_envs, generator)
        unlucky = (torch.arange(num_envs) % 14 == 0).float().unsqueeze(1)
        return start._replace(parameters={"wind": unlucky}, state={"position": unlucky})

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """See the class."""
        stake = transition.actuation["force"].clamp(min=0.0).flatten()
        unlucky = self.unlucky(transition.state)
        return {"bet": stake * (0.1 - unlucky), "weather": 0.1 * transition.command["goal"].flatten()}

    def unlucky(self, state: Signals) -> Tensor:
        """Where the episode began tells."""
        return (state["position"] > 0.5).float().flatten()

    def actuate(self, action: Tensor) -> dict[str, Tensor]:
        """Half staked at first, and a force that moves nothing."""
        return {"force": (0.5 + action).clamp(0.0, 1.0)}

    def terminated(self, transition: Transition) -> Tensor:
        """Never."""
        return torch.zeros(len(transition.state["position"]), dtype=torch.bool)

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """Luck."""
        return (state["position"] > 0.5).float()


class Still(PointSimulator):
    """The point stays where it is."""

    def step(self, actuation: Tensor) -> None:
        """Nothing."""


def learner(kind: Any, config: Any, risk: RiskConfig, task: Reach | None = None, num_envs: int = 28, seeds: Any = 0) -> Any:
    torch.manual_seed(0)
    task = task or (with_risk_level(Bet)() if risk.command else Bet())
    environment = Environment(task, Still(num_envs), suite=task.training_suite, seed=seeds, auto_reset=False)
    replicas = 1 if isinstance(seeds, int) else seeds
    actor = ActorConfig(hidden=(8,), squash="tanh" if kind is RiskSAC else "clamp")
    return kind(LearnedLaw(task, actor, replicas=replicas, risk=risk), environment, config, seeds, risk)


def stake(found: Any, level: float | None = None) -> float:
    """What the law stakes in the end, asked for a level if it takes one."""
    law = found.law
    command = {"goal": torch.zeros(1, 1)} | ({} if level is None else {"risk_level": torch.tensor([[level]])})
    with torch.no_grad():
        output = law({name: torch.zeros(1, 1) for name in ("position", "velocity")}, command, law.initial_memory(1))
    return float(output.actuation["force"])


ALGORITHMS = pytest.mark.parametrize(
    ("kind", "config"), [(RiskPPO, PPO_CONFIG), (RiskSHAC, SHAC_CONFIG), (RiskSAC, SAC_CONFIG)], ids=["ppo", "shac", "sac"]
)
ATTITUDES = {
    "neutral": (NEUTRAL, 0.9, 1.0),
    "averse": (AVERSE, 0.0, 0.1),
    "mean and tail": (dataclasses.replace(AVERSE, measure="mean_cvar", level=0.1), 0.0, 0.1),
    "wang": (RiskConfig(quantiles=16, measure="wang", level=1.0), 0.0, 0.1),
    "averse to what is known": (dataclasses.replace(AVERSE, blind=False), 0.55, 1.0),
}


@ALGORITHMS
@pytest.mark.parametrize("attitude", ATTITUDES)
def test_who_minds_the_tail_does_not_bet(kind: Any, config: Any, attitude: str) -> None:
    """A critic that knows who is unlucky sees no risk in anybody's bet: that is what the second, blind one is for."""
    risk, least, most = ATTITUDES[attitude]
    found = learner(kind, config, risk)
    for _ in range(60):
        found.iterate()
    assert least <= stake(found) <= most  # it was a half at first


@ALGORITHMS
def test_risk_may_be_asked_for(kind: Any, config: Any) -> None:
    found = learner(kind, config, dataclasses.replace(AVERSE, command=True), num_envs=28)
    for _ in range(150):
        found.iterate()
    assert stake(found, 0.0) > stake(found, 1.0) + 0.4


def test_quantiles_are_calibrated_on_episodes_that_nobody_learned_from() -> None:
    """The blind ones of the return from an episode's first step: luck, weather and the noise of exploration."""
    found = learner(RiskPPO, PPO_CONFIG, NEUTRAL)
    for _ in range(120):
        assert "coverage_error" in found.iterate()
    quantiles, returns, numbers = [], [], torch.Generator().manual_seed(0)
    discounts = 0.8 ** torch.arange(6.0)
    for _ in range(30):
        found.environment.reset()
        found.memory = torch.zeros_like(found.memory)
        rollout = found.collect()
        follows = found.value(rollout.critic_observations[-1])  # time runs out, and is bootstrapped
        quantiles.append(found.blind_value(rollout.critic_observations[0]))
        drawn = follows.gather(1, torch.randint(16, (28, 1), generator=numbers)).squeeze(1)
        returns.append((discounts.unsqueeze(1) * rollout.rewards).sum(0) + 0.8**6 * drawn)
    shares = transform_histogram(torch.cat(quantiles), torch.cat(returns), 4)
    assert float((shares - 0.25).abs().max()) < 0.15


@ALGORITHMS
def test_seeds_side_by_side_are_each_alone(kind: Any, config: Any) -> None:
    together = learner(kind, config, AVERSE, num_envs=28, seeds=[3, 5])
    with torch.random.fork_rng():
        torch.manual_seed(5)
        alone = learner(kind, config, AVERSE, num_envs=14, seeds=[5])
    for _ in range(3):
        together.iterate()
        alone.iterate()
    for name, value in alone.law.state_dict().items():
        torch.testing.assert_close(together.law.state_dict()[name][1], value, rtol=1e-3, atol=1e-4, msg=name)


@ALGORITHMS
def test_resumes_to_the_bit(kind: Any, config: Any) -> None:
    risk = dataclasses.replace(AVERSE, cost_quantiles=0 if kind is RiskSAC else 8)
    first = learner(kind, config, risk, num_envs=16)
    first.iterate()
    second = learner(kind, config, risk, num_envs=16)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(2):
        metrics = [found.iterate() for found in (first, second)]
        assert metrics[0] == metrics[1]
    for name, value in first.law.state_dict().items():
        assert torch.equal(value, second.law.state_dict()[name]), name


def test_warm_up_goes_from_neutral_to_the_level() -> None:
    config = dataclasses.replace(AVERSE, warm_up=10)
    asked = torch.zeros(())
    assert config.weights(0, asked).tolist() == pytest.approx([1 / 16] * 16)
    assert config.weights(5, asked)[0] == pytest.approx(1 / 16 / 0.5)  # half-way to a quarter is a half
    assert config.weights(10, asked).tolist() == config.weights(99, asked).tolist() == pytest.approx([0.25] * 4 + [0.0] * 12)
    later = dataclasses.replace(config, neutral_for=7)
    assert [later.weights(7 + k, asked).tolist() for k in (-7, 0, 5, 10)] == [config.weights(k, asked).tolist() for k in (0, 0, 5, 10)]
    at_once = dataclasses.replace(AVERSE, neutral_for=7)
    assert at_once.weights(6, asked).tolist() == config.weights(0, asked).tolist()
    assert at_once.weights(7, asked).tolist() == config.weights(10, asked).tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"quantiles": 0}, "set risk.quantiles"),
        ({"command": True, "measure": "neutral"}, "set risk.measure"),
        ({"kappa": 0.0}, "risk.kappa positive"),
        ({"trace": 1.1}, "risk.trace must be at most 1"),
        ({"samples": 0}, "risk.samples must be at least 1"),
        ({"cost_tail": 0.0}, "risk.cost_tail must be within"),
        ({"warm_up": -1}, "risk.warm_up must not be negative"),
    ],
)
def test_configurations_that_mean_nothing_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(AVERSE, **change)


def test_a_value_clip_is_refused() -> None:
    with pytest.raises(TetherError, match=r"set ppo\.value_clip=0"):
        learner(RiskPPO, dataclasses.replace(PPO_CONFIG, value_clip=0.2), AVERSE)
