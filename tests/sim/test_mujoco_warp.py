"""The engine on MuJoCo Warp against the one on MuJoCo's C library, on the CPU: same robot, same commands, same answers.

The Go2's solver stops early, after four iterations, and in a slide that is elsewhere for each engine, and far from where either would end.
Here it may finish. Kernels take a while to compile on a machine that has never run them; everything here shares one engine.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cli.main import main
from robots.crazyflie import crazyflie
from robots.description import LeggedRobot
from robots.errors import TetherError
from robots.go2 import go2
from sim.legged import memory
from sim.legged.parameters import BOUNDS
from sim.legged.simulator import LeggedSimulator
from sim.mujoco_cpu.simulator import MujocoCpuSimulator
from tests.sim.walkers import CHANGES, STAND, WEIGHT, everyone, everything, stand, targets

pytest.importorskip("mujoco_warp", reason="the engine mujoco_warp is not installed: pip install 'tether[warp]'")

from sim.legged.sizes import Sizes
from sim.mujoco_warp.simulator import MujocoWarpSimulator

pytestmark = pytest.mark.timeout(900)  # where kernels have to be compiled beside other work

WALK = Path(__file__).parents[2] / "policies" / "go2_velocity.onnx"
WORLDS = 1 + len(BOUNDS)
DEGREE = np.pi / 180
HIGH = torch.tensor([[0.0, 0.0, 5.0]])


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> LeggedRobot:
    """Go2 with a solver that finishes."""
    path, early = tmp_path_factory.mktemp("model") / "go2.xml", 'iterations="4" ls_iterations="6"'
    text = go2.model.read_text()
    assert early in text
    path.write_text(text.replace(early, 'iterations="10" ls_iterations="20"'))
    return replace(go2, model=path)


@pytest.fixture(scope="module")
def engine(robot: LeggedRobot) -> MujocoWarpSimulator:
    return MujocoWarpSimulator(robot, WORLDS)


@pytest.fixture
def warp(engine: MujocoWarpSimulator) -> MujocoWarpSimulator:
    """As if new."""
    return fresh(engine)


@pytest.fixture
def cpu(robot: LeggedRobot) -> MujocoCpuSimulator:
    return MujocoCpuSimulator(robot, WORLDS)


def fresh(sim: Any) -> Any:
    nominal = {name: value.expand(sim.num_envs, -1) for name, value in sim._values.nominal.items()}
    sim.randomize(everyone(sim), nominal)
    sim.apply_wrench(torch.zeros(sim.num_envs, 3), torch.zeros(sim.num_envs, 3))
    sim._latency.numbers.restart(0)
    sim.reset(everyone(sim), {})
    return sim


def change(sim: LeggedSimulator) -> None:
    """World i has the i-th of `CHANGES`."""
    for world, (name, value) in enumerate(CHANGES.items(), start=1):
        mask = torch.arange(WORLDS) == world
        sim.randomize(mask, {name: torch.tensor(value).expand(WORLDS, sim.parameters()[name].shape[1])})
    sim.reset(everyone(sim), {})


def joints(sim: LeggedSimulator, commands: Tensor) -> Tensor:
    """Joint positions after each of ``commands`` ``[steps, worlds, 12]``, likewise."""
    seen = []
    for command in commands:
        sim.step(command)
        seen.append(sim.privileged()["joint_position"].clone())
    return torch.stack(seen)


def test_both_stand_alike(warp: MujocoWarpSimulator, cpu: MujocoCpuSimulator) -> None:
    """Within 2 mm, on four feet and nothing else, which carry the weight within 1 %."""
    ours, theirs = stand(warp, 150), stand(cpu, 150)
    height = "position_base_in_world"
    np.testing.assert_allclose(ours[height][:, 2], theirs[height][:, 2], atol=2e-3)
    force = ours["foot_force_in_world"].unflatten(1, (4, 3)).sum(1)
    np.testing.assert_allclose(force[:, 2], WEIGHT, rtol=0.01)
    np.testing.assert_allclose(force[:, :2], 0.0, atol=0.01 * WEIGHT)
    assert ours["foot_contact"].all()
    assert not any(ours[f"{part}_contact"].any() for part in go2.parts)
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        assert (value.shape, value.dtype) == (theirs[name].shape, theirs[name].dtype), name


def test_joints_answer_a_step_alike(warp: MujocoWarpSimulator, cpu: MujocoCpuSimulator) -> None:
    """Half a second in the air, within a degree: a small step, and one that asks for more torque and speed than there is."""
    command = STAND.repeat(WORLDS, 1)
    command[: WORLDS // 2] += 0.3
    command[WORLDS // 2 :] = torch.tensor([[0.8, -0.5, -0.9] * 4])
    for sim in (warp, cpu):
        sim.reset(everyone(sim), {"position_base_in_world": HIGH.expand(WORLDS, 3)})
    ours, theirs = (joints(sim, command.expand(25, -1, -1)) for sim in (warp, cpu))
    assert (ours[-1] - STAND).abs().amax() > 0.3, "nothing moved"
    np.testing.assert_allclose(ours, theirs, atol=DEGREE)


def test_every_parameter_does_the_same_and_can_be_taken_back(warp: MujocoWarpSimulator, cpu: MujocoCpuSimulator) -> None:
    """On moving legs, then pushed: each world answers as the other engine's, to 0.01°, and unlike the one without a change."""
    assert set(CHANGES) == set(BOUNDS) == set(warp.parameters())
    before = everything(warp)
    change(warp)
    change(cpu)
    for name, value in cpu.parameters().items():
        assert torch.equal(warp.parameters()[name], value), name
    one = targets(1, 15).expand(-1, WORLDS, -1)
    seen = []
    for sim in (warp, cpu):
        moved = joints(sim, one[:8])
        sim.push(torch.tensor([[0.3, 0.8, 0.0]]).expand(WORLDS, 3))
        seen.append(torch.cat([moved, joints(sim, one[8:])]))
    np.testing.assert_allclose(*seen, atol=0.01 * DEGREE)
    apart = (seen[0] - seen[0][:, :1]).abs().amax((0, 2))
    assert (apart[1:] > 0.5 * DEGREE).all(), dict(zip(CHANGES, apart[1:].tolist()))
    fresh(warp)
    assert torch.equal(everything(warp), before)


