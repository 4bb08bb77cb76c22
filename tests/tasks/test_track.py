"""Tracking: its references against closed forms, what it asks and judges, and that it can be learned from by back-propagation."""

from __future__ import annotations

import math

import pytest
import torch

from tasks import hover_suites, track_suites
from tasks.draw import Draw
from tasks.hover import Hover
from tasks.quadrotor_flight import GOAL, ORIENTATION, POSITION, RATES, VELOCITY
from tasks.reference import PEAK_ACCELERATION_M_S2, PEAK_SPEED_M_S, figure_eight, motion, random_smooth
from tasks.rotation import from_yaw_tilt, multiply, rotation_matrix
from tasks.task import Memory, Signals, Transition
from tasks.track import GOAL_ACCELERATION, GOAL_VELOCITY, Track
from tether_ros.figure_eight import figure_eight as operator_figure_eight
from training.environment import Environment
from training.simulators import make_simulator

MANY = 300


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def doubled(reference: Signals) -> dict[str, torch.Tensor]:
    return {name: value.double() for name, value in reference.items()}


def references() -> dict[str, torch.Tensor]:
    """The figure-eight, then random ones, all from their own starts; float64."""
    start = torch.randn(MANY, 3, generator=generator())
    eight, random = figure_eight(start[:1]), random_smooth(start[1:], Draw(MANY - 1, generator(1)))
    return {name: torch.cat([eight[name], value]).double() for name, value in random.items()}


def test_the_figure_eight_is_the_one_of_the_spec() -> None:
    time = torch.linspace(0.0, 12.0, 200, dtype=torch.float64).unsqueeze(1)
    start = torch.tensor([[1.0, -2.0, 5.0]]).expand(200, 3)
    moved = motion(doubled(figure_eight(start)), time).position - start
    angle = 2 * math.pi / 6.0 * time[:, 0]
    torch.testing.assert_close(moved, torch.stack([2 * angle.sin(), (2 * angle).sin(), 0 * angle], dim=1), rtol=0, atol=1e-6)


def test_references_begin_where_they_are_asked_to() -> None:
    start = torch.randn(MANY, 3, generator=generator())
    for reference in (figure_eight(start), random_smooth(start, Draw(MANY, generator(1)))):
        torch.testing.assert_close(motion(reference, torch.zeros(MANY, 1)).position, start, rtol=0, atol=1e-5)


def test_velocity_and_acceleration_are_derivatives() -> None:
    reference, time, step = references(), torch.rand(MANY, 1, dtype=torch.float64) * 18.0, 1e-4
    before, now, after = (motion(reference, time + offset) for offset in (-step, 0.0, step))
    torch.testing.assert_close((after.position - before.position) / (2 * step), now.velocity, rtol=0, atol=1e-6)
    torch.testing.assert_close((after.velocity - before.velocity) / (2 * step), now.acceleration, rtol=0, atol=1e-6)


def test_all_have_the_peaks_of_the_figure_eight() -> None:
    reference = references()
    period = 2 * math.pi / reference["frequency"]
    motions = [motion(reference, period * (index / 1000)) for index in range(1000)]
    speed, acceleration = (torch.stack([getattr(m, what).norm(dim=1) for m in motions]).amax(0) for what in ("velocity", "acceleration"))
    torch.testing.assert_close(speed, torch.full_like(speed, PEAK_SPEED_M_S), rtol=5e-4, atol=0)
    torch.testing.assert_close(acceleration, torch.full_like(speed, PEAK_ACCELERATION_M_S2), rtol=5e-4, atol=0)


def test_references_differ_and_stay_near_and_above_ground() -> None:
    start = Track().sample(track_suites.FULL_RANDOM, MANY, generator())
    assert start.reference is not None
    positions = torch.stack([motion(start.reference, torch.full((MANY, 1), time / 4)).position for time in range(80)])
    offset = positions - positions[0]
    assert positions[..., 2].min() > 1.0
    assert offset.norm(dim=2).max() < 8.0
    assert len({round(value, 4) for value in offset[5, :, 0].tolist()}) > MANY * 0.9


