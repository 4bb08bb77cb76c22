"""Hover against hand-computed numbers and specs of its suites."""

from __future__ import annotations

import math

import pytest
import torch

from robots.crazyflie import crazyflie
from robots.description import GRAVITY
from robots.errors import TetherError
from tasks.draw import Draw
from tasks.hover import GOAL, ORIENTATION, POSITION, RATES, VELOCITY, Hover
from tasks.hover_suites import FULL, NOMINAL, UNSEEN
from tasks.rotation import from_yaw_tilt, multiply, rotation_matrix
from tasks.task import Memory, Transition
from tasks.vectors import shorten

MANY = 4000


@pytest.fixture
def task() -> Hover:
    return Hover()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def no_memory(task: Hover, batch: int, started: float = 0.0) -> Memory:
    return Memory(torch.full((batch, 1), started), torch.zeros(batch, 4), torch.zeros(batch, task.task_memory_size))


def sensors(position: list[float], orientation: list[float], velocity: list[float], rates: list[float]) -> dict[str, torch.Tensor]:
    values = {POSITION: position, ORIENTATION: orientation, VELOCITY: velocity, RATES: rates}
    return {name: torch.tensor([value]) for name, value in values.items()}


def column(task: Hover, observation: torch.Tensor, prefix: str) -> list[float]:
    return [round(observation[0, index].item(), 5) for index, name in enumerate(task.observation_names) if name.startswith(prefix)]


def test_observation_is_in_the_body_frame(task: Hover) -> None:
    quarter_turn = [math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)]  # x forward points along the world's y
    reading = sensors([0.0, 0.0, 5.0], quarter_turn, [0.0, 2.0, 0.0], [0.1, 0.2, 0.3])
    observation, _ = task.observe(reading, {GOAL: torch.tensor([[1.0, 0.0, 5.0]])}, no_memory(task, 1))
    assert column(task, observation, "goal_") == [0.0, -1.0, 0.0]
    assert column(task, observation, "velocity_") == [2.0, 0.0, 0.0]
    assert column(task, observation, "up_") == [0.0, 0.0, 1.0]
    assert column(task, observation, "rate_") == [0.1, 0.2, 0.3]


def test_turning_the_world_changes_nothing(task: Hover) -> None:
    start = task.sample(FULL, 50, generator())
    view = Memory(torch.ones(50, 1), torch.rand(50, 4) * 0.1, torch.randn(50, task.task_memory_size) * 0.1)
    turn = from_yaw_tilt(torch.full((50,), 1.1), torch.zeros(50), torch.zeros(50))
    matrix = rotation_matrix(turn)

    def turned(vector: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nij,nj->ni", matrix, vector)

    parts = view.task.split([3, 3, 3, 4], dim=1)
    turned_view = view._replace(task=torch.cat([*(turned(part) for part in parts[:3]), parts[3]], dim=1))
    turned_state = dict(start.state)
    turned_state[ORIENTATION] = multiply(turn, start.state[ORIENTATION])
    turned_state |= {name: turned(start.state[name]) for name in (POSITION, VELOCITY)}
    here, _ = task.observe(start.state, start.command, view)
    there, _ = task.observe(turned_state, {GOAL: turned(start.command[GOAL])}, turned_view)
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4)


def test_integral_accumulates_the_shortened_error(task: Hover) -> None:
    reading = sensors([0.0, 0.0, 5.0], [1.0, 0.0, 0.0, 0.0], [0.0] * 3, [0.0] * 3)
    view = no_memory(task, 1)
    for _ in range(100):
        observation, after = task.observe(reading, {GOAL: torch.tensor([[0.1, 0.0, 7.0]])}, view)
        view = Memory(torch.ones(1, 1), torch.zeros(1, 4), after)
    length = math.hypot(0.1, 2.0)
    leak = (1 - (1 - 0.001) ** 100) / 0.1  # geometric sum of 100 steps of 10 ms, leaking 1/1000 a step
    expected = [0.3 * 0.1 / length * leak, 0.0, 0.3 * 2.0 / length * leak]
    assert column(task, observation, "integral_") == pytest.approx(expected, abs=1e-4)


