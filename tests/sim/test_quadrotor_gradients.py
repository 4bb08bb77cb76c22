"""Gradients through roll-outs against finite differences, in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robots.crazyflie import FAMILY, crazyflie
from robots.description import GRAVITY, Quadrotor
from sim.quadrotor import QuadrotorSimulator

STEPS, ENVS = 2, 2


def rollout(
    robot: Quadrotor, mode: str, height: float, parameters: dict[str, Tensor], start: dict[str, Tensor], actuation: Tensor
) -> Tensor:
    """Everything measurable after a few steps."""
    sim = QuadrotorSimulator(robot, ENVS, actuation_mode=mode, dtype=torch.float64)
    everyone = torch.ones(ENVS, dtype=torch.bool)
    sim.randomize(everyone, parameters)
    sim.reset(everyone, start | {"position_base_in_world": torch.tensor([[0.1, 0.2, height]], dtype=torch.float64).expand(ENVS, 3)})
    for step in range(STEPS):
        sim.step(actuation[step])
    return torch.cat([*sim.signals().values(), sim.privileged()["rotor_speeds"]], dim=1)


def commands(robot: Quadrotor, mode: str) -> Tensor:
    """Around hover, inside the bounds."""
    random = torch.rand(STEPS, ENVS, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    weight = robot.mass_kg * GRAVITY
    if mode == "rotor_thrusts":
        return weight / 4 * (1.0 + 0.3 * random)
    return torch.cat((weight * (1.0 + 0.3 * random[..., :1]), 0.5 * random[..., 1:]), dim=-1)


@pytest.mark.parametrize("robot", FAMILY, ids=lambda robot: robot.name)
@pytest.mark.parametrize("mode", ["ctbr", "rotor_thrusts"])
def test_actuation_and_start(robot: Quadrotor, mode: str) -> None:
    actuation = commands(robot, mode).requires_grad_()
    velocity = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.1, -1.0]], dtype=torch.float64, requires_grad=True)
    rate = torch.tensor([[0.3, -0.2, 0.5], [-1.0, 2.0, 0.7]], dtype=torch.float64, requires_grad=True)
    orientation = torch.tensor([[0.9, 0.1, -0.3, 0.2], [0.7, 0.6, 0.1, -0.2]], dtype=torch.float64, requires_grad=True)

    def flight(a: Tensor, v: Tensor, w: Tensor, q: Tensor) -> Tensor:
        start = {"linear_velocity_base_in_world": v, "angular_velocity_base_in_base": w, "orientation_base_in_world": q}
        return rollout(robot, mode, 20.0, {}, start, a)

    assert torch.autograd.gradcheck(flight, (actuation, velocity, rate, orientation), eps=1e-6, atol=1e-5, rtol=1e-4)


def test_parameters() -> None:
    """Every parameter, the delay included, for gradients through randomisation and identification."""
    template = QuadrotorSimulator(crazyflie, ENVS, dtype=torch.float64).parameters()
    values = {name: value.clone() for name, value in template.items()}
    values["action_delay"] += 0.007
    values["centre_of_mass"] += 0.001
    values["wind"] += 0.5
    values["battery_charge"] -= 0.4
    leaves = [value.requires_grad_() for value in values.values()]
    start = {"angular_velocity_base_in_base": torch.tensor([[0.3, -0.2, 0.5], [-1.0, 2.0, 0.7]], dtype=torch.float64)}

    def flight(*given: Tensor) -> Tensor:
        return rollout(crazyflie, "ctbr", 20.0, dict(zip(values, given, strict=True)), start, commands(crazyflie, "ctbr"))

    # κ, inertia and rotor drag are tiny: a fixed step would cross zero, so they are checked as factors
    scales = [value.detach().abs().clamp(min=1e-3 if name in ("wind", "action_delay") else 1e-9) for name, value in values.items()]
    factors = [(leaf.detach() / scale).requires_grad_() for leaf, scale in zip(leaves, scales, strict=True)]
    assert torch.autograd.gradcheck(
        lambda *f: flight(*(scale * factor for scale, factor in zip(scales, f, strict=True))), factors, eps=1e-6, atol=1e-5, rtol=1e-4
    )


def test_near_the_ground() -> None:
    """Ground effect and contact: hubs 5 mm deep."""
    actuation = commands(crazyflie, "ctbr").requires_grad_()
    start = {"linear_velocity_base_in_world": torch.tensor([[0.2, -0.1, -0.3], [0.1, 0.0, 0.1]], dtype=torch.float64)}
    assert torch.autograd.gradcheck(lambda a: rollout(crazyflie, "ctbr", 0.015, {}, start, a), (actuation,), eps=1e-6, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("thrust", [0.0, 1.0])
def test_gradients_stay_finite_at_the_bounds(thrust: float) -> None:
    """Motors off and everything saturated."""
    actuation = torch.tensor([[thrust * 4 * crazyflie.thrust_max_n, 10.0, 10.0, 4.0]] * ENVS, dtype=torch.float64, requires_grad=True)
    sim = QuadrotorSimulator(crazyflie, ENVS, dtype=torch.float64)
    for _ in range(10):
        sim.step(actuation)
    sim.signals()["position_base_in_world"].sum().backward()
    assert actuation.grad is not None
    assert actuation.grad.isfinite().all()


def test_detach_cuts_the_graph() -> None:
    sim = QuadrotorSimulator(crazyflie, 1)
    actuation = torch.tensor([[0.3, 0.0, 0.0, 0.0]], requires_grad=True)
    sim.step(actuation)
    assert sim.signals()["position_base_in_world"].requires_grad
    sim.detach()
    sim.step(actuation.detach())
    assert not any(signal.requires_grad for signal in sim.privileged().values())
