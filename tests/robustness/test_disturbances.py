"""Every disturbance of every task: nothing at rest, the same luck at every severity; and what each does, against its definition."""

from __future__ import annotations

import math

import pytest
import torch

from robots import registry
from robots.crazyflie import crazyflie
from robots.description import GRAVITY
from robots.errors import TetherError
from robustness.coupled import APART, COUPLING, held, in_ball, most_knots
from robustness.disturbance import amendment, chosen, default_grid, disturbances
from robustness.grid import axis
from robustness.sweep import bears
from sim.fused.structure import flatten
from tasks.hover import Hover
from tasks.quadrotor_flight import POSITION
from tasks.task import Start, Task

COUNT = 40


@pytest.fixture(params=registry.names(registry.TASKS))
def task(request: pytest.FixtureRequest) -> Task:
    return registry.load(registry.TASKS, request.param)()


def start(task: Task, *asked: tuple[str, float], suite: str = "nominal", seed: int = 0) -> Start:
    """A start of ``suite`` with these disturbances."""
    generator, known = torch.Generator(), disturbances(task)
    generator.manual_seed(seed)
    drawn = task.sample(task.suite(suite), COUNT, generator)
    return amendment(task, tuple((known[name], value) for name, value in asked))(drawn, generator)


def test_severities_begin_with_nothing_and_stay_in_range(task: Task) -> None:
    for name, each in disturbances(task).items():
        values = each.severities(4)
        assert values[0] == each.rest
        assert each.low <= each.rest <= each.high
        assert all(each.low - 1e-9 <= value <= each.high + 1e-9 for value in values)
        assert name == each.name


def test_every_severity_has_the_same_fields_and_the_same_luck(task: Task) -> None:
    """The generator is left in the same state, so what is drawn after a disturbance does not depend on how much of it there is."""
    for name, each in disturbances(task).items():
        structures, states = set(), []
        for value in (each.low, each.high):
            generator = torch.Generator()
            generator.manual_seed(1)
            amended = amendment(task, ((each, value),))(task.sample(task.suite("full"), COUNT, generator), generator)
            leaves: list[object] = []
            structures.add((flatten(tuple(amended), leaves), tuple(leaf is None for leaf in leaves)))
            states.append(generator.get_state())
            assert all(torch.isfinite(leaf).all() for leaf in leaves if isinstance(leaf, torch.Tensor)), name
        assert len(structures) == 1, name
        assert torch.equal(*states), name


def test_default_grids_are_within_the_ranges(task: Task) -> None:
    known = disturbances(task)
    for text in default_grid(task):
        assert len(axis(text, known).values) >= 2


def test_a_load_moves_mass_and_centre_and_adds_inertia() -> None:
    """A point mass of half the vehicle's at a third of an arm: by the parallel-axis theorem about the common centre."""
    task = Hover()
    loaded, plain = start(task, ("load", 0.5)).parameters, start(task).parameters
    arm = math.hypot(*crazyflie.rotors[0].position_m[:2])
    torch.testing.assert_close(loaded["mass"], 1.5 * plain["mass"])
    shift = loaded["centre_of_mass"]
    torch.testing.assert_close(shift.norm(dim=1), torch.full((COUNT,), arm / 9))
    at = 3.0 * shift  # of the load
    own, extra = crazyflie.mass_kg, 0.5 * crazyflie.mass_kg
    squares = [own * shift.square(), extra * (at - shift).square()]
    expected = sum((part.sum(1, keepdim=True) - part for part in squares), torch.zeros(COUNT, 3))
    torch.testing.assert_close(loaded["inertia"] - plain["inertia"], expected, rtol=1e-3, atol=1e-9)


def test_a_delay_is_split_between_actuation_and_sensors_without_a_rest() -> None:
    for value in (0.0, 0.013, 0.02, 0.025, 0.06):
        late = start(Hover(), ("delay", value))
        assert late.sensor_delay_s is not None
        steps = late.sensor_delay_s * 100
        torch.testing.assert_close(steps, steps.round())
        total = late.sensor_delay_s + late.parameters["action_delay"]
        torch.testing.assert_close(total, torch.full((COUNT, 1), value), rtol=0, atol=1e-6)
        assert (late.parameters["action_delay"] <= 0.02 + 1e-6).all()


