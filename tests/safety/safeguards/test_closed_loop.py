"""A million steps of every safeguard without one exit, against actions and disturbances chosen to cause it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from safety.safeguards import CertifiedActions, HalfSpaceProjection, Projection, RayMask, Safeguard
from tests.safety.safeguards.systems import DT, PUSH, SEEKER_DT, SEEKER_PUSH, certified, seeker, states_in

ENVS, STEPS = 2000, 500


def worst(actions: CertifiedActions, following: Tensor) -> Tensor:
    """The face that the next state is closest to ``[n, dim]``."""
    return actions.faces[(following @ actions.faces.mT).argmax(1)]


def exits(safeguard: Safeguard | None, plant: CertifiedActions, steps: int = STEPS, seed: int = 0) -> int:
    """States outside the set, over `ENVS` × ``steps``; half of actions and of disturbances push outwards, the rest is random."""
    random = torch.Generator().manual_seed(seed)
    k = plant.size
    noise = torch.cat([torch.full((k,), DT**2 * PUSH), torch.full((k,), DT * PUSH)]).double()
    states, count = states_in(plant, ENVS), 0
    for _ in range(steps):
        wanted = 2.0 * torch.rand(ENVS, k, generator=random, dtype=torch.float64) - 1.0
        drift, matrix = plant.model.affine(states)
        outward = (worst(plant, drift).unsqueeze(1) @ matrix).squeeze(1).sign()
        wanted[::2] = outward[::2]
        action = wanted
        if safeguard is not None:
            dtype = next(safeguard.buffers()).dtype
            action = safeguard(states.to(dtype), wanted.to(dtype)).action.double()
        following = plant.model(states, action)
        pushed = 2.0 * torch.rand(ENVS, 2 * k, generator=random, dtype=torch.float64) - 1.0
        pushed[: ENVS // 2] = worst(plant, following).sign()[: ENVS // 2]
        states = following + noise * pushed
        count += int((states @ plant.faces.mT > 1.0).any(1).sum())
    return count


def guards(dtype: torch.dtype) -> dict[str, Safeguard]:
    two = certified(2, dtype=dtype)
    return {
        "linear": RayMask(two),
        "hyperbolic": RayMask(two, "hyperbolic"),
        "projection of one": Projection(certified(1, dtype=dtype)),
        "projection of two": Projection(two),
    }


@torch.no_grad()
@pytest.mark.parametrize("name", [*guards(torch.float32), pytest.param("linear, float64", marks=pytest.mark.slow)])
def test_the_certified_set_is_never_left(name: str):
    kind, _, precise = name.partition(", ")
    steps = STEPS // 5 if kind == "projection of two" else STEPS
    assert exits(guards(torch.float64 if precise else torch.float32)[kind], certified(1 if "one" in name else 2), steps) == 0


@torch.no_grad()
@pytest.mark.slow
def test_nor_in_a_million_steps_of_the_projection_of_two():
    assert exits(guards(torch.float32)["projection of two"], certified(2), seed=1) == 0


@torch.no_grad()
@pytest.mark.parametrize("axes", [1, 2])
def test_without_a_safeguard_it_is(axes: int):
    assert exits(None, certified(axes), STEPS // 5) > ENVS


@torch.no_grad()
def collisions(safeguard: Safeguard | None) -> int:
    """Of the seeker with its ball, heading for the middle of it, in half of the environments along its side."""
    ball, random = seeker(), torch.Generator().manual_seed(0)
    angle = 6.2832 * torch.rand(ENVS, 1, generator=random, dtype=torch.float64)
    states, count = ball.obstacle + torch.cat([angle.cos(), angle.sin()], 1) * (ball.radius + 1e-12), 0
    for _ in range(STEPS):
        inward = -torch.nn.functional.normalize(states - ball.obstacle, dim=1)
        sideways = torch.stack([-inward[:, 1], inward[:, 0]], 1)
        wanted = inward.clone()
        wanted[::2] = 0.5 * inward[::2] + sideways[::2]
        dtype = torch.float64 if safeguard is None else next(safeguard.buffers()).dtype
        action = wanted if safeguard is None else safeguard(states.to(dtype), wanted.to(dtype)).action.double()
        pushed = SEEKER_PUSH * inward.sign()
        pushed[: ENVS // 2] = SEEKER_PUSH * (2.0 * torch.rand(ENVS // 2, 2, generator=random, dtype=torch.float64) - 1.0)
        states = states + SEEKER_DT * action + pushed
        count += int(((states - ball.obstacle).norm(dim=1) < ball.radius).sum())
    return count


@pytest.mark.parametrize("kind", [HalfSpaceProjection, RayMask, pytest.param(Projection, marks=pytest.mark.slow)])
def test_the_ball_is_never_entered(kind: type):
    assert collisions(kind(seeker(torch.float32))) == 0


def test_without_a_safeguard_it_is_entered():
    assert collisions(None) > ENVS
