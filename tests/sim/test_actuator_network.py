"""Learned actuators: a network taught the analytic motor's law moves the robot as that motor does, and resumes bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from robots.check import problems
from robots.description import Joint, JointActuator, LearnedActuator, LeggedRobot
from robots.errors import TetherError
from robots.go2 import go2
from sim.actuator_network import ActuatorNetwork
from sim.legged.model import build
from sim.mujoco_cpu.simulator import MujocoCpuSimulator
from tests.sim.walkers import STAND, everyone, everything, explicit_torque

HISTORY, INTERVAL_S = 2, 0.01
SCALES = (0.3, 6.0, 20.0)  # rad, rad/s, N·m
TOLERANCE_RAD = 0.0175  # one degree


def law(joint: Joint, motor: JointActuator, error: Tensor, speed: Tensor) -> Tensor:
    """`JointActuator`, as its docstring says it."""

    def limit(velocity: Tensor) -> Tensor:
        return joint.effort * ((joint.speed - velocity) / (joint.speed - motor.knee_speed)).clamp(-1.0, 1.0)

    return (motor.kp * error - motor.kd * speed).clamp(-limit(-speed), limit(speed))


def save(path: Path, layers: list[tuple[Tensor, Tensor]], scales: tuple[float, ...] = SCALES) -> Path:
    arrays = {f"{name}_{k}": value.numpy() for k, layer in enumerate(layers) for name, value in zip(("weight", "bias"), layer)}
    np.savez(path, scales=scales, **arrays)
    return path


def taught(path: Path, joint: Joint, motor: JointActuator) -> Path:
    """A network of two hidden layers, fitted to samples of the motor's law; it must find out that the older input says nothing."""
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(1000, 2 * HISTORY, generator=random, dtype=torch.float64)
    wanted = law(joint, motor, inputs[:, 0] * SCALES[0], inputs[:, 1] * SCALES[1]) / SCALES[2]
    layers = [torch.nn.Linear(2 * HISTORY, 20), torch.nn.Linear(20, 20), torch.nn.Linear(20, 1)]
    network = torch.nn.Sequential(layers[0], torch.nn.Softsign(), layers[1], torch.nn.Softsign(), layers[2]).double()
    for layer in layers:
        torch.nn.init.xavier_uniform_(layer.weight, generator=random)
        torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=250, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (network(inputs)[:, 0] - wanted).square().mean()
        value.backward()
        return value

    optimizer.step(loss)
    return save(path, [(layer.weight.detach(), layer.bias.detach()) for layer in layers])


def with_networks(files: dict[float, Path], history: int = HISTORY, interval_s: float = INTERVAL_S) -> LeggedRobot:
    """The Go2 with a network for each of its two kinds of motors, by their effort."""
    rows = zip(go2.joints, go2.actuators)
    kept = ("kp", "kd", "knee_speed", "armature")
    actuators = tuple(
        LearnedActuator(
            network=files[joint.effort], history=history, interval_s=interval_s, **{name: getattr(motor, name) for name in kept}
        )
        for joint, motor in rows
    )
    return replace(go2, actuators=actuators)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> LeggedRobot:
    folder = tmp_path_factory.mktemp("networks")
    pairs = {joint.effort: (joint, motor) for joint, motor in zip(go2.joints, go2.actuators)}
    return with_networks({effort: taught(folder / f"{effort}.npz", *pair) for effort, pair in pairs.items()})


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> LeggedRobot:
    """One layer, which is a PD controller; the limits are the engine's."""
    path = tmp_path_factory.mktemp("linear") / "pd.npz"
    motor = go2.actuators[0]
    save(path, [(torch.tensor([[motor.kp, -motor.kd]]), torch.zeros(1))], (1.0, 1.0, 1.0))
    return with_networks(dict.fromkeys([joint.effort for joint in go2.joints], path), history=1, interval_s=0.0)


def response(robot: LeggedRobot) -> np.ndarray:
    """Joint positions [steps, 12] of half a second after a step of the targets by 0.3 rad, standing."""
    simulator = MujocoCpuSimulator(robot, 1, physics_dt=0.002)  # torques are held over it
    for _ in range(25):
        simulator.step(STAND)
    rows = []
    for _ in range(25):
        simulator.step(STAND + 0.3 * torch.tensor([0.0, 1.0, -1.0] * 4))
        rows.append(simulator.signals()["joint_position"][0].numpy())
    return np.array(rows)


