"""What holds of every safeguard: an action whatever goes in, finite gradients, safe in float32, the same in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from safety.safeguards import (
    Barrier,
    CertifiedActions,
    Guarded,
    JointLimits,
    OuterLoop,
    OutsideBall,
    Projection,
    RayMask,
    Safeguard,
    Scaled,
    SensedOuterLoop,
)
from safety.safeguards.within import PolytopeSafeguard
from sim.fused.fuse import Fused
from tests.safety.safeguards.systems import certified, every_safeguard, in_onnx, joints, states_in

NAMES = list(every_safeguard())
AGREEMENT = 1e-5


def states_for(safeguard: Safeguard, n: int, seed: int = 0) -> Tensor:
    """States where the guarantee holds, many on the edge of it, ``[n, dim]`` float64."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(k: int) -> Tensor:
        return 2.0 * torch.rand(n, k, generator=generator, dtype=torch.float64) - 1.0

    if isinstance(safeguard, Scaled):
        return states_for(safeguard.safeguard, n, seed)
    if isinstance(safeguard, JointLimits):
        middle, half = 0.5 * (safeguard.high + safeguard.low).double(), 0.5 * (safeguard.high - safeguard.low).double()
        position = middle + half * (1.2 * uniform(len(middle))).clamp(-1.0, 1.0)
        velocity = 2.0 * safeguard.fast.double() * uniform(len(middle))
        viable = safeguard.to(torch.float64).interval(position, velocity)
        return torch.cat([position, torch.clamp(velocity, viable.lower, viable.upper)], 1)
    actions = safeguard.actions if isinstance(safeguard, PolytopeSafeguard) else None
    if isinstance(actions, CertifiedActions):
        return states_in(actions, n, seed)
    if isinstance(actions, OutsideBall):
        direction = torch.nn.functional.normalize(uniform(2), dim=1)
        return actions.obstacle.double() + direction * (actions.radius + (uniform(1)).clamp(min=0.0))
    if isinstance(actions, Barrier):
        return torch.nn.functional.normalize(uniform(2), dim=1) * (1.5 * uniform(1)).clamp(-1.0, 1.0)
    if isinstance(actions, SensedOuterLoop):
        position = uniform(3) * torch.tensor([1.9, 1.9, 1.4], dtype=torch.float64) + torch.tensor([0.0, 0.0, 1.5], dtype=torch.float64)
        return torch.cat([position, torch.zeros_like(position), *_obstacles_beside(actions, uniform)], 1)
    assert isinstance(actions, OuterLoop)
    position = uniform(3) * torch.tensor([1.9, 1.9, 1.4], dtype=torch.float64) + torch.tensor([0.0, 0.0, 1.5], dtype=torch.float64)
    balls, radii = actions.obstacles.double(), actions.radii.double()
    for ball, radius in zip(balls, radii):
        apart = position - ball
        position = ball + apart * (radius / apart.norm(dim=1, keepdim=True)).clamp(min=1.0)
    return position


def _obstacles_beside(actions: SensedOuterLoop, uniform: Callable[[int], Tensor]) -> list[Tensor]:
    """Offset and radius of balls that touch the tube or leave up to a metre."""
    parts = []
    for _ in range(actions.count):
        radius, gap = 0.5 + 0.4 * uniform(1), uniform(1).clamp(min=0.0)
        direction = torch.nn.functional.normalize(uniform(3), dim=1)
        parts += [direction * (radius + gap + actions.tube), radius]
    return parts