def test_forces_are_as_large_as_asked_and_add_up() -> None:
    pushed = start(Hover(), ("force", 0.02), suite="unseen").force_in_world
    plain = start(Hover(), suite="unseen").force_in_world
    assert pushed is not None
    assert plain is not None
    torch.testing.assert_close((pushed - plain).norm(dim=1), torch.full((COUNT,), 0.02))
    waved = start(Hover(), ("wave", 0.03), ("wave_hz", 2.5)).wave
    assert waved is not None
    torch.testing.assert_close(waved.force_n.norm(dim=1), torch.full((COUNT,), 0.03))
    assert (waved.frequency_hz == 2.5).all()


def test_a_weak_motor_is_one_of_all() -> None:
    scale = start(Hover(), ("weak_motor", 0.3)).parameters["thrust_scale"]
    torch.testing.assert_close(scale.sort(1).values, torch.tensor([[0.7, 1.0, 1.0, 1.0]]).repeat(COUNT, 1))


def test_a_spoofed_position_slides_away_horizontally() -> None:
    drift = start(Hover(), ("spoof", 0.4)).sensor_drift
    assert drift is not None
    assert set(drift) == {POSITION}
    torch.testing.assert_close(drift[POSITION].offset[:, :2].norm(dim=1), torch.full((COUNT,), 0.4))
    assert (drift[POSITION].offset[:, 2] == 0).all()
    assert drift[POSITION].begins_s.std() > 0.1


def test_a_wandering_force_is_temporally_coupled() -> None:
    """Within the ball, and at most a fifth of its radius from one control step to the next."""
    task, radius = Hover(), 0.05
    knots = start(task, ("walk", radius)).force_knots_n
    assert knots is not None
    assert knots.shape == (COUNT, most_knots(task), 3)
    apart = task.episode_s * task.rate_hz / (knots.shape[1] - 1)
    assert apart >= APART
    assert knots.norm(dim=2).max() <= radius * (1 + 1e-5)
    assert knots.norm(dim=2).max() > 0.9 * radius
    assert knots.diff(dim=1).norm(dim=2).max() / apart <= COUPLING * radius * (1 + 1e-5)
    assert (knots[:, 0] == 0).all()


def test_what_is_held_is_the_same_in_every_episode() -> None:
    knots = in_ball(torch.tensor([[3.0, 4.0, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 0.0]]), 1.0)
    torch.testing.assert_close(knots, torch.tensor([[0.6, 0.8, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 0.0]]))
    amended = held(knots)(start(Hover()), torch.Generator())
    assert amended.force_knots_n is not None
    assert torch.equal(amended.force_knots_n, knots.expand(COUNT, -1, -1))


def test_mass_scales_inertia_too_whatever_the_suite_drew() -> None:
    parameters = start(Hover(), ("mass", 1.2), suite="full").parameters
    torch.testing.assert_close(parameters["mass"] * GRAVITY, torch.full((COUNT, 1), 1.2 * crazyflie.mass_kg * GRAVITY))
    torch.testing.assert_close(parameters["inertia"], 1.2 * torch.tensor(crazyflie.inertia_kg_m2).repeat(COUNT, 1))


def test_a_disturbance_that_the_robot_cannot_have_is_refused_by_name() -> None:
    pendulum = registry.load(registry.TASKS, "pendulum")()
    with pytest.raises(TetherError, match=r"unknown disturbance of .* in pendulum 'load'; choose one of: bias, disturbance, drift, freeze"):
        chosen(pendulum, ["load"], disturbances(pendulum))


def test_half_of_the_success_is_found_between_severities() -> None:
    assert bears([0.0, 1.0, 2.0], [1.0, 0.8, 0.2]) == pytest.approx(1.5)
    assert bears([1.0, 0.5], [0.8, 0.0]) == pytest.approx(0.75)
    assert bears([0.0, 1.0], [1.0, 0.5]) is None
