"""Ray masks against the published formulas with lengths found by bisection, their gradients, and their kinks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards import RayMask, regularisation
from tests.safety.safeguards.systems import Fixed, certified, random_polytopes, states_in

SHAPES = ["linear", "hyperbolic"]


def length_to_boundary(inside, direction: np.ndarray) -> float:
    """Bisection."""
    near, far = 0.0, 100.0
    for _ in range(100):
        middle = 0.5 * (near + far)
        near, far = (middle, far) if inside(middle * direction) else (near, middle)
    return near


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_mask_is_the_published_formula(shape: str, k: int):
    polytopes = random_polytopes(40, 10, k)
    actions = 2.0 * torch.rand(40, k, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1.0
    found = RayMask(polytopes, shape)(torch.zeros(40, 1, dtype=torch.float64), actions).action.numpy()
    for normals, bounds, c, a, masked in zip(*(t.numpy() for t in (polytopes.normals, polytopes.bounds, polytopes.centre, actions)), found):
        size = np.linalg.norm(a - c)
        d = (a - c) / size
        box = length_to_boundary(lambda v, c=c: bool((np.abs(c + v) <= 1.0).all()), d)
        safe = length_to_boundary(
            lambda v, c=c, rows=normals, b=bounds: bool((rows @ (c + v) <= b).all() and (np.abs(c + v) <= 1.0).all()), d
        )
        ratio = size / box if shape == "linear" else math.tanh(size / safe) / math.tanh(box / safe)
        np.testing.assert_allclose(masked, c + safe * ratio * d, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_whole_box_is_mapped_into_the_safe_set_and_its_boundary_onto_its_boundary(shape: str):
    polytopes = random_polytopes(5000, 20, 2)
    edge = torch.nn.functional.normalize(torch.randn(5000, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64), math.inf)
    guarded = RayMask(polytopes, shape)(torch.zeros(5000, 1, dtype=torch.float64), edge)
    slack = torch.cat([polytopes(edge).slack(guarded.action), 1.0 - guarded.action, 1.0 + guarded.action], 1).amin(1)
    assert (slack > -1e-14).all()
    assert (slack < 1e-12).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_finite_differences(shape: str):
    """In action and state, of action, distance and intervention."""
    mask = RayMask(certified(2), shape)
    states = 0.9 * states_in(certified(2), 30)[10:]
    actions = 1.9 * torch.rand(20, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64) - 0.95

    def through(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        guarded = mask(state, action)
        return guarded.action, guarded.distance, guarded.intervention

    assert torch.autograd.gradcheck(through, (states.requires_grad_(), actions.requires_grad_()), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_has_full_rank_inside(shape: str):
    polytopes = random_polytopes(200, 20, 2)
    actions = 1.8 * torch.rand(200, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64) - 0.9
    actions.requires_grad_()
    masked = RayMask(polytopes, shape)(torch.zeros(200, 1, dtype=torch.float64), actions).action
    rows = [torch.autograd.grad(masked[:, channel].sum(), actions, retain_graph=True)[0] for channel in range(2)]
    assert (torch.linalg.det(torch.stack(rows, 1)) > (1e-6 if shape == "linear" else 0.0)).all()


SQUARE = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64).unsqueeze(0)


def square(*bounds: float, centre: tuple[float, float] = (0.0, 0.0)) -> Fixed:
    """An upright rectangle within the box ±1."""
    return Fixed(SQUARE, torch.tensor([bounds], dtype=torch.float64), torch.tensor([centre], dtype=torch.float64))


def jacobian(mask: RayMask, action: list[float]) -> Tensor:
    state = torch.zeros(1, 1, dtype=torch.float64)
    found = torch.autograd.functional.jacobian(lambda a: mask(state, a).action, torch.tensor([action], dtype=torch.float64))
    return found[0, :, 0]


HALF = square(0.5, 0.5, 0.5, 0.5)


def test_on_the_kinks_the_gradient_is_what_the_docstring_says():
    identity = torch.eye(2, dtype=torch.float64)
    for shape in SHAPES:
        mask = RayMask(HALF, shape)  # half of the box: the mask is a scaling, a corner of it no kink at all
        slope = jacobian(mask, [0.3, 0.3])
        assert torch.isfinite(slope).all()
        torch.testing.assert_close(jacobian(mask, [0.0, 0.0]), 0.5 * identity)
    torch.testing.assert_close(jacobian(RayMask(HALF), [0.3, 0.3]), 0.5 * identity)
    tall = RayMask(square(0.5, 0.5, 1.0, 1.0))
    right, up = jacobian(tall, [0.4, 0.39]), jacobian(tall, [0.3999, 0.4])
    torch.testing.assert_close(right, torch.tensor([[0.5, 0.0], [0.0, 0.5]], dtype=torch.float64), atol=1e-9, rtol=0.0)
    assert not torch.allclose(right, up, atol=1e-2)
    torch.testing.assert_close(jacobian(RayMask(HALF), [1.0, 0.2]), 0.5 * identity)  # on the box, the gradient of the inside
    torch.testing.assert_close(jacobian(RayMask(HALF), [2.0, 0.2])[:, 0], torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_stay_finite_where_things_vanish(shape: str, dtype: torch.dtype):
    """No slack at the centre, on the box, with the action at, next to and far from it; faces parallel to the ray; faces of length zero."""
    tiny = [0.0, 1e-30, 1e-20, 1e-12, 1e-7, 1e-3, 1.0]
    actions = torch.tensor([[x, y] for x in tiny for y in (*tiny, -1e-12, -1.0)], dtype=dtype)
    for bounds in ([0.0] * 4, [0.0, 1.0, 0.0, 1.0], [1e-30] * 4, [1e-10] * 4):
        for centre in (0.0, 1.0, -1.0):
            middle = torch.full_like(actions, centre)
            rows = torch.cat([SQUARE, 0.0 * SQUARE], 1).to(dtype).expand(len(actions), -1, -1).clone().requires_grad_()
            slack = torch.tensor([*bounds, *bounds], dtype=dtype).expand(len(actions), -1)
            limits = ((rows.detach() * middle.unsqueeze(1)).sum(2) + slack).clone().requires_grad_()
            asked = (middle + actions).clone().requires_grad_()
            guarded = RayMask(Fixed(rows, limits, middle), shape)(actions, asked)
            (guarded.action.sum() + guarded.distance.sum() + guarded.intervention.sum()).backward()
            for tensor in (guarded.action, asked.grad, rows.grad, limits.grad):
                assert torch.isfinite(tensor).all(), (bounds, centre)


def test_gradient_variants():
    state, asked = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([[1.0, 3.0]], dtype=torch.float64, requires_grad=True)
    plain, passed = RayMask(HALF)(state, asked), RayMask(HALF, gradient="pass_through")(state, asked)
    assert torch.equal(plain.action, passed.action)
    assert torch.equal(torch.autograd.grad(passed.action.sum(), asked)[0], torch.ones(1, 2, dtype=torch.float64))
    assert regularisation(plain, asked).item() == pytest.approx(0.1 * (0.5**2 + 2.5**2) / 2)
    assert plain.intervention.item() == pytest.approx(math.hypot(0.5, 2.5))


def test_unknown_variants_are_refused():
    with pytest.raises(TetherError, match="hyperbolic, linear"):
        RayMask(HALF, "cubic")  # type: ignore[arg-type]
    with pytest.raises(TetherError, match="pass_through, plain"):
        RayMask(HALF, gradient="none")  # type: ignore[arg-type]
