"""Projections against what defines a nearest point, and their gradients against the optimality conditions."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards import Projection
from safety.safeguards.certified import certified_actions
from tests.safety.safeguards.systems import Fixed, certified, random_polytopes, states_in
from tests.safety.safeguards.test_ray_mask import square


def asked(n: int, k: int, seed: int = 1) -> Tensor:
    return 2.0 * torch.rand(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1.0


def with_box(polytopes: Fixed) -> tuple[Tensor, Tensor]:
    n, _, k = polytopes.normals.shape
    box = torch.eye(k, dtype=torch.float64).expand(n, k, k)
    return torch.cat([polytopes.normals, box, -box], 1), torch.cat([polytopes.bounds, torch.ones(n, 2 * k, dtype=torch.float64)], 1)


def corners(normals: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor]:
    """All intersections of two lines ``[n, pairs, 2]``, and which of them are corners of the polygon."""
    first, second = torch.tensor(list(itertools.combinations(range(normals.shape[1]), 2))).T
    matrix, right = torch.stack([normals[:, first], normals[:, second]], 2), torch.stack([bounds[:, first], bounds[:, second]], 2)
    crossing = torch.linalg.det(matrix).abs() > 1e-9
    points = torch.linalg.solve(torch.where(crossing[..., None, None], matrix, torch.eye(2, dtype=torch.float64)), right)
    inside = (points @ normals.mT <= bounds.unsqueeze(1) + 1e-9).all(2)
    return points, crossing & inside


def test_one_action_is_clipped_to_the_interval():
    polytopes, wanted = random_polytopes(200, 6, 1), asked(200, 1)
    found = Projection(polytopes)(wanted, wanted).action
    grid = torch.linspace(-1.0, 1.0, 4001, dtype=torch.float64)
    safe = (polytopes.normals[:, :, 0].unsqueeze(2) * grid <= polytopes.bounds.unsqueeze(2)).all(1)
    distance = torch.where(safe, (grid - wanted).abs(), 9.0).amin(1, keepdim=True)
    assert ((found - wanted).abs() - distance).abs().max() <= 0.5e-3


@pytest.mark.parametrize(("m", "n"), [(1, 2000), (3, 2000), (8, 2000), (20, 2000), (64, 100)])
def test_two_actions_satisfy_the_variational_inequality(m: int, n: int):
    """u is the nearest point of a convex set to a, and only it, iff (a − u)·(y − u) ≤ 0 for every y in it: for a polygon, every corner."""
    polytopes, wanted = random_polytopes(n, m, 2, seed=m), asked(n, 2)
    found = Projection(polytopes)(wanted, wanted).action
    normals, bounds = with_box(polytopes)
    assert ((normals * found.unsqueeze(1)).sum(2) <= bounds + 1e-13).all()
    points, is_corner = corners(normals, bounds)
    assert is_corner.any(1).all()
    turn = ((wanted - found).unsqueeze(1) * (points - found.unsqueeze(1))).sum(2)
    assert torch.where(is_corner, turn, -1.0).max() < 1e-12
    moved = (found - wanted).norm(dim=1) > 0.0
    assert torch.equal(moved, ((normals * wanted.unsqueeze(1)).sum(2) > bounds).any(1)), "identity inside, and only there"


def test_float32_is_as_exact_as_float32_is():
    polytopes, wanted = random_polytopes(5000, 20, 2), asked(5000, 2)
    single = Fixed(polytopes.normals.float(), polytopes.bounds.float(), polytopes.centre.float())
    exact = Projection(Fixed(single.normals.double(), single.bounds.double(), single.centre.double()))
    found = Projection(single)(wanted.float(), wanted.float()).action.double()
    assert (found - exact(wanted, wanted.float().double()).action).abs().max() < 1e-7


def test_the_gradient_projects_onto_what_the_active_faces_leave_free():
    corner = square(0.5, 0.5, 0.25, 0.25)
    state = torch.zeros(1, 1, dtype=torch.float64)
    for wanted, free in (([0.2, 0.1], [1, 1]), ([0.9, 0.1], [0, 1]), ([0.2, -0.8], [1, 0]), ([0.9, 0.9], [0, 0])):
        action = torch.tensor([wanted], dtype=torch.float64)
        slope = torch.autograd.functional.jacobian(lambda a: Projection(corner)(state, a).action, action)[0, :, 0]
        torch.testing.assert_close(slope, torch.diag(torch.tensor(free, dtype=torch.float64)))
    on_the_face = torch.tensor([[0.5, 0.1]], dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(lambda a: Projection(corner)(state, a).action, on_the_face)[0, :, 0]
    torch.testing.assert_close(slope, torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize("axes", [1, 2])
def test_gradients_are_those_of_finite_differences(axes: int):
    """Through the faces, which move with the state, too."""
    projection = Projection(certified(axes))
    states, actions = 0.97 * states_in(certified(axes), 90)[:30], 0.95 * asked(30, axes)

    def through(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        guarded = projection(state, action)
        return guarded.action, guarded.distance, guarded.intervention

    assert (projection(states, actions).intervention > 0.0).float().mean() > 0.05
    assert torch.autograd.gradcheck(through, (states.requires_grad_(), actions.requires_grad_()), eps=1e-7, atol=1e-5)


def test_gradients_of_faces_and_bounds_are_those_of_finite_differences():
    polytopes, wanted = random_polytopes(20, 6, 2, seed=5), asked(20, 2, seed=6)

    def through(normals: Tensor, bounds: Tensor, action: Tensor) -> Tensor:
        return Projection(Fixed(normals, bounds, polytopes.centre))(action, action).action

    inputs = [tensor.clone().requires_grad_() for tensor in (polytopes.normals, polytopes.bounds, wanted)]
    assert torch.autograd.gradcheck(through, inputs, eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_doubled_parallel_and_empty_faces_do_no_harm(dtype: torch.dtype):
    polytopes, wanted = random_polytopes(500, 5, 2), asked(500, 2)
    rows, bounds = polytopes.normals, polytopes.bounds
    rounded = Fixed(rows.to(dtype).double(), bounds.to(dtype).double(), polytopes.centre.to(dtype).double())
    once = Projection(rounded)(wanted, wanted.to(dtype).double()).action
    more = torch.cat([rows, rows, 3.0 * rows, rows, 0.0 * rows], 1), torch.cat([bounds, bounds, 3.0 * bounds, bounds + 0.1, 0 * bounds], 1)
    again = Fixed(*(tensor.to(dtype).requires_grad_() for tensor in more), polytopes.centre.to(dtype))
    found = Projection(again)(wanted.to(dtype), wanted.to(dtype)).action
    torch.testing.assert_close(found.double(), once, atol=1e-10 if dtype == torch.float64 else 1e-5, rtol=0.0)
    found.sum().backward()
    assert torch.isfinite(again.normals.grad).all()
    assert torch.isfinite(again.bounds.grad).all()


def test_three_actions_are_refused_with_a_word_on_what_to_do():
    with pytest.raises(TetherError, match=r"1 or 2 actions, not for 3: use RayMask.*HalfSpaceProjection"):
        Projection(random_polytopes(1, 4, 3))


def test_two_edges_are_enough_for_the_shipped_set():
    """States on the boundary, actions at the corners and anywhere: the same with twice as many."""
    actions = certified_actions("planar_quadrotor", torch.float64)
    generator = torch.Generator().manual_seed(0)
    way = torch.randn(5000, 6, generator=generator, dtype=torch.float64)
    state = 0.9999 * way / (way @ actions.faces.mT).amax(1, keepdim=True)
    wanted = asked(5000, 2)
    wanted[::3] = wanted[::3].sign()
    few, many = (Projection(actions, edges=edges)(state, wanted) for edges in (2, 8))
    assert (many.intervention > 0.0).any()
    torch.testing.assert_close(few.action, many.action, rtol=0.0, atol=1e-12)
