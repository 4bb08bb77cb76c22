"""Bursts of force against the closed forms of shot noise with Pareto sizes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from sim.fused import fuse
from sim.random_numbers import RandomNumbers
from tasks.hover import Hover
from tasks.hover_suites import FULL
from tasks.task import Start
from tests.training.point import PointSimulator, PointSuite, Reach
from training.bursts import LARGEST, LATITUDE, TAIL_INDEX, next_burst
from training.environment import Environment
from training.simulators import make_simulator

MANY = 200_000


def one_burst(scale: float = 0.5) -> torch.Tensor:
    """A burst in each of `MANY` environments."""
    return next_burst(torch.zeros(MANY, 3), torch.full((MANY, 1), scale), RandomNumbers(MANY, 3).advance(), 0.0, 1.0)


def test_sizes_are_pareto_up_to_the_bound() -> None:
    """P(A > x) = (x/a)^−α; three standard deviations of a share of `MANY`."""
    sizes = one_burst().norm(dim=1) / 0.5
    for factor in (1.0001, 1.5, 2.0, 4.0, 0.999 * LARGEST):
        share = (sizes > factor).double().mean().item()
        expected = factor**-TAIL_INDEX
        assert share == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / MANY) + 1e-6)
    assert sizes.min().item() >= 1.0 - 1e-5
    assert sizes.max().item() == pytest.approx(LARGEST, rel=1e-5)


def test_the_tail_index_by_hill() -> None:
    """Hill's estimator over what is below the bound, which is censored there: α̂ = number below / Σ ln(A/a)."""
    sizes = one_burst().norm(dim=1).double() / 0.5
    below = int((sizes < 0.999 * LARGEST).sum())
    assert below / sizes.log().sum().item() == pytest.approx(TAIL_INDEX, rel=0.01)


def test_directions_are_uniform_on_a_band_of_the_sphere() -> None:
    directions = torch.nn.functional.normalize(one_burst(), dim=1)
    height = directions[:, 2] / math.sin(LATITUDE)
    assert height.abs().max().item() <= 1.0 + 1e-5
    assert height.mean().item() == pytest.approx(0.0, abs=0.01)
    assert height.square().mean().item() == pytest.approx(1 / 3, abs=0.005)
    assert directions[:, :2].mean(0).abs().max().item() < 0.01


def test_bursts_come_as_often_as_asked_and_die_away() -> None:
    numbers, count = RandomNumbers(4000, 1), 0
    force, scale = torch.zeros(4000, 3), torch.ones(4000, 1)
    for _ in range(100):
        before, force = force, next_burst(force, scale, numbers.advance(), 0.9, 0.02)
        new = (force - 0.9 * before).norm(dim=1) > 0.5
        torch.testing.assert_close(force[~new], 0.9 * before[~new])
        count += int(new.sum())
    assert count / 400_000 == pytest.approx(0.02, abs=3 * math.sqrt(0.02 / 400_000))


class Struck(Reach):
    """`Reach` with bursts."""

    burst_every_s = 0.5

    def sample(self, suite: PointSuite, num_envs: int, generator: torch.Generator) -> Start:
        """As `Reach`, struck."""
        return super().sample(suite, num_envs, generator)._replace(burst_n=torch.full((num_envs, 1), 0.01))


def struck(force: float = 0.0, num_envs: int = 8, seed: int = 1) -> Environment:
    return Environment(Struck(), PointSimulator(num_envs), suite=PointSuite("struck", noise=0.1, force=force), seed=seed)


def nothing(num_envs: int = 8) -> dict[str, torch.Tensor]:
    return {"force": torch.zeros(num_envs, 1)}


def test_bursts_reach_the_simulator_beside_the_constant_force() -> None:
    env = struck(force=0.5, num_envs=50)
    env.reset()
    for _ in range(5):
        env.step(nothing(50))
    assert (env.burst.norm(dim=1) > 0).float().mean().item() == pytest.approx(1 - math.exp(-1.0), abs=0.2)
    torch.testing.assert_close(env.simulator.force, env.burst + torch.tensor([0.5, 0.0, 0.0]))


def test_an_episode_begins_without_a_burst() -> None:
    env = struck(num_envs=50)
    env.reset()
    for _ in range(10):
        env.step(nothing(50))
    begun = torch.arange(50) < 25
    before = env.burst.clone()
    env.reset(begun)
    assert (env.burst[begun] == 0).all()
    assert torch.equal(env.burst[~begun], before[~begun])


def test_restart_repeats_and_a_saved_state_continues_bit_for_bit() -> None:
    env, copy = struck(), struck(seed=2)
    env.reset()  # from now on sensors have noise
    flights = []
    for _ in range(2):
        env.restart(1)
        flights.append(torch.stack([env.step(nothing()).sensors["position"] for _ in range(30)]))
    assert torch.equal(*flights)
    copy.load_state_dict(env.state_dict())
    for _ in range(30):
        assert torch.equal(env.step(nothing()).sensors["position"], copy.step(nothing()).sensors["position"])
        assert torch.equal(env.burst, copy.burst)


def test_a_suite_without_bursts_keeps_its_digest_and_one_with_them_does_not() -> None:
    assert FULL.digest() == "21bb747083b0"
    assert replace(FULL, burst_n=0.05).digest() != FULL.digest()
    assert Hover().sample(FULL, 3, torch.Generator()).burst_n is None


def hover_forces(num_envs: int, steps: int) -> torch.Tensor:
    """Bursts on a hovering Crazyflie, and where they carry it."""
    task = Hover()
    env = Environment(task, make_simulator("auto", task, num_envs), suite=replace(FULL, burst_n=0.05), seed=4, auto_reset=False)
    env.reset()
    rest = task.actuate(torch.zeros(num_envs, 4))
    seen = []
    for _ in range(steps):
        env.step(rest)
        seen.append(torch.cat([env.state["linear_velocity_base_in_world"], env.burst], dim=1))
    return torch.stack(seen)


def test_a_suite_strikes_a_crazyflie_the_same_with_and_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are errors here, so the first flight has a kernel for the bursts."""
    monkeypatch.delenv(fuse.SWITCH, raising=False)
    fused = hover_forces(70, 60)
    monkeypatch.setenv(fuse.SWITCH, "0")
    eager = hover_forces(70, 60)
    assert (fused[..., 3:].norm(dim=2) >= 0.05 * math.exp(-2.4)).any(0).float().mean().item() == pytest.approx(1 - math.exp(-0.6), abs=0.2)
    torch.testing.assert_close(fused, eager, rtol=1e-4, atol=1e-4)