def test_it_moves_as_the_motor_that_taught_it(learned: LeggedRobot) -> None:
    """Largest difference of any joint, of a movement of 0.3 rad, within `TOLERANCE_RAD`."""
    assert problems(learned) == []
    expected, found = response(go2), response(learned)
    assert np.abs(expected[-1] - expected[0]).max() > 0.1
    assert np.abs(found - expected).max() < TOLERANCE_RAD


def test_a_linear_network_is_the_described_motor(linear: LeggedRobot) -> None:
    """Limits included, on the state that each torque was computed from."""
    simulator = MujocoCpuSimulator(linear, 3, control_dt=0.005, physics_dt=0.005)
    random = torch.Generator().manual_seed(1)
    speeds = 20.0 * torch.randn(3, 12, generator=random)
    simulator.reset(everyone(simulator), {"joint_velocity": speeds})
    target = (STAND + torch.randn(3, 12, generator=random)).clamp(
        torch.tensor([joint.lower for joint in go2.joints]), torch.tensor([joint.upper for joint in go2.joints])
    )
    simulator.step(target)
    found = simulator.privileged()["joint_torque"].numpy()
    for row in range(3):
        expected = explicit_torque(np.array(go2.stand), speeds[row].double().numpy(), target[row].double().numpy())
        np.testing.assert_allclose(found[row], expected, atol=1e-4)


def test_factors_are_those_of_gains_and_strength(linear: LeggedRobot) -> None:
    simulator = MujocoCpuSimulator(linear, 2, control_dt=0.005, physics_dt=0.005)
    half, full = torch.tensor([[1.0], [0.5]]), torch.ones(2, 1)
    target = (STAND + 0.1).expand(2, -1)
    for name, kp, strength in (("kp_scale", half, full), ("strength_scale", full, half)):
        simulator.randomize(everyone(simulator), {"kp_scale": full, "strength_scale": full} | {name: half})
        simulator.reset(everyone(simulator), {})
        simulator.step(target)
        torque = simulator.privileged()["joint_torque"]
        torch.testing.assert_close(torque, 2.5 * (kp * strength).expand(-1, 12), rtol=1e-4, atol=1e-4)


def test_it_resumes_bit_for_bit(learned: LeggedRobot) -> None:
    """What drives remember is part of the saved state, and a reset forgets it."""
    first, second = MujocoCpuSimulator(learned, 2), MujocoCpuSimulator(learned, 2)
    random = torch.Generator().manual_seed(2)
    targets = STAND + 0.3 * torch.randn(6, 2, 12, generator=random)
    for target in targets[:3]:
        first.step(target)
    second.load_state_dict(first.state_dict())
    for target in targets[3:]:
        for simulator in (first, second):
            simulator.step(target)
    assert torch.equal(everything(first), everything(second))
    first.reset(torch.tensor([True, False]), {})
    fresh = MujocoCpuSimulator(learned, 2)
    for simulator in (first, fresh):
        simulator.step(targets[0])
    assert torch.equal(everything(first)[0], everything(fresh)[0])
    assert not torch.equal(everything(first)[1], everything(fresh)[1])


def test_what_does_not_fit_is_refused(linear: LeggedRobot, tmp_path: Path) -> None:
    path = linear.actuators[0].network  # type: ignore[attr-defined]
    with pytest.raises(TetherError, match="takes 2 numbers; a history of 3 gives 6"):
        ActuatorNetwork(path, 3)
    (tmp_path / "text.npz").write_text("no network")
    with pytest.raises(TetherError, match="is no actuator network"):
        ActuatorNetwork(tmp_path / "text.npz", 1)
    with pytest.raises(TetherError, match="no multiple of the physics step"):
        MujocoCpuSimulator(with_networks(dict.fromkeys([23.7, 35.55], path), 2, 0.007), 1)
    with pytest.raises(TetherError, match="on every joint"):
        MujocoCpuSimulator(replace(linear, actuators=(*linear.actuators[:-1], go2.actuators[-1])), 1)
    with pytest.raises(TetherError, match="this engine has none"):
        build(linear, 0.005)
    assert any(
        "every joint or on none" in line for line in problems(replace(linear, actuators=(*linear.actuators[:-1], go2.actuators[-1])))
    )
    assert any("history of at least 1" in line for line in problems(with_networks(dict.fromkeys([23.7, 35.55], path), 0)))
