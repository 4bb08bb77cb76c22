"""Downwash against the published law, its symmetries, its limits, its gradients, and what it does in the engine."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from robots.crazyflie import crazyflie
from robots.description import GRAVITY
from robots.errors import TetherError
from sim.downwash import NARROWEST_M, NEAREST_M, WIDENING, WIDTH_M, downwash, push
from sim.quadrotor import QuadrotorSimulator


def published(below: Tensor, beside: Tensor) -> Tensor:
    width = 0.16 * below - 0.11
    return 2267.18 * (0.0231 / (4.0 * below)) ** 2 * (-0.5 * (beside / width) ** 2).exp()


def pair(below: float, x: float = 0.0, y: float = 0.0) -> Tensor:
    """Forces ``[3, 2]`` on one drone at the origin and on another that much below and beside it."""
    position = torch.tensor([[0.0, x], [0.0, y], [0.0, -below]], dtype=torch.float64)
    return downwash(position.unsqueeze(2))[..., 0]


def test_is_the_published_law_where_that_is_well_behaved() -> None:
    """Within 1 % from 1.07 m below, out to four widths, and on the axis from 0.76 m."""
    below = torch.linspace(1.07, 20.0, 500, dtype=torch.float64).unsqueeze(1)
    beside = torch.linspace(0.0, 4.0, 50, dtype=torch.float64) * (WIDENING * below + WIDTH_M)
    np.testing.assert_allclose(push(below.expand_as(beside), beside.square()), published(below, beside), rtol=0.01)
    axis = torch.linspace(0.76, 20.0, 500, dtype=torch.float64)
    np.testing.assert_allclose(push(axis, torch.zeros_like(axis)), published(axis, torch.zeros_like(axis)), rtol=0.01)


def test_pushes_down_only_whoever_is_below() -> None:
    for force in (pair(1.5, 0.1), pair(0.3), pair(0.01)):
        assert force[:, 0].tolist() == [0.0, 0.0, 0.0]
        assert force[:2, 1].tolist() == [0.0, 0.0]
        assert force[2, 1] < 0.0
    assert pair(0.0, 0.2).abs().max() == 0.0
    assert pair(-1.5, 0.1)[:, 1].tolist() == [0.0, 0.0, 0.0]


def test_is_the_same_from_every_side() -> None:
    around = [pair(1.2, 0.1 * math.cos(angle), 0.1 * math.sin(angle))[2, 1].item() for angle in np.linspace(0.0, 6.0, 13)]
    np.testing.assert_allclose(around, around[0], rtol=1e-12)


def test_is_bounded_and_fades_out_everywhere() -> None:
    """No more than about a Crazyflie's weight, monotonous beside the axis, and gone far away, close below and far beside."""
    below = torch.linspace(-2.0, 30.0, 6401, dtype=torch.float64)
    on_axis = push(below, torch.zeros_like(below))
    assert 0.26 < float(on_axis.max()) < 0.27 < crazyflie.mass_kg * GRAVITY
    assert float(on_axis.diff().abs().max()) < 0.01
    beside = torch.linspace(0.0, 5.0, 501, dtype=torch.float64)
    for height in (0.1, 0.69, 1.5):
        assert bool((push(torch.full_like(beside, height), beside.square()).diff() <= 0.0).all())
    assert pair(1e-3).abs().max() < 1e-5
    assert pair(100.0).abs().max() < 1e-5
    assert pair(1.0, 5.0).abs().max() == 0.0
    assert NEAREST_M > 4 * NARROWEST_M


def test_adds_up_over_all_drones_above() -> None:
    position = torch.tensor([[0.0, 0.1, -0.1, 0.05], [0.0, 0.0, 0.1, 0.0], [3.0, 2.2, 1.5, 0.0]], dtype=torch.float64)
    force = downwash(position.unsqueeze(2))[..., 0]
    for me in range(4):
        alone = sum(downwash(position[:, [me, other]].unsqueeze(2))[:, 0, 0] for other in range(4) if other != me)
        np.testing.assert_allclose(force[:, me], alone, atol=1e-15)


