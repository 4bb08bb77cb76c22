"""Gradients through a whole second of flight against finite differences, in double precision: 100 control steps at the default sub-step.

The loss is a random weighting of where every flight is along its way and of everything it ends with. What it depends on (actuation, start,
parameters, wrench) is one vector of factors, in hundredths of each input's size. Every direction and step of the differences is an
environment of one batch. Commands stay off the bounds, motors with two paces keep rising or falling, nobody touches the ground: there the
model has corners, and no derivative for differences to find.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from robots.crazyflie import crazyflie, crazyflie_bare, crazyflie_l2f
from robots.description import GRAVITY, Quadrotor
from sim.quadrotor import QuadrotorSimulator

STEPS = 100
TOLERANCE = 1e-5  # relative, of each directional derivative
SMALLEST = 1e-6  # derivative per hundredth of an input, where the loss is of order 1
STENCIL = {-2: 1.0 / 12.0, -1: -2.0 / 3.0, 1: 2.0 / 3.0, 2: -1.0 / 12.0}  # central, fourth order


@dataclasses.dataclass(frozen=True)
class Flight:
    """What is flown: ``thrust`` over hover on average, ``sweep`` of it from beginning to end, ``spread`` of the commands about that, and
    commanded rates up to ``rate`` [rad/s]. The ``spacing`` of the differences is where round-off and truncation meet: less for unstable
    flight.
    """

    robot: Quadrotor
    mode: str
    height: float = 8.0
    thrust: float = 1.0
    sweep: float = 0.0
    rotors: float = 0.7
    spread: float = 0.05
    rate: float = 0.5
    speed: float = 1.0
    turning: float = 0.5
    offset: float = 5e-4
    wind: float = 1.0
    charge: float = 0.6
    spacing: float = 0.01


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def inputs(f: Flight) -> dict[str, tuple[Tensor, Tensor]]:
    """By name the value of everything the loss depends on and the scale of its variation, ``[width]`` each."""
    weight = f.robot.mass_kg * GRAVITY
    noise = torch.rand(STEPS, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    if f.mode == "ctbr":
        middle, spread = torch.tensor([f.thrust * weight, 0, 0, 0]), torch.tensor([2 * f.spread * weight, *[2 * f.rate] * 3])
    else:
        middle, spread = torch.full((4,), f.thrust * weight / 4), torch.full((4,), 2 * f.spread * weight / 4)
    slope = f.sweep * torch.linspace(-0.5, 0.5, STEPS).unsqueeze(1)
    actuation = (middle * (1.0 + slope) + noise * spread).flatten()
    start = {
        "orientation_base_in_world": torch.tensor([1.0, 0.02, -0.03, 0.1]),
        "angular_velocity_base_in_base": f.turning * random(1, 3),
        "linear_velocity_base_in_world": f.speed * random(2, 3),
        "position_base_in_world": torch.tensor([0.1, 0.2, f.height]),
        "rotor_speeds": torch.full((4,), f.rotors) + 0.02 * random(3, 4),
        "rate_integral": 0.01 * random(4, 3),
    }
    nominal = {name: value[0] for name, value in QuadrotorSimulator(f.robot, 1, dtype=torch.float64).parameters().items()}
    nominal |= {"centre_of_mass": f.offset * random(5, 3), "wind": f.wind * random(6, 3), "action_delay": torch.tensor([0.007])}
    nominal |= {"battery_charge": torch.tensor([f.charge]), "rotor_drag": torch.full((3,), 5e-7)}
    wrench = {"force": 0.01 * weight * random(7, 3), "torque": 1e-7 * random(8, 3)}
    values = {name: value.double() for name, value in ({"actuation": actuation} | start | nominal | wrench).items()}
    widths = {"actuation": spread.repeat(STEPS), "orientation_base_in_world": torch.full((4,), 0.1)}
    return {name: (value, 0.01 * widths.get(name, value.abs().mean().expand(value.shape)).double()) for name, value in values.items()}


def loss(f: Flight, factors: Tensor) -> Tensor:
    """``[n]`` of ``factors`` ``[n, all widths]``."""
    spec, n = inputs(f), len(factors)
    parts = factors.split([len(value) for value, _ in spec.values()], dim=1)
    given = {name: value + part * scale for (name, (value, scale)), part in zip(spec.items(), parts, strict=True)}
    actuation = given.pop("actuation").view(n, STEPS, 4)
    sim = QuadrotorSimulator(f.robot, n, actuation_mode=f.mode, dtype=torch.float64)
    everyone = torch.ones(n, dtype=torch.bool)
    sim.randomize(everyone, {name: given[name] for name in sim.parameters()})
    sim.reset(everyone, {name: given[name] for name in given if name in spec and name in sim.privileged()})
    sim.apply_wrench(given["force"], given["torque"])
    weights, total = random(9, STEPS, 3), torch.zeros(n, dtype=torch.float64)
    for step in range(STEPS):
        sim.step(actuation[:, step])
        total = total + sim.signals()["position_base_in_world"] @ weights[step] / STEPS
    final = sim.privileged()
    end = torch.cat([final[name] for name in sorted(final) if name != "ground_contact"], dim=1)
    assert not final["ground_contact"].any()
    assert end.shape[1] == 25
    return total + end @ random(10, end.shape[1])


def directions(f: Flight) -> Tensor:
    """Random ones over everything, over every input by itself, and single coordinates of actuation along the way, ``[m, all widths]``."""
    widths = {name: len(value) for name, (value, _) in inputs(f).items()}
    rows, total, begin = [random(20 + k, sum(widths.values())) for k in range(4)], sum(widths.values()), 0
    for k, width in enumerate(widths.values()):
        row = torch.zeros(total, dtype=torch.float64)
        row[begin : begin + width] = random(40 + k, width)
        rows.append(row)
        begin += width
    single = torch.eye(total, dtype=torch.float64)[[0, 1, 2, 3, 101, 202, 303, 360, 377, 383, *range(4 * STEPS, 4 * STEPS + 20)]]
    return torch.cat((torch.stack(rows), single))


def worst(f: Flight) -> float:
    """Largest relative error of a directional derivative, of `SMALLEST` at least: what a mode ignores has none."""
    along = directions(f)
    at = torch.zeros(1, along.shape[1], dtype=torch.float64, requires_grad=True)
    loss(f, at).sum().backward()
    assert at.grad is not None
    derivative = along @ at.grad[0]
    with torch.no_grad():
        steps = torch.tensor(list(STENCIL), dtype=torch.float64).view(-1, 1, 1)
        values = loss(f, (f.spacing * steps * along).flatten(0, 1)).view(len(STENCIL), -1)
    difference = (torch.tensor(list(STENCIL.values()), dtype=torch.float64) @ values) / f.spacing
    return float(((derivative - difference).abs() / difference.abs().clamp(min=SMALLEST)).max())


GENTLE = {"spread": 0.01, "rate": 0.05, "speed": 0.1, "turning": 0.02, "offset": 2e-6, "wind": 0.3}
FLIGHTS = {
    "ctbr": Flight(crazyflie, "ctbr", spacing=0.05),
    "rotor_thrusts": Flight(crazyflie, "rotor_thrusts"),
    "slow_motors_rising": Flight(crazyflie_l2f, "rotor_thrusts", sweep=0.5, rotors=0.6, spread=1e-3, offset=5e-5),
    "slow_motors_falling": Flight(crazyflie_l2f, "rotor_thrusts", sweep=-0.5, rotors=0.95, spread=1e-3, offset=5e-5),
    "ground_effect_ctbr": Flight(crazyflie, "ctbr", height=0.15, spacing=0.05, **GENTLE),
    "ground_effect_rotor_thrusts": Flight(crazyflie, "rotor_thrusts", height=0.15, **GENTLE),
    "bound_by_the_battery": Flight(crazyflie_bare, "rotor_thrusts", thrust=2.3, charge=0.3),
}


@pytest.mark.parametrize("name", FLIGHTS)
def test_gradient_of_a_second(name: str) -> None:
    assert worst(FLIGHTS[name]) < TOLERANCE
