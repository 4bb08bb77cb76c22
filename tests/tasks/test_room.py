"""Room: rooms that can be crossed, an inner loop by hand, a safeguard that nobody gets past, and an end where something is touched."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.room_tube import Restless, at_the_nearest, fly, to_the_goal
from robots.crazyflie import crazyflie
from robots.description import GRAVITY
from robots.errors import TetherError
from sim.obstacles import OBSTACLES, around
from tasks.quadrotor_flight import ORIENTATION, POSITION
from tasks.room import CLEARANCE, CONTACT_M, SLOTS, SPEED_M_S, TRAINING, Room
from tasks.rooms import GAP_M, HALF_M, rooms, walls
from training.environment import Environment
from training.simulators import make_simulator


def made(suite: str = "full", count: int = 100) -> Environment:
    task = Room()
    environment = Environment(task, make_simulator("auto", task, count), suite=task.suite(suite), seed=4, auto_reset=False)
    environment.reset()
    return environment


def test_gaps_are_passable_and_rooms_are_full() -> None:
    found = rooms(17, 200)
    there = found[:, :, 3] > 0.0
    assert there.sum(1).min() >= 7
    apart = (found[:, :, None, :2] - found[:, None, :, :2]).norm(dim=3) - found[:, :, None, 3] - found[:, None, :, 3]
    both = there[:, :, None] & there[:, None, :] & ~torch.eye(found.shape[1], dtype=torch.bool)
    assert apart[both].min() >= GAP_M - 1e-6
    assert (HALF_M - found[:, :, :2].abs().amax(2) - found[:, :, 3])[there].min() >= GAP_M - 1e-6
    assert torch.equal(found, rooms.__wrapped__(17, 200))


def test_no_suite_has_a_room_that_training_has_seen() -> None:
    trained = {tuple(row.flatten().tolist()) for row in rooms(*TRAINING.rooms)}
    for suite in Room.suites.values():
        assert suite.rooms[1] == 100
        assert not trained & {tuple(row.flatten().tolist()) for row in rooms(*suite.rooms)}


def test_every_room_is_flown_as_often_as_the_others_from_a_free_start_to_a_free_goal() -> None:
    task = Room()
    start = task.sample(task.suite("full"), 1000, torch.Generator().manual_seed(1))
    assert start.world is not None
    obstacles, goal = start.world["obstacles"], start.command["goal_position_in_world"]
    counts = torch.unique(obstacles.flatten(1), dim=0, return_counts=True)[1]
    assert counts.tolist() == [10] * 100
    for point, clearance in ((start.state[POSITION], 0.5), (goal, 0.4)):
        gap = torch.cat([around(point, obstacles).gap, walls(point)], 1).amin(1)
        assert (gap >= clearance - 1e-5).float().mean() > 0.99
    assert (goal - start.state[POSITION]).norm(dim=1).quantile(0.01) >= 2.9


def test_level_at_rest_by_hand() -> None:
    """A set-point of 1 m/s along x asks for 3 m/s² there; its direction lies atan(3/g) off the vertical, about y."""
    task = Room()
    actuation = task.actuate(torch.tensor([[1.0 / SPEED_M_S[0], 0.0, 0.0]]))
    assert actuation["collective_thrust"].item() == pytest.approx(crazyflie.mass_kg * GRAVITY, rel=1e-5)
    assert actuation["body_rates"][0].tolist() == pytest.approx([0.0, 5.0 * math.sin(math.atan(3.0 / GRAVITY)), 0.0], abs=1e-4)


def test_tilted_it_holds_its_height() -> None:
    """Rolled by 0.4 rad and at rest with no set-point: the vertical part of the thrust is the weight."""
    task = Room()
    memory = torch.zeros(1, task.task_memory_size)
    memory[0, :2] = torch.tensor([math.cos(0.2), math.sin(0.2)])
    thrust = task.follow(memory, torch.zeros(1, 3))["collective_thrust"].item()
    assert thrust * math.cos(0.4) == pytest.approx(crazyflie.mass_kg * GRAVITY, rel=1e-5)


def test_what_is_sensed_and_cleared_is_the_world() -> None:
    environment = made("nominal", 40)
    state, world = environment.state, environment.episode.world
    assert world is not None
    gap = torch.cat([around(state[POSITION], world["obstacles"]).gap, walls(state[POSITION])], 1).amin(1)
    torch.testing.assert_close(state[CLEARANCE][:, 0], gap - CONTACT_M)
    slots = environment.sensors[OBSTACLES].view(40, SLOTS, 4)
    seen = slots[:, :, :3].norm(dim=2) - slots[:, :, 3]
    torch.testing.assert_close(seen[:, 0], around(state[POSITION], world["obstacles"]).gap.amin(1), atol=1e-4, rtol=1e-4)
    assert (seen.diff(dim=1) >= -1e-4).all()


def test_touching_ends_the_episode() -> None:
    environment = made("nominal", 40)
    assert environment.episode.world is not None
    inside = environment.episode.world["obstacles"][:, 0, :3].clone()
    inside[:, 2] = 1.0
    pillar = environment.episode.world["obstacles"][:, 0, 4] > 0.0
    level = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(40, 4)
    environment.simulator.reset(environment.everyone, {POSITION: inside, ORIENTATION: level})
    step = environment.step(environment.task.actuate(torch.zeros(40, 3)))
    assert pillar.any()
    assert step.terminated[pillar].all()


@pytest.mark.parametrize("safeguard", list(Room.safeguards))
def test_nobody_gets_past_the_safeguard_whatever_it_wants(safeguard: str) -> None:
    for steer in (at_the_nearest, Restless(100, 0)):
        found = fly(Room.training_suite, steer, safeguard, 100, 7)
        assert found["collisions"] == 0
        assert found["margin_used_m"]["worst"] < 0.08


def test_a_beeline_behind_the_deflection_arrives() -> None:
    found = fly(Room.suites["full"], to_the_goal, "deflection", 100, 5)
    assert found["collisions"] == 0
    assert found["reached"] > 0.9


def test_a_robot_that_senses_no_obstacles_is_refused() -> None:
    with pytest.raises(TetherError, match=OBSTACLES):
        Room(crazyflie).contract(1)
