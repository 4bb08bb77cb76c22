"""A worker without an engine: bodies that do not turn, on joints that obey at once. Misbehaves as ``ISAAC_FAKE`` says."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[4] / "sim" / "isaac" / "workers"))

import protocol  # type: ignore[import-not-found]

MANNERS = os.environ.get("ISAAC_FAKE", "")
LIVES = int(os.environ.get("ISAAC_FAKE_LIVES", "3"))  # steps, where it dies
GRAVITY = np.array([0.0, 0.0, -9.81], dtype=np.float32)


class Fake(protocol.Engine):  # type: ignore[misc]
    name = "Fake"
    packages = ("numpy",)

    def build(self, build: Any, arrays: dict[str, np.ndarray]) -> None:
        if MANNERS == "refuse":
            raise protocol.Refused("this robot has too many legs")
        print("a library says what it likes", flush=True)
        self.spec, self.a, self.steps = build, arrays, 0
        self.qpos, self.qvel = arrays["qpos"].copy(), arrays["qvel"].copy()

    def place(self) -> None:
        chosen = self.a["mask"] > 0
        self.qpos[chosen], self.qvel[chosen] = self.a["qpos"][chosen], self.a["qvel"][chosen]
        self.read()

    def reset(self) -> None:
        self.a["lost"][self.a["mask"] > 0] = 0.0
        self.place()

    def step(self) -> None:
        self.steps += 1
        if MANNERS == "die" and self.steps > LIVES:
            os.kill(os.getpid(), signal.SIGKILL)
        while MANNERS == "hang":
            time.sleep(1.0)
        dt, target = self.spec.physics_dt * self.spec.substeps, self.a["target"][-1]
        self.qvel[:, :3] += dt * (GRAVITY + self.a["applied"][:, :3] / self.a["mass"])
        self.qpos[:, :3] += dt * self.qvel[:, :3]
        self.qvel[:, 6:] = (target - self.qpos[:, 7:]) / dt
        self.a["torque"][:] = self.a["kp"] * (target - self.qpos[:, 7:])
        self.qpos[:, 7:] = target
        self.a["foot_force"][:, 2::3] = 30.0
        self.read()

    def read(self) -> None:
        self.a["qpos"][:], self.a["qvel"][:] = self.qpos, self.qvel

    def write(self, names: list[str]) -> None:
        assert set(names) <= set(protocol.PARAMETERS)

    def save(self) -> None:
        kept = np.concatenate([self.qpos, self.qvel], axis=1)
        self.a["memory"][:, : kept.shape[1]] = kept

    def load(self) -> None:
        width = self.qpos.shape[1]
        self.qpos[:] = self.a["memory"][:, :width]
        self.qvel[:] = self.a["memory"][:, width : width + self.qvel.shape[1]]
        self.read()


def make() -> Fake:
    if MANNERS == "broken":
        raise ImportError("no module of that name")
    if MANNERS == "protocol":
        protocol.VERSION += 1
    return Fake()


if __name__ == "__main__":
    protocol.serve(make, "Fake")
