"""What a parameter does to the model: against models compiled otherwise, closed forms, and Gymnasium as it is shipped."""

from __future__ import annotations

import gymnasium
import mujoco
import numpy as np
import pytest

from robots.errors import TetherError
from robustness.gymnasium_tasks.environment import UncertainEnvironment, quiet
from robustness.gymnasium_tasks.parameters import grid
from robustness.gymnasium_tasks.tasks import TASKS, task_of


@pytest.fixture(scope="module", params=list(TASKS))
def named(request):
    """The task, and its environment."""
    environment = UncertainEnvironment(task_of(request.param))
    yield task_of(request.param), environment
    environment.close()


@pytest.fixture(scope="module")
def hopper():
    environment = UncertainEnvironment(task_of("hopper"))
    yield environment
    environment.close()


def arrays(model) -> dict[str, np.ndarray]:
    found = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    return {name: value.copy() for name, value in found.items() if isinstance(value, np.ndarray)}


def random_walk(environment, seed: int, steps: int = 30) -> np.ndarray:
    actions = np.random.default_rng(seed).uniform(environment.low, environment.high, (steps, environment.action_size))
    return np.array([environment.step(action)[0] for action in actions])


def test_nothing_is_left_over(named):
    task, environment = named
    environment.reset(0, {})
    pristine = arrays(environment.model)
    for cell in grid(task.axes, 2):
        environment.reset(0, cell)
    changed = [name for name, value in arrays(environment.model).items() if not np.array_equal(value, pristine[name])]
    assert {"body_mass", "body_inertia", "dof_invweight0"} <= set(changed)
    environment.reset(0, {})
    for name, value in arrays(environment.model).items():
        np.testing.assert_array_equal(value, pristine[name], err_msg=name)


def test_without_values_it_is_gymnasiums_own_environment_bit_for_bit(named):
    task, environment = named
    with quiet():
        own = gymnasium.make(task.environment)
    for seed in range(2):
        environment.reset(1, grid(task.axes, 2)[0])  # what came before does not matter
        first, _ = own.reset(seed=seed)
        np.testing.assert_array_equal(environment.reset(seed, {}), first)
        actions = np.random.default_rng(seed).uniform(environment.low, environment.high, (20, environment.action_size))
        for action in actions.astype(np.float32):
            expected, found = own.step(action), environment.step(action)
            np.testing.assert_array_equal(found[0], expected[0])
            assert found[1:] == pytest.approx(expected[1:4])
    own.close()


def test_the_pristine_values_change_nothing(named):
    task, environment = named
    masses = {axis.name: environment.dynamics.nominal(axis.name) for axis in task.axes if axis.kind == "mass"}
    environment.reset(3, {})
    expected = random_walk(environment, 3)
    environment.reset(3, masses | {force.name: 0.0 for force in task.forces})
    np.testing.assert_array_equal(random_walk(environment, 3), expected)


@pytest.mark.parametrize(
    ("name", "body"), [("hopper", "thigh"), ("walker2d", "torso"), ("ant", "front_left_leg"), ("humanoidstandup", "right_foot")]
)
@pytest.mark.parametrize("ratio", [0.2, 5.0])
def test_another_mass_is_another_density(name, body, ratio):
    """The model of which MuJoCo's compiler is told the density has the same masses, inertias and what follows from them."""
    environment = UncertainEnvironment(task_of(name))
    mass = environment.dynamics.nominal(f"mass.{body}") * ratio
    environment.reset(0, {f"mass.{body}": mass})
    spec = mujoco.MjSpec.from_file(environment.model_path)
    for geom in spec.body(body).geoms:
        geom.density *= ratio
    compiled = spec.compile()
    for field in ("body_mass", "body_inertia", "body_subtreemass", "body_invweight0", "dof_invweight0", "body_ipos", "dof_M0"):
        np.testing.assert_allclose(getattr(environment.model, field), getattr(compiled, field), rtol=1e-9, err_msg=field)
    environment.close()