@pytest.mark.parametrize("name", ["nominal", "full", "unseen"])
def test_it_starts_and_randomises_as_hover_does(name: str) -> None:
    track, hover = (task.sample(task.suite(name), 20, generator()) for task in (Track(), Hover()))
    for mine, theirs in ((track.state, hover.state), (track.parameters, hover.parameters), (track.sensor_noise, hover.sensor_noise)):
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    torch.testing.assert_close(track.command[GOAL], hover.command[GOAL])
    assert track_suites.FULL.digest() != hover_suites.FULL.digest()


def test_a_suite_says_which_share_follows_the_figure_eight() -> None:
    task = Track()
    for suite, low, high in ((track_suites.FULL, 1.0, 1.0), (track_suites.FULL_RANDOM, 0.0, 0.0), (track_suites.TRAINING, 0.4, 0.6)):
        reference = task.sample(suite, MANY, generator()).reference
        assert reference is not None
        share = (reference["cosine"] == 0).all(1).float().mean().item()
        assert low <= share <= high


def test_the_command_moves_with_its_episode() -> None:
    task = Track()
    environment = Environment(task, make_simulator("torch", task, 4), suite=task.suite("nominal"), seed=0, auto_reset=False)
    _, first = environment.reset()
    rest = task.actuate(torch.zeros(4, 4))
    for _ in range(10):
        command = environment.step(rest).command
    moved = command[GOAL] - first[GOAL]
    torch.testing.assert_close(moved[:, 0], torch.full((4,), 2 * math.sin(0.1 * math.pi / 3)), rtol=0, atol=1e-5)
    torch.testing.assert_close(moved[:, 1], torch.full((4,), math.sin(0.2 * math.pi / 3)), rtol=0, atol=1e-5)


def reading(batch: int = 1) -> dict[str, torch.Tensor]:
    """At rest at the origin, level."""
    return {name: torch.zeros(batch, 3) for name in (POSITION, VELOCITY, RATES)} | {ORIENTATION: torch.tensor([[1.0, 0, 0, 0]] * batch)}


def asked(goal: list[float], velocity: list[float], acceleration: list[float]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([value]) for name, value in zip((GOAL, GOAL_VELOCITY, GOAL_ACCELERATION), (goal, velocity, acceleration))}


def no_memory(task: Track, batch: int) -> Memory:
    return Memory(torch.zeros(batch, 1), torch.zeros(batch, 4), torch.zeros(batch, task.task_memory_size))


def test_velocity_error_and_acceleration_are_seen_in_the_body_frame() -> None:
    task, sensors = Track(), reading()
    sensors[ORIENTATION] = torch.tensor([[math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)]])  # x forward points along the world's y
    sensors[VELOCITY] = torch.tensor([[0.0, 1.0, 0.0]])
    command = asked([1.0, 0.0, 0.0], [0.0, 3.0, 0.0], [4.0, 0.0, 0.5])
    observation, _ = task.observe(sensors, command, no_memory(task, 1))
    seen = dict(zip(task.observation_names, observation[0].tolist()))
    for what, expected in {
        "goal": (0.0, -1.0, 0.0),
        "velocity": (1.0, 0.0, 0.0),
        "velocity_error": (2.0, 0.0, 0.0),
        "acceleration": (0.0, -4.0, 0.5),
    }.items():
        assert [seen[f"{what}_{axis}"] for axis in "xyz"] == pytest.approx(expected, abs=1e-5)


