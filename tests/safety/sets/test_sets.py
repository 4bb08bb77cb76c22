"""Shipped sets: proved, not provable when moved, reproduced by their command, and never left in a million adversarial steps."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from robots.errors import TetherError
from safety.sets import SafeSet, load, names
from safety.sets.__main__ import main
from safety.sets.certificate import Certificate, bounding_box, certify, judge_limits
from safety.sets.safe_set import DATA, GAMMA
from safety.sets.synthesis import MAX_FACES, Design, search, synthesise

shipped = pytest.mark.parametrize("name", names())
ENVS, STEPS = 2000, 500  # a million


@cache
def proof(name: str) -> Certificate:
    return certify(load(name))


def refuted(certificate: Certificate) -> list[str]:
    """Inequalities that a state of the set violates, not only those without a proof."""
    return [item.name for item in (*certificate.facets, *certificate.limits) if item.attained < item.required]


def limits(s: SafeSet) -> Certificate:
    """The certificate but for its facets, which take longest."""
    return Certificate((), judge_limits(s, bounding_box(s.polytope)), 0.0)


@shipped
def test_every_shipped_set_is_proved(name):
    certificate = proof(name)
    assert certificate.holds
    assert len(certificate.facets) == len(load(name).h) <= MAX_FACES
    assert all(item.margin <= item.attained for item in certificate.facets)
    assert certificate.worst.margin >= certificate.worst.required > 0.0


@shipped
def test_a_set_two_percent_larger_is_refuted(name):
    """It leaves the state box, and its centre the input box: both are touched, to 1e-4."""
    s = load(name)
    assert bounding_box(s.polytope) == pytest.approx(s.dynamics.box, rel=1e-4)
    assert len(refuted(limits(replace(s, h=1.02 * s.h)))) >= 2 * len(s.x0) + 2


@shipped
def test_a_set_shifted_by_two_percent_of_the_box_is_refuted(name):
    s = load(name)
    for axis, direction in enumerate(np.eye(len(s.x0))):
        for sign in (1.0, -1.0):
            moved = s.polytope.shifted(0.02 * sign * s.dynamics.box * direction)
            assert refuted(limits(replace(s, h=moved.h))), (axis, sign)


@shipped
def test_a_facet_moved_in_by_two_percent_alone_is_refuted(name):
    """What a smaller set can fail by: the step into its tightest facet no longer ends behind it, for the states that step there remain.

    (A smaller copy of the whole set may well be invariant, where the closed loop contracts: the pendulum's is, down to what the disturbance
    alone reaches. The quadrotor's is not: what disturbs its height does not shrink with it.)
    """
    s = load(name)
    h = s.h.copy()
    tightest = int(np.argmin([facet.margin for facet in proof(name).facets]))
    h[tightest] *= 0.98
    assert refuted(certify(replace(s, h=h)))


def test_the_quadrotor_set_two_percent_smaller_is_refuted_and_the_pendulum_set_is_not():
    quadrotor, pendulum = load("planar_quadrotor"), load("pendulum")
    assert refuted(certify(replace(quadrotor, h=0.98 * quadrotor.h)))
    assert certify(replace(pendulum, h=0.98 * pendulum.h)).holds


@shipped
def test_a_copy_smaller_than_what_the_disturbance_reaches_is_refuted(name):
    s = load(name)
    assert refuted(certify(replace(s, h=2e-4 * s.h)))


@shipped
def test_a_larger_disturbance_must_be_declared(name):
    s = load(name)
    assert any(item.startswith("disturbance") for item in refuted(limits(replace(s, w_max=0.98 * s.w_max))))


@shipped
def test_no_proof_without_a_bounded_set_or_with_another_step(name):
    s = load(name)
    assert not certify(replace(s, H=s.H[:2], h=s.h[:2])).holds
    assert "step" in refuted(limits(replace(s, dt=0.02)))


def boundary(s: SafeSet, generator: np.random.Generator) -> np.ndarray:
    """States on the boundary, along random directions of the box, ``[ENVS, n]``."""
    d = generator.normal(size=(ENVS, len(s.x0))) * s.dynamics.box
    return d / (d @ s.H.T / s.h).max(-1, keepdims=True) * (1.0 - 1e-12)


def worst(s: SafeSet, x: np.ndarray, generator: np.random.Generator, step: int) -> np.ndarray:
    """Of w: towards the nearest facet, towards a random one, a random corner, a random point, in turn."""
    after = s.dynamics.step(x, s.centre(x))
    towards = (after @ s.H.T / s.h).argmax(-1) if step % 4 == 0 else generator.integers(len(s.h), size=len(x))
    w = np.sign(s.H[towards]) if step % 4 < 2 else generator.choice((-1.0, 1.0), x.shape)
    return w * s.w_max * (generator.random(x.shape) if step % 4 == 3 else 1.0)


@shipped
def test_a_million_adversarial_steps_never_leave(name):
    s, generator = load(name), np.random.default_rng(0)
    x, exits, closest = boundary(s, generator), 0, np.inf
    for step in range(STEPS):
        if step % 20 == 0:
            x = boundary(s, generator)
        u = s.centre(x)
        exits += int(((u < s.u_low) | (u > s.u_high)).any(-1).sum())
        x = s.dynamics.step(x, u) + worst(s, x, generator, step)
        slack = s.polytope.slack(x).min(-1)
        exits += int((slack < 0.0).sum())
        closest = min(closest, float(slack.min()))
    assert exits == 0
    assert closest >= proof(name).worst.margin - 1e-9
    assert closest < 0.02  # the adversary gets near


@shipped
def test_the_most_extreme_safe_inputs_keep_every_state_inside(name):
    """The safe inputs of a state, taken at their edge along random directions from the centre, under the worst disturbance of a facet."""
    s, generator = load(name), np.random.default_rng(1)
    x = boundary(s, generator)
    for step in range(50):
        drift, gain = s.dynamics.affine(x)
        u = s.centre(x)
        d = generator.normal(size=u.shape)
        room = s.h - np.abs(s.H) @ s.w_max - (drift + (gain @ u[..., None])[..., 0]) @ s.H.T
        assert (room > 0.0).all()
        pace = (gain @ d[..., None])[..., 0] @ s.H.T
        reach = np.where(pace > 0.0, room / np.maximum(pace, 1e-300), np.inf).min(-1)
        edge = np.where(d > 0.0, (s.u_high - u) / np.maximum(d, 1e-300), (s.u_low - u) / np.minimum(d, -1e-300)).min(-1)
        x = s.dynamics.step(x, u + np.minimum(reach, edge)[:, None] * d) + worst(s, x, generator, step % 4 - step % 2)
        assert (s.polytope.slack(x) >= -1e-12).all()


@shipped
def test_float32_slacks_are_within_their_margin(name):
    """And the centre is still seen as safe with two margins taken off, whatever the rounding."""
    s, generator = load(name), np.random.default_rng(2)
    single = np.float32
    x, margin = boundary(s, generator).astype(single), s.float32_margin()
    u = s.u0.astype(single) + (x - s.x0.astype(single)) @ s.K.astype(single).T
    after = s.dynamics.step(x, u).astype(single)
    seen = s.h.astype(single) - after @ s.H.astype(single).T - np.abs(s.H).astype(single) @ s.w_max.astype(single)
    exact = s.h - s.dynamics.step(x.astype(float), u.astype(float)) @ s.H.T - np.abs(s.H) @ s.w_max
    assert seen.dtype == single
    assert (np.abs(seen - exact) <= margin).all()
    assert (seen >= 2.0 * margin).all()
    assert (margin >= GAMMA * s.h).all()


@shipped
def test_the_command_reproduces_the_shipped_file(name, tmp_path, capsys):
    path = tmp_path / "again.json"
    assert main(["synthesise", name, "-o", str(path)]) == 0
    again, stored = json.loads(path.read_text()), json.loads((DATA / f"{name}.json").read_text())
    assert again.keys() == stored.keys()
    for key, value in stored.items():
        assert again[key] == value or np.allclose(again[key], value, rtol=1e-6, atol=1e-9), key
    assert "proved safe" in capsys.readouterr().out


def test_the_check_says_what_fails(tmp_path, capsys):
    s = load("pendulum")
    assert main(["check", "pendulum"]) == 0
    replace(s, h=1.02 * s.h).save(tmp_path / "large.json")
    assert main(["check", str(tmp_path / "large.json")]) == 1
    said = capsys.readouterr().out
    assert "NOT proved safe" in said
    assert "FAILS" in said
    assert main(["check", "unicycle"]) == 2
    assert "pendulum" in capsys.readouterr().err


def test_files_round_trip_and_bad_ones_are_refused(tmp_path):
    s, path = load("pendulum"), tmp_path / "set.json"
    s.save(path)
    assert all(np.array_equal(getattr(load(path), key), getattr(s, key)) for key in ("H", "h", "K", "w_max"))
    replace(s, K=s.K[:, :1]).save(path)
    with pytest.raises(TetherError, match="K must be finite"):
        load(path)
    path.write_text("{}")
    with pytest.raises(TetherError, match="exactly the keys"):
        load(path)


def test_estimation_error_and_delay_shrink_the_set_and_are_proved():
    error, delay = np.array([0.01, 0.05]), 0.001
    s = synthesise("pendulum", estimation_error=error, action_delay_s=delay)
    assert certify(s).holds
    assert 0.8 < s.box_fraction < load("pendulum").box_fraction
    assert (bounding_box(s.polytope) <= s.dynamics.box - error).all()
    _observe(s, np.random.default_rng(3))


def _observe(s: SafeSet, generator: np.random.Generator) -> None:
    """The true system under a late feedback on what an observer sees never leaves the box, nor the estimate the set."""
    plant = s.dynamics
    seen = 0.999 * boundary(s, generator)
    x, before = seen + generator.choice((-1.0, 1.0), seen.shape) * s.estimation_error, s.centre(seen)
    for _ in range(STEPS):
        u = s.centre(seen)
        acting = u + s.action_delay_s / plant.dt * (before - u)
        pushed = generator.choice((-1.0, 1.0), (ENVS, len(plant.disturbance))) * np.array(plant.disturbance) @ plant.position.T
        x, before = plant.step(x, acting) + pushed, u
        seen = x + generator.choice((-1.0, 1.0), x.shape) * s.estimation_error
        assert s.polytope.contains(seen).all()
        assert (np.abs(x) <= plant.box).all()


def test_a_design_that_leaves_nothing_says_so():
    with pytest.raises(TetherError, match="leaves no invariant set"):
        synthesise("pendulum", design=Design(((0.0, 0.0),), (1e-3, 1e-3)))


def test_a_search_never_ends_with_less():
    assert synthesise("pendulum", design=search("pendulum", 2)).box_fraction >= load("pendulum").box_fraction