def test_disturbance_converges_to_what_thrust_does_not_explain(task: Hover) -> None:
    """Hover thrust on a vehicle that sinks at 1 m/s² is 1 m/s² short, whatever the first reading was."""
    view, velocity = no_memory(task, 1), -3.0
    for _ in range(300):
        reading = sensors([0.0, 0.0, 5.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, velocity], [0.0] * 3)
        observation, after = task.observe(reading, {GOAL: torch.tensor([[0.0, 0.0, 5.0]])}, view)
        view, velocity = Memory(torch.ones(1, 1), torch.zeros(1, 4), after), velocity - 0.01
    assert column(task, observation, "disturbance_") == pytest.approx([0.0, 0.0, -1.0], abs=1e-3)


def test_last_two_actions_are_seen(task: Hover) -> None:
    reading = sensors([0.0, 0.0, 5.0], [1.0, 0.0, 0.0, 0.0], [0.0] * 3, [0.0] * 3)
    goal = {GOAL: torch.tensor([[0.0, 0.0, 5.0]])}
    first, second = torch.tensor([[0.1, 0.2, 0.3, 0.4]]), torch.tensor([[0.5, 0.6, 0.7, 0.8]])
    _, after = task.observe(reading, goal, no_memory(task, 1)._replace(action=first))
    observation, _ = task.observe(reading, goal, Memory(torch.ones(1, 1), second, after))
    assert column(task, observation, "action_1_") == pytest.approx(second[0].tolist())
    assert column(task, observation, "action_2_") == pytest.approx(first[0].tolist())


def test_zero_action_hovers(task: Hover) -> None:
    actuation = task.actuate(torch.zeros(1, 4))
    assert actuation["collective_thrust"].item() == pytest.approx(crazyflie.mass_kg * GRAVITY)
    assert actuation["body_rates"].tolist() == [[0.0, 0.0, 0.0]]