def actions_for(safeguard: Safeguard, states: Tensor, k: int, seed: int = 1) -> Tensor:
    """Up to twice what is allowed, every third at a limit."""
    wanted = 4.0 * torch.rand(len(states), k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 2.0
    wanted[::3] = wanted[::3].sign()
    if isinstance(safeguard, JointLimits):
        scale = safeguard.fast.double()
        return states[:, :k] + safeguard.dt * scale * wanted if safeguard.command == "position" else scale * wanted
    return wanted


STRANGE = [0.0, -0.0, 1e-45, 1e-20, 1e-7, 1.0, -1.0, 1e4, 1e12, 3e38, float("inf"), -float("inf"), float("nan")]


@pytest.mark.parametrize("name", NAMES)
def test_an_executable_action_comes_back_whatever_goes_in(name: str):
    safeguard, dim, k = every_safeguard(torch.float32)[name]
    strange = torch.tensor(STRANGE)
    pick = torch.randint(len(strange), (3000, dim + k), generator=torch.Generator().manual_seed(0))
    state, action = strange[pick[:, :dim]].requires_grad_(), strange[pick[:, dim:]].requires_grad_()
    guarded = safeguard(state, action)
    guarded.action.sum().backward()
    for tensor in (guarded.action, guarded.feasible, action.grad, state.grad if state.grad is not None else action):
        assert tensor is action or torch.isfinite(tensor).all()
    if isinstance(safeguard, PolytopeSafeguard):
        assert torch.equal(guarded.action, safeguard.actions.clamp(guarded.action))
    broken = (~torch.isfinite(torch.cat([state, action], 1))).any(1, keepdim=True)
    assert (guarded.feasible[broken] == 0.0).all()
    assert set(guarded.feasible.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("name", NAMES)
def test_safe_states_have_a_safe_action_and_say_so(name: str):
    safeguard, _, k = every_safeguard()[name]
    states = states_for(safeguard, 20_000)
    actions = actions_for(safeguard, states, k)
    guarded = safeguard(states, actions)
    assert (guarded.feasible == 1.0).all()
    assert (guarded.distance > -1e-9).all()
    torch.testing.assert_close(guarded.intervention, (guarded.action - actions).norm(dim=1, keepdim=True))
    again = safeguard(states, guarded.action)
    if "ray" not in name and name != "outer loop":
        assert (again.intervention <= 1e-9).all(), "a projection changes nothing the second time"


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_on_and_off_the_edge(name: str):
    for dtype in (torch.float32, torch.float64):
        safeguard, _, k = every_safeguard(dtype)[name]
        states = states_for(every_safeguard()[name][0], 3000).to(dtype)
        actions = actions_for(safeguard, states.double(), k).to(dtype).requires_grad_()
        guarded = safeguard(states.requires_grad_(), actions)
        (guarded.action.sum() + guarded.distance.sum() + guarded.intervention.sum()).backward()
        for gradient in (states.grad, actions.grad):
            assert gradient is None or torch.isfinite(gradient).all()


@pytest.mark.parametrize("grow", [1.5, 1.0])
@pytest.mark.parametrize("kind", ["linear", "hyperbolic", "projection"])
def test_no_action_of_float32_is_unsafe_in_float64(kind: str, grow: float):
    """100,000 states, a third on the boundary: never where the certificate has slack, and by less than the margin where it has none."""
    exact, single = certified(2, grow=grow), certified(2, grow=grow, dtype=torch.float32)
    safeguard = Projection(single) if kind == "projection" else RayMask(single, kind)  # type: ignore[arg-type]
    states = states_in(exact, 100_000).float()
    actions = actions_for(safeguard, states.double(), 2).float()
    guarded = safeguard(states, actions)
    assert (guarded.feasible == 1.0).all()
    slack = exact(states.double()).slack(guarded.action.double())
    assert (slack >= (0.0 if grow > 1.0 else -single(states).margin.double())).all()
    assert (slack.amin(1) < 1e-5).float().mean() > 0.01, "actions reach the boundary"


@pytest.mark.parametrize("command", ["velocity", "position"])
def test_no_joint_command_of_float32_is_unsafe_in_float64(command: str):
    single, exact = joints(command, torch.float32), joints(command)
    states = states_for(joints(command), 100_000)
    actions = actions_for(single, states, 3).float()
    states = states.float()
    sent = single(states, actions).action.double()
    position, velocity = states.double().chunk(2, 1)
    following = sent if command == "velocity" else (sent - position) / exact.dt
    allowed = exact.interval(position, velocity)
    rounding = 4.0 * torch.finfo(torch.float32).eps * (3.0 / exact.dt if command == "position" else 20.0)  # of the target; of v ± e
    assert (following <= torch.maximum(allowed.upper, allowed.slowest) + rounding).all()
    assert (following >= torch.minimum(allowed.lower, allowed.fastest) - rounding).all()


def inputs_for(name: str) -> tuple[Tensor, Tensor]:
    """Safe states, some on the edge, states far outside, and what is not finite; float32."""
    _, dim, k = every_safeguard()[name]
    inside = states_for(every_safeguard()[name][0], 3000)
    outside = 3.0 * torch.randn(500, dim, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    states = torch.cat([inside, outside])
    actions = actions_for(every_safeguard()[name][0], states, k).float()
    states = states.float()
    states[-5:], actions[-9:-4] = float("nan"), float("inf")
    return states, actions


EXPORTED = {"ray, hyperbolic", "projection, k = 2"}  # an export takes seconds; the rest is in the slow suite


@pytest.mark.parametrize("name", [name if name in EXPORTED else pytest.param(name, marks=pytest.mark.slow) for name in NAMES])
def test_onnx_runtime_computes_what_torch_computes(name: str):
    safeguard, dim, k = every_safeguard(torch.float32)[name]
    session = in_onnx(safeguard, dim, k)
    states, actions = inputs_for(name)
    with torch.no_grad():
        expected = safeguard(states, actions)
    found = Guarded(*session.run(None, {"state": states.numpy(), "action": actions.numpy()}))
    alike = (found.feasible == expected.feasible.numpy()).all(1)
    assert alike[:3000].all()
    assert alike.mean() > 0.999  # a state on the very edge may be judged otherwise
    for ours, theirs in zip(found, (tensor.numpy() for tensor in expected)):
        assert np.isfinite(ours).all()
        error = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
        assert error[alike].max() <= AGREEMENT
    assert session.run(None, {"state": states[:1].numpy(), "action": actions[:1].numpy()})[0].shape == (1, k)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_one_kernel_with_the_same_gradients(name: str):
    """As training runs it; what cannot be fused would warn, and warnings are errors. Off limits and ties: a kernel takes one slope."""
    safeguard, _, k = every_safeguard()[name]
    states = states_for(safeguard, 100)
    states = states + 1e-3 * torch.rand(states.shape, generator=torch.Generator().manual_seed(3), dtype=states.dtype)
    wanted = 0.97 * actions_for(safeguard, states, k)
    found = []
    for run in (safeguard, Fused(safeguard, name)):
        state, action = states.clone().requires_grad_(), wanted.clone().requires_grad_()
        guarded: Guarded = run(state, action)
        (guarded.action.sum() + guarded.distance.sum()).backward()
        found.append((guarded, state.grad, action.grad))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-9, atol=1e-9)
    if name != "sensed, ray":  # along a ray, what is not sensed is as near on two axes
        torch.testing.assert_close(found[1][1:], found[0][1:], rtol=1e-9, atol=1e-9)
