"""Every parameter of every set changes the dynamics, on all of its axis; what cannot is found out."""

from __future__ import annotations

import numpy as np
import pytest

from robustness.gymnasium_tasks.environment import UncertainEnvironment
from robustness.gymnasium_tasks.parameters import Parameter
from robustness.gymnasium_tasks.tasks import TASKS, task_of
from robustness.gymnasium_tasks.verify import DEAD, difference, play, table, verify

SEEN = 1e-4  # m or rad, what trajectories must be apart at least; a dead parameter's are equal to the last bit


@pytest.mark.parametrize("name", list(TASKS))
def test_every_parameter_changes_the_dynamics(name):
    task = task_of(name)
    effects = verify(task, [*task.axes, *task.forces], points=3, steps=30)
    for effect in effects:
        assert not effect.dead
        assert min(effect.low, effect.high, effect.least) > SEEN, table(effects)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TASKS))
def test_all_ten_points_of_every_axis_are_told_apart(name):
    task = task_of(name)
    effects = verify(task, [*task.axes, *task.forces])
    assert min(effect.least for effect in effects) > SEEN, table(effects)


@pytest.mark.parametrize("name", ["hopper", "walker2d", "halfcheetah"])
def test_friction_acts_between_all_ten_points(name):
    (effect,) = verify(task_of(name), task_of(name).parameters(["1"]), steps=60)
    assert effect.least > SEEN


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("hopper", "force.foot.y"),
        ("halfcheetah", "force.torso.y"),
        ("walker2d", "force.leg.y"),
        ("invertedpendulum", "force.cart.y"),
        ("invertedpendulum", "force.cart.z"),
        ("invertedpendulum", "force.pole.y"),
    ],
)
def test_a_force_along_which_nothing_can_move_is_dead(name, parameter):
    """They are in RRLS's sets of forces."""
    (effect,) = verify(task_of(name), [Parameter(parameter, -3.0, 3.0)], points=3, steps=30)
    assert effect.dead
    assert (effect.low, effect.high, effect.least) == (0.0, 0.0, 0.0)
    assert "DEAD" in table([effect])


def test_the_same_seed_plays_the_same_actions():
    environment = UncertainEnvironment(task_of("hopper"))
    one, again, other = (play(environment, {}, [seed, 0], 20) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert difference(one, other) > DEAD
    environment.close()


def test_a_trajectory_that_exploded_is_infinitely_far_from_one_that_did_not():
    assert difference(np.zeros((3, 2)), np.zeros((2, 2))) == np.inf
    assert difference(np.zeros((3, 2)), np.array([[0.0, 0.0], [0.0, -2.0], [1.0, 0.0]])) == 2.0
