"""One half-space against the polygon's exact projection, barriers, and the outer loop's room and balls."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards import Barrier, HalfSpaceProjection, OutsideBall, Projection, RayMask
from tests.safety.safeguards.systems import outer_loop, random_polytopes, seeker


def asked(n: int, k: int, seed: int = 1) -> Tensor:
    return 2.0 * torch.rand(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1.0


@pytest.mark.parametrize("k", [1, 2])
def test_the_closed_form_is_the_projection_by_enumeration(k: int):
    polytopes, wanted = random_polytopes(5000, 1, k), asked(5000, k)
    found, exact = HalfSpaceProjection(polytopes)(wanted, wanted), Projection(polytopes)(wanted, wanted)
    torch.testing.assert_close(found.action, exact.action, atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("k", [3, 7])
def test_it_satisfies_the_optimality_conditions_for_any_number_of_actions(k: int):
    """u is optimal iff u = clip(a − μ p) for some μ ≥ 0 and p·u = q, or u = a is safe."""
    polytopes, wanted = random_polytopes(3000, 1, k, seed=2), asked(3000, k)
    found = HalfSpaceProjection(polytopes)(wanted, wanted).action
    normal, bound = polytopes.normals[:, 0], polytopes.bounds
    moved = (found - wanted).abs().amax(1) > 0.0
    assert torch.equal(moved, ((normal * wanted).sum(1, keepdim=True) > bound)[:, 0])
    assert ((normal * found).sum(1, keepdim=True) - bound)[moved].abs().max() < 1e-12
    free = (found.abs() < 1.0 - 1e-12) & (normal.abs() > 1e-6)
    multiplier = torch.where(free, (wanted - found) / normal, 0.0).amax(1, keepdim=True)
    known = moved & free.any(1)
    again = (wanted - multiplier * normal).clamp(-1.0, 1.0)
    assert (again - found)[known].abs().max() < 1e-9


def test_its_gradients_are_those_of_finite_differences():
    ball = HalfSpaceProjection(seeker())
    angle = 6.28 * torch.rand(25, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    states = (ball.actions.obstacle + 1.02 * torch.cat([angle.cos(), angle.sin()], 1)).requires_grad_()
    wanted = (0.9 * asked(25, 2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, a: ball(x, a)[:2], (states, wanted), eps=1e-7, atol=1e-5)


def test_several_half_spaces_are_refused():
    with pytest.raises(TetherError, match="one half-space, not 2"):
        HalfSpaceProjection(random_polytopes(1, 2, 2))(asked(1, 2), asked(1, 2))


def test_a_barrier_keeps_its_inequality_wherever_it_can():
    """h = 1 − x² of ẋ = x + u + w, |w| ≤ 0.1: −2x (x + u) − 0.2 |x| ≥ −2 h."""

    def terms(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return 1.0 - x * x, -2.0 * x * x, -2.0 * x, 0.2 * x.abs()

    guard = HalfSpaceProjection(Barrier(terms, 2.0, [-1.5], [1.5], dtype=torch.float64))
    states = torch.linspace(-1.0, 1.0, 41, dtype=torch.float64).unsqueeze(1)
    guarded = guard(states, states.sign() * 1.5)
    assert (guarded.feasible == 1.0).all()
    assert (-2.0 * states * (states + guarded.action) - 0.2 * states.abs() + 2.0 * (1.0 - states * states) >= -1e-12).all()
    assert guard(2.0 * states[-1:], states[-1:]).feasible.item() == 0.0


def test_a_disturbance_that_outruns_the_actions_is_refused():
    with pytest.raises(TetherError, match=r"0\.1 must exceed .* = 0\.1"):
        OutsideBall([0.0, 0.0], 1.0, dt=0.1, disturbance=[0.08, 0.08], lower=[-1.0, -1.0], upper=[1.0, 1.0])


def test_in_the_ball_it_leaves():
    ball = seeker()
    state = ball.obstacle + torch.tensor([[0.5, 0.0]], dtype=torch.float64)
    for kind in (HalfSpaceProjection, RayMask):
        guarded = kind(ball)(state, torch.tensor([[-1.0, 0.0]], dtype=torch.float64))
        assert guarded.feasible.item() == 0.0
        torch.testing.assert_close(guarded.action, torch.tensor([[1.0, 0.0]], dtype=torch.float64))


@torch.no_grad()
def test_set_points_never_lead_out_of_the_room_or_into_a_ball():
    """ṗ = u held for 1/α at most; half of the vehicles fly at the nearest ball, the others anywhere."""
    loop, random = outer_loop(), torch.Generator().manual_seed(0)
    mask, states = RayMask(loop), torch.tensor([0.0, 0.0, 0.5], dtype=torch.float64).expand(500, 3)
    nearest = 9.0
    for _ in range(200):
        apart = loop.obstacles - states.unsqueeze(1)
        target = apart[torch.arange(500), apart.norm(dim=2).argmin(1)]
        wanted = 4.0 * torch.rand(500, 3, generator=random, dtype=torch.float64) - 2.0
        wanted[::2] = 4.0 * target[::2]
        guarded = mask(states, wanted)
        states = states + guarded.action / loop.alpha
        clearance = torch.cat([loop.offsets - states @ loop.faces.mT, (states.unsqueeze(1) - loop.obstacles).norm(dim=2) - loop.radii], 1)
        assert (guarded.feasible == 1.0).all()
        assert clearance.min() > -1e-12
        nearest = min(nearest, clearance.min().item())
    assert nearest < 1e-3


def test_past_a_face_one_may_return_but_not_go_further():
    mask, state = RayMask(outer_loop()), torch.tensor([[2.05, 0.0, 0.5]], dtype=torch.float64)
    back = mask(state, torch.tensor([[-1.0, 0.0, 0.0]], dtype=torch.float64))
    on = mask(state, torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64))
    assert back.feasible.item() == on.feasible.item() == 0.0
    assert back.action[0, 0].item() == pytest.approx(-1.0)
    assert on.action[0, 0].item() == pytest.approx(0.0, abs=1e-12)
