"""The geometric tracking law: its feed-forward by hand, and that it follows the figure-eight."""

from __future__ import annotations

import math

import pytest
import torch

from robots.crazyflie import crazyflie
from robots.description import GRAVITY
from tasks.quadrotor_flight import GOAL, ORIENTATION, POSITION, RATES, VELOCITY
from tasks.track import GOAL_ACCELERATION, GOAL_VELOCITY, Track
from training.environment import Environment
from training.geometric_track import GeometricTrack, TrackGains
from training.simulators import make_simulator


def level(batch: int = 1) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(batch, 3) for name in (POSITION, VELOCITY, RATES)} | {ORIENTATION: torch.tensor([[1.0, 0, 0, 0]] * batch)}


def asked(goal: list[float], velocity: list[float], acceleration: list[float]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([value]) for name, value in zip((GOAL, GOAL_VELOCITY, GOAL_ACCELERATION), (goal, velocity, acceleration))}


def test_equations_by_hand() -> None:
    """Level at rest, the reference 0.1 m ahead along x, at 0.2 m/s along y, accelerating by 1 m/s² upward."""
    law = GeometricTrack(Track(), gains=TrackGains(position=5.0, velocity=3.0, attitude=7.0))
    actuation = law(level(), asked([0.1, 0.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.0, 1.0]), law.initial_memory(1)).actuation
    wanted = (0.5, 0.6, GRAVITY + 1.0)
    norm = math.hypot(*wanted)
    assert actuation["collective_thrust"].item() == pytest.approx(crazyflie.mass_kg * (GRAVITY + 1.0), rel=1e-5)
    assert actuation["body_rates"][0].tolist() == pytest.approx([-7.0 * 0.6 / norm, 7.0 * 0.5 / norm, 0.0], abs=1e-5)


def test_it_turns_with_a_reference_whose_acceleration_changes() -> None:
    """Acceleration along x that grows by 2 m/s³: once the slope is known, the pitch rate has a share of 2/‖a‖."""
    law = GeometricTrack(Track())
    memory = law.initial_memory(1)
    for step in range(60):
        acceleration = 0.02 * (step - 59)
        output = law(level(), asked([0.0] * 3, [0.0] * 3, [acceleration, 0.0, 0.0]), memory)
        memory = torch.cat([output.memory[:, :1], torch.zeros(1, 4), torch.zeros(1, 13), output.memory[:, 18:]], dim=1)
    assert output.actuation["body_rates"][0].tolist() == pytest.approx([0.0, 2.0 / GRAVITY, 0.0], abs=1e-3)


def test_a_jump_of_the_acceleration_is_not_believed() -> None:
    law = GeometricTrack(Track(), gains=TrackGains(jerk_m_s3=10.0, jerk_s=0.03))
    memory = law(level(), asked([0.0] * 3, [0.0] * 3, [0.0] * 3), law.initial_memory(1)).memory
    jerk = law(level(), asked([0.0] * 3, [0.0] * 3, [4.0, 0.0, 0.0]), memory).memory[0, -3:]
    assert jerk.tolist() == pytest.approx([10.0 * 0.01 / 0.04, 0.0, 0.0], abs=1e-5)


def test_it_follows_the_figure_eight() -> None:
    law = GeometricTrack(Track())
    environment = Environment(law.task, make_simulator("torch", law.task, 8), suite=law.task.suite("full"), seed=5, auto_reset=False)
    sensors, command = environment.reset()
    memory, errors, crashed = law.initial_memory(8), [], torch.zeros(8, dtype=torch.bool)
    for _ in range(environment.episode_steps):
        output = law(sensors, command, memory)
        step = environment.step(output.actuation)
        sensors, command, memory, crashed = step.sensors, step.command, output.memory, crashed | step.terminated
        errors.append(step.tracking_error)
    assert not crashed.any()
    assert law.task.judged(torch.stack(errors)).square().mean(0).sqrt().mean() < 0.12
