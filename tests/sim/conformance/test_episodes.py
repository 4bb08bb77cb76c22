"""Tasks on every engine: episodes run out of time, fail, and begin again, also where a simulation is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robots import registry
from sim.simulator import Simulator
from tests.sim.conformance.subject import ENVS, ORIENTATION, VELOCITY, only, safe, seen, spread
from training.environment import Environment

TASKS = {"crazyflie": "hover", "go2": "go2_velocity"}
STEPS = 10


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MuJoCo writes a log of warnings."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def environment(sim: Simulator) -> Environment:
    """Episodes of ten steps."""
    task = registry.load(registry.TASKS, TASKS[sim.robot.name])()
    return Environment(task, sim, suite=task.suite("nominal"), seed=0, episode_s=STEPS / task.rate_hz)


def _rest(environment: Environment) -> dict[str, torch.Tensor]:
    return {name: value.expand(ENVS, -1) for name, value in environment.resting.items()}


def test_time_runs_out_as_truncation_and_new_episodes_begin(environment: Environment) -> None:
    environment.reset()
    for step in range(1, 2 * STEPS + 1):
        before = environment.state["position_base_in_world"].clone()
        found = environment.step(_rest(environment))
        assert not found.terminated.any()
        assert found.truncated.all() if step % STEPS == 0 else not found.truncated.any()
        assert torch.equal(environment.age, torch.full_like(environment.age, step % STEPS))
    moved = (environment.state["position_base_in_world"] - before).norm(dim=1)
    assert (moved > 0.05).all(), "further than in a step: they start elsewhere"


def test_failure_is_termination_even_on_the_last_step(environment: Environment) -> None:
    """Somebody lies on the back on the ground."""
    environment.reset()
    sim, fallen = environment.simulator, only(environment.simulator, 1, 4)
    for _ in range(STEPS - 1):
        environment.step(_rest(environment))
    state = {ORIENTATION: spread(sim, [0.0, 1.0, 0.0, 0.0]), "position_base_in_world": spread(sim, [0.0, 0.0, 0.02])}
    sim.reset(fallen, state)
    found = environment.step(_rest(environment))
    assert torch.equal(found.terminated, fallen)
    assert torch.equal(found.truncated, ~fallen)
    assert (environment.age == 0).all()


@pytest.mark.parametrize("change", [1e12, float("nan")])
def test_a_lost_simulation_ends_its_episode_alone_and_begins_anew(environment: Environment, change: float) -> None:
    environment.reset()
    sim = environment.simulator
    lost = only(sim, 2)
    sim.push(torch.where(lost[:, None], spread(sim, [change, 0.0, 0.0]), torch.zeros(ENVS, 3, device=sim.device)))
    found = environment.step(_rest(environment))
    assert torch.equal(found.terminated, lost)
    assert not found.truncated.any()
    assert all(torch.isfinite(value).all() for value in found.sensors.values())
    found = environment.step(_rest(environment))
    assert not found.terminated.any()
    assert all(torch.isfinite(value).all() for value in environment.state.values())


def test_legs_that_blow_up_say_so_alone_and_every_time(walker: Simulator) -> None:
    """Once for each time."""
    change = torch.zeros(ENVS, 3, device=walker.device)
    change[1, 0], change[2, 1] = 1e9, torch.nan
    lost = only(walker, 1, 2)
    for _ in range(2):
        walker.push(change)
        walker.step(safe(walker))
        now = seen(walker)
        assert torch.equal(now["diverged"][:, 0], lost.cpu())
        assert all(torch.isfinite(value).all() for value in now.values())
        assert (now[VELOCITY][~lost.cpu()].abs() < 1.0).all()
        walker.reset(lost, {})
        walker.step(safe(walker))
        assert not seen(walker)["diverged"].any()