def test_commands_are_as_late(warp: MujocoWarpSimulator, cpu: MujocoCpuSimulator) -> None:
    """Delays between 0 and 40 ms, whole sub-steps and others, some with jitter: the same commands drive the same joints."""
    late = {"action_delay": torch.linspace(0.0, 0.04, WORLDS)[:, None]}
    late["action_delay_jitter"] = 0.005 * (torch.arange(WORLDS) % 2)[:, None]
    for sim in (warp, cpu):
        sim.randomize(everyone(sim), late)
        sim.reset(everyone(sim), {"position_base_in_world": HIGH.expand(WORLDS, 3)})
    ours, theirs = (joints(sim, targets(1, 10).expand(-1, WORLDS, -1)) for sim in (warp, cpu))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert ((ours[0] - ours[0, :1]).abs().amax(1)[2:] > 1e-3).all()


def test_state_dict_continues_bit_for_bit(warp: MujocoWarpSimulator, tmp_path: Any) -> None:
    """In another engine, whose worlds were something else before."""
    change(warp)
    warp.apply_wrench(torch.ones(WORLDS, 3), torch.ones(WORLDS, 3))
    commands = targets(WORLDS, 8)
    joints(warp, commands[:4])
    torch.save(warp.state_dict(), tmp_path / "state.pt")
    expected = [joints(warp, commands[4:]), everything(warp)]
    other = MujocoWarpSimulator(warp.robot, WORLDS)
    joints(other, commands[:2])
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(joints(other, commands[4:]), expected[0])
    assert torch.equal(everything(other), expected[1])
    with pytest.raises(TetherError, match=f"{WORLDS} environments"):
        warp.load_state_dict(MujocoCpuSimulator(go2, 2).state_dict())


