"""The one-step maps against their equations, enclosures and bounds against samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robots.errors import TetherError
from safety.sets.systems import SYSTEMS, system

PLANTS = list(SYSTEMS.values())
by_name = pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)


def samples(plant, count=4000, seed=0):
    generator = np.random.default_rng(seed)
    return generator.uniform(-plant.box, plant.box, (count, len(plant.box))), generator.uniform(-1.0, 1.0, (count, len(plant.inputs)))


def test_a_pendulum_step_by_hand():
    theta, rate = 0.7, -1.2
    new_rate = rate + 0.05 * (1.5 * 9.81 * math.sin(theta) + 90.0 * 0.3)
    assert system("pendulum").step(np.array([theta, rate]), np.array([0.3])) == pytest.approx([theta + 0.05 * new_rate, new_rate])


def test_a_quadrotor_step_by_hand():
    x, z, phi, vx, vz, rate = 1.0, -2.0, 0.2, 0.3, -0.4, 0.5
    thrust, tilt = 9.81 + 6.0 / 7.0 * 0.6, math.pi / 12.0 * -0.8
    vx += 0.05 * thrust * math.sin(phi)
    vz += 0.05 * (thrust * math.cos(phi) - 9.81)
    rate += 0.05 * (55.0 * tilt - 70.0 * phi - 17.0 * rate)
    expected = [x + 0.05 * vx, z + 0.05 * vz, phi + 0.05 * rate, vx, vz, rate]
    found = system("planar_quadrotor").step(np.array([1.0, -2.0, 0.2, 0.3, -0.4, 0.5]), np.array([0.6, -0.8]))
    assert found == pytest.approx(expected)


@by_name
@settings(max_examples=60, deadline=None)
@given(st.floats(-1.0, 1.0), st.floats(0.0, 1.0))
def test_enclosures_enclose(plant, start, width):
    high = plant.state_high[plant.curved]
    low = start * high
    x, u = samples(plant, 400)
    x[:, plant.curved] = np.linspace(low, low + width * high, len(x))
    e = plant.enclosure(low, low + width * high)
    exact = plant.drift(x) + (plant.gain(x) @ u[..., None])[..., 0]
    assert (np.abs(exact - x @ e.A.T - u @ e.B.T - e.c) <= e.r + 1e-12).all()


@by_name
def test_enclosures_shrink_to_the_map(plant):
    wide, narrow = plant.enclosure(0.1, 0.2).r, plant.enclosure(0.1, 0.1).r
    assert wide.max() > 0.0
    assert narrow.max() == 0.0


@by_name
def test_slopes_bound_finite_differences(plant):
    x, u = samples(plant)
    low, high = plant.slopes()
    for index, unit in enumerate(np.eye(len(plant.box))):
        ahead, behind = (plant.drift(x + s * unit) + (plant.gain(x + s * unit) @ u[..., None])[..., 0] for s in (1e-6, -1e-6))
        slope = (ahead - behind) / 2e-6
        assert (slope >= low[:, index] - 1e-6).all()
        assert (slope <= high[:, index] + 1e-6).all()


@by_name
def test_terms_and_magnitude_bound_the_map(plant):
    x, u = samples(plant)
    assert (np.abs(plant.step(x, u)) <= plant.magnitude()).all()


@by_name
def test_estimation_error_and_delay_are_covered(plant):
    """What an observer's next estimate and a late action add to a step is within `disturbance_bound`."""
    x, u = samples(plant)
    generator = np.random.default_rng(1)
    error, delay = 0.01 * plant.box, 0.01
    bound = plant.disturbance_bound(error, delay)
    x = 0.99 * x
    seen = x + generator.choice((-1.0, 1.0), x.shape) * error
    before = generator.choice((-1.0, 1.0), u.shape)
    acting = u + delay / plant.dt * (before - u)
    pushed = generator.choice((-1.0, 1.0), (len(x), len(plant.disturbance))) * np.array(plant.disturbance) @ plant.position.T
    estimate = plant.step(x, acting) + pushed + generator.choice((-1.0, 1.0), x.shape) * error
    assert (np.abs(estimate - plant.step(seen, u)) <= bound).all()
    assert plant.disturbance_bound(np.zeros(len(error)), 0.0) == pytest.approx(plant.position @ np.array(plant.disturbance))


def test_an_unknown_system_names_the_known():
    with pytest.raises(TetherError, match="pendulum, planar_quadrotor"):
        system("unicycle")
