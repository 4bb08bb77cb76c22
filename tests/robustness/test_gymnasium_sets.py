"""Parameters, grids and the table of tasks against what was published."""

from __future__ import annotations

import numpy as np
import pytest

from robots.errors import TetherError
from robustness.gymnasium_tasks.parameters import Parameter, draw, grid, parse
from robustness.gymnasium_tasks.tasks import TASKS, task_of

# RRLS, arXiv 2406.08406: the sets of three parameters (two for the pendulum), of which the smaller ones are the beginning.
PUBLISHED = {
    "ant": [("mass.torso", 0.1, 3.0), ("mass.front_left_leg", 0.01, 3.0), ("mass.front_right_leg", 0.01, 3.0)],
    "halfcheetah": [("friction", 0.1, 4.0), ("mass.torso", 0.1, 7.0), ("mass.bthigh", 0.1, 3.0)],
    "hopper": [("friction", 0.1, 3.0), ("mass.torso", 0.1, 3.0), ("mass.thigh", 0.1, 4.0)],
    "walker2d": [("friction", 0.1, 4.0), ("mass.torso", 0.1, 5.0), ("mass.thigh", 0.1, 6.0)],
    "humanoidstandup": [("mass.torso", 0.1, 16.0), ("mass.right_foot", 0.1, 8.0), ("mass.left_thigh", 0.1, 5.0)],
    "invertedpendulum": [("mass.pole", 1.0, 31.0), ("mass.cart", 1.0, 11.0)],
}


def test_the_sets_are_the_published_ones_each_within_the_next():
    assert PUBLISHED.keys() == TASKS.keys()
    for name, axes in PUBLISHED.items():
        for size in range(1, len(axes) + 1):
            found = task_of(name).parameters([str(size)])
            assert [(axis.name, axis.low, axis.high) for axis in found] == axes[:size]


def test_the_forces_are_three_newtons_either_way():
    for task in TASKS.values():
        forces = task.parameters(["rarl"])
        assert len(forces) >= 2
        assert all((force.kind, force.unit, force.low, force.high) == ("force", "N", -3.0, 3.0) for force in forces)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_corner_of_the_set_is_a_cell(size):
    axes = task_of("hopper").parameters([str(size)])
    cells = {tuple(cell.values()) for cell in grid(axes, 10)}
    assert len(cells) == 10**size
    corners = np.stack(np.meshgrid(*[[axis.low, axis.high] for axis in axes]), -1).reshape(-1, size)
    assert {tuple(corner) for corner in corners.tolist()} <= cells


def test_a_grid_is_evenly_spaced():
    cells = grid([Parameter("friction", 0.1, 3.0), Parameter("mass.torso", 1.0, 2.0)], 3)
    assert [tuple(cell) for cell in cells] == [("friction", "mass.torso")] * 9
    np.testing.assert_allclose([cell["friction"] for cell in cells], np.repeat([0.1, 1.55, 3.0], 3))
    np.testing.assert_allclose([cell["mass.torso"] for cell in cells], np.tile([1.0, 1.5, 2.0], 3))


def test_drawn_cells_are_uniform_over_the_set_and_follow_from_the_seed():
    axes = task_of("walker2d").parameters(["3"])
    cells = [draw(axes, generator) for generator in [np.random.default_rng(4)] for _ in range(2000)]
    assert cells[0] == draw(axes, np.random.default_rng(4))
    for axis in axes:
        shares = (np.array([cell[axis.name] for cell in cells]) - axis.low) / (axis.high - axis.low)
        assert 0.0 <= shares.min() < 0.01 < 0.99 < shares.max() <= 1.0
        assert shares.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / 2000))


def test_a_parameter_is_read_from_what_is_typed():
    assert parse("friction=0.1:3") == Parameter("friction", 0.1, 3.0)
    assert parse("force.foot.x=-3:3") == Parameter("force.foot.x", -3.0, 3.0)
    own = task_of("hopper").parameters(["mass.leg=1:2", "friction=0.5:1"])
    assert [parameter.name for parameter in own] == ["mass.leg", "friction"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gravity=1:2", "mass.BODY"),
        ("friction", "LOW:HIGH"),
        ("friction=1", "LOW:HIGH"),
        ("friction=2:1", "low end below"),
        ("friction=0:1", "positive"),
        ("mass.torso=-1:1", "positive"),
        ("mass=1:2", "mass.BODY"),
        ("force.foot=-3:3", "AXIS"),
        ("force.foot.w=-3:3", "AXIS"),
        ("mass.torso=1:inf", "no range"),
    ],
)
def test_what_is_no_parameter_is_refused_with_the_forms_there_are(text, words):
    with pytest.raises(TetherError, match=words):
        parse(text)


def test_sets_and_tasks_that_do_not_exist_are_refused_with_those_that_do():
    with pytest.raises(TetherError, match="hopper"):
        task_of("swimmer")
    with pytest.raises(TetherError, match="1, 2"):
        task_of("invertedpendulum").parameters(["3"])
    with pytest.raises(TetherError, match="once"):
        task_of("hopper").parameters(["friction=1:2", "friction=1:3"])


def test_a_grid_without_ends_or_without_end_is_refused():
    with pytest.raises(TetherError, match="at least 2"):
        grid(task_of("hopper").axes, 1)
    with pytest.raises(TetherError, match="fewer points"):
        grid(task_of("halfcheetah").forces, 10)
