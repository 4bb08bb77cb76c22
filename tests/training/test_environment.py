"""The vectorised environment on a point mass whose every step can be worked out."""

from __future__ import annotations

import math

import pytest
import torch

from robots.errors import TetherError
from tasks.task import Signals, Start
from tests.training.point import PointSimulator, PointSuite, Reach
from training.environment import Environment


def environment(num_envs: int = 8, suite: PointSuite | None = None, seed: int = 0, **options: object) -> Environment:
    return Environment(Reach(), PointSimulator(num_envs), suite=suite or PointSuite("still"), seed=seed, **options)


def push(num_envs: int, force: float = 0.0) -> dict[str, torch.Tensor]:
    return {"force": torch.full((num_envs, 1), force)}


def test_step_reports_the_state_after_it() -> None:
    env = environment()
    sensors, command = env.reset()
    start = sensors["position"].clone()
    step = env.step(push(8, 1.0))
    torch.testing.assert_close(step.sensors["position"], start + 0.01)
    torch.testing.assert_close(step.tracking_error, (start + 0.01 - command["goal"]).abs().flatten())
    torch.testing.assert_close(step.rewards["distance"], -0.1 * step.tracking_error)


def test_time_runs_out_as_truncation_and_a_new_episode_begins() -> None:
    env = environment()
    env.reset()
    for index in range(20):
        step = env.step(push(8))
        assert step.truncated.all() == (index == 19)
        assert not step.terminated.any()
    assert (env.age == 0).all()
    assert torch.equal(env.state["position"], step.sensors["position"])  # after the reset


def test_failure_is_termination_even_on_the_last_step() -> None:
    env = environment(num_envs=2)
    env.reset()
    env.age[:] = 19
    env.simulator.state["position"][0] = 9.0
    step = env.step(push(2))
    assert step.terminated.tolist() == [True, False]
    assert step.truncated.tolist() == [False, True]


def test_reset_leaves_the_others_alone() -> None:
    env = environment(num_envs=4, suite=PointSuite("noisy", noise=0.1), auto_reset=False)
    env.reset()
    before = {name: value.clone() for name, value in env.step(push(4)).sensors.items()}
    goals = env.command["goal"].clone()
    mask = torch.tensor([False, True, False, True])
    sensors, command = env.reset(mask)
    for name, value in sensors.items():
        assert torch.equal(value[~mask], before[name][~mask])
    assert torch.equal(command["goal"][~mask], goals[~mask])
    assert (command["goal"][mask] != goals[mask]).all()
    assert env.age.tolist() == [1, 0, 1, 0]


def test_every_episode_starts_differently() -> None:
    """Starts are drawn for all environments at once and used one by one; none may be used twice."""
    env = environment(num_envs=3)
    env.reset()
    mask, seen = torch.tensor([True, False, False]), []
    for _ in range(40):
        seen.append(env.reset(mask)[1]["goal"][0].item())
    assert len(set(seen)) == 40


def test_without_auto_reset_episodes_go_on() -> None:
    env = environment(auto_reset=False)
    env.reset()
    for _ in range(25):
        step = env.step(push(8))
    assert step.truncated.all()
    assert (env.age == 25).all()


def test_episode_length_can_be_replaced() -> None:
    assert environment(episode_s=0.5).episode_steps == 5
    assert environment().episode_steps == 20


def test_stagger_spreads_ages_in_whole_groups() -> None:
    env = environment(num_envs=200)
    env.reset()
    env.stagger(5)
    assert sorted(set(env.age.tolist())) == [0, 5, 10, 15]


def test_rest_is_the_previous_actuation_of_a_new_episode() -> None:
    env = environment(auto_reset=False)
    env.reset()
    env.step(push(8, 0.7))
    assert (env.previous_actuation["force"] == 0.7).all()
    env.reset(torch.arange(8) < 4)
    assert env.previous_actuation["force"].flatten().tolist() == [0.0] * 4 + [0.699999988079071] * 4


def test_a_simulator_at_another_rate_is_refused() -> None:
    with pytest.raises(TetherError, match="steps force at 20 Hz, reach wants force at 10 Hz"):
        Environment(Reach(), PointSimulator(4, control_dt=0.05), suite=PointSuite("still"), seed=0)


def test_constant_force_reaches_the_simulator() -> None:
    env = environment(suite=PointSuite("pushed", force=0.5))
    env.reset()
    env.step(push(8))
    torch.testing.assert_close(env.state["velocity"], torch.full((8, 1), 0.05))


def test_gusts_have_their_mean_spread_and_correlation() -> None:
    env = environment(num_envs=4000, suite=PointSuite("windy", gust=2.0), auto_reset=False)
    env.reset()
    env.step(push(4000))
    first = env.simulator.wind[:, 0].clone()
    for _ in range(5):
        env.step(push(4000))
    later = env.simulator.wind[:, 0]
    for wind in (first, later):
        assert abs(wind.mean().item() - 0.5) < 0.1
        assert abs(wind.std().item() - 2.0) < 0.1
    correlation = torch.corrcoef(torch.stack([first, later]))[0, 1].item()
    assert abs(correlation - math.exp(-5 * 0.1 / 1.0)) < 0.05


