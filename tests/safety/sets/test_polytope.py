"""Half-spaces and zonotopes against closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from safety.sets.certificate import bounding_box, upper_bound
from safety.sets.polytope import Polytope
from safety.sets.zonotope import Zonotope

BOX = Polytope.box(np.array([-1.0, -2.0, 0.5]), np.array([3.0, 4.0, 5.0]))
SIMPLEX = Polytope(np.array([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]]), np.array([0.0, 0.0, 1.0]))
numbers = st.floats(-5.0, 5.0, allow_subnormal=False)
directions = hnp.arrays(float, 3, elements=numbers)


@settings(max_examples=30, deadline=None)
@given(directions)
def test_support_of_a_box(direction):
    exact = np.maximum(direction * np.array([-1.0, -2.0, 0.5]), direction * np.array([3.0, 4.0, 5.0])).sum()
    assert BOX.support(direction) == pytest.approx(exact, abs=1e-6)
    bound, _ = upper_bound(BOX, direction, np.array([3.0, 4.0, 5.0]))
    assert exact - 1e-9 <= bound <= exact + 1e-5


@settings(deadline=None)
@given(hnp.arrays(float, (3, 4), elements=numbers), directions, directions)
def test_support_of_a_zonotope_is_the_best_of_its_corners(generators, centre, direction):
    corners = [centre + generators @ np.array(signs) for signs in itertools.product((-1.0, 1.0), repeat=4)]
    exact = max(float(direction @ corner) for corner in corners)
    assert Zonotope(centre, generators).support(direction) == pytest.approx(exact, abs=1e-9)


def test_the_sum_of_zonotopes_has_the_sum_of_supports():
    first, second = Zonotope.box(np.array([1.0, 2.0])), Zonotope(np.array([1.0, 0.0]), np.array([[0.5], [0.25]]))
    rows = np.array([[1.0, 0.0], [-0.3, 2.0]])
    assert np.allclose(first.plus(second).support(rows), first.support(rows) + second.support(rows))


def test_an_unbounded_direction_and_an_empty_set_are_told():
    half = Polytope(np.array([[1.0, 0.0]]), np.array([1.0]))
    assert half.support(np.array([0.0, 1.0])) == np.inf
    assert half.intersection(Polytope(np.array([[-1.0, 0.0]]), np.array([-2.0]))).support(np.array([1.0, 0.0])) == -np.inf
    assert bounding_box(half) is None


def test_redundant_rows_go_and_the_set_stays():
    extra = Polytope(np.array([[1.0, 0.0], [2.0, 2.0], [1.0, 0.0], [0.5, 0.3]]), np.array([1.0, 2.0, 7.0, 9.0]))
    reduced = SIMPLEX.intersection(extra).irredundant()
    assert len(reduced.h) == 3
    points = np.random.default_rng(0).uniform(-1.0, 2.0, (2000, 2))
    assert (reduced.contains(points) == SIMPLEX.contains(points)).all()


def test_vertices_of_a_triangle_are_its_maximisers():
    found = {tuple(np.round(SIMPLEX.maximise(np.array(d, float)).point, 9)) for d in ((1, 0), (0, 1), (-1, -1), (2, 1))}
    assert found == {(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)}


def test_the_ball_inside_a_triangle():
    centre, radius = SIMPLEX.chebyshev()
    exact = 1.0 / (2.0 + np.sqrt(2.0))  # area over half the perimeter
    assert radius == pytest.approx(exact)
    assert centre == pytest.approx([exact, exact])


@settings(deadline=None)
@given(directions, st.floats(0.1, 3.0), directions)
def test_scaling_and_shifting_move_the_points_with_the_set(point, factor, by):
    inside = bool(BOX.contains(point))
    assert bool(BOX.scaled(factor).contains(factor * point, 1e-9)) >= inside
    assert bool(BOX.shifted(by).contains(point + by, 1e-9)) >= inside


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(float, (6, 3), elements=numbers), directions)
def test_proved_bounds_hold_for_any_multipliers(rows, direction):
    """A bounded polytope with random rows: what is proved is never below what a point of it attains, and the solver agrees."""
    polytope = Polytope.box(-np.ones(3), np.ones(3)).intersection(Polytope(rows, np.full(6, 2.0)))
    reach = bounding_box(polytope)
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (500, 3))
    inside = points[polytope.contains(points)]
    assert (np.abs(inside) <= reach).all()
    bound, _ = upper_bound(polytope, direction, reach)
    assert (inside @ direction <= bound + 1e-12).all()
    assert bound == pytest.approx(polytope.support(direction), abs=1e-6)
