"""Joint limits: kept from every viable state whatever is asked, and not tighter than they must be."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards import JointLimits
from tests.safety.safeguards.systems import joints

LIMITS = st.fixed_dictionaries(
    {
        "lower": st.floats(-3.0, -0.05),
        "upper": st.floats(0.05, 3.0),
        "velocity": st.floats(0.1, 30.0),
        "acceleration": st.floats(0.5, 300.0),
        "dt": st.sampled_from([0.002, 0.01, 0.02, 0.05]),
    }
)


def stopping_distance(velocity: float, step: float, dt: float) -> float:
    """Braking literally, the first step at ``velocity``."""
    way = 0.0
    while velocity > 0.0:
        way += dt * velocity
        velocity -= step
    return way


@settings(max_examples=200, deadline=None)
@given(fraction=st.floats(0.0, 1.0), acceleration=st.floats(1.0, 300.0), dt=st.sampled_from([0.002, 0.02, 0.05]))
def test_the_fastest_stoppable_velocity_is_the_inverse_of_braking(fraction: float, acceleration: float, dt: float):
    velocity = fraction * 200 * acceleration * dt  # up to 200 braking steps
    way = stopping_distance(velocity, acceleration * dt, dt)
    guard = JointLimits([-1.0], [1.0], [10.0], [acceleration], dt, dtype=torch.float64)
    found = guard.stoppable(torch.tensor([[way]], dtype=torch.float64)).item()
    assert found == pytest.approx(velocity, rel=1e-8, abs=1e-12)


def roll(guard: JointLimits, wanted: Tensor, position: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Positions, velocities and least feasibility along actions ``[steps, n, joints]``, of an exact joint read in the guard's precision."""
    dtype, places, speeds, feasible = guard.low.dtype, [position], [velocity], torch.ones(len(position), 1, dtype=guard.low.dtype)
    for action in wanted:
        guarded = guard(torch.cat([position, velocity], 1).to(dtype), action.to(dtype))
        sent = guarded.action.double()
        velocity = sent if guard.command == "velocity" else (sent - position) / guard.dt
        position = position + guard.dt * velocity
        feasible = torch.minimum(feasible, guarded.feasible)
        places.append(position)
        speeds.append(velocity)
    return torch.stack(places), torch.stack(speeds), feasible


@settings(max_examples=30, deadline=None)
@given(limits=LIMITS, seed=st.integers(0, 1000), single=st.booleans(), command=st.sampled_from(["velocity", "position"]))
@torch.no_grad()
def test_limits_hold_for_ever_from_any_viable_state(limits: dict[str, float], seed: int, single: bool, command: str):
    """Half of the joints are pushed to one end all the time, so that they brake at the last moment; the rest is asked anything."""
    dtype = torch.float32 if single else torch.float64
    box = {name: [limits[name]] for name in ("lower", "upper", "velocity", "acceleration")}
    guard = JointLimits(**box, dt=limits["dt"], command=command, dtype=dtype)  # type: ignore[arg-type]
    random = torch.Generator().manual_seed(seed)
    n, fast = 64, limits["velocity"]
    place = limits["lower"] + (limits["upper"] - limits["lower"]) * torch.rand(n, 1, generator=random, dtype=torch.float64)
    viable = guard.interval(place.to(dtype), torch.zeros(n, 1, dtype=dtype))
    speed = (viable.lower + (viable.upper - viable.lower) * torch.rand(n, 1, generator=random)).double() if single else viable.upper
    wanted = fast * (4.0 * torch.rand(120, n, 1, generator=random, dtype=torch.float64) - 2.0)
    wanted[:, : n // 4], wanted[:, n // 4 : n // 2] = 2.0 * fast, -2.0 * fast
    if command == "position":
        wanted = wanted * limits["dt"] + place
        wanted[:, : n // 4], wanted[:, n // 4 : n // 2] = 10.0, -10.0
    places, speeds, feasible = roll(guard, wanted, place, speed)
    rounding = 4.0 * torch.finfo(dtype).eps * (fast + (3.0 / limits["dt"] if command == "position" else 0.0))
    assert (feasible == 1.0).all()
    assert (places <= limits["upper"] + 1e-12 + limits["dt"] * rounding).all()
    assert (places >= limits["lower"] - 1e-12 - limits["dt"] * rounding).all()
    assert (speeds.abs() <= fast * (1.0 + 2.0 * torch.finfo(dtype).eps) + rounding).all()
    assert ((speeds[1:] - speeds[:-1]).abs() <= limits["acceleration"] * limits["dt"] + rounding).all()


def test_the_interval_is_as_wide_as_it_can_be():
    """A velocity a little above its end does not stop in time, braking as hard as allowed."""
    guard = joints()
    place, velocity = torch.tensor([[1.1, 2.0, 0.35]], dtype=torch.float64), torch.tensor([[1.0, 6.0, 0.4]], dtype=torch.float64)
    top = guard.interval(place, velocity).upper[0]
    for joint, (fastest, step) in enumerate(zip(top.tolist(), guard.step.tolist())):
        room = (guard.high[joint] - place[0, joint]).item()
        assert stopping_distance(fastest, step, guard.dt) <= room
        assert stopping_distance(1.0001 * fastest, step, guard.dt) > room or math.isclose(fastest, guard.fast[joint].item())


def test_outside_it_brakes_as_hard_as_allowed_and_says_so():
    guard = joints()
    state = torch.tensor([[1.3, 0.0, 0.2, 2.0, 0.0, 0.0]], dtype=torch.float64)
    guarded = guard(state, torch.tensor([[3.0, 0.0, 0.0]], dtype=torch.float64))
    assert guarded.feasible.item() == 0.0
    assert guarded.distance.item() < 0.0
    assert guarded.action[0, 0].item() == pytest.approx(2.0 - 15.0 * 0.02)


def test_gradients_are_those_of_finite_differences():
    guard = joints()
    random = torch.Generator().manual_seed(3)
    place = guard.low + (guard.high - guard.low) * torch.rand(20, 3, generator=random, dtype=torch.float64)
    asked = 2.0 * guard.fast * (2.0 * torch.rand(20, 3, generator=random, dtype=torch.float64) - 1.0)
    state = torch.cat([place, torch.zeros_like(place)], 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, a: guard(x, a)[:2], (state, asked.requires_grad_()), eps=1e-8, atol=1e-4)


def test_a_tube_tightens_and_impossible_limits_are_refused():
    assert JointLimits([-1.0], [1.0], [1.0], [9.0], 0.02, tube=0.1).high.item() == pytest.approx(0.9)
    for changes, message in (
        ({"upper": [-1.0]}, "joint 0 needs upper > lower"),
        ({"velocity": [0.0]}, "joint 0 needs velocity > 0"),
        ({"acceleration": [1e-6]}, "needs acceleration · dt > rounding"),
        ({"command": "torque"}, "position, velocity"),
    ):
        given = {"lower": [-1.0], "upper": [1.0], "velocity": [1.0], "acceleration": [9.0], "dt": 0.02}
        with pytest.raises(TetherError, match=message):
            JointLimits(**{**given, **changes})  # type: ignore[arg-type]
