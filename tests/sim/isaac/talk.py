"""Workers to talk to in tests: inside this process, with a stand-in for Isaac Gym, or in a process of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from robots.description import LeggedRobot
from robots.go2 import go2
from sim.isaac.workers import protocol

TREE = Path(__file__).resolve().parents[3]
WORKER = TREE / "sim" / "isaac" / "workers" / "isaac_gym" / "worker.py"
STANDIN = Path(__file__).parent / "isaacgym_standin"
Ask = Callable[[dict[str, Any]], dict[str, Any]]
BODIES = [f"{leg}_{link}" for leg in ("FR", "FL", "RR", "RL") for link in ("thigh", "calf")]


def build_of(robot: LeggedRobot = go2, num_envs: int = 1, **changes: Any) -> protocol.Build:
    """What a trainer asks for; ``changes`` of its fields."""
    actuators = robot.actuators
    words = {
        "model": str(robot.model),
        "base": robot.base,
        "joints": [joint.name for joint in robot.joints],
        "feet": list(robot.feet),
        "parts": ["base", *BODIES],
        "effort": [joint.effort for joint in robot.joints],
        "speed": [joint.speed for joint in robot.joints],
        "knee_speed": [actuator.knee_speed for actuator in actuators],
        "lag_s": [actuator.lag_s for actuator in actuators],
    }
    words |= {
        "num_envs": num_envs,
        "substeps": 4,
        "physics_dt": 0.005,
        "iterations": 4,
        "ls_iterations": 6,
        "contacts": 24,
        "constraints": 120,
    }
    words |= {"terrain": None}
    return protocol.Build(**{**words, "device": "cpu", "memory": -1, "seed": 0, **changes})


def quadrotor_build(model: Path, num_envs: int = 1, **changes: Any) -> protocol.Build:
    """A free body without joints."""
    none: dict[str, list[str]] = {name: [] for name in ("joints", "feet", "parts", "effort", "speed", "knee_speed", "lag_s")}
    return build_of(go2, num_envs, **{"model": str(model), "base": "base", **none, **changes})


class Talk:
    """A worker, and the arrays both see.

    Args:
        ask: what takes a request and gives the answer, without an error.
        build: what it built.
        arrays: by name.
    """

    def __init__(self, ask: Ask, build: protocol.Build, arrays: dict[str, np.ndarray]) -> None:
        self._ask, self.build, self.a = ask, build, arrays

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        return self._ask({"do": do, **more})

    def start(self, height: float = 10.0, **state: Any) -> Talk:
        """Everyone at rest at ``height`` in the robot's stand, or in ``state`` (``qpos``, ``qvel``)."""
        self.a["qpos"][:] = [0, 0, height, 1, 0, 0, 0, *(go2.stand if self.build.joints else ())]
        self.a["qvel"][:] = 0.0
        for name, value in state.items():
            self.a[name][:] = value
        self.a["target"][:] = self.a["qpos"][:, 7:]
        self.a["mask"][:] = 1
        self.ask("reset")
        return self

    def run(self, steps: int) -> Talk:
        for _ in range(steps):
            self.ask("step")
        return self

    def write(self, **values: Any) -> None:
        """Parameters of the environments in ``mask``."""
        for name, value in values.items():
            self.a[name][:] = value
        self.ask("write", names=list(values))


@contextmanager
def memory(build: protocol.Build) -> Iterator[tuple[protocol.Build, dict[str, np.ndarray]]]:
    """Shared memory for what is built, with the gains and strength of the robot in it."""
    layout = protocol.fields(build)
    file = os.memfd_create("tether-test")
    os.set_inheritable(file, True)
    os.ftruncate(file, protocol.size(layout))
    arrays = protocol.shared(file, layout)
    if build.joints:
        arrays["kp"][:], arrays["kd"][:], arrays["strength"][:], arrays["armature"][:] = 25.0, 0.5, 1.0, 0.01
    try:
        yield build._replace(memory=file), arrays
    finally:
        os.close(file)


def load_worker() -> Any:
    """The worker's module in this process; its own neighbours and the stand-in must be on the path."""
    spec = importlib.util.spec_from_file_location("isaac_gym_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def process(python: str = sys.executable, **environment: str) -> Iterator[tuple[Ask, dict[str, Any]]]:
    """(ask, greeting) of a worker in a process of its own, which inherits all open files; its stderr is ours."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "close_fds": False}
    with subprocess.Popen([python, str(WORKER)], env={**os.environ, **environment}, **pipes) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None

        def ask(request: dict[str, Any]) -> dict[str, Any]:
            worker.stdin.write(json.dumps(request) + "\n")
            worker.stdin.flush()
            answer = json.loads(worker.stdout.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer

        try:
            yield ask, json.loads(worker.stdout.readline())
        finally:
            worker.stdin.close()
            assert worker.wait(30) == 0
