"""A worker's process: found, started, asked, refused by, and lost."""

from __future__ import annotations

import gc
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from robots.crazyflie import crazyflie
from robots.errors import TetherError
from robots.go2 import go2
from sim.isaac import process
from sim.isaac.legged import IsaacLeggedSimulator
from sim.isaac.quadrotor import IsaacQuadrotorSimulator
from sim.isaac.simulator import IsaacGymLeggedSimulator
from sim.simulator import EngineLost

STAND = torch.tensor([go2.stand])


def test_without_isaac_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(process.ISAAC_LAB.variable, raising=False)
    monkeypatch.setattr(process, "TREE", tmp_path)
    with pytest.raises(TetherError, match=r"--sim isaac needs.*make isaac-env.*TETHER_ISAAC_PYTHON"):
        IsaacLeggedSimulator(go2, 1)
    monkeypatch.setenv(process.ISAAC_GYM.variable, "/nowhere/python")
    with pytest.raises(TetherError, match=r"--sim isaacgym needs.*TETHER_ISAACGYM_PYTHON names /nowhere/python"):
        IsaacGymLeggedSimulator(go2, 1)


@pytest.mark.parametrize(
    ("manners", "complaint"),
    [
        ("broken", "cannot be used in its environment: ImportError: no module of that name"),
        ("protocol", "speaks protocol 2, this Tether speaks 1"),
        ("refuse", "Isaac Lab: this robot has too many legs"),
    ],
)
def test_a_worker_that_cannot_start_says_why(fake: pytest.MonkeyPatch, manners: str, complaint: str) -> None:
    fake.setenv("ISAAC_FAKE", manners)
    with pytest.raises(TetherError, match=complaint):
        IsaacLeggedSimulator(go2, 2)


def test_a_worker_that_is_killed_is_missed_at_once(fake: pytest.MonkeyPatch) -> None:
    fake.setenv("ISAAC_FAKE", "die")
    fake.setenv("ISAAC_FAKE_LIVES", "0")
    sim = IsaacLeggedSimulator(go2, 2)
    with pytest.raises(EngineLost, match="Isaac Lab was ended by signal 9 at 'step'; it said last"):
        sim.step(STAND.expand(2, -1))
    with pytest.raises(EngineLost, match="has ended"):
        sim.step(STAND.expand(2, -1))


def test_a_worker_that_hangs_is_given_up(fake: pytest.MonkeyPatch) -> None:
    fake.setenv("ISAAC_FAKE", "hang")
    sim = IsaacLeggedSimulator(go2, 2)
    fake.setattr(process, "PATIENCE_S", 0.2)
    with pytest.raises(EngineLost, match="did not answer for 0 s at 'step'"):
        sim.step(STAND.expand(2, -1))
    assert sim.worker.process.poll() == -signal.SIGKILL


def test_it_ends_with_the_simulator_and_leaves_nothing(fake: pytest.MonkeyPatch) -> None:
    sim = IsaacLeggedSimulator(go2, 1)
    child, folder = sim.worker.process, Path(sim.worker.log).parent
    assert folder.exists()
    del sim
    gc.collect()
    assert child.wait(10.0) == 0
    assert not folder.exists()


def test_it_knows_nothing_of_our_packages(fake: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "AMENT_PREFIX_PATH"):
        fake.setenv(name, "/ours")
    worker = IsaacLeggedSimulator(go2, 1).worker
    seen = dict(pair.split("=", 1) for pair in Path(f"/proc/{worker.process.pid}/environ").read_text().split("\0") if pair)
    assert not seen.keys() & {"PYTHONPATH", "VIRTUAL_ENV", "AMENT_PREFIX_PATH"}
    assert os.getsid(worker.process.pid) != os.getsid(0), "Ctrl-C is for the trainer alone"
    assert worker.versions.keys() == {"python", "numpy"}


def test_legs_are_told_and_read(fake: pytest.MonkeyPatch) -> None:
    """State, targets, gains and forces cross in the right places."""
    sim = IsaacLeggedSimulator(go2, 3)
    everyone, high = torch.ones(3, dtype=torch.bool), torch.tensor([[0.0, 0.0, 2.0]]).expand(3, 3)
    sim.randomize(everyone, {"kp_scale": torch.tensor([[1.0], [2.0], [1.0]]), "payload_mass": torch.tensor([[0.0], [0.0], [2.0]])})
    sim.reset(everyone, {"position_base_in_world": high})
    sim.push(torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    sim.apply_wrench(torch.tensor([[0.0, 5.0, 0.0]]).expand(3, 3), torch.zeros(3, 3))
    sim.step(STAND + torch.tensor([[0.0], [0.1], [0.1]]))
    seen = sim.privileged()
    torch.testing.assert_close(seen["linear_velocity_base_in_world"][:, 0], torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(seen["linear_velocity_base_in_world"][:, 1], 0.1 / torch.tensor([6.921, 6.921, 8.921]))
    torch.testing.assert_close(seen["joint_torque"][:, 0], torch.tensor([0.0, 5.0, 2.5]), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(seen["joint_position"][1], STAND[0] + 0.1)
    assert (seen["foot_force_in_world"].unflatten(1, (4, 3))[..., 2] == 30.0).all()
    assert seen["foot_contact"].all()
    assert not seen["diverged"].any()


def test_a_quadrotor_is_told_and_read(fake: pytest.MonkeyPatch) -> None:
    """Hover thrust holds what falls; a heavier one falls."""
    sim = IsaacQuadrotorSimulator(crazyflie, 2)
    sim.randomize(torch.tensor([False, True]), {"mass": torch.full((2, 1), 2.0 * crazyflie.mass_kg)})
    sim.reset(torch.ones(2, dtype=torch.bool), {"position_base_in_world": torch.tensor([[0.0, 0.0, 5.0]]).expand(2, 3)})
    for _ in range(10):
        sim.step(torch.tensor([[9.81 * crazyflie.mass_kg, 0.0, 0.0, 0.0]]).expand(2, -1))
    down = sim.privileged()["linear_velocity_base_in_world"][:, 2]
    torch.testing.assert_close(down, torch.tensor([0.0, -0.1 * 0.5 * 9.81]), atol=5e-3, rtol=0.0)
    with pytest.raises(TetherError, match="no gradients"):
        sim.detach()


def test_state_dict_continues(fake: pytest.MonkeyPatch) -> None:
    for sim in (IsaacLeggedSimulator(go2, 2), IsaacQuadrotorSimulator(crazyflie, 2)):
        action = torch.cat([torch.tensor(signal.safe) for signal in sim.robot.actuation(sim.actuation_mode)]).expand(2, -1)
        sim.step(action)
        saved = sim.state_dict()
        ends = []
        for _ in range(2):
            sim.load_state_dict(saved)
            sim.step(action)
            ends.append(sim.privileged()["position_base_in_world"].clone())
        assert torch.equal(*ends)


def test_a_request_costs_little(fake: pytest.MonkeyPatch) -> None:
    """The engine's own time comes back with the answer, and no more than what passed here."""
    sim, begin = IsaacLeggedSimulator(go2, 2), time.perf_counter()
    inside = sim.worker.ask("step")["seconds"]
    assert 0.0 < inside < time.perf_counter() - begin
