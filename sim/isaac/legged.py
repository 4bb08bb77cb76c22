"""Legged robots on Isaac: names, checks, delays and starts are those of every engine, physics is a worker's."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from robots.description import Robot
from robots.errors import TetherError
from sim.isaac.process import ISAAC_LAB, Kind, Worker
from sim.isaac.workers import protocol
from sim.legged import memory, parameters
from sim.legged.model import Terrain, bodies_of
from sim.legged.simulator import LeggedSimulator, Views
from sim.legged.sizes import largest

WRITTEN = {  # arrays of the worker that follow from each parameter
    "friction": ("friction",),
    **dict.fromkeys(parameters.BASE, ("mass", "centre_of_mass", "inertia")),
    "kp_scale": ("kp",),
    "kd_scale": ("kd",),
    "strength_scale": ("strength",),
    "armature": ("armature",),
    "joint_friction": ("joint_friction",),
}
EACH_BYTES = 180_000  # of an environment in the worker, measured with the Go2 on the CPU (2048 beside 16)


class IsaacLeggedSimulator(LeggedSimulator):
    """Many copies of one legged robot; see `sim.legged.simulator.LeggedSimulator`.

    Numbers are float32. What a reset robot touches is known from its first step on.

    Args:
        robot: a `LeggedRobot` with actuators.
        num_envs: copies.
        options: those of `sim.mujoco_cpu.simulator.MujocoCpuSimulator`, but for ``threads``; ``device`` may be a GPU.

    Raises:
        TetherError: for another kind of robot or mode, a device that is not there, a model that does not fit the description, more
            environments than memory, and where there is no Isaac, or it does not take the robot.
        EngineLost: whenever Isaac's process has ended.
    """

    engine: ClassVar[str] = "isaac"
    kind: ClassVar[Kind] = ISAAC_LAB

    def __init__(self, robot: Robot, num_envs: int, *, terrain: Terrain | None = None, seed: int = 0, **options: Any) -> None:
        self._terrain, self._seed = terrain, seed
        super().__init__(robot, num_envs, terrain=terrain, seed=seed, **options)

    def _device(self, device: torch.device) -> torch.device:
        if device.type not in ("cpu", "cuda"):
            raise TetherError(f"the engine {self.engine} runs on cpu and cuda, not on {device.type}")
        return device

    def _check_memory(self) -> None:
        room = torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else memory.available()
        memory.check(self.num_envs, EACH_BYTES, room)

    def _connect(self) -> Views:
        self.worker = Worker(self.kind, self._build())
        self._arrays = self.worker.arrays
        self._fields = parameters.Fields(self.robot, self.model, self.device)
        self._gains = {name: self._numbers([getattr(a, name) for a in self.robot.actuators]) for name in ("kp", "kd")}
        readings = [self._arrays[name] for name in protocol.READINGS[1:5]]
        self._sensed = self._arrays["qpos"].new_zeros(self.num_envs, sum(reading.shape[1] for reading in readings))
        self._write(torch.ones(self.num_envs, dtype=torch.bool, device=self.device), set(WRITTEN))
        return Views(self._arrays["qpos"], self._arrays["qvel"], self._arrays["torque"], self._sensed, self._arrays["applied"])

    def _build(self) -> protocol.Build:
        """What the worker is told of the robot."""
        robot, terrain = self.robot, self._terrain
        bodies = bodies_of(robot, [*robot.feet, *(name for names in robot.parts.values() for name in names)])
        actuators, joints, room = robot.actuators, robot.joints, largest(self.model)
        return protocol.Build(
            model=str(robot.model.absolute()),
            base=robot.base,
            joints=[joint.name for joint in joints],
            feet=bodies[: len(robot.feet)],
            parts=bodies[len(robot.feet) :],
            effort=[joint.effort for joint in joints],
            speed=[joint.speed for joint in joints],
            knee_speed=[actuator.knee_speed for actuator in actuators],
            lag_s=[actuator.lag_s for actuator in actuators],
            num_envs=self.num_envs,
            substeps=self.substeps,
            physics_dt=self.physics_dt,
            iterations=int(self.model.opt.iterations),
            ls_iterations=int(self.model.opt.ls_iterations),
            contacts=room.contacts,
            constraints=room.constraints,
            terrain=None if terrain is None else {"heights_m": terrain.heights_m.tolist(), "size_m": list(terrain.size_m)},
            device=str(self.device),
            memory=-1,
            seed=self._seed,
        )

    def _ask(self, do: str, mask: Tensor | None = None, **fields: Any) -> None:
        if mask is not None:
            self._arrays["mask"].copy_(mask)
        self.worker.ask(do, **fields)

    def _settle(self, mask: Tensor) -> None:
        self._ask("reset", mask)
        self._sense()

    def _advance(self, targets: Tensor) -> None:
        self._arrays["target"].copy_(targets.transpose(0, 1))
        self._ask("step")
        self._sense()

    def _sense(self) -> None:
        """Readings in the order of `sim.legged.readout.widths`; there, forces are what feet do to the ground."""
        force, *others = (self._arrays[name] for name in protocol.READINGS[1:5])
        torch.cat([-force, *others], dim=1, out=self._sensed)

    def _follow_pushes(self, mask: Tensor) -> None:
        self._ask("place", mask)

    def _failed(self) -> Tensor:
        return self._arrays["lost"][:, 0] > 0.0

    def _write(self, mask: Tensor, changed: set[str]) -> None:
        names = {array for name in changed for array in WRITTEN.get(name, ())}
        if not names:
            return
        values = self._values.present
        mass, centre, inertia = self._fields.base_body(values)
        new = {
            "friction": values["friction"],
            "mass": mass.unsqueeze(1),
            "centre_of_mass": centre,
            "inertia": inertia.flatten(1),
            "kp": values["kp_scale"] * self._gains["kp"],
            "kd": values["kd_scale"] * self._gains["kd"],
            "strength": values["strength_scale"],
            "armature": values["armature"],
            "joint_friction": values["joint_friction"],
        }
        for name in names:
            self._arrays[name].copy_(new[name])
        self._ask("write", mask, names=sorted(names))

    def _saved(self) -> Tensor:
        self._ask("save")
        return torch.cat([self._arrays["memory"], self._arrays["applied"], self._arrays["lost"]], dim=1)

    def _load(self, state: Tensor) -> None:
        width = self._arrays["memory"].shape[1]
        remembered, applied, lost = state.split([width, 6, 1], dim=1)
        for name, value in (("memory", remembered), ("applied", applied), ("lost", lost)):
            self._arrays[name].copy_(value)
        self._ask("load")