def acting_frictions(environment) -> set[float]:
    """Sliding coefficients of the contacts with the floor in a second of standing and falling."""
    found = set()
    for _ in range(120):
        environment.step(np.zeros(environment.action_size))
        data = environment.data
        with_floor = [contact for contact in data.contact if 0 in contact.geom]
        found |= {round(float(contact.friction[0]), 9) for contact in with_floor}
    return found


@pytest.mark.parametrize("name", ["hopper", "halfcheetah", "walker2d"])
@pytest.mark.parametrize("friction", [0.1, 1.7, 4.0])
def test_the_friction_is_the_one_that_acts(name, friction):
    environment = UncertainEnvironment(task_of(name))
    environment.reset(0, {"friction": friction})
    assert acting_frictions(environment) == {friction}
    environment.close()


def test_a_floor_alone_would_be_dead_below_the_foot(hopper):
    """The fault that is avoided: while only the foot touches, its 2.0 is the larger one, whatever the floor has."""
    walks = []
    for floor in (1.0, 0.1):
        hopper.reset(0, {})
        hopper.model.geom_friction[hopper.model.geom("floor").id, 0] = floor
        walks.append(random_walk(hopper, 0, steps=12))
        assert {(contact.geom[1], contact.friction[0]) for contact in hopper.data.contact} == {(hopper.model.geom("foot_geom").id, 2.0)}
    np.testing.assert_array_equal(*walks)
    assert hopper.dynamics.nominal("friction") == 2.0


def test_a_force_accelerates_as_newton_has_it():
    """Cart and pole on their rail: M·Δq̈ = Jᵀ·F, with M and J of the pole's centre of mass from MuJoCo's kinematics."""
    environment = UncertainEnvironment(task_of("invertedpendulum"))
    accelerations = []
    for force in (0.0, 3.0):
        environment.reset(5, {"force.pole.x": force})
        mujoco.mj_forward(environment.model, environment.data)
        accelerations.append(environment.data.qacc.copy())
    model, data = environment.model, environment.data
    jacobian, inertia = np.zeros((3, model.nv)), np.zeros((model.nv, model.nv))
    mujoco.mj_jacBodyCom(model, data, jacobian, None, model.body("pole").id)
    mujoco.mj_fullM(model, data, inertia)
    np.testing.assert_allclose(inertia @ (accelerations[1] - accelerations[0]), jacobian.T @ [3.0, 0.0, 0.0], rtol=1e-6)
    environment.close()


def test_a_force_lasts_for_its_episode_and_no_longer(hopper):
    hopper.reset(0, {"force.foot.x": 2.0, "force.foot.z": -1.0})
    random_walk(hopper, 0)
    np.testing.assert_array_equal(hopper.data.xfrc_applied[hopper.model.body("foot").id], [2.0, 0.0, -1.0, 0.0, 0.0, 0.0])
    hopper.reset(0, {"friction": 1.0})
    assert not hopper.data.xfrc_applied.any()


def test_a_body_that_is_not_there_is_refused_with_those_that_are(hopper):
    for name in ("mass.tail", "mass.world", "force.tail.x"):
        with pytest.raises(TetherError, match="foot, leg, thigh, torso"):
            hopper.reset(0, {name: 1.0})


def test_an_action_beyond_its_bounds_is_clipped(hopper):
    rewards = []
    for action in (1.0, 50.0):
        hopper.reset(0, {})
        rewards.append(hopper.step(np.full(3, action))[1])
    assert rewards[0] == rewards[1]


def test_an_action_that_is_no_number_is_refused(hopper):
    hopper.reset(0, {})
    with pytest.raises(TetherError, match="must be finite"):
        hopper.step(np.array([0.0, np.nan, 0.0]))


def test_an_explosion_ends_the_episode_and_is_not_written_anywhere(hopper, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    hopper.reset(0, {})
    assert not hopper.unstable
    hopper.data.qvel[:] = 1e12
    _, reward, terminated, _ = hopper.step(np.zeros(3))
    assert (reward, terminated) == (0.0, True)
    assert hopper.unstable
    hopper.reset(0, {})
    assert not hopper.unstable
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
