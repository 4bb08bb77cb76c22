"""The legged engine against plain MuJoCo and closed forms: standing, motors, delays, wrenches, saving."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from robots.go2 import go2
from sim.fused import fuse
from sim.legged.model import Terrain, build
from tests.sim.walkers import BOUNDS, everyone, everything, explicit_torque, plain, randomised, simulator, stand, targets


def test_steps_are_those_of_plain_mujoco() -> None:
    """Bit for bit: one MjData, `mj_step`, the same model."""
    sim, (model, data) = simulator(3, threads=2), plain()
    mujoco.mj_forward(model, data)
    for command in targets(1, 25):
        sim.step(command.expand(3, -1))
        data.ctrl[:] = command[0].double().numpy().clip(*BOUNDS)
        for _ in range(4):
            mujoco.mj_step(model, data)
    for qpos, qvel in zip(sim.batch.qpos, sim.batch.qvel, strict=True):
        np.testing.assert_array_equal(qpos, data.qpos)
        np.testing.assert_array_equal(qvel, data.qvel)
    np.testing.assert_allclose(sim.privileged()["joint_torque"][0], data.actuator_force, rtol=1e-6)


@pytest.mark.parametrize("speed", [0.0, 5.0, 20.0, 40.0])
def test_motors_follow_the_torque_speed_curve(speed: float) -> None:
    """MuJoCo's motor gives what `JointActuator` says, at any speed and however far from the target."""
    random = np.random.default_rng(1)
    model, data = plain()
    for _ in range(20):
        data.qpos[7:] = random.normal(size=12)
        data.qvel[6:] = speed * random.normal(size=12)
        data.ctrl[:] = 2.0 * random.normal(size=12)
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(data.actuator_force, explicit_torque(data.qpos[7:], data.qvel[6:], data.ctrl), atol=1e-9)


def test_torque_lags_by_its_time_constant() -> None:
    """A tenth of a radian of error asks for 2.5 N·m, of which 63 % are there after one time constant."""
    slow = replace(go2, actuators=tuple(replace(actuator, lag_s=0.02) for actuator in go2.actuators))
    model = build(slow, 1e-4)
    model.dof_armature[:] = 1e6  # nothing moves
    data = mujoco.MjData(model)
    data.qpos[:7] = [0, 0, 5, 1, 0, 0, 0]
    data.qpos[7:], data.ctrl[:] = go2.stand, np.array(go2.stand) + 0.1
    for _ in range(200):
        mujoco.mj_step(model, data)
    np.testing.assert_allclose(data.actuator_force, 2.5 * (1 - np.exp(-1.0)), rtol=0.01)


# --- delays ---


@pytest.mark.parametrize("late", [0, 1, 3, 4, 6, 8])
def test_a_delay_of_whole_sub_steps_is_exact(late: int) -> None:
    """The engine, late by so many sub-steps, is plain MuJoCo whose control changes that much later, bit for bit."""
    sim, (model, data) = simulator(), plain()
    sim.randomize(everyone(sim), {"action_delay": torch.tensor([[0.005 * late]])})
    sim.reset(everyone(sim), {})
    mujoco.mj_forward(model, data)
    commands = targets(1, 10)
    held = [np.array(go2.stand)] * late + [c[0].double().numpy().clip(*BOUNDS) for c in commands for _ in range(4)]
    for step, command in enumerate(commands):
        sim.step(command)
        for control in held[4 * step : 4 * step + 4]:
            data.ctrl[:] = control
            mujoco.mj_step(model, data)
        np.testing.assert_array_equal(sim.batch.qpos[0], data.qpos)


def test_jitter_moves_single_commands_and_never_swaps_them() -> None:
    sim = simulator(64)
    sim.randomize(everyone(sim), {"action_delay": torch.full((64, 1), 0.01), "action_delay_jitter": torch.full((64, 1), 0.01)})
    sim.reset(everyone(sim), {})
    delays = []
    for level in range(1, 21):
        command, late = torch.full((64, 12), float(level)).double(), torch.full((64,), 0.01).double()
        control = sim._latency.targets(command, late, late)[:, :, 0]
        assert (np.diff(control, axis=1) >= 0.0).all(), "a newer command never gives way to an older one"
        delays.append(sim._latency.delays[0])
    drawn = np.concatenate(delays)
    assert drawn.min() >= 0.0
    assert drawn.max() <= 0.02
    assert drawn.mean() == pytest.approx(0.01, abs=5e-4)
    assert drawn.std() == pytest.approx(0.02 / 12**0.5, rel=0.05)


# --- resetting, repeating, saving ---


def test_a_reset_environment_is_a_fresh_one() -> None:
    """Nothing of what was before is left: no command on its way, no warm start, no force from contact."""
    used, fresh = simulator(2), simulator(2)
    for command in targets(2, 10):
        used.step(command)
    used.reset(everyone(used), {})
    for command in targets(2, 10, seed=1):
        used.step(command)
        fresh.step(command)
    assert torch.equal(everything(used), everything(fresh))


def test_environments_do_not_depend_on_each_other_or_on_threads() -> None:
    together, alone = simulator(7, threads=2), simulator(1, threads=1)
    commands = targets(7, 20)
    for command in commands:
        together.step(command)
        alone.step(command[3:4])
    assert torch.equal(everything(together)[3], everything(alone)[0])


def test_state_dict_continues_bit_for_bit(tmp_path: Any) -> None:
    sim, other = randomised(seed=1), simulator(5)
    commands = targets(5, 20)
    for command in commands[:10]:
        sim.step(command)
    torch.save(sim.state_dict(), tmp_path / "state.pt")
    expected = [_stepped(sim, command) for command in commands[10:]]
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for name, value in sim.parameters().items():
        assert torch.equal(value, other.parameters()[name])
    for command, value in zip(commands[10:], expected, strict=True):
        assert torch.equal(_stepped(other, command), value)


def _stepped(sim: Any, command: torch.Tensor) -> torch.Tensor:
    sim.step(command)
    return everything(sim)


def test_signals_can_be_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are errors here, so there is a kernel, and it gives what eager code does."""
    monkeypatch.delenv(fuse.SWITCH, raising=False)
    sim = simulator(70)
    stand(sim, 3)
    fused = fuse.Fused(sim.interpret, "the signals of legs")(sim.raw())
    for name, value in sim.privileged().items():
        assert torch.equal(fused[name], value), name


def test_terrain_holds_the_robot_up() -> None:
    """A step in x and a smaller one in y: the four quarters are as high as the terrain says."""
    x, y = np.meshgrid(np.linspace(-4.0, 4.0, 81), np.linspace(-4.0, 4.0, 81))
    sim = simulator(4, terrain=Terrain(-0.1 + 0.5 * (x > 0.0) + 0.2 * (y > 0.0), (8.0, 8.0)))
    places = torch.tensor([[-2.0, -2.0, 0.24], [2.0, -2.0, 0.74], [-2.0, 2.0, 0.44], [2.0, 2.0, 0.94]])
    sim.reset(everyone(sim), {"position_base_in_world": places})
    seen = stand(sim, 150)
    assert seen["foot_contact"].all()
    np.testing.assert_allclose(seen["position_base_in_world"][:, 2] - 0.26, [-0.1, 0.4, 0.1, 0.6], atol=0.02)
