"""The quadrotor engine as a `Simulator`: reset, delay, saving, repeating, and what it refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from robots import registry
from robots.crazyflie import crazyflie
from robots.description import GRAVITY, Quadrotor, Robot
from robots.errors import TetherError
from sim.obstacles import OBSTACLES
from sim.quadrotor import QuadrotorSimulator
from tests.sim.flights import everywhere, simulator, state

WEIGHT = crazyflie.mass_kg * GRAVITY
UNDAMPED = dataclasses.replace(crazyflie, motor_rise_s=0.01, motor_fall_s=0.01, body_drag_n_s_m=(0.0, 0.0, 0.0))
HOVER = [WEIGHT, 0.0, 0.0, 0.0]
QUADROTORS = [name for name in registry.names(registry.ROBOTS) if isinstance(registry.robot(name), Quadrotor)]


def random_actuation(sim: QuadrotorSimulator, steps: int, seed: int = 0) -> Tensor:
    random = torch.rand(steps, sim.num_envs, 4, generator=torch.Generator().manual_seed(seed))
    if sim.actuation_mode == "rotor_thrusts":
        return random * sim.robot.thrust_max_n
    return random * torch.tensor([2 * WEIGHT, 4.0, 4.0, 2.0]) - torch.tensor([0.0, 2.0, 2.0, 1.0])


def randomised(num_envs: int = 5, seed: int = 0) -> QuadrotorSimulator:
    """Environments that differ in everything."""
    sim = QuadrotorSimulator(crazyflie, num_envs)
    random = torch.Generator().manual_seed(seed)
    everyone = torch.ones(num_envs, dtype=torch.bool)
    nominal = sim.parameters()
    drawn = {name: value * (1.0 + 0.3 * (torch.rand(value.shape, generator=random) - 0.5)) for name, value in nominal.items()}
    drawn |= {"action_delay": 0.02 * torch.rand(num_envs, 1, generator=random), "wind": torch.randn(num_envs, 3, generator=random)}
    drawn["battery_charge"] = torch.rand(num_envs, 1, generator=random)
    drawn["centre_of_mass"] = 0.003 * torch.randn(num_envs, 3, generator=random)
    sim.randomize(everyone, drawn)
    sim.apply_wrench(0.01 * torch.randn(num_envs, 3, generator=random), 1e-5 * torch.randn(num_envs, 3, generator=random))
    start = {"position_base_in_world": torch.tensor([[0.0, 0.0, 3.0]]) + torch.randn(num_envs, 3, generator=random)}
    sim.reset(everyone, start | {"orientation_base_in_world": torch.randn(num_envs, 4, generator=random)})
    return sim


def everything(sim: QuadrotorSimulator) -> Tensor:
    return torch.cat([value.float() for value in sim.privileged().values()], dim=1)


@pytest.mark.parametrize("name", QUADROTORS)
def test_every_registered_quadrotor_flies_in_every_mode(name: str) -> None:
    robot = registry.robot(name)
    for mode in robot.actuations:
        sim = QuadrotorSimulator(robot, 2, actuation_mode=mode)
        everywhere(sim, position_base_in_world=[0, 0, 5])
        safe = torch.tensor([[value for signal in robot.actuation(mode) for value in signal.safe]]).expand(2, -1)
        for _ in range(20):
            sim.step(safe)
        signals = sim.signals()
        own = [sensor for sensor in robot.sensors if sensor.name != OBSTACLES]  # which no engine knows
        assert set(signals) == {sensor.name for sensor in own}
        for sensor in own:
            assert signals[sensor.name].shape == (2, sensor.size)
            low, high = torch.tensor(sensor.lower), torch.tensor(sensor.upper)
            assert ((signals[sensor.name] >= low) & (signals[sensor.name] <= high)).all()
        np.testing.assert_allclose(signals["position_base_in_world"], [[0, 0, 5]] * 2, atol=1e-4)


def test_state_dict_continues_bit_for_bit() -> None:
    sim, other = randomised(seed=1), QuadrotorSimulator(crazyflie, 5)
    actuations = random_actuation(sim, 20)
    for actuation in actuations[:10]:
        sim.step(actuation)
    saved = sim.state_dict()
    for actuation in actuations[10:]:
        sim.step(actuation)
    other.load_state_dict(saved)
    for actuation in actuations[10:]:
        other.step(actuation)
    assert torch.equal(everything(sim), everything(other))
    for name, value in sim.parameters().items():
        assert torch.equal(value, other.parameters()[name])


@pytest.mark.parametrize("delay", [0.0, 0.0025, 0.01, 0.013, 0.02])
@pytest.mark.parametrize("substeps", [1, 2, 10])
def test_action_delay_shifts_the_flight_in_time(delay: float, substeps: int) -> None:
    """The speed missing long after a step in thrust is a · delay, to 0.2 ms, whatever the delay is a multiple of."""
    sims = [
        QuadrotorSimulator(UNDAMPED, 1, actuation_mode="rotor_thrusts", physics_dt=0.01 / substeps, dtype=torch.float64) for _ in range(2)
    ]
    sims[1].randomize(torch.ones(1, dtype=torch.bool), {"action_delay": torch.tensor([[delay]])})
    for sim in sims:
        everywhere(sim, position_base_in_world=[0, 0, 5])
        for _ in range(20):
            sim.step(torch.full((1, 4), 1.5 * WEIGHT / 4))
    prompt, late = (state(sim, "linear_velocity_base_in_world")[2] for sim in sims)
    assert (prompt - late) / (0.5 * GRAVITY) == pytest.approx(delay, abs=2e-4)


def test_linear_acceleration_is_the_mean_over_the_last_step() -> None:
    sim = simulator(crazyflie, "rotor_thrusts")
    everywhere(sim, position_base_in_world=[0, 0, 20], rotor_speeds=[0, 0, 0, 0])
    sim.step(torch.zeros(1, 4))
    np.testing.assert_allclose(state(sim, "linear_acceleration_base_in_world"), [0, 0, -GRAVITY], rtol=2e-3)


def test_moving_the_centre_of_mass_leaves_the_base_where_it_is() -> None:
    sim = randomised()
    for actuation in random_actuation(sim, 5):
        sim.step(actuation)
    before = sim.signals()
    sim.randomize(torch.ones(5, dtype=torch.bool), {"centre_of_mass": torch.full((5, 3), 0.003)})
    for name, value in sim.signals().items():
        np.testing.assert_allclose(value, before[name], atol=1e-5)


# --- refusals ---


def refused(match: str) -> Any:
    return pytest.raises(TetherError, match=match)


def test_construction_errors_say_what_to_do() -> None:
    plain = Robot(**{field.name: getattr(crazyflie, field.name) for field in dataclasses.fields(Robot)})
    with refused("four rotors"):
        QuadrotorSimulator(plain, 1)
    for physics_dt in (0.003, 0.02, 0.0, -0.01):
        with refused("does not divide"):
            QuadrotorSimulator(crazyflie, 1, physics_dt=physics_dt)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu_is_refused() -> None:
    with refused("--device cpu"):
        QuadrotorSimulator(crazyflie, 1, device="cuda")


def test_batteries_that_are_none_and_states_of_another_size() -> None:
    sim, everyone = QuadrotorSimulator(crazyflie, 2), torch.ones(2, dtype=torch.bool)
    for name, value in {"battery_charge": 1.1, "battery_resistance_scale": 0.0}.items():
        with refused(name):
            sim.randomize(everyone, {name: torch.full((2, 1), value)})
    with refused("2 environments"):
        sim.load_state_dict(QuadrotorSimulator(crazyflie, 3).state_dict())


@pytest.mark.parametrize("num_envs", [3, 64])  # without and with kernels
def test_begin_is_randomize_and_reset(num_envs: int) -> None:
    generator = torch.Generator().manual_seed(0)
    at_once, one_by_one = QuadrotorSimulator(crazyflie, num_envs), QuadrotorSimulator(crazyflie, num_envs)
    for _ in range(3):
        mask = torch.rand(num_envs, generator=generator) < 0.5
        state = {"position_base_in_world": 5.0 + torch.rand(num_envs, 3, generator=generator)}
        parameters = {
            "mass": 0.03 + 0.01 * torch.rand(num_envs, 1, generator=generator),
            "centre_of_mass": 0.002 * torch.rand(num_envs, 3, generator=generator),
            "action_delay": 0.02 * torch.rand(num_envs, 1, generator=generator),
        }
        with torch.no_grad():
            at_once.begin(mask, state, parameters)
            one_by_one.randomize(mask, parameters)
            one_by_one.reset(mask, state)
            for actuation in random_actuation(at_once, 5):
                at_once.step(actuation)
                one_by_one.step(actuation)
        torch.testing.assert_close(everything(at_once), everything(one_by_one), rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("num_envs", [3, 64])
def test_a_bad_start_is_refused_and_changes_nothing(num_envs: int) -> None:
    sim, everyone = QuadrotorSimulator(crazyflie, num_envs), torch.ones(num_envs, dtype=torch.bool)
    good = {"mass": torch.full((num_envs, 1), 0.03)}
    with torch.no_grad():
        for _ in range(2):  # the second time in place
            sim.begin(everyone, {}, good)
        before = everything(sim).clone()
        bad = torch.full((num_envs, 1), 0.03)
        bad[1] = -1.0
        with refused(r"mass.*environments \[1\]"):
            sim.begin(everyone, {}, {"mass": bad})
        with refused("position_base_in_world"):
            sim.begin(everyone, {"position_base_in_world": torch.full((num_envs, 3), torch.nan)}, good)
        only_good = torch.arange(num_envs) != 1
        sim.begin(only_good, {}, {"mass": bad})
    assert torch.equal(everything(sim)[1], before[1])
    assert sim.parameters()["mass"].flatten()[1].item() == pytest.approx(0.03)


@pytest.mark.gpu
def test_a_gpu_flies_the_same() -> None:
    engines = [QuadrotorSimulator(crazyflie, 3, device=device) for device in ("cpu", "cuda")]
    heights = torch.tensor([[0.0, 0.0, 0.05], [0.0, 0.0, 1.2], [0.0, 0.0, 6.0]])
    for sim in engines:
        everyone = torch.ones(3, dtype=torch.bool, device=sim.device)
        sim.randomize(everyone, {"action_delay": torch.full((3, 1), 0.007), "centre_of_mass": torch.full((3, 3), 0.001)})
        sim.reset(everyone, {"position_base_in_world": heights})
        for actuation in random_actuation(sim, 20):
            sim.step(actuation.to(sim.device))
    np.testing.assert_allclose(everything(engines[0]), everything(engines[1]).cpu(), atol=1e-4)