def test_too_little_room_is_not_silent(robot: LeggedRobot) -> None:
    sim = MujocoWarpSimulator(robot, 2, room=Sizes(contacts=2, constraints=222))
    with pytest.warns(RuntimeWarning, match="ran out of room.*more room"):
        stand(sim, 3)
    assert sim.privileged()["diverged"].all()


def test_the_usual_room_is_enough_for_all_that_can_touch(warp: MujocoWarpSimulator) -> None:
    """Flat on the ground, legs and all; warnings are errors here."""
    lying = {"position_base_in_world": torch.tensor([[0.0, 0.0, 0.02]]).expand(WORLDS, 3)}
    warp.reset(everyone(warp), lying | {"joint_position": torch.tensor([[0.0, 1.57, -2.7] * 4]).expand(WORLDS, 12)})
    stand(warp, 3)
    assert not warp.privileged()["diverged"].any()


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for match, action in {
        "mujoco_warp simulates legged robots.*--sim": lambda: MujocoWarpSimulator(crazyflie, 1),
        "is not there": lambda: MujocoWarpSimulator(go2, 1, device="cuda:7"),
    }.items():
        with pytest.raises(TetherError, match=match):
            action()
    monkeypatch.setattr(memory, "available", lambda: 10_000_000)
    with pytest.raises(TetherError, match="choose at most"):
        MujocoWarpSimulator(go2, 100_000)


def test_without_warp_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.startswith("sim.mujoco_warp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    assert main(["evaluate", str(WALK), "--sim", "mujoco_warp", "--episodes", "1"]) == 2
    assert "pip install 'tether[warp]'" in capsys.readouterr().err


@pytest.mark.slow
def test_terrain_holds_the_robot_up() -> None:
    """A step in x and a smaller one in y: the four quarters are as high as the terrain says; its kernels compile for minutes."""
    from sim.legged.model import Terrain

    x, y = np.meshgrid(np.linspace(-4.0, 4.0, 81), np.linspace(-4.0, 4.0, 81))
    sim = MujocoWarpSimulator(go2, 4, terrain=Terrain(-0.1 + 0.5 * (x > 0.0) + 0.2 * (y > 0.0), (8.0, 8.0)))
    places = torch.tensor([[-2.0, -2.0, 0.24], [2.0, -2.0, 0.74], [-2.0, 2.0, 0.44], [2.0, 2.0, 0.94]])
    sim.reset(everyone(sim), {"position_base_in_world": places})
    seen = stand(sim, 150)
    assert seen["foot_contact"].all()
    np.testing.assert_allclose(seen["position_base_in_world"][:, 2] - 0.26, [-0.1, 0.4, 0.1, 0.6], atol=0.02)


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives() -> None:
    """Parameters, delays, contacts, resets and a world that blows up; nothing leaves the device."""
    sims = [MujocoWarpSimulator(go2, WORLDS, device=device) for device in ("cuda", "cpu")]
    seen = []
    for sim in sims:
        for world, (name, value) in enumerate(CHANGES.items(), start=1):
            mask = torch.arange(WORLDS, device=sim.device) == world
            sim.randomize(mask, {name: torch.tensor(value, device=sim.device).expand(WORLDS, sim.parameters()[name].shape[1])})
        sim.reset(torch.ones(WORLDS, dtype=torch.bool, device=sim.device), {})
        moved = joints(sim, targets(1, 10).expand(-1, WORLDS, -1).to(sim.device))
        assert {value.device.type for value in sim.privileged().values()} == {sim.device.type}
        sim.push(torch.tensor([[1e9, 0.0, 0.0]], device=sim.device) * (torch.arange(WORLDS, device=sim.device) == 3)[:, None])
        sim.step(STAND.expand(WORLDS, -1).to(sim.device))
        seen.append((moved.cpu(), sim.privileged()["diverged"].cpu()))
    np.testing.assert_allclose(seen[0][0], seen[1][0], atol=0.2 * DEGREE)
    assert torch.equal(seen[0][1], seen[1][1])
    assert seen[0][1].flatten().tolist() == [world == 3 for world in range(WORLDS)]
