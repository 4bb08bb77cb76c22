"""Batched legged robots on MuJoCo's C engine: `mujoco.batch`, many simulations of one model on native threads.

A step is one call: all sub-steps of all environments, motors included, run in C. Each environment has its own value of every model field
that was randomised, and shares the others. What is exact and what is not:

- Motors are `robots.description.JointActuator` at physics rate, by MuJoCo's DC motor, torque–speed curve included. Learned ones are
  evaluated between sub-steps, which then are a call each, and their torque is held over one (`sim.actuator_network`).
- Delays are exact in whole sub-steps, and to first order between them (`sim.legged.latency`).
- Positions and velocities of base and joints are those after the step. Torques, contacts, and the positions and velocities of feet are
  those of its last sub-step's beginning, one ``physics_dt`` earlier, as MuJoCo's own sensors are after ``mj_step``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from mujoco.batch import Batch
from torch import Tensor

from robots.description import Robot
from robots.errors import TetherError
from sim.actuator_network import LearnedDrives, learned
from sim.legged import memory, parameters
from sim.legged.simulator import LeggedSimulator, Views


class MujocoCpuSimulator(LeggedSimulator):
    """Many copies of one legged robot; see `sim.legged.simulator.LeggedSimulator`.

    Args:
        robot: a `LeggedRobot` with actuators.
        num_envs: copies.
        threads: that step; by default as many as torch uses.
        options: ``actuation_mode``: ``joint_position``; ``control_dt``: period of `step` [s]; ``physics_dt``: period of a sub-step [s], by
            default the largest divisor of ``control_dt`` up to 5 ms; ``terrain``: ground other than flat, and states are given in the
            world, so a start on it must say how high; ``seed``: of the jitter of delays; ``device``: the CPU.

    Raises:
        TetherError: for another kind of robot, mode or device, a model that does not fit the description, or more environments than memory.
    """

    engine: ClassVar[str] = "mujoco_cpu"
    by_torque: ClassVar[bool] = True

    def __init__(self, robot: Robot, num_envs: int, *, threads: int | None = None, **options: Any) -> None:
        self._threads = threads or torch.get_num_threads()
        super().__init__(robot, num_envs, **options)

    def _device(self, device: torch.device) -> torch.device:
        if device.type != "cpu":
            raise TetherError(f"the engine {self.engine} runs on the CPU; use --device cpu, or another --sim")
        return device

    def _check_memory(self) -> None:
        memory.check(self.num_envs, memory.needed(self.model, self.substeps), memory.available())

    def _connect(self) -> Views:
        self.batch = Batch(self.model, self.num_envs, self._threads)
        self._fields = parameters.Fields(self.robot, self.model, self.device)
        self._drives = LearnedDrives(self.robot, self.num_envs, self.physics_dt) if learned(self.robot) else None
        if self._drives is not None:  # they take these factors at every call
            self._fields.makers = {name: maker for name, maker in self._fields.makers.items() if name not in parameters.MOTOR}
        self._warnings = self.batch.warning[:, :, 1]  # after the last one's detail
        self._warned = self._warnings.sum(1)
        base = self.model.body(self.robot.base).id
        return Views(
            qpos=torch.from_numpy(self.batch.bind("qpos")),
            qvel=torch.from_numpy(self.batch.bind("qvel")),
            torque=_readable(self.batch.bind("actuator_force")),
            sensors=_readable(self.batch.bind("sensordata")),
            applied=torch.from_numpy(self.batch.bind("xfrc_applied")[:, base]),
        )

    def _settle(self, mask: Tensor) -> None:
        ids = _ids(mask)
        for component in ("qacc_warmstart", "act", "time", "ctrl"):
            self.batch.bind(component)[ids] = 0.0
        if self._drives is not None:
            self._drives.reset(mask)
        self.batch.forward(ids)

    def _advance(self, targets: Tensor) -> None:
        if self._drives is None:
            self.batch.rollout(self.substeps, targets.numpy(), record=())
            return
        factors = {name: self._values[name] for name in parameters.MOTOR}
        positions, velocities = self._views.qpos[:, 7:], self._views.qvel[:, 6:]
        for target in targets.unbind(1):
            torque = self._drives.torque(target, positions, velocities, factors)
            self.batch.rollout(1, torque.unsqueeze(1).numpy(), record=())

    def _failed(self) -> Tensor:
        """By MuJoCo's counts of warnings. A simulation that it restarts counts only the latest, so counts are left where none begins."""
        failed = self._warnings.sum(1) != self._warned
        self._warnings[failed] = 2
        self._warned = self._warnings.sum(1)
        return torch.from_numpy(failed)

    def _write(self, mask: Tensor, changed: set[str]) -> None:
        """A field becomes every environment's own when it is first asked for."""
        ids = _ids(mask)
        chosen = torch.from_numpy(ids)
        for field, at, value in self._fields.changes(changed, {name: value[chosen] for name, value in self._values.present.items()}):
            self.batch.expand(field)[(ids, *at)] = value.numpy()
        if changed & parameters.DERIVED:
            self.batch.set_const(ids)

    def _saved(self) -> Tensor:
        state = torch.from_numpy(self.batch.state.copy())
        return state if self._drives is None else torch.cat([state, self._drives.saved()], dim=1)

    def _load(self, state: Tensor) -> None:
        width = self.batch.state.shape[1]
        self.batch.state[:] = state[:, :width].numpy()
        if self._drives is not None:
            self._drives.load(state[:, width:])


def _ids(mask: Tensor) -> np.ndarray:
    return mask.numpy().nonzero()[0].astype(np.int32)


def _readable(view: np.ndarray) -> Tensor:
    """MuJoCo's output as a tensor; torch wants it writeable, and only reads."""
    view.flags.writeable = True
    tensor = torch.from_numpy(view)
    view.flags.writeable = False
    return tensor
