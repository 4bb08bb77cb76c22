"""Every engine behind `Simulator` with every robot it simulates: made once, and as if new for each test.

A test asks for ``sim`` (every pair below), ``walker`` (those on legs) or ``flyer`` (those with rotors). Isaac Lab's pairs need its
environment: ``pytest tests/sim/conformance -m isaac``.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from robots import registry
from robots.description import LeggedRobot
from sim.simulator import Simulator
from tests.sim.conformance.subject import ENVS, Subject, as_new
from tests.sim.isaac import fakes
from training.simulators import make

COMPILES = pytest.mark.timeout(900)  # kernels, or a whole simulator, on a machine that has never run them
PAIRS = {
    ("torch", "crazyflie"): (),
    ("mujoco_cpu", "go2"): (),
    ("mujoco_warp", "go2"): (COMPILES,),
    ("isaac", "crazyflie"): (COMPILES, pytest.mark.isaac),
    ("isaac", "go2"): (COMPILES, pytest.mark.isaac),
    ("isaacgym", "crazyflie"): (),
    ("isaacgym", "go2"): (),
}
GYM = "TETHER_ISAACGYM_PYTHON"  # names an interpreter that has Isaac Gym; without it, the worker runs around what stands in for the package
PACKAGES = {"mujoco_warp": "mujoco_warp"}  # an engine's own, without which there is nothing to test


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, legs in {"sim": (True, False), "walker": (True,), "flyer": (False,)}.items():
        if fixture in metafunc.fixturenames:
            pairs = {pair: marks for pair, marks in PAIRS.items() if isinstance(registry.robot(pair[1]), LeggedRobot) in legs}
            params = [pytest.param(pair, marks=marks, id="-".join(pair)) for pair, marks in pairs.items()]
            metafunc.parametrize("subject", params, indirect=True, scope="session")


def have_isaac_gym(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """The real one where there is one."""
    if GYM not in os.environ:
        fakes.install_gym(folder, patch)


@pytest.fixture(autouse=True)
def isaac_gym(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that make engines of their own."""
    have_isaac_gym(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """An engine, and the parameters that it began with."""
    engine, robot = request.param
    if engine in PACKAGES:
        pytest.importorskip(PACKAGES[engine])
    options = {"device": "cuda"} if engine == "isaac" and torch.cuda.is_available() else {}
    legs = isinstance(registry.robot(robot), LeggedRobot)
    steps = {"actuation_mode": "joint_position" if legs else "ctbr", "control_dt": 0.02 if legs else 0.01, "physics_dt": 0.005}
    with pytest.MonkeyPatch.context() as patch:
        have_isaac_gym(tmp_path_factory.mktemp("engine"), patch)
        sim = make(engine, registry.robot(robot), ENVS, **steps, **options)
    yield Subject(sim, {name: value.clone() for name, value in sim.parameters().items()})
    del sim
    gc.collect()  # an engine may be the only one of its process


@pytest.fixture
def sim(subject: Subject) -> Simulator:
    """Any engine."""
    return as_new(subject)


@pytest.fixture
def walker(subject: Subject) -> Simulator:
    """An engine with a robot on legs, which stands on the ground."""
    return as_new(subject)


@pytest.fixture
def flyer(subject: Subject) -> Simulator:
    """An engine with a quadrotor, which hovers a metre above the ground."""
    return as_new(subject)
