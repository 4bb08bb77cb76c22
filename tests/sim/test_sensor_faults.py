"""Drift and freeze of sensors against their definitions, alone and in an environment."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sim.fused import fuse
from sim.random_numbers import RandomNumbers
from sim.sensor_faults import Drift, Freeze, drifted, frozen
from sim.sensors import Errors
from tasks.hover import Hover
from tasks.hover_suites import NOMINAL
from tasks.quadrotor_flight import ORIENTATION, POSITION, VELOCITY
from tasks.task import Start
from training.environment import Environment
from training.simulators import make_simulator


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values).unsqueeze(1)


def test_a_drift_grows_linearly_and_stays() -> None:
    errors = Errors(torch.full((3, 3), 0.5), torch.zeros(3, 3), RandomNumbers(3, 0).key, None)
    drift = {"b": Drift(torch.tensor([[2.0, -4.0]]).repeat(3, 1), column(1.0, 1.0, 1.0), column(2.0, 2.0, 2.0))}
    bias = drifted(errors, drift, {"a": 1, "b": 2}, column(0.5, 2.0, 9.0)).bias
    torch.testing.assert_close(bias, torch.tensor([[0.5, 0.5, 0.5], [0.5, 1.5, -1.5], [0.5, 2.5, -3.5]]))


def test_a_frozen_sensor_repeats_what_it_said() -> None:
    now, before = {"a": column(1.0, 2.0, 3.0), "b": column(4.0, 5.0, 6.0)}, {"a": column(7.0, 8.0, 9.0), "b": column(0.0, 0.0, 0.0)}
    found = frozen(now, before, {"a": Freeze(column(1.0, 1.0, 1.0), column(0.5, 0.5, 0.5))}, column(0.9, 1.0, 1.5))
    assert found["a"].flatten().tolist() == [1.0, 8.0, 3.0]
    assert found["b"].flatten().tolist() == [4.0, 5.0, 6.0]


def faulty(start: Start, generator: torch.Generator) -> Start:
    """A position that drifts by 1 m from 0.1 s to 0.3 s, an attitude by 0.1 rad about x, and a velocity frozen from 0.1 s to 0.2 s."""
    count = len(start.command["goal_position_in_world"])
    at, long, turn = torch.full((count, 1), 0.1), torch.full((count, 1), 0.2), torch.tensor([[0.1, 0.0, 0.0]]).repeat(count, 1)
    drift = {POSITION: Drift(torch.ones(count, 3), at, long), ORIENTATION: Drift(turn, at * 0, long)}
    return start._replace(sensor_drift=drift, sensor_freeze={VELOCITY: Freeze(at - 1e-4, at)})


def fly(num_envs: int, steps: int) -> list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]]:
    """Readings and truth, first reading included."""
    task = Hover()
    suite = replace(NOMINAL, tilt_rad=0.1, rate_rad_s=0.1)
    env = Environment(task, make_simulator("auto", task, num_envs), suite=suite, seed=1, auto_reset=False, amend=faulty)
    seen = [(env.reset()[0], env.state)]
    for _ in range(steps):
        step = env.step(task.actuate(torch.zeros(num_envs, 4)))
        seen.append((step.sensors, env.state))
    return seen


def test_faults_reach_the_readings_and_not_the_truth() -> None:
    seen = fly(5, 35)
    for index, (sensors, state) in enumerate(seen):
        expected = min(max((index * 0.01 - 0.1) / 0.2, 0.0), 1.0)
        torch.testing.assert_close(sensors[POSITION] - state[POSITION], torch.full((5, 3), expected), rtol=0, atol=1e-5)
        stands = 10 <= index < 20
        assert torch.equal(sensors[VELOCITY], seen[9][0][VELOCITY] if stands else state[VELOCITY])
    turned = (seen[-1][0][ORIENTATION] * seen[-1][1][ORIENTATION]).sum(1).abs().acos() * 2
    torch.testing.assert_close(turned, torch.full((5,), 0.1), rtol=0, atol=1e-3)


def test_faults_are_the_same_with_and_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are errors here, so the first flight has kernels."""
    monkeypatch.delenv(fuse.SWITCH, raising=False)
    fused = fly(70, 35)
    monkeypatch.setenv(fuse.SWITCH, "0")
    for (mine, _), (other, _) in zip(fused, fly(70, 35), strict=True):
        for name in mine:
            torch.testing.assert_close(mine[name], other[name], rtol=1e-5, atol=1e-5)
