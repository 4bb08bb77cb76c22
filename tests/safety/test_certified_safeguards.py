"""Safeguards around the shipped sets, on the exact maps of `safety.sets.systems`, which are not the safeguards' own code.

States start inside the set; actions are random, or whatever pushes hardest towards the nearest face; disturbances are corners of their box,
random or the worst for that face. Nothing is clamped.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robots.errors import TetherError
from safety.safeguards import Projection, RayMask, Safeguard
from safety.safeguards.certified import certified_actions
from safety.sets import SafeSet, load

ENVS, STEPS = 200, 100  # of each way to act
SYSTEMS = ("pendulum", "planar_quadrotor")


def starts(safe_set: SafeSet, random: np.random.Generator) -> np.ndarray:
    """States in the set ``[ENVS, n]``, half of them on rays to its boundary at 99.9 % of the way."""
    way = random.normal(size=(ENVS, len(safe_set.x0)))
    reach = ((safe_set.h - safe_set.H @ safe_set.x0) / np.maximum(way @ safe_set.H.T, 1e-12)).min(1)
    share = np.where(np.arange(ENVS) % 2 == 0, 0.999, random.random(ENVS))
    states: np.ndarray = safe_set.x0 + way * (reach * share)[:, None]
    return states


def exits(safe_set: SafeSet, guard: Safeguard | None, adverse: bool, seed: int) -> tuple[int, float]:
    """How many of `ENVS` episodes leave the set, and the share of steps in which an action was changed; who left stays where it is."""
    random = np.random.default_rng(seed)
    x, gone, changed = starts(safe_set, random), np.zeros(ENVS, dtype=bool), 0.0
    low, high = safe_set.u_low, safe_set.u_high
    for _ in range(STEPS):
        face = ((x @ safe_set.H.T - safe_set.h) / np.abs(safe_set.h)).argmax(1)
        drift, gain = safe_set.dynamics.affine(x)
        push = np.einsum("en,enk->ek", safe_set.H[face], gain)
        wanted = np.where(push > 0.0, high, low) if adverse else low + (high - low) * random.random((ENVS, len(low)))
        taken = wanted
        if guard is not None:
            with torch.no_grad():
                found = guard(torch.from_numpy(x).float(), torch.from_numpy(wanted).float())
            taken = found.action.double().numpy()
            changed += float((found.intervention > 1e-6).float().mean())
        worst = np.sign(safe_set.H[face]) if adverse else random.choice([-1.0, 1.0], size=x.shape)
        after = drift + np.einsum("enk,ek->en", gain, taken) + worst * safe_set.w_max
        gone |= (after @ safe_set.H.T > safe_set.h).any(1)
        x = np.where(gone[:, None], x, after)
    return int(gone.sum()), changed / STEPS


@pytest.mark.parametrize("kind", ["linear", "hyperbolic", "projection"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_nobody_leaves_a_proved_set(name: str, kind: str) -> None:
    """40,000 steps each; in float32, on the float64 map."""
    actions, safe_set = certified_actions(name), load(name)
    guard: Safeguard = Projection(actions) if kind == "projection" else RayMask(actions, kind)  # type: ignore[arg-type]
    for adverse in (False, True):
        left, changed = exits(safe_set, guard, adverse, seed=1)
        assert left == 0
        assert changed > 0.01, "it never had to do anything"


@pytest.mark.parametrize("name", SYSTEMS)
def test_without_a_safeguard_most_leave(name: str) -> None:
    for adverse in (False, True):
        left, _ = exits(load(name), None, adverse, seed=1)
        assert left > 0.5 * ENVS


def test_the_models_are_those_that_the_sets_were_proved_for() -> None:
    """Torch against numpy, random states and actions of the boxes."""
    random = np.random.default_rng(0)
    for name in SYSTEMS:
        safe_set, model = load(name), certified_actions(name, torch.float64).model
        x = starts(safe_set, random)
        u = random.uniform(safe_set.u_low, safe_set.u_high, (ENVS, len(safe_set.u_low)))
        drift, gain = safe_set.dynamics.affine(x)
        expected = drift + np.einsum("enk,ek->en", gain, u)
        np.testing.assert_allclose(model(torch.from_numpy(x), torch.from_numpy(u)).numpy(), expected, rtol=0.0, atol=1e-12)


def test_sets_of_nothing_known_are_refused() -> None:
    with pytest.raises(TetherError, match=r"unknown safe set 'unicycle'; choose one of: pendulum, planar_quadrotor"):
        certified_actions("unicycle")