def test_turning_the_world_changes_nothing() -> None:
    task = Track()
    start = task.sample(track_suites.FULL_RANDOM, 50, generator())
    turn = from_yaw_tilt(torch.full((50,), 1.1), torch.zeros(50), torch.zeros(50))
    matrix = rotation_matrix(turn)
    turned = lambda vector: torch.einsum("nij,nj->ni", matrix, vector)  # noqa: E731
    state = dict(start.state) | {name: turned(start.state[name]) for name in (POSITION, VELOCITY)}
    state[ORIENTATION] = multiply(turn, start.state[ORIENTATION])
    here, _ = task.observe(start.state, start.command, no_memory(task, 50))
    there, _ = task.observe(state, {name: turned(value) for name, value in start.command.items()}, no_memory(task, 50))
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4)


def transition(position: list[float], velocity: list[float], goal_velocity: list[float]) -> Transition:
    task = Track()
    state = reading() | {POSITION: torch.tensor([position]), VELOCITY: torch.tensor([velocity]), RATES: torch.tensor([[0.0, 0.0, 2.0]])}
    state["ground_contact"] = torch.tensor([[False]])
    rest = task.actuate(torch.zeros(1, 4))
    return Transition(
        state, asked([0.0] * 3, goal_velocity, [0.0] * 3), task.actuate(torch.tensor([[0.0, 0.5, 0.0, 0.0]])), rest, torch.zeros(1, 1)
    )


def test_reward_terms() -> None:
    task = Track()
    terms = {name: value.item() for name, value in task.rewards(transition([0.1, 0.0, 0.0], [0.0, 3.0, 4.0], [0.0, 3.0, 0.0])).items()}
    expected = {
        "alive": 0.4,
        "distance": -0.02,
        "at_reference": 0.3 * math.exp(-0.5),
        "velocity_error": -0.08,
        "rotation": -0.008,
        "smoothness": -0.004 * 0.25,
        "crash": 0.0,
    }
    assert terms == pytest.approx(expected, abs=1e-6)
    assert task.rewards(transition([0.0, 0.0, 9.0], [0.0] * 3, [0.0] * 3))["crash"].item() == -20.0


def test_success_is_the_rms_of_the_second_and_third_lap() -> None:
    errors = torch.zeros(1800, 4)
    errors[:600] = 5.0  # the first lap is for catching up
    errors[600:, 1] = 0.151
    errors[600:1200, 2] = 0.2  # RMS 0.141
    assert Track().success(errors, torch.tensor([False, False, False, True])).tolist() == [True, False, True, False]


def test_gradients_are_finite_even_where_every_length_is_zero() -> None:
    """At rest on a resting reference, level: lengths of zero everywhere."""
    task, sensors, command = Track(), reading(), asked([0.0] * 3, [0.0] * 3, [0.0] * 3)
    leaves = [value.requires_grad_() for value in (*sensors.values(), *command.values())]
    memory = no_memory(task, 1)
    observation, kept = task.observe(sensors, command, memory._replace(started=torch.ones(1, 1), task=memory.task.requires_grad_()))
    state = sensors | {"ground_contact": torch.tensor([[False]])}
    rest = task.actuate(observation[:, :4])
    rewards = task.rewards(Transition(state, command, rest, task.actuate(torch.zeros(1, 4)), torch.zeros(1, 1)))
    total = sum(rewards.values(), task.tracking_error(sensors, command)).sum() + observation.sum() + kept.sum()
    for gradient in torch.autograd.grad(total, leaves):
        assert gradient.isfinite().all()


def test_the_operators_figure_eight_is_the_same() -> None:
    time = torch.linspace(0.0, 7.0, 30).unsqueeze(1)
    middle = (1.0, 2.0, 3.0)
    mine = motion(figure_eight(torch.tensor([middle]).repeat(30, 1)), time)
    theirs = [operator_figure_eight(middle, float(now)) for now in time]
    for part in ("position", "velocity", "acceleration"):
        expected = torch.tensor([getattr(motion, part) for motion in theirs])
        torch.testing.assert_close(getattr(mine, part), expected, rtol=0, atol=1e-5)
