"""A million steps of every safeguard without one exit, against actions and disturbances chosen to cause it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from safety.safeguards import CertifiedActions, HalfSpaceProjection, Projection, RayMask, Safeguard
from safety.safeguards.certified import certified_actions
from safety.sets.synthesis import synthesise
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
@pytest.mark.parametrize("kind", [RayMask, Projection])
def test_nor_by_estimates_under_a_late_motor_that_the_set_was_made_for(kind: type):
    """Float32 safeguard, estimates at the corners of their error, random actions that push the pendulum out in half of the steps."""
    safe_set = synthesise("pendulum", estimation_error=np.array([0.01, 0.05]), action_delay_s=0.001)
    plant, guard, random = safe_set.dynamics, kind(certified_actions(safe_set)), np.random.default_rng(0)
    way = random.normal(size=(ENVS, 2)) * plant.box
    seen = 0.999 * way / (way @ (safe_set.H / safe_set.h[:, None]).T).max(1, keepdims=True)
    x, before, changed = seen + random.choice((-1.0, 1.0), seen.shape) * safe_set.estimation_error, safe_set.centre(seen), 0.0
    for step in range(STEPS // 2):
        wanted = random.uniform(-1.0, 1.0, (ENVS, 1)) if step % 2 else np.sign(seen[:, 1:])
        guarded = guard(torch.from_numpy(seen).float(), torch.from_numpy(wanted).float())
        action, changed = guarded.action.double().numpy(), changed + float(guarded.intervention.mean())
        late = action + safe_set.action_delay_s / plant.dt * (before - action)
        pushed = random.choice((-1.0, 1.0), (ENVS, 1)) * np.array(plant.disturbance) @ plant.position.T
        x, before = plant.step(x, late) + pushed, action
        seen = x + random.choice((-1.0, 1.0), x.shape) * safe_set.estimation_error
        assert guarded.feasible.all()
        assert safe_set.polytope.contains(seen.astype(np.float32).astype(float), 1e-6).all()
        assert (np.abs(x) <= plant.box).all()
    assert changed / (STEPS // 2) > 0.05


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
