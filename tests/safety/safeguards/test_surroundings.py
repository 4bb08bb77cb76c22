"""Velocity set-points among sensed obstacles: the lag's invariant set by hand and in closed loop, and the way back out of a margin."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards import Deflection, RayMask, SensedOuterLoop
from safety.safeguards.within import PolytopeSafeguard
from tests.safety.safeguards.systems import sensed_outer_loop

FAR = [10.0, 0.0, 0.0, 0.0]


def state(position: list[float], velocity: list[float], first: list[float] = FAR, second: list[float] = FAR) -> Tensor:
    return torch.tensor([position + velocity + first + second], dtype=torch.float64)


def guarded(where: Tensor, action: list[float], kind: type[PolytopeSafeguard] = Deflection) -> Tensor:
    return kind(sensed_outer_loop())(where, torch.tensor([action], dtype=torch.float64)).action[0]


def test_towards_a_ball_by_hand() -> None:
    """0.5 m before its tube at 0.3 m/s: h + τ ḣ = 0.5 − 0.4 · 0.3, so α times that is the fastest set-point, over a speed of 2."""
    where = state([0.0, 0.0, 1.5], [0.3, 0.0, 0.0], [1.0, 0.0, 0.0, 0.4])
    for kind in (Deflection, RayMask):
        assert guarded(where, [1.0, 0.0, 0.0], kind)[0].item() == pytest.approx(2.0 * (0.5 - 0.12) / 2.0, rel=1e-5)


def test_a_deflection_slides_where_a_ray_mask_stops() -> None:
    touching = state([1.9, 0.0, 1.5], [0.0, 0.0, 0.0])
    slid, stopped = guarded(touching, [1.0, 1.0, 0.0]), guarded(touching, [1.0, 1.0, 0.0], RayMask)
    torch.testing.assert_close(slid, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(stopped, torch.zeros(3, dtype=torch.float64), atol=1e-5, rtol=0.0)


def test_inside_a_margin_it_goes_back() -> None:
    """0.05 m too close: α times that away, and the promise is not claimed."""
    where = state([0.0, 0.0, 1.5], [0.0, 0.0, 0.0], [0.45, 0.0, 0.0, 0.4])
    found = Deflection(sensed_outer_loop())(where, torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64))
    assert found.action[0, 0].item() == pytest.approx(-2.0 * 0.05 / 2.0, rel=1e-4)
    assert found.feasible.item() == 0.0


def test_what_is_not_sensed_is_no_closer_than_what_is() -> None:
    """Both slots taken, the farther ball 0.3 m off: nowhere does the set-point go farther than 0.3/√3 within 1/α."""
    where = state([0.0, 0.0, 1.5], [0.0, 0.0, 0.0], [0.7, 0.0, 0.0, 0.5], [0.8, 0.0, 0.0, 0.4])
    assert guarded(where, [-1.0, 0.0, 0.0])[0].item() == pytest.approx(-2.0 * 0.3 / math.sqrt(3.0) / 2.0, rel=1e-5)


@pytest.mark.parametrize("kind", [Deflection, RayMask])
def test_nobody_with_that_lag_gets_into_a_margin(kind: type[PolytopeSafeguard]) -> None:
    """The model at 500 Hz, 400 vehicles among two balls under actions that want the worst, for 6 s: by no more than the period's share."""
    dt, count = 0.002, 400
    loop = sensed_outer_loop()
    guard = kind(loop)
    generator = torch.Generator().manual_seed(0)
    balls = torch.tensor([[1.0, 0.2, 1.5, 0.4], [-0.8, -0.3, 1.2, 0.5]], dtype=torch.float64)
    low, size = torch.tensor([0.0, -1.8, 0.2]), torch.tensor([0.3, 3.6, 2.6])
    position = low + size * torch.rand(count, 3, generator=generator, dtype=torch.float64)
    position = position[((balls[:, :3] - position.unsqueeze(1)).norm(dim=2) - balls[:, 3] > 0.11).all(1)]
    velocity, least = torch.zeros_like(position), math.inf
    for step in range(3000):
        sensed = torch.cat([balls[:, :3] - position.unsqueeze(1), balls[:, 3:].expand(len(position), 2, 1)], 2)
        gap = sensed[:, :, :3].norm(dim=2) - balls[:, 3] - loop.tube
        walls = loop.offsets - (loop.faces * position.unsqueeze(1)).sum(2)
        least = min(least, gap.min().item(), walls.min().item())
        if step % 150 == 0:
            wanted = torch.rand(len(position), 3, generator=generator, dtype=torch.float64) * 2.0 - 1.0
            wanted[::2] = sensed[::2, (step // 150) % 2, :3].clamp(-1.0, 1.0)
        action = guard(torch.cat([position, velocity, sensed.flatten(1)], 1), wanted).action
        aim = action * loop.speed
        position = position + dt * velocity
        velocity = velocity + dt * (aim - velocity) / loop.lag_s
    assert least > -0.005
    assert least < 0.05, "the actions did press"


def test_a_lag_longer_than_the_room_to_brake_is_refused() -> None:
    with pytest.raises(TetherError, match="at most 1"):
        SensedOuterLoop([[1.0, 0.0, 0.0]], [1.0], 1, speed=[1.0] * 3, alpha=3.0, lag_s=0.5, tube=0.1)
    with pytest.raises(TetherError, match=r"must be \[3\]"):
        SensedOuterLoop([[1.0, 0.0]], [1.0], 1, speed=[1.0] * 2, alpha=1.0, lag_s=0.5, tube=0.1)


def test_the_promise_has_the_numbers() -> None:
    assert "τ = 0.4 s, tube = 0.1 m, 2 obstacles" in Deflection(sensed_outer_loop()).promise
