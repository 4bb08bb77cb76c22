"""The Go2's velocity task: clock, judged part, commands that change, rewards that say what they mean."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from robots.errors import TetherError
from robots.registry import robot
from tasks.go2_suites import FULL, TRAINING
from tasks.go2_velocity import CONTACTS, FORCES, JOINTS, MOTIONS, ORIENTATION, RATES, SPEEDS, TARGET, TURN, VELOCITY, WALK, Go2Velocity
from tasks.task import Memory, Start, Transition
from training.environment import Environment
from training.guard import SafeguardConfig
from training.learned_law import LearnedLaw
from training.simulators import make_simulator

STILL = {WALK: torch.zeros(1, 2), TURN: torch.zeros(1, 1)}
AHEAD = {WALK: torch.tensor([[1.0, 0.0]]), TURN: torch.zeros(1, 1)}


@pytest.fixture(scope="module")
def task() -> Go2Velocity:
    return Go2Velocity()


@pytest.fixture(scope="module")
def environment(task: Go2Velocity) -> Environment:
    return Environment(task, make_simulator("auto", task, 4), suite=task.suite("nominal"), seed=0, auto_reset=False)


def sensors(task: Go2Velocity) -> dict[str, Tensor]:
    values = {name: torch.zeros(1, task.robot.sensor(name).size) for name in task.sensors}
    return values | {ORIENTATION: torch.tensor([[1.0, 0.0, 0.0, 0.0]]), JOINTS: torch.tensor([task.robot.stand])}


def run(task: Go2Velocity, command: dict[str, Tensor], steps: int) -> Tensor:
    """The clock that a policy sees, ``[steps, 2]``."""
    memory = Memory(torch.zeros(1, 1), torch.zeros(1, 12), torch.zeros(1, task.task_memory_size))
    seen = []
    for _ in range(steps):
        observation, packed = task.observe(sensors(task), command, memory)
        memory = Memory(torch.ones(1, 1), torch.zeros(1, 12), packed)
        seen.append(observation[0, 9:11])
    return torch.stack(seen)


def test_the_policys_clock_is_the_rewards(task: Go2Velocity) -> None:
    """What it sees after k steps is the phase that the reward takes at that time: FR swings in the second half."""
    seen = run(task, AHEAD, 50)
    times = torch.arange(50).unsqueeze(1) / task.rate_hz
    stance, _ = task.trot(times, torch.ones(50, dtype=torch.bool))
    sure = seen[:, 0].abs() > 1e-3
    assert torch.equal(stance[sure, 0], seen[sure, 0] > 0)
    assert torch.equal(stance[:, 0], stance[:, 3])
    assert torch.equal(stance[sure, 1], ~stance[sure, 0])


def test_nothing_swings_while_nothing_is_asked(task: Go2Velocity) -> None:
    assert not run(task, STILL, 30).any()
    stance, _ = task.trot(torch.rand(20, 1), torch.zeros(20, dtype=torch.bool))
    assert stance.all()


def test_history_begins_with_the_first_observation(task: Go2Velocity) -> None:
    seen = sensors(task) | {JOINTS: torch.tensor([task.robot.stand]) + 0.1}
    observation, _ = task.observe(seen, AHEAD, Memory(torch.zeros(1, 1), torch.zeros(1, 12), torch.zeros(1, task.task_memory_size)))
    frames = observation[0, 11:83].unflatten(0, (3, 24))
    assert torch.equal(frames[0], frames[1])
    assert torch.equal(frames[0], frames[2])


def test_a_second_after_a_push_or_a_new_command_is_not_judged(task: Go2Velocity) -> None:
    steps = torch.arange(500.0).unsqueeze(1)
    judged = task.judged(steps)[:, 0] / task.rate_hz
    whole = torch.bincount(judged.floor().long(), minlength=10)
    assert whole.tolist() == [0, 50, 50, 50, 0, 0, 50, 50, 0, 50]


def test_commands_change_on_time(task: Go2Velocity) -> None:
    commands = torch.arange(12.0).reshape(2, 2, 3)
    start = Start({}, {}, {}, {}, reference={"commands": commands})
    assert torch.equal(task.command_at(start, torch.tensor([[4.98], [5.0]]))[WALK], torch.stack([commands[0, 0, :2], commands[1, 1, :2]]))
    assert task.command_at(start, torch.full((2, 1), 99.0))[TURN].flatten().tolist() == [5.0, 11.0]


def transition(environment: Environment, **changes: Tensor) -> Transition:
    """Standing still where it should, with ``changes`` to the state."""
    task = environment.task
    environment.reset()
    state = {name: value[:1].clone() for name, value in environment.state.items()} | changes
    rest = {name: value[:1] for name, value in task.actuate(torch.zeros(1, 12)).items()}
    return Transition(state, STILL, rest, rest, torch.zeros(1, 1))


def test_rewards_name_what_they_see(environment: Environment) -> None:
    task = environment.task
    still = task.rewards(transition(environment, **{CONTACTS: torch.ones(1, 4, dtype=torch.bool)}))
    assert still["velocity"].item() == pytest.approx(2.0 / 50.0, rel=1e-3)
    assert still["clock"].item() == pytest.approx(0.5 / 50.0)
    assert still["fall"].item() == still["slip"].item() == still["floor"].item() == 0.0
    moved = task.rewards(transition(environment, **{VELOCITY: torch.tensor([[0.5, 0.0, 0.0]])}))
    assert moved["velocity"] < still["velocity"]
    stamped = torch.zeros(1, 12)
    stamped[0, 2] = 300.0
    assert task.rewards(transition(environment, **{FORCES: stamped}))["impact"].item() == pytest.approx(-0.4 / 50.0)
    dragged = {CONTACTS: torch.ones(1, 4, dtype=torch.bool), MOTIONS: torch.tensor([[1.0, 0.0, 0.0] + [0.0] * 9])}
    assert task.rewards(transition(environment, **dragged))["slip"].item() == pytest.approx(-0.1 / 50.0)


@pytest.mark.parametrize("part", ["base_contact", "thigh_contact", "diverged"])
def test_what_is_a_fall(environment: Environment, part: str) -> None:
    task, fine = environment.task, transition(environment)
    assert not task.terminated(fine)
    assert task.terminated(fine._replace(state={**fine.state, part: torch.ones_like(fine.state[part])}))
    tilted = torch.tensor([[0.7, 0.714, 0.0, 0.0]])
    assert task.terminated(fine._replace(state={**fine.state, ORIENTATION: tilted}))
    for name in (RATES, SPEEDS):
        assert task.terminated(fine._replace(state={**fine.state, name: fine.state[name] * torch.nan}))


def test_targets_stay_within_the_joints_ranges(task: Go2Velocity) -> None:
    for sign in (-1.0, 1.0):
        target = task.actuate(torch.full((1, 12), sign))[TARGET][0]
        for value, joint in zip(target.tolist(), task.robot.joints, strict=True):
            assert joint.lower - 1e-6 <= value <= joint.upper + 1e-6


def test_training_covers_what_full_asks() -> None:
    for name in ("friction", "base_mass_kg", "delay_s"):
        wide, narrow = getattr(TRAINING, name), getattr(FULL, name)
        assert wide[0] <= narrow[0]
        assert narrow[1] <= wide[1]
    for name in ("centre_of_mass_m", "gain_spread", "encoder_bias_rad", "misalignment_rad", "push_m_s", "speed_m_s"):
        assert getattr(TRAINING, name) >= getattr(FULL, name)


def test_pushes_come_every_four_seconds(task: Go2Velocity) -> None:
    """The velocity jumps by the push and by no more than a step of walking before and after."""
    suite = dataclasses.replace(task.suite("nominal"), push_m_s=0.8)
    environment = Environment(task, make_simulator("auto", task, 2), suite=suite, seed=0, auto_reset=False)
    environment.reset()
    rest = task.actuate(torch.zeros(2, 12))
    wanted = environment.episode.push_m_s
    assert wanted is not None
    speeds = []
    for _ in range(205):
        environment.step(rest)
        speeds.append(environment.state[VELOCITY][:, :2].clone())
    jumps = torch.stack(speeds).diff(dim=0).norm(dim=2).amax(1)
    assert jumps[50:].argmax().item() + 50 == 199
    assert environment.episode.push_m_s.shape == (2, 2, 3)


def test_only_four_legs_walk() -> None:
    with pytest.raises(TetherError, match="four legs"):
        Go2Velocity(robot("crazyflie"))


def test_the_safeguard_keeps_targets_stoppable_within_the_joints_ranges() -> None:
    """Wild actions: targets stay in range, no faster than the joints, and from every one of them a stop in range is possible."""
    task = Go2Velocity()
    law = LearnedLaw(task, safeguard=SafeguardConfig("joint_viability"))
    lower, upper, speed = (torch.tensor([getattr(joint, name) for joint in task.robot.joints]) for name in ("lower", "upper", "speed"))
    generator = torch.Generator().manual_seed(0)
    sensors = {name: torch.zeros(64, task.robot.sensor(name).size) for name in task.sensors}
    sensors["orientation_base_in_world"][:, 0] = 1.0
    command = {each.name: torch.zeros(64, each.size) for each in task.commands}
    memory, before = law.initial_memory(64), torch.tensor(task.robot.stand).expand(64, -1)
    assert law.guard is not None
    for step in range(200):
        percept = law.perceive(sensors, command, memory)
        wanted = torch.randn(64, 12, generator=generator) if step % 40 < 20 else torch.ones(64, 12) * (-1.0) ** (step // 40)
        wanted = wanted.clamp(-1.0, 1.0)
        output = law.act(percept, wanted, percept.recurrent, law.guard(percept.guarded_state, wanted))
        target, memory = output.actuation["joint_position_target"], output.memory
        assert (output.feasible == 1.0).all()
        assert ((target >= lower - 1e-6) & (target <= upper + 1e-6)).all()
        assert ((target - before).abs() * task.rate_hz <= speed * (1.0 + 1e-4)).all()
        before = target
    assert (output.intervention >= 0.0).all()
