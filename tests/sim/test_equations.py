"""The engine of robots that are given by equations of motion."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from robots import registry
from robots.crazyflie import crazyflie
from robots.description import EquationRobot
from robots.errors import TetherError
from safety.sets.systems import system
from sim.equations import STEPS, EquationSimulator
from training.simulators import make
from training.threads import one_thread

ROBOTS = ("pendulum", "planar_quadrotor", "seeker")
N = 40  # enough for kernels


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(params=ROBOTS)
def robot(request: pytest.FixtureRequest) -> EquationRobot:
    found = registry.robot(request.param)
    assert isinstance(found, EquationRobot)
    return found


def engine(robot: EquationRobot, num_envs: int = N, **options: Any) -> EquationSimulator:
    return EquationSimulator(robot, num_envs, **{"dtype": torch.float64, **options})


def everyone(sim: EquationSimulator) -> Tensor:
    return torch.ones(sim.num_envs, dtype=torch.bool)


def x(sim: EquationSimulator) -> Tensor:
    now = sim.privileged()
    return torch.cat([now[name] for name in sim.robot.states], dim=1)


def placed(sim: EquationSimulator, states: Tensor) -> EquationSimulator:
    sizes = [sim.robot.sensor(name).size for name in sim.robot.states]
    sim.reset(everyone(sim), dict(zip(sim.robot.states, states.split(sizes, dim=1), strict=True)))
    return sim


def random(robot: EquationRobot, count: int = N, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """States of twice the box, inputs and disturbances of theirs, float64."""
    generator = torch.Generator().manual_seed(seed)
    size = sum(signal.size for signal in robot.actuation("input"))
    scales = (2.0 * torch.tensor(robot.state_box), torch.ones(size), torch.tensor(robot.disturbance))
    states, inputs, noise = ((2 * torch.rand(count, len(s), generator=generator, dtype=torch.float64) - 1) * s for s in scales)
    return states, inputs, noise


@pytest.mark.parametrize("num_envs", [7, N])
@pytest.mark.parametrize("name", ["pendulum", "planar_quadrotor"])
def test_the_step_is_the_map_that_sets_are_proved_for(name: str, num_envs: int) -> None:
    """To 1e-12 at twice the box, eagerly and as a kernel; the disturbance enters as an acceleration."""
    exact, robot = system(name), registry.robot(name)
    states, inputs, noise = random(robot, num_envs)
    sim = placed(engine(robot, num_envs), states)
    sim.disturb(noise)
    sim.step(inputs)
    expected = exact.step(states.numpy(), inputs.numpy())
    widened = np.pad(noise.numpy(), ((0, 0), (0, len(exact.disturbance) - noise.shape[1])))
    np.testing.assert_allclose(x(sim).numpy(), expected + widened @ exact.position.T, rtol=0.0, atol=1e-12)
    assert robot.state_box == exact.state_high
    assert (*robot.disturbance, *[0.0] * (len(exact.disturbance) - len(robot.disturbance))) == exact.disturbance


def test_the_seeker_moves_as_published() -> None:
    robot = registry.robot("seeker")
    states, inputs, noise = random(robot)
    sim = placed(engine(robot), states)
    sim.disturb(noise)
    sim.step(inputs)
    torch.testing.assert_close(x(sim), states + 0.1 * inputs + noise, rtol=0.0, atol=1e-12)


def test_nothing_is_clamped_or_wrapped(robot: EquationRobot) -> None:
    """Far outside of the box the map is still the map: as a step from there, in any number of copies."""
    far = 50.0 * torch.tensor([robot.state_box], dtype=torch.float64)
    sim = placed(engine(robot, 1), far)
    sim.randomize(everyone(sim), {"disturbance_scale": torch.zeros(1, 1)})
    u, w = torch.zeros(1, sim._inputs, dtype=torch.float64), torch.zeros(1, len(robot.disturbance), dtype=torch.float64)
    sim.step(u)
    torch.testing.assert_close(x(sim), STEPS[type(robot)](robot, far, u, w), rtol=0.0, atol=1e-9)
    assert (x(sim).abs() > torch.tensor(robot.state_box)).any()


def test_inputs_are_clipped_to_their_limits(robot: EquationRobot) -> None:
    states, inputs, _ = random(robot)
    sims = [placed(engine(robot), states) for _ in range(2)]
    sims[0].step(3.0 * inputs)
    sims[1].step((3.0 * inputs).clamp(-1.0, 1.0))
    assert torch.equal(x(sims[0]), x(sims[1]))


def rolled(robot: EquationRobot, start: Tensor, inputs: Tensor, noise: Tensor) -> Tensor:
    """The state after a step for each of ``inputs`` and ``noise`` ``[steps, n, …]``."""
    sim = placed(engine(robot, len(start)), start)
    for u, w in zip(inputs, noise, strict=True):
        sim.disturb(w)
        sim.step(u)
    return x(sim)


def test_gradients_of_a_roll_out_are_those_of_finite_differences(robot: EquationRobot) -> None:
    """Five steps, with respect to start, inputs and chosen disturbances; eagerly and as kernels."""
    for count in (2, N):
        states, inputs, noise = random(robot, count)
        values = [0.4 * states, 0.8 * inputs.expand(5, -1, -1).clone(), 0.8 * noise.expand(5, -1, -1).clone()]
        given = [value.requires_grad_() for value in values]
        found = torch.autograd.grad(rolled(robot, *given).square().sum(), given)
        for index, value in enumerate(values):
            way = torch.randn(value.shape, generator=torch.Generator().manual_seed(index), dtype=torch.float64) * (
                1e-2 if index == 2 else 1.0
            )
            ends = []
            for sign in (1e-6, -1e-6):
                moved = [v.detach() + (sign * way if i == index else 0.0) for i, v in enumerate(values)]
                with torch.no_grad():
                    ends.append(rolled(robot, *moved).square().sum().item())
            expected = (ends[0] - ends[1]) / 2e-6
            assert (found[index] * way).sum().item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_disturbance_is_uniform_in_its_box_and_scaled(robot: EquationRobot) -> None:
    sim, states = engine(robot, 4000), torch.zeros(4000, len(robot.state_box), dtype=torch.float64)
    still = torch.zeros(4000, sim._inputs, dtype=torch.float64)
    scale = torch.cat([torch.zeros(1000, 1), torch.full((1000, 1), 0.5), torch.ones(2000, 1)])
    sim.randomize(everyone(sim), {"disturbance_scale": scale})
    placed(sim, states).step(still)
    q = len(robot.disturbance)
    felt = x(sim)[:, -3:-1] if robot.name == "planar_quadrotor" else x(sim)[:, -q:]
    felt = felt / torch.tensor(robot.disturbance) / (1.0 if robot.name == "seeker" else robot.step_s)
    assert felt[:1000].abs().max() < 1e-12
    assert 0.49 < felt[1000:2000].abs().max() <= 0.5 + 1e-12
    assert 0.99 < felt[2000:].abs().max() <= 1.0 + 1e-12
    np.testing.assert_allclose(felt[2000:].mean(0), 0.0, atol=0.06)
    np.testing.assert_allclose(felt[2000:].var(0), 1.0 / 3.0, atol=0.03)


def test_a_mean_is_added_to_the_disturbance_drawn_or_chosen(robot: EquationRobot) -> None:
    states, inputs, noise = random(robot)
    mean = 3.0 * torch.tensor([robot.disturbance], dtype=torch.float64).expand(N, -1)
    shifted, plain = (placed(engine(robot), states) for _ in range(2))
    shifted.randomize(everyone(shifted), {"disturbance_mean": mean})
    shifted.disturb(noise)
    shifted.step(inputs)
    expected = STEPS[type(robot)](robot, states, inputs, noise + mean)
    torch.testing.assert_close(x(shifted), expected, rtol=0.0, atol=1e-12)
    plain.disturb(noise)
    plain.step(inputs)
    for sim in (shifted, plain):
        placed(sim, states).step(inputs)  # both are given the same draw
    moved = STEPS[type(robot)](robot, states, inputs, mean) - STEPS[type(robot)](robot, states, inputs, 0.0 * mean)
    torch.testing.assert_close(x(shifted), x(plain) + moved, rtol=0.0, atol=1e-12)


def test_factors_change_the_constants_they_are_of(robot: EquationRobot) -> None:
    states, inputs, noise = random(robot)
    for name, constant in robot.factors.items():
        sim = placed(engine(robot), states)
        assert (sim.parameters()[name] == 1.0).all()
        sim.randomize(everyone(sim), {name: torch.full((N, 1), 0.75)})
        sim.disturb(noise)
        sim.step(inputs)
        other = dataclasses.replace(robot, **{constant: 0.75 * getattr(robot, constant)})
        torch.testing.assert_close(x(sim), STEPS[type(robot)](other, states, inputs, noise), rtol=0.0, atol=1e-12)
        with pytest.raises(TetherError, match=f"{name}.* is not finite"):
            sim.randomize(everyone(sim), {name: torch.full((N, 1), torch.inf)})


def test_the_disturbance_follows_from_seed_environment_and_tick(robot: EquationRobot) -> None:
    """Whatever the number of environments, and eagerly as in a kernel."""

    def flown(num_envs: int, seed: int, own: int = 0) -> Tensor:
        sim = engine(robot, num_envs, seed=seed)
        sim.randomize(everyone(sim), {"disturbance_seed": torch.arange(num_envs).unsqueeze(1) + own})
        for _ in range(3):
            sim.step(torch.zeros(num_envs, sim._inputs))
        return x(sim)[:5]

    torch.testing.assert_close(flown(5, 1), flown(N, 1), rtol=0.0, atol=1e-14)
    assert not torch.equal(flown(5, 1), flown(5, 2))
    assert not torch.equal(flown(5, 1), flown(5, 1, own=100))
    assert len(flown(5, 1)[:, 0].unique()) == 5


def test_an_adversary_sets_one_disturbance(robot: EquationRobot) -> None:
    states, inputs, noise = random(robot)
    first, second = (placed(engine(robot), states) for _ in range(2))
    first.disturb(noise)
    for sim in (first, second):
        sim.step(inputs)
    assert not torch.equal(x(first), x(second))
    placed(first, states).step(inputs)
    placed(second, states).step(inputs)
    assert torch.equal(x(first), x(second))  # the second is nature's again
    with pytest.raises(TetherError, match="outside"):
        first.disturb(2.1 * torch.tensor(robot.disturbance).expand(N, -1))


def test_states_are_saved_bit_for_bit(robot: EquationRobot) -> None:
    states, inputs, noise = random(robot)
    sim = placed(engine(robot), states)
    sim.step(inputs)
    sim.disturb(noise)
    saved = sim.state_dict()
    other = engine(robot, seed=9)
    other.load_state_dict(saved)
    for _ in range(3):
        sim.step(inputs)
        other.step(inputs)
    assert torch.equal(x(sim), x(other))
    with pytest.raises(TetherError, match="5 environments"):
        engine(robot, 5).load_state_dict(saved)


def test_a_mask_chooses_who_begins_anew_and_who_changes(robot: EquationRobot) -> None:
    states, _, _ = random(robot)
    sim, half = placed(engine(robot), states), torch.arange(N) < 10
    sim.reset(half, {})
    assert (x(sim)[:10] == 0.0).all()
    assert torch.equal(x(sim)[10:], states[10:])
    for name, value in robot.surroundings.items():
        assert sim.signals()[name][0].tolist() == list(value)
    sim.randomize(half, {"disturbance_scale": torch.full((N, 1), 0.25)})
    assert sim.parameters()["disturbance_scale"].flatten().tolist() == [0.25] * 10 + [1.0] * (N - 10)


def test_detach_cuts_the_graph(robot: EquationRobot) -> None:
    states, inputs, _ = random(robot)
    sim = placed(engine(robot), states)
    sim.step(inputs.requires_grad_())
    assert x(sim).requires_grad
    sim.detach()
    assert not x(sim).requires_grad


def test_what_makes_no_sense_is_refused(robot: EquationRobot) -> None:
    sim, three = engine(robot, 2), torch.zeros(2, 3)
    with pytest.raises(TetherError, match="disturb"):
        sim.apply_wrench(three, three)
    with pytest.raises(TetherError, match="disturb"):
        sim.push(three)
    with pytest.raises(TetherError, match="actuation is not finite in environments \\[1\\]"):
        sim.step(torch.tensor([[0.0], [torch.nan]]).expand(2, sim._inputs))
    with pytest.raises(TetherError, match="negative"):
        sim.randomize(everyone(sim), {"disturbance_scale": torch.full((2, 1), -0.1)})
    with pytest.raises(TetherError, match="disturbance_seed is outside"):
        sim.randomize(everyone(sim), {"disturbance_seed": torch.full((2, 1), -1.0)})
    with pytest.raises(TetherError, match="not finite"):
        sim.reset(everyone(sim), {robot.states[0]: torch.full((2, robot.sensor(robot.states[0]).size), torch.inf)})
    with pytest.raises(TetherError, match="unknown parameter"):
        sim.randomize(everyone(sim), {"mass": torch.ones(2, 1)})
    with pytest.raises(TetherError, match=r"steps of 0\.\d+ s"):
        engine(robot, 2, control_dt=0.01)


def test_robots_without_an_equation_are_refused() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Unicycle(EquationRobot):
        pass

    pendulum = registry.robot("pendulum")
    plain = Unicycle(**{item.name: getattr(pendulum, item.name) for item in dataclasses.fields(EquationRobot)})
    for other in (plain, crazyflie):
        with pytest.raises(TetherError, match="Pendulum, PlanarQuadrotor, Seeker"):
            EquationSimulator(other, 2)


def test_auto_chooses_by_the_robots_kind(robot: EquationRobot) -> None:
    assert isinstance(make("auto", robot, 2), EquationSimulator)
    assert isinstance(make("torch", robot, 2), EquationSimulator)
    assert type(make("torch", crazyflie, 2)).__name__ == "QuadrotorSimulator"
