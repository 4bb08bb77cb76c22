"""The pendulum, planar quadrotor and seeker as tasks: rewards by hand, starts, exits, and safeguards on the engine."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from robots import registry
from robots.crazyflie import crazyflie
from robots.errors import TetherError
from safety.sets import load
from tasks.certified import CertifiedTask
from tasks.pendulum import SwingUp
from tasks.planar_quadrotor import PlanarFlight
from tasks.safe_control import SafeControl
from tasks.seeker import Seek
from tasks.task import Memory, Transition
from training.environment import Environment
from training.guard import Guard, SafeguardConfig, in_single_precision
from training.simulators import make_simulator

TASKS = ("pendulum", "planar_quadrotor", "seeker")
GUARDS = ("hyperbolic_ray_mask", "projection", "ray_mask")


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> SafeControl:
    found: SafeControl = registry.load(registry.TASKS, request.param)()
    return found


def environment(task: SafeControl, suite: str = "full", num_envs: int = 64, seed: int = 0, **options: Any) -> Environment:
    made = Environment(task, make_simulator("auto", task, num_envs), suite=task.suite(suite), seed=seed, **options)
    made.reset()
    return made


def transition(task: SafeControl, state: dict[str, list[float]], action: list[float], command: dict[str, list[float]]) -> Transition:
    values, asked = ({name: torch.tensor([row]) for name, row in given.items()} for given in (state, command))
    actuation = task.actuate(torch.tensor([action]))
    return Transition(values, asked, actuation, actuation, torch.zeros(1, 1))


def total(terms: dict[str, Tensor]) -> float:
    return float(sum(term.item() for term in terms.values()))


def test_the_pendulums_reward_is_the_published_one() -> None:
    task = SwingUp()
    given = transition(task, {"joint_position": [2.0], "joint_velocity": [-3.0]}, [0.5], {})
    assert total(task.rewards(given)) == pytest.approx(-4.0 - 0.1 * 9.0 - 0.001 * 0.25)


def test_the_quadrotors_reward_is_the_published_one() -> None:
    state = {
        "position_base_in_world": [3.0, -4.0],
        "tilt_base_in_world": [0.2],
        "linear_velocity_base_in_world": [0.3, -0.4],
        "angular_velocity_base_in_base": [1.0],
    }
    task = PlanarFlight()
    given = transition(task, state, [0.5, -1.0], {"goal_position_in_world": [0.0, 0.0]})
    thrust, tilt = 9.81 + 6.0 / 7.0 * 0.5, math.pi / 12.0
    expected = -2.5 * 5.0 - 0.1 * (0.04 + 0.09 + 0.16 + 1.0) - 0.002 * thrust**2 - 0.001 * tilt**2
    assert total(task.rewards(given)) == pytest.approx(expected, rel=1e-6)


def test_observations_say_what_their_names_say() -> None:
    nothing = Memory(torch.zeros(1, 1), torch.zeros(1, 2), torch.zeros(1, 0))
    seen, _ = SwingUp().observe({"joint_position": torch.tensor([[0.3]]), "joint_velocity": torch.tensor([[2.0]])}, {}, nothing)
    torch.testing.assert_close(seen, torch.tensor([[math.sin(0.3), math.cos(0.3), 2.0]]))
    sensors = {
        "position_base_in_world": torch.tensor([[1.0, 2.0], [1.0, 2.0]]),
        "obstacle_position_in_world": torch.tensor([[4.0, 6.0], [4.0, 6.0]]),
        "obstacle_radius": torch.tensor([[1.5], [4.5]]),
    }
    seen, _ = Seek().observe(sensors, {"goal_position_in_world": torch.tensor([[-2.0, 6.0], [1.2, 1.9]])}, nothing)
    far, close = [-0.6, 0.8, 3.0, 4.0, 0.0, 0.0, 3.5], [0.2, -0.1, 3.0, 4.0, -0.3, -0.4, 0.5]
    torch.testing.assert_close(seen, torch.tensor([far, close]))


def test_episodes_begin_where_they_are_safe(task: SafeControl) -> None:
    for suite in (*task.suites.values(), task.training_suite):
        start = task.sample(suite, 5000, torch.Generator().manual_seed(1))
        assert not task.outside(dict(start.state))["exits"].any()


@pytest.mark.parametrize("kind", [SwingUp, PlanarFlight])
def test_starts_fill_the_set_and_no_more_than_their_share(kind: type[CertifiedTask]) -> None:
    """Mean of the largest |H x|: of n dimensions n/(n + 1) of the share, for a set that is shrunk about its centre."""
    task = kind()
    faces, offsets, centre = (torch.tensor(v, dtype=torch.float32) for v in (task.safe_set.H, task.safe_set.h, task.safe_set.x0))
    for suite in task.suites.values():
        x = task.x(task.sample(suite, 20000, torch.Generator().manual_seed(0)).state)
        reach = ((x - centre) @ faces.t() / (offsets - faces @ centre)).amax(1)
        assert reach.max() <= suite.start_share + 1e-6
        assert reach.mean().item() == pytest.approx(suite.start_share * len(centre) / (len(centre) + 1), rel=0.01)


def test_the_straight_way_of_the_seeker_meets_the_ball() -> None:
    """Of most episodes; start and goal are always outside."""
    start = Seek().sample(Seek().suite("full"), 5000, torch.Generator().manual_seed(0))
    here, ball, radius = start.state["position_base_in_world"], start.state["obstacle_position_in_world"], start.state["obstacle_radius"]
    goal = start.command["goal_position_in_world"]
    way = torch.nn.functional.normalize(goal - here, dim=1)
    aside = (ball - here) - way * ((ball - here) * way).sum(1, keepdim=True)
    assert (aside.norm(dim=1) < radius[:, 0]).float().mean() > 0.9
    assert ((goal - ball).norm(dim=1) >= radius[:, 0] + Seek.goal_m[0] - 1e-5).all()


def test_exits_count_steps_outside() -> None:
    task = SwingUp()
    state = {
        "joint_position": torch.tensor([[0.0], [0.0], [3.1], [torch.nan]]),
        "joint_velocity": torch.tensor([[0.0], [8.1], [7.9], [0.0]]),
    }
    found = {name: value.tolist() for name, value in task.outside(state).items()}
    assert found == {"exits": [False, True, True, True], "outside_box": [False, True, False, True]}
    ball = {"obstacle_position_in_world": torch.zeros(2, 2), "obstacle_radius": torch.ones(2, 1)}
    seen = Seek().outside({"position_base_in_world": torch.tensor([[0.99, 0.0], [1.01, 0.0]]), **ball})
    assert seen["exits"].tolist() == [True, False]


def test_the_sets_stay_inside_the_robots_box() -> None:
    for kind in (SwingUp, PlanarFlight):
        task = kind()
        for axis, half in enumerate(task.robot.state_box):
            for sign in (1.0, -1.0):
                assert load(task.set_name).polytope.support(sign * torch.eye(len(task.robot.state_box))[axis].double().numpy()) <= half


@pytest.mark.parametrize("name", GUARDS)
def test_nobody_leaves_under_a_safeguard_in_the_environment(task: SafeControl, name: str) -> None:
    """Actions held at random corners for ten steps, one episode each, as training and evaluation fly them."""
    assert sorted(task.safeguards) == list(GUARDS)
    flown, guard = environment(task, auto_reset=False), Guard(task, SafeguardConfig(name=name))
    random = torch.Generator().manual_seed(0)
    nothing = Memory(torch.zeros(64, 1), torch.zeros(64, task.action_size), torch.zeros(64, 0))
    changed, wanted = 0.0, torch.zeros(64, task.action_size)
    with torch.no_grad():
        for step in range(120):
            if step % 10 == 0:
                wanted = torch.randint(2, (64, task.action_size), generator=random) * 2.0 - 1.0
            state = task.guarded_state(flown.sensors, flown.command, nothing)
            guarded = in_single_precision(guard(state.double(), wanted.double()))
            changed += (guarded.intervention > 1e-6).float().mean().item()
            after = flown.step(task.actuate(guarded.action))
            assert not after.measures["exits"].any()
            assert (guarded.feasible == 1.0).all()
            assert not after.terminated.any()
    assert changed > 0.5, "it never had to do anything"


def test_most_leave_without_one_and_rewards_stay_finite(task: SafeControl) -> None:
    flown = environment(task, auto_reset=False)
    gone = torch.zeros(64, dtype=torch.bool)
    random = torch.Generator().manual_seed(0)
    wanted = torch.zeros(64, task.action_size)
    with torch.no_grad():
        for step in range(flown.episode_steps):
            if step % 20 == 0:
                wanted = torch.randint(2, (64, task.action_size), generator=random) * 2.0 - 1.0
            after = flown.step(task.actuate(wanted))
            gone |= after.measures["exits"] > 0.0
            assert after.reward.isfinite().all()
            assert not after.terminated.any()
    assert gone.float().mean() > 0.3


def test_a_safeguards_gradient_reaches_the_action_through_the_engine(task: SafeControl) -> None:
    for name in GUARDS:
        flown, guard = environment(task, suite="nominal", auto_reset=False), Guard(task, SafeguardConfig(name=name))
        flown.detach()
        wanted = torch.full((64, task.action_size), 0.1, requires_grad=True)
        nothing = Memory(torch.zeros(64, 1), torch.zeros(64, task.action_size), torch.zeros(64, 0))
        for _ in range(3):
            state = task.guarded_state(flown.sensors, flown.command, nothing)
            after = flown.step(task.actuate(in_single_precision(guard(state.double(), wanted.double())).action))
        (gradient,) = torch.autograd.grad(after.reward.sum(), wanted)
        assert gradient.isfinite().all()
        assert (gradient.abs() > 0.0).any(1).float().mean() > 0.5


def test_other_robots_are_refused(task: SafeControl) -> None:
    with pytest.raises(TetherError, match=f"{task.name} is a task for a .*; crazyflie is a Quadrotor"):
        type(task)(crazyflie)


def test_presets_divide_the_episode(task: SafeControl) -> None:
    """What has ended waits for the window's end."""
    assert round(task.episode_s * task.rate_hz) % task.presets["shac"]["shac"]["horizon"] == 0
