"""The trainer's side around an Isaac that needs nothing; workers for Isaac Gym around a stand-in in this process, and around the real
package where TETHER_ISAACGYM_PYTHON names its Python.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sim.isaac.workers import protocol
from tests.sim.isaac import fakes
from tests.sim.isaac.talk import STANDIN, WORKER, Ask, Talk, build_of, load_worker, memory, process

OURS = {"protocol", "engine", "scene", "chain", "mjcf"}  # modules that the worker imports by these short names


@pytest.fixture(scope="session")
def worker_module() -> Iterator[Any]:
    """The worker's module, with the stand-in as isaacgym, and its neighbours by the names it knows them by."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISAACGYM_STANDIN_AFTER_TORCH", "1")
        patch.setattr(sys, "path", [str(WORKER.parent), str(STANDIN), *sys.path])
        yield load_worker()
        for name in [name for name in sys.modules if name in OURS or name.partition(".")[0] == "isaacgym"]:
            del sys.modules[name]


def _inside(module: Any, build: protocol.Build) -> Ask:
    engine = module.make()
    module.protocol.obey(engine, {"do": "build", "build": build._asdict()})
    return lambda request: module.protocol.obey(engine, dict(request))


@pytest.fixture(params=["standin", pytest.param("real", marks=pytest.mark.isaac)])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Talk]]:
    """Makes workers that have built a `Build`, or Go2s; they end with the test."""
    with ExitStack() as stack:

        def made(build: protocol.Build | None = None, **changes: Any) -> Talk:
            build, arrays = stack.enter_context(memory(build or build_of(**changes)))
            if request.param == "standin":
                return Talk(_inside(request.getfixturevalue("worker_module"), build), build, arrays)
            python = os.environ.get("TETHER_ISAACGYM_PYTHON")
            if not python:
                pytest.skip("TETHER_ISAACGYM_PYTHON names no interpreter with Isaac Gym")
            ask, _ = stack.enter_context(process(python))
            ask({"do": "build", "build": build._asdict()})
            return Talk(ask, build, arrays)

        yield made


@pytest.fixture
def standin(worker_module: Any) -> Callable[[], Any]:
    """What gives the stand-in's last simulation."""
    worker_module.make()
    return lambda: sys.modules["isaacgym.gym"].last


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """See `fakes.install`."""
    fakes.install(tmp_path, monkeypatch)
    return monkeypatch
