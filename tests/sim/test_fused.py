"""Fused kernels against the eager functions they are made of: values, gradients, and what happens when there is no kernel."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from sim.fused import build, fuse
from sim.fused.fuse import Fused, Update
from sim.fused.kernel import Kernel
from sim.fused.source import BLOCK, backward, forward
from sim.fused.structure import flatten, maker, taker, unflatten

COUNT = 3 * BLOCK + 5  # with a last block that overlaps


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this module's own, so that every kernel is compiled here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TETHER_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv(fuse.SWITCH, raising=False)
        yield build.cache_directory()


def tensors(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(COUNT, *shape, generator=generator, dtype=dtype) for shape in shapes]


def kernels(fused: Fused) -> int:
    """How many kernels it has made."""
    return sum(plan is not None for plan in fused._plans.values())


def compare(function: Callable[..., Any], *args: Tensor, rtol: float = 1e-10, **options: Any) -> None:
    """Values and gradients of every argument."""
    fused = Fused(function, "test", **options)
    ours, theirs = ([arg.clone().requires_grad_(arg.is_floating_point()) for arg in args] for _ in range(2))
    found, expected = fused(*ours), fused.eager(*theirs)
    assert kernels(fused) == 1, "it ran eagerly"
    torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol)
    weight = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(1)).to(expected.device)
    for result in (found, expected):
        (result * weight).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        expected = torch.zeros_like(mine) if other.grad is None else other.grad
        torch.testing.assert_close(mine.grad, expected, rtol=rtol, atol=rtol)


POINTWISE: dict[str, Callable[..., Tensor]] = {
    "arithmetic": lambda x, y: (x + 2.0) * y - x / (y.square() + 1.0) + 3.0 / (x.square() + 1.0) - (1.0 - y),
    "add_alpha": lambda x, y: torch.add(x, y, alpha=0.3) + torch.sub(x, y, alpha=2.0),
    "addcmul": lambda x, y: torch.addcmul(x, x, y, value=-1.0),
    "logs": lambda x, y: x.square().log() + torch.log(y.abs() + 0.1) * (3.0 * x).floor(),
    "roots": lambda x, y: x.abs().sqrt() + (y.square() + 1.0).rsqrt() + (x.square() + 1.0).reciprocal(),
    "waves": lambda x, y: torch.sin(3.0 * x) + y.cos() * torch.tanh(x) + torch.sigmoid(y) + (x * 0.5).exp(),
    "clamp": lambda x, y: x.clamp(-0.5, 0.5) + y.clamp(min=0.1) + torch.clamp(x * y, max=y),
    "extremes": lambda x, y: torch.minimum(x, y) - 2.0 * torch.maximum(x, y * 0.5) + x.abs(),
    "where": lambda x, y: torch.where(x < y, x.square(), y * 2.0) + torch.where((x > 0.3) & ~(y >= 0.0) | (x < -1.0), 0.0, y),
    "booleans_count": lambda x, y: -3.0 * (x > 0.0) * y + (x <= y),
    "powers": lambda x, y: x**2 + y.abs() ** 0.5,
    "detach": lambda x, y: x * y.detach() + y,
    "isfinite": lambda x, y: torch.where(torch.isfinite(x / (x - x)), x, y),
    "products": lambda x, y: torch.cat(
        [(x[:, :1] * MATRIX[0, 0].to(x.device) + y) @ MATRIX.to(x.device), torch.bmm(x.unsqueeze(1), y.unsqueeze(2))[:, 0]], dim=1
    ),
    "axes": lambda x, y: torch.stack([x.sum(1), (x * y).mean(1), x.amax(1), y.amin(1), (x - y).norm(dim=1)], dim=1),
    "views": lambda x, y: torch.cat(
        [x.unsqueeze(2).expand(-1, -1, 2).flatten(1), *y.split([1, 2], dim=1), x.reshape(-1, 3, 1)[:, 1]], dim=1
    ),
    "norm_of_nothing": lambda x, y: torch.linalg.vector_norm(x.clamp(min=0.0), dim=1, keepdim=True) * y,
    "places": lambda x, y: y.gather(1, x.argmax(1, keepdim=True)) * x.gather(1, y.argmin(1, keepdim=True).expand(-1, 2)),
    "rows": lambda x, y: (
        torch.outer(MATRIX[0].to(x.device), MATRIX[1].to(x.device))
        .expand(x.shape[0], 3, 3)
        .gather(1, (x * y).argmax(1).unsqueeze(1).unsqueeze(2).expand(-1, 1, 3))[:, 0]
        * x
    ),
    "cross": lambda x, y: torch.linalg.cross(x, y, dim=1) + torch.diff(torch.cat([x, y], dim=1), dim=1)[:, :3],
    "all_any": lambda x, y: torch.where((x > 0).all(1, keepdim=True) | (y > 1.0).any(1, keepdim=True), x, y),
}
MATRIX = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.5, 0.0], [0.0, 0.0, 3.0]], dtype=torch.float64)


@pytest.mark.parametrize("name", POINTWISE)
def test_every_operation_equals_torch(name: str) -> None:
    compare(POINTWISE[name], *tensors((3,), (3,)))


@pytest.mark.parametrize("name", ["waves", "logs", "roots", "clamp", "where"])
def test_single_precision(name: str) -> None:
    """The kernel's own exp, sin, cos and tanh among others."""
    compare(POINTWISE[name], *tensors((3,), (3,), dtype=torch.float32), rtol=3e-6)


