"""What the legged engine refuses, before anything runs, and how it says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robots.crazyflie import crazyflie
from robots.errors import TetherError
from robots.go2 import go2
from sim.legged import memory
from sim.legged.model import Terrain
from sim.mujoco_cpu.simulator import MujocoCpuSimulator
from tests.sim.walkers import simulator


def refused(match: str) -> Any:
    return pytest.raises(TetherError, match=match)


def edited(tmp_path: Path, old: str, new: str) -> Any:
    """Go2 with another model file."""
    text = go2.model.read_text()
    assert old in text
    path = tmp_path / "go2.xml"
    path.write_text(text.replace(old, new))
    return replace(go2, model=path)


def test_construction_errors_say_what_to_do() -> None:
    with refused("legged robots.*crazyflie.*--sim"):
        MujocoCpuSimulator(crazyflie, 1)
    with refused("describes 0 actuators for 12 joints"):
        MujocoCpuSimulator(replace(go2, actuators=()), 1)
    for heights in (np.zeros(3), np.zeros((1, 3)), np.full((3, 3), np.nan)):
        with refused("terrain heights"):
            simulator(terrain=Terrain(heights, (1.0, 1.0)))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<mujoco", "<nonsense", "does not load it"),
        ('mass="6.921"', 'mass="-1"', "MuJoCo does not"),
        ('name="FR_calf_joint"', 'name="knee"', "no joint FR_calf_joint; it has: .*knee"),
        ('geom name="RL_foot"', 'geom name="paw"', "no geom RL_foot"),
        ('site name="RL_foot"', 'site name="paw"', "no site RL_foot"),
        ('body name="base"', 'body name="trunk"', "no body base"),
        ('<freejoint name="base"/>', "", "needs a free joint"),
        ("</worldbody>", "</worldbody><actuator><motor joint='FR_hip_joint'/></actuator>", "actuators of its own"),
    ],
)
def test_models_that_do_not_fit_the_description(tmp_path: Path, old: str, new: str, words: str) -> None:
    with refused(words):
        MujocoCpuSimulator(edited(tmp_path, old, new), 1)


def test_a_missing_model_file(tmp_path: Path) -> None:
    with refused("no model file"):
        MujocoCpuSimulator(replace(go2, model=tmp_path / "nosuch.xml"), 1)


def test_another_order_of_joints() -> None:
    with refused("use one order"):
        MujocoCpuSimulator(replace(go2, joints=go2.joints[::-1]), 1)


def test_more_environments_than_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 10_000_000)
    with refused("choose at most"):
        simulator(100_000)


def test_memory_is_estimated_within_reason() -> None:
    """Kilobytes an environment: far less than a model each, more than its state."""
    sim = simulator()
    assert 8 * sim.batch.nstate < memory.needed(sim.model, 4) < 100_000


def test_a_state_of_another_size() -> None:
    with refused("2 environments"):
        simulator(2).load_state_dict(simulator(3).state_dict())