@pytest.mark.parametrize("seed", range(4))
def test_gradients(seed: int) -> None:
    """Five drones in a box of a metre: near, abreast, above and through the width that the published law has not."""
    position = torch.rand(3, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    position[:2] *= 0.2
    assert torch.autograd.gradcheck(downwash, (position.requires_grad_(),), eps=1e-6, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_everywhere(dtype: torch.dtype) -> None:
    lengths = torch.tensor([-1e6, -1.0, 0.0, 1e-12, 0.5, 0.6875, 1.0, 999.0, 1e6], dtype=dtype)
    below, beside = torch.cartesian_prod(lengths, lengths.abs()).unbind(1)
    none = torch.zeros_like(below)
    position = torch.stack((torch.stack((none, beside)), torch.stack((none, none)), torch.stack((below, none))))
    position.requires_grad_()
    force = downwash(position)
    force.sum().backward()
    assert position.grad is not None
    assert bool(force.isfinite().all() & position.grad.isfinite().all())


# --- in the engine ---


def swarm(drones: int, num_envs: int, heights: list[float]) -> QuadrotorSimulator:
    sim = QuadrotorSimulator(crazyflie, num_envs, actuation_mode="rotor_thrusts", drones_per_world=drones, dtype=torch.float64)
    start = torch.tensor([[0.0, 0.0, height] for height in heights], dtype=torch.float64)
    sim.reset(torch.ones(num_envs, dtype=torch.bool), {"position_base_in_world": start})
    return sim


def hover(sim: QuadrotorSimulator, steps: int) -> Tensor:
    """Vertical velocity afterwards ``[num_envs]``."""
    for _ in range(steps):
        sim.step(torch.full((sim.num_envs, 4), crazyflie.mass_kg * GRAVITY / 4, dtype=torch.float64))
    return sim.signals()["linear_velocity_base_in_world"][:, 2]


def test_a_hovering_drone_sinks_below_another_of_its_own_world_only() -> None:
    """Two worlds of two, the second one's drones abreast: F t / m for as long as nobody has moved."""
    sim = swarm(2, 4, [11.5, 10.0, 10.0, 10.0])
    velocity = hover(sim, 5)
    expected = -float(push(torch.tensor(1.5), torch.tensor(0.0))) / crazyflie.mass_kg * 0.05
    np.testing.assert_allclose(velocity, [0.0, expected, 0.0, 0.0], rtol=0.02, atol=1e-9)


def test_an_external_force_adds_to_it() -> None:
    sim = swarm(2, 2, [11.5, 10.0])
    pushed = float(push(torch.tensor(1.5), torch.tensor(0.0)))
    sim.apply_wrench(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, pushed]]), torch.zeros(2, 3))
    np.testing.assert_allclose(hover(sim, 1), 0.0, atol=1e-5)


def test_gradients_pass_between_drones() -> None:
    sim = swarm(2, 2, [11.5, 10.0])
    start = torch.tensor([[0.05, 0.0, 11.5], [0.0, 0.0, 10.0]], dtype=torch.float64, requires_grad=True)
    sim.reset(torch.ones(2, dtype=torch.bool), {"position_base_in_world": start})
    hover(sim, 5)[1].backward()
    assert start.grad is not None
    assert float(start.grad[0, 2]) > 0.0 < float(start.grad[0, 0])
    np.testing.assert_allclose(start.grad[0], -start.grad[1], atol=1e-12)


@pytest.mark.parametrize("drones", [0, 3])
def test_worlds_must_fill_the_environments(drones: int) -> None:
    with pytest.raises(TetherError, match="drones_per_world"):
        QuadrotorSimulator(crazyflie, 4, drones_per_world=drones)