def test_action_inverts_actuate(task: Hover) -> None:
    action = torch.rand(20, 4, generator=generator()) * 1.6 - 0.8
    actuation = task.actuate(action)
    torch.testing.assert_close(task.action(actuation["collective_thrust"], actuation["body_rates"]), action, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("suite", [NOMINAL, FULL, UNSEEN], ids=lambda suite: suite.name)
def test_starts_are_inside_the_spec(task: Hover, suite) -> None:
    start = task.sample(suite, MANY, generator())
    tilt = rotation_matrix(start.state[ORIENTATION])[:, 2, 2].clamp(-1, 1).acos()
    distance = (start.state[POSITION] - start.command[GOAL]).norm(dim=1)
    for value, largest in (
        (tilt, math.pi / 2),
        (distance, 1.0),
        (start.state[VELOCITY].norm(dim=1), 3.0),
        (start.state[RATES].norm(dim=1), 3.0),
    ):
        assert value.max() <= largest + 1e-4
        assert value.max() > 0.95 * largest  # the range is used to its end
    assert (start.state[POSITION][:, 2] >= 6.0).all()
    torch.testing.assert_close(start.state[ORIENTATION].norm(dim=1), torch.ones(MANY))


@pytest.mark.parametrize(("suite", "spread"), [(FULL, 0.15), (UNSEEN, 0.25)], ids=["full", "unseen"])
def test_parameters_are_inside_the_spec(task: Hover, suite, spread: float) -> None:
    parameters = task.sample(suite, MANY, generator()).parameters
    mass = parameters["mass"] / crazyflie.mass_kg
    strongest = parameters["thrust_scale"].amax(1, keepdim=True)
    for value in (mass, parameters["inertia"] / torch.tensor(crazyflie.inertia_kg_m2), strongest, parameters["torque_scale"]):
        assert value.min() >= 1 - spread - 1e-5
        assert value.max() <= 1 + spread + 1e-5
        assert value.max() - value.min() > 1.8 * spread
    assert (crazyflie.thrust_to_weight * strongest / mass >= 1.4 - 1e-4).all()
    assert parameters["motor_time_scale"].min() >= 0.7
    assert parameters["motor_time_scale"].max() <= 1.5
    assert parameters["centre_of_mass"].abs().max() <= 0.003
    assert parameters["action_delay"].min() >= 0.0
    assert 0.019 < parameters["action_delay"].max() <= 0.02


def test_full_has_the_noise_of_the_spec(task: Hover) -> None:
    noise = task.sample(FULL, 5, generator()).sensor_noise
    assert {name: round(value.max().item(), 6) for name, value in noise.items()} == {
        POSITION: 0.005,
        VELOCITY: 0.01,
        RATES: 0.01,
        ORIENTATION: 0.0,
    }


def test_unseen_adds_gusts_a_side_force_and_a_weak_rotor(task: Hover) -> None:
    start = task.sample(UNSEEN, MANY, generator())
    assert start.force_in_world is not None
    assert start.gust_m_s is not None
    torch.testing.assert_close(start.force_in_world.norm(dim=1), torch.full((MANY,), 1e-2))
    assert (start.force_in_world[:, 2] == 0).all()
    assert (start.gust_m_s[:, :2] > 0).all()
    thrust = start.parameters["thrust_scale"]
    weak = thrust < thrust.amax(1, keepdim=True) * 0.99
    assert (weak.sum(1) == 1).all()
    assert (weak.sum(0) > MANY / 5).all()
    torch.testing.assert_close(thrust.amin(1) / thrust.amax(1), torch.full((MANY,), 0.85))
    assert task.sample(FULL, 5, generator()).force_in_world is None


def test_nominal_is_the_robot_as_described(task: Hover) -> None:
    parameters = task.sample(NOMINAL, 5, generator()).parameters
    torch.testing.assert_close(parameters["mass"], torch.full((5, 1), crazyflie.mass_kg))
    torch.testing.assert_close(parameters["thrust_scale"], torch.ones(5, 4))
    assert (parameters["action_delay"] == 0).all()
    assert (parameters["centre_of_mass"] == 0).all()


def test_a_hopeless_thrust_to_weight_is_raised_to_the_bound(task: Hover) -> None:
    strict = FULL.__class__(name="strict", spread=0.1, thrust_to_weight=3.0)
    mass, thrust = task.sample_thrust_to_weight(strict, Draw(50, generator()), rounds=2)
    torch.testing.assert_close(crazyflie.thrust_to_weight * thrust / mass, torch.full((50, 1), 3.0))


def transition(task: Hover, position: list[float], contact: bool = False) -> Transition:
    state = sensors(position, [1.0, 0.0, 0.0, 0.0], [0.0, 3.0, 4.0], [0.0, 0.0, 2.0])
    state["ground_contact"] = torch.tensor([[contact]])
    rest = task.actuate(torch.zeros(1, 4))
    return Transition(
        state, {GOAL: torch.tensor([[0.0, 0.0, 5.0]])}, task.actuate(torch.tensor([[0.0, 0.5, 0.0, 0.0]])), rest, torch.zeros(1, 1)
    )


def test_reward_terms(task: Hover) -> None:
    terms = {name: value.item() for name, value in task.rewards(transition(task, [0.1, 0.0, 5.0])).items()}
    expected = {
        "alive": 0.4,
        "distance": -0.02,
        "at_goal": 0.3 * math.exp(-0.5),
        "speed": -0.1,
        "rotation": -0.008,
        "smoothness": -0.004 * 0.25,
        "crash": 0.0,
    }
    assert terms == pytest.approx(expected, abs=1e-6)
    assert task.rewards(transition(task, [0.0, 0.0, 14.0]))["crash"].item() == -20.0
    assert task.rewards(transition(task, [0.0, 0.0, 9.0]))["distance"].item() == pytest.approx(-0.4)


def test_crashes(task: Hover) -> None:
    assert not task.terminated(transition(task, [0.0, 0.0, 12.9])).item()
    assert task.terminated(transition(task, [0.0, 0.0, 13.1])).item()
    assert task.terminated(transition(task, [0.0, 0.0, 1.0], contact=True)).item()


def test_success_is_the_mean_of_the_last_second(task: Hover) -> None:
    errors = torch.zeros(600, 3)
    errors[:500] = 5.0
    errors[500:, 1] = 0.101
    errors[-50:, 2] = 0.19
    assert task.success(errors, torch.zeros(3, dtype=torch.bool)).tolist() == [True, False, True]


def test_shorten_keeps_short_vectors() -> None:
    vectors = torch.tensor([[0.3, 0.0, 0.4], [3.0, 0.0, 4.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(shorten(vectors, 1.0), torch.tensor([[0.3, 0.0, 0.4], [0.6, 0.0, 0.8], [0.0, 0.0, 0.0]]))


def test_other_robots_are_refused() -> None:
    class Cart:
        name = "cart"

    with pytest.raises(TetherError, match="hover flies quadrotors; cart is a Cart"):
        Hover(Cart())  # type: ignore[arg-type]