def test_elementary_functions_far_out() -> None:
    x = torch.linspace(-85.0, 85.0, 4001).unsqueeze(1)
    fused = Fused(lambda x: torch.cat([x.exp(), x.sin(), x.cos(), x.tanh()], dim=1), "elementary")
    exp, sin, cos, tanh = fused(x).unbind(1)
    wide = x[:, 0].double()
    torch.testing.assert_close(exp.double(), wide.exp(), rtol=1e-6, atol=1e-38)
    for found, expected in ((sin, wide.sin()), (cos, wide.cos()), (tanh, wide.tanh())):
        torch.testing.assert_close(found.double(), expected, rtol=0.0, atol=3e-7)


def test_what_is_not_a_number_stays_so() -> None:
    x = torch.tensor([[torch.nan, torch.inf, -torch.inf]]).repeat(BLOCK, 1)
    fused = Fused(lambda x: (x.clamp(-1.0, 1.0), torch.exp(x), torch.isfinite(x), x <= 1.0, x.sum(1)), "nan")
    for found, expected in zip(fused(x), fused.eager(x), strict=True):
        torch.testing.assert_close(found, expected, equal_nan=True)


class Pair(NamedTuple):
    """A structure of tensors."""

    a: Tensor
    b: Tensor


def test_structures_constants_and_broadcasting() -> None:
    x, y = tensors((2, 2), (3,))
    one = torch.randn(1, 3, dtype=torch.float64, requires_grad=True)

    def function(pair: Pair, more: dict[str, Any], scale: float, nothing: None) -> dict[str, Any]:
        return {"sum": Pair(pair.a.flatten(1) * scale, pair.b + more["one"]), "big": more["mask"] & (pair.b[:, 0] > 0.0)}

    fused = Fused(function, "structures")
    args = (Pair(x, y), {"one": one, "mask": torch.arange(COUNT) % 2 == 0}, 2.5, None)
    found, expected = fused(*args), fused.eager(*args)
    assert isinstance(found["sum"], Pair)
    torch.testing.assert_close(found["sum"].a, expected["sum"].a)
    torch.testing.assert_close(found["sum"].b, expected["sum"].b)
    assert found["big"].dtype == torch.bool
    assert torch.equal(found["big"], expected["big"])
    gradient = torch.autograd.grad(found["sum"].b.square().sum(), one)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(expected["sum"].b.square().sum(), one)[0])
    fused(Pair(x, y), args[1], 3.5, None)
    assert kernels(fused) == 2, "another number is another kernel"


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_repeated_steps(steps: int) -> None:
    """Carry, inputs of each step and constants, and gradients of all three."""

    def advance(carry: tuple[Tensor, Tensor], of_step: tuple[Tensor], constants: tuple[Tensor]) -> tuple[Tensor, Tensor]:
        (x, v), (push,), (stiffness,) = carry, of_step, constants
        v = v + 0.1 * (push - stiffness * torch.sin(x))
        return x + 0.1 * v, v

    generator = torch.Generator().manual_seed(0)
    shapes = ((2, COUNT), (2, COUNT), (steps, 2, COUNT), (1, COUNT))

    def draw() -> list[Tensor]:
        generator.manual_seed(0)
        return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]

    fused = Fused(advance, "steps", batch_axis=-1, steps=steps)
    ours, theirs = draw(), draw()
    found = fused((ours[0], ours[1]), (ours[2],), (ours[3],))
    expected = fused.eager((theirs[0], theirs[1]), (theirs[2],), (theirs[3],))
    assert kernels(fused) == 1
    for result in (found, expected):
        (result[0].square().sum() + result[1].sin().sum()).backward()
    for mine, other in zip((*found, *(t.grad for t in ours)), (*expected, *(t.grad for t in theirs)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_what_is_repeated_within_a_function(steps: int) -> None:
    """Before the loop, in it and after it, with what differs from step to step as an argument and as a constant."""
    table = torch.linspace(0.5, 1.5, steps, dtype=torch.float64).view(-1, 1, 1)

    def advance(carry: tuple[Tensor, Tensor], of_step: tuple[Tensor, Tensor], constants: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        (x, v), (push, scale), (stiffness, damping) = carry, of_step, constants
        v = v + 0.1 * (push * scale - stiffness * torch.sin(x) - damping * damping * v)
        return x + 0.1 * v, v

    inner = Fused(advance, "inner", batch_axis=-1, steps=steps)

    def function(x: Tensor, push: Tensor, parameters: Tensor) -> Tensor:
        stiffness = parameters.exp()
        x, v = inner((x * 2.0, x.square()), (push, table), (stiffness, parameters))
        return torch.cat((x * stiffness, v + parameters, x * v))

    generator = torch.Generator().manual_seed(0)
    shapes = ((2, COUNT), (steps, 2, COUNT), (2, COUNT))
    args = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    compare(function, *args, batch_axis=-1)  # with a kernel of its own between eager functions, the test above is about


def test_feature_major_memory_is_used_as_it_is() -> None:
    fused = Fused(lambda x: x * 2.0, "view")
    result = fused(torch.randn(3, COUNT).t())
    assert result.shape == (COUNT, 3)
    assert result.stride(0) == 1, "what one kernel leaves, the next takes without a copy"


def test_few_environments_run_eagerly() -> None:
    fused = Fused(lambda x: x * 2.0, "few")
    assert torch.equal(fused(torch.ones(BLOCK - 1, 2)), torch.full((BLOCK - 1, 2), 2.0))
    assert kernels(fused) == 0


def test_threads_share_the_environments() -> None:
    x = torch.randn(5000, 3)
    fused = Fused(lambda x: torch.sin(x).sum(1), "threads")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        two = fused(x)
        torch.set_num_threads(1)
        assert torch.equal(two, fused(x))
    finally:
        torch.set_num_threads(before)


# --- when there is no kernel ---


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Nothing warned of and no compiler known yet."""
    monkeypatch.setattr(fuse, "_warned", set())
    build.compiler.cache_clear()
    build._machine.cache_clear()
    yield monkeypatch
    build.compiler.cache_clear()
    build._machine.cache_clear()


def warned(fused: Fused, *args: Tensor) -> list[str]:
    """Warnings of two calls, whose result must be the eager one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            torch.testing.assert_close(fused(*args), fused.eager(*args))
    return [str(warning.message) for warning in caught]


def test_without_a_compiler_one_warning(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh.setenv("PATH", str(tmp_path))
    fresh.delenv("CXX", raising=False)
    x = torch.randn(COUNT, 2)
    messages = warned(Fused(lambda x: x * 2.0, "a"), x) + warned(Fused(lambda x: x * 3.0, "b"), x)
    assert len(messages) == 1
    assert "install g++" in messages[0]


def test_a_compiler_that_fails(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\ncat > /dev/null\necho 'x.cpp:1: error: this machine is odd' >&2\nexit 1\n")
    broken.chmod(0o755)
    fresh.setenv("CXX", str(broken))
    messages = warned(Fused(lambda x: x * 5.0, "a"), torch.randn(COUNT, 2))
    assert len(messages) == 1
    assert "this machine is odd" in messages[0]
    assert not list(build.cache_directory().rglob("*.partial"))


def test_a_cache_that_cannot_be_written(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fresh.setenv("TETHER_CACHE", str(tmp_path / "file"))
    assert len(warned(Fused(lambda x: x * 7.0, "a"), torch.randn(COUNT, 2))) == 1


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: torch.linalg.svd(x)[1], "svd"),
        (lambda x: x * 2.0 if x.sum(1)[0] > 0 else x, "branch"),
        (lambda x: x - x.mean(0, keepdim=True) * 0 + x.cumsum(1), "cumsum"),
        (lambda x: (x * 2.0).t(), "mixes environments"),
    ],
)
def test_functions_that_no_kernel_can_compute(fresh: pytest.MonkeyPatch, function: Callable[[Tensor], Tensor], reason: str) -> None:
    messages = warned(Fused(function, "mine"), torch.rand(COUNT, 2) + 0.1)
    assert len(messages) == 1
    assert "mine" in messages[0]
    assert reason in messages[0]


def test_switched_off(fresh: pytest.MonkeyPatch) -> None:
    fresh.setenv(fuse.SWITCH, "0")
    fused = Fused(lambda x: x * 2.0, "off")
    assert not warned(fused, torch.randn(COUNT, 2))
    assert kernels(fused) == 0


def test_a_kernel_is_compiled_once_for_all_processes(fresh: pytest.MonkeyPatch) -> None:
    x = torch.randn(COUNT, 2)
    first = Fused(lambda x: x * 11.0 + 1.0, "first")(x)
    fresh.setattr(subprocess, "Popen", lambda *args, **kwargs: pytest.fail("compiled again"))
    assert torch.equal(Fused(lambda x: x * 11.0 + 1.0, "second")(x), first)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
def test_the_same_text_is_cuda(tmp_path: Path) -> None:
    fused = Fused(POINTWISE["waves"], "cuda")
    fused(*tensors((3,), (3,), dtype=torch.float32))
    body = next(plan for plan in fused._plans.values() if plan).kernel.body
    for name, text in (("forward", forward(body, "float")), ("backward", backward(body, (0, 1), "double"))):
        (tmp_path / f"{name}.cu").write_text(text)
        done = subprocess.run(
            ["nvcc", "-ptx", f"{name}.cu", "-o", f"{name}.ptx"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert ".entry run" in (tmp_path / f"{name}.ptx").read_text()


# --- updates ---


@pytest.mark.parametrize("count", [2 * BLOCK, 2 * BLOCK + 3])
def test_updates_take_new_values_where_the_mask_is_set(count: int) -> None:
    """In place where whole blocks allow it, else not; the same numbers either way."""
    update = Update(lambda old, x: (old[0] + x, old[1] * 0.0 + 7.0), "update")
    x, mask = torch.rand(count, 2), torch.zeros(count, dtype=torch.bool)
    mask[1], mask[count - 1] = True, True
    old = (torch.rand(2, count).t(), torch.rand(3, count).t())
    before = tuple(part.clone() for part in old)
    expected = update.eager(mask, before, x)
    with torch.no_grad():
        found = update(mask, old, x)
    torch.testing.assert_close(found, expected)
    in_place = count % BLOCK == 0
    assert all((new is part) == in_place for new, part in zip(found, old, strict=True))
    assert all(torch.equal(part, kept) for part, kept in zip(old, before, strict=True)) != in_place


def test_copies_live_until_an_update_has_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    update = Update(lambda old, x: (old[0] + x,), "update")
    old, x = torch.zeros(4, 4 * BLOCK).t(), torch.rand(4 * BLOCK, 4)  # environments of x are not next to each other in memory
    original, others = Kernel.update, []

    def late(*args: Any) -> None:
        others.extend(np.full((4, 4 * BLOCK), np.nan, np.float32) for _ in range(8))  # of memory that was given back
        original(*args)

    monkeypatch.setattr(Kernel, "update", late)
    with torch.no_grad():
        update(torch.ones(4 * BLOCK, dtype=torch.bool), (old,), x)
    assert others
    assert torch.equal(old, x)


def test_updates_leave_memory_alone_while_gradients_are_wanted() -> None:
    update = Update(lambda old, x: (old[0] + x,), "update")
    old, x = torch.rand(2, 2 * BLOCK).t(), torch.rand(2 * BLOCK, 2, requires_grad=True)
    kept = old.clone()
    (new,) = update(torch.arange(2 * BLOCK) < 3, (old,), x)
    assert torch.equal(old, kept)
    new.sum().backward()
    assert x.grad is not None
    assert x.grad.sum() == 6.0


def test_an_update_in_place_does_not_tell_where_the_next_one_writes() -> None:
    """Rows of the old values are as far apart as there are environments; of new ones, a bit further."""
    update = Update(lambda old, x: (old[0] + x,), "update")
    old, x, mask = torch.rand(2, 2 * BLOCK).t(), torch.rand(2 * BLOCK, 2), torch.ones(2 * BLOCK, dtype=torch.bool)
    with torch.no_grad():
        update(mask, (old,), x)
    (new,) = update(mask, (old,), x)
    assert torch.equal(new, old + x)


def test_a_graph_that_needs_what_was_updated_complains() -> None:
    update = Update(lambda old, x: (old[0] + x,), "update")
    double = Fused(lambda a, b: a * b, "product")
    old, weight = torch.rand(2, 2 * BLOCK).t(), torch.rand(2 * BLOCK, 2, requires_grad=True)
    result = double(old, weight).sum()
    with torch.no_grad():
        update(torch.arange(2 * BLOCK) < 3, (old,), torch.ones(2 * BLOCK, 2))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


@pytest.mark.parametrize("count", [1, 3])
def test_few_environments_may_be_padded(count: int) -> None:
    fused = Fused(lambda x, y: {"sum": x.sum(1), "product": x * y}, "padded")
    fused.pads = True
    x, y = torch.randn(count, 4), torch.randn(1, 4)
    torch.testing.assert_close(fused(x, y), fused.eager(x, y))
    assert kernels(fused) == 1
    assert fused(x.clone().requires_grad_(), y)["sum"].requires_grad, "gradients are taken eagerly"


def test_one_row_for_all_is_not_written_over() -> None:
    """The first time what was one row becomes one for each; from then on it is changed in place."""
    update = Update(lambda old, x: (x * 2.0,), "shared")
    mask, x, row = torch.arange(2 * BLOCK) % 2 == 0, torch.rand(2 * BLOCK, 3), torch.zeros(1, 3)
    with torch.no_grad():
        (first,) = update(mask, (row,), x)
        (second,) = update(~mask, (first,), x)
    assert (row == 0.0).all()
    assert second is first
    torch.testing.assert_close(second, x * 2.0)


def test_a_call_remembers_layouts_not_values() -> None:
    fused = Fused(lambda x, y: x * y, "layouts")
    x, y = torch.rand(COUNT, 3), torch.rand(3, COUNT).t()
    for a, b in ((x, y), (x, y), (y, y), (x, x), (x[: 2 * BLOCK], y[: 2 * BLOCK]), (x, y)):
        torch.testing.assert_close(fused(a, b), a * b)
    x.mul_(2.0)
    torch.testing.assert_close(fused(x, y), x * y)
    assert fused(x.clone().requires_grad_(), y).requires_grad
    assert not fused(x, y).requires_grad


def test_what_was_a_leaf_may_be_a_structure_the_next_time() -> None:
    fused = Fused(lambda x, more: x if more is None else x + (more[0] if isinstance(more, tuple) else more["x"]), "structures")
    x = torch.rand(COUNT, 2)
    for more in (None, (x,), {"x": x}, (x, x), None, MappingProxyType({"x": x}), MappingProxyType({"x": x}), {"x": x}):
        torch.testing.assert_close(fused(x, more), fused.eager(x, more))
    assert kernels(fused) == 4


def test_taking_apart_and_putting_together() -> None:
    """What is made for one structure does what is done for any."""

    class Pair(NamedTuple):
        first: Any
        second: Any

    value = ({"a": 1, "b": (2, None, ())}, Pair({}, Pair(3.0, "four")), (5,))
    leaves: list[Any] = []
    structure = flatten(value, leaves)
    assert taker(structure)(value) == leaves == [1, 2, None, 3.0, "four", 5]
    assert maker(structure)(leaves) == unflatten(structure, iter(leaves)) == value
    assert type(maker(structure)(leaves)[1].second) is Pair
    others = [
        ({"a": 1, "b": (2, None, ())}, ({}, Pair(3.0, "four")), (5,)),
        ({"b": 1, "a": (2, None, ())}, Pair({}, Pair(3.0, "four")), (5,)),
        ({"a": 1, "b": (2, None, ())}, Pair({}, Pair(3.0, "four")), (5, 6)),
        ({"a": 1, "b": (2, None, (7,))}, Pair({}, Pair(3.0, "four")), (5,)),
        None,
    ]
    assert [taker(structure)(other) for other in others] == [None] * len(others)


def test_a_rehearsal_runs_eagerly_and_compiles() -> None:
    fused = Fused(lambda x: x * 13.0 + torch.sin(x), "rehearsed")
    x = torch.rand(COUNT, 2)
    with fuse.rehearsal():
        assert torch.equal(fused(x), fused.eager(x))
    assert kernels(fused) == 1
    torch.testing.assert_close(fused(x), fused.eager(x))


# --- on a GPU ---


@pytest.mark.gpu
@pytest.mark.parametrize("name", POINTWISE)
def test_every_operation_on_a_gpu(name: str) -> None:
    compare(POINTWISE[name], *(tensor.cuda() for tensor in tensors((3,), (3,))))


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["waves", "logs", "roots", "clamp", "where"])
def test_single_precision_on_a_gpu(name: str) -> None:
    compare(POINTWISE[name], *(tensor.cuda() for tensor in tensors((3,), (3,), dtype=torch.float32)), rtol=3e-6)


@pytest.mark.gpu
def test_updates_on_a_gpu() -> None:
    update = Update(lambda old, x: (old[0] + x, old[1] * 0.0 + 7.0), "update")
    count = 8 * BLOCK
    x, mask = torch.rand(count, 2).cuda(), (torch.arange(count) % 7 == 0).cuda()
    old = (torch.rand(2, count).cuda().t(), torch.rand(3, count).cuda().t())
    expected = update.eager(mask, tuple(part.clone() for part in old), x)
    with torch.no_grad():
        found = update(mask, old, x)
    torch.testing.assert_close(found, expected)
    assert all(new is part for new, part in zip(found, old, strict=True))


@pytest.mark.gpu
def test_a_cuda_compiler_that_fails(fresh: pytest.MonkeyPatch) -> None:
    def refuse(*args: str) -> None:
        raise RuntimeError("no architecture")

    fresh.setattr(torch.cuda, "_compile_kernel", refuse)
    messages = warned(Fused(lambda x: x * 2.0, "a"), torch.randn(COUNT, 2).cuda())
    assert len(messages) == 1
    assert "no architecture" in messages[0]