def test_same_seed_same_episodes() -> None:
    first, second, other = (environment(suite=PointSuite("noisy", noise=0.1), seed=seed) for seed in (1, 1, 2))
    for env in (first, second, other):
        env.reset()
    one, two, three = (env.step(push(8, 0.3)).sensors["position"] for env in (first, second, other))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_state_dict_continues_bit_for_bit() -> None:
    suite = PointSuite("all", noise=0.1, force=0.1, gust=0.5)
    env, copy = environment(suite=suite, seed=1), environment(suite=suite, seed=2)
    env.reset()
    for _ in range(13):
        env.step(push(8, 0.4))
    copy.load_state_dict(env.state_dict())
    for _ in range(30):
        one, two = env.step(push(8, 0.4)), copy.step(push(8, 0.4))
        assert torch.equal(one.sensors["position"], two.sensors["position"])
        assert torch.equal(one.command["goal"], two.command["goal"])
        assert torch.equal(env.privileged(), copy.privileged())
        assert torch.equal(env.simulator.wind, copy.simulator.wind)


class Chase(Reach):
    """Reach a goal that moves at its own speed."""

    def sample(self, suite: PointSuite, num_envs: int, generator: torch.Generator) -> Start:
        """Speeds 1, 2, … m/s, one episode after the other; the goals start at 0."""
        start = super().sample(suite, num_envs, generator)
        speed = torch.arange(1.0, num_envs + 1).unsqueeze(1)
        late = None if suite.observation_delay_s is None else torch.full((num_envs, 1), suite.observation_delay_s[1])
        return start._replace(command={"goal": speed * 0}, reference={"speed": speed}, sensor_delay_s=late)

    def command_at(self, start: Start, time_s: torch.Tensor) -> Signals:
        """Speed times time."""
        assert start.reference is not None
        return {"goal": start.reference["speed"] * time_s}


def chase(num_envs: int = 4, suite: PointSuite | None = None, **options: object) -> Environment:
    return Environment(Chase(), PointSimulator(num_envs), suite=suite or PointSuite("still"), seed=0, auto_reset=False, **options)


def test_a_moving_command_has_the_age_of_its_episode() -> None:
    env = chase()
    assert (env.reset()[1]["goal"] == 0).all()
    for _ in range(3):
        step = env.step(push(4))
    torch.testing.assert_close(step.command["goal"].flatten(), torch.tensor([0.3, 0.6, 0.9, 1.2]))
    torch.testing.assert_close(step.tracking_error, (env.state["position"] - step.command["goal"]).abs().flatten())
    torch.testing.assert_close(env.privileged()[:, :1], step.command["goal"] - env.state["position"])
    _, command = env.reset(torch.tensor([False, True, False, True]))
    torch.testing.assert_close(command["goal"].flatten(), torch.tensor([0.3, 0.0, 0.9, 0.0]))
    torch.testing.assert_close(env.step(push(4)).command["goal"].flatten(), torch.tensor([0.4, 0.5, 1.2, 0.6]))


def test_staggered_episodes_begin_where_their_command_does() -> None:
    env = chase(num_envs=50)
    env.reset()
    env.stagger(5)
    assert (env.command["goal"] == 0).all()
    torch.testing.assert_close(env.step(push(50)).command["goal"].flatten(), torch.arange(1.0, 51) * 0.1)


def test_what_is_asked_instead_stands_still() -> None:
    env = chase()
    env.reset()
    env.step(push(4))
    env.ask({"goal": torch.full((4, 1), 2.0)})
    assert (env.command["goal"] == 2).all()
    assert (env.step(push(4)).command["goal"] == 2).all()
    env.ask({})
    assert (env.command["goal"] == 0).all()  # the command's default


def test_a_moving_command_continues_bit_for_bit() -> None:
    env, copy = chase(), chase()
    env.reset()
    env.stagger(5)
    env.step(push(4))
    copy.load_state_dict(env.state_dict())
    assert torch.equal(env.command["goal"], copy.command["goal"])
    for _ in range(5):
        assert torch.equal(env.step(push(4)).command["goal"], copy.step(push(4)).command["goal"])


def test_sensors_are_as_late_as_the_suite_says() -> None:
    """Two steps late, also for environments whose neighbours began anew in between."""
    env = chase(suite=PointSuite("late", observation_delay_s=(0.0, 0.2)))
    truth = [env.reset()[0]["position"].clone()] * 3
    for index in range(8):
        if index == 5:
            env.reset(torch.tensor([True, False, False, False]))
        step = env.step(push(4, 1.0))
        truth.append(env.state["position"])
        assert torch.equal(step.sensors["position"][1:], truth[-3][1:])
    assert env.sensor_model.max_delay == 2
