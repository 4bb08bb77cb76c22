"""The geometric controller: its equations by hand, and that it recovers and holds at both rates it ships at."""

from __future__ import annotations

import math

import pytest
import torch

from robots.crazyflie import crazyflie
from robots.description import GRAVITY
from tasks.hover import GOAL, ORIENTATION, POSITION, RATES, VELOCITY, Hover
from training.environment import Environment
from training.geometric_hover import GeometricHover, HoverGains
from training.simulators import make_simulator


def at(position: list[float], orientation: list[float], velocity: list[float]) -> dict[str, torch.Tensor]:
    values = {POSITION: position, ORIENTATION: orientation, VELOCITY: velocity, RATES: [0.0] * 3}
    return {name: torch.tensor([value]) for name, value in values.items()}


def command(law: GeometricHover, sensors: dict[str, torch.Tensor]) -> tuple[float, list[float]]:
    actuation = law(sensors, {GOAL: torch.zeros(1, 3)}, law.initial_memory(1)).actuation
    return actuation["collective_thrust"].item(), actuation["body_rates"][0].tolist()


def test_at_the_goal_it_hovers() -> None:
    thrust, rates = command(GeometricHover(Hover()), at([0.0] * 3, [1.0, 0.0, 0.0, 0.0], [0.0] * 3))
    assert thrust == pytest.approx(crazyflie.mass_kg * GRAVITY, rel=1e-5)
    assert rates == pytest.approx([0.0] * 3, abs=1e-6)


def test_equations_by_hand() -> None:
    """Level, 0.1 m short of the goal along −x and 0.2 m/s along y: a = (0.1 k_p, −0.2 k_v, g)."""
    gains = HoverGains(position=5.0, velocity=3.0, attitude=7.0)
    thrust, rates = command(GeometricHover(Hover(), gains=gains), at([-0.1, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.2, 0.0]))
    wanted = (0.5, -0.6, GRAVITY)
    norm = math.hypot(*wanted)
    assert thrust == pytest.approx(crazyflie.mass_kg * GRAVITY, rel=1e-5)  # a · R ẑ is still g
    assert rates == pytest.approx([7.0 * 0.6 / norm, 7.0 * 0.5 / norm, 0.0], abs=1e-5)


def test_tilted_it_turns_upright_and_lifts_with_what_points_up() -> None:
    """Rolled by 60° about x: the thrust axis leans towards −y, so it turns by −x and thrusts cos 60° of its weight."""
    gains = HoverGains(attitude=5.0)
    roll = math.radians(60)
    thrust, rates = command(
        GeometricHover(Hover(), gains=gains), at([0.0] * 3, [math.cos(roll / 2), math.sin(roll / 2), 0.0, 0.0], [0.0] * 3)
    )
    assert thrust == pytest.approx(crazyflie.mass_kg * GRAVITY * 0.5, rel=1e-4)
    assert rates == pytest.approx([-5.0 * math.sin(roll), 0.0, 0.0], abs=1e-4)


def test_falling_fast_never_wants_thrust_downward() -> None:
    """Rising at 10 m/s with the goal far below, it still points its rotors up."""
    thrust, rates = command(GeometricHover(Hover()), at([0.0, 0.0, 8.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 10.0]))
    assert thrust >= 0.0
    assert rates == pytest.approx([0.0] * 3, abs=1e-6)


@pytest.mark.parametrize("rate_hz", [100.0, 500.0])
def test_recovers_and_holds(rate_hz: float) -> None:
    law = GeometricHover(Hover(), rate_hz)
    environment = Environment(law.task, make_simulator("torch", law.task, 64), suite=law.task.suite("full"), seed=5, auto_reset=False)
    sensors, goal = environment.reset()
    memory, errors, crashed = law.initial_memory(64), [], torch.zeros(64, dtype=torch.bool)
    for _ in range(environment.episode_steps):
        output = law(sensors, goal, memory)
        step = environment.step(output.actuation)
        sensors, memory, crashed = step.sensors, output.memory, crashed | step.terminated
        errors.append(step.tracking_error)
    assert law.task.success(torch.stack(errors), crashed).float().mean() > 0.95


def test_its_rate_is_its_own() -> None:
    task = Hover()
    assert GeometricHover(task, 500.0).task.rate_hz == 500.0
    assert task.rate_hz == 100.0
