"""Batched legged robots on MuJoCo Warp, on a GPU or, to check it, on the CPU.

A control step is one graph, recorded once: every sub-step of every environment, motors included, without leaving the device. State and
readings are Warp's arrays, seen by torch without a copy. The model, its motors, delays and what is exact are those of
`sim.mujoco_cpu.simulator`; numbers are float32. Where the solver may finish, joints of both engines agree to 1e-5 rad over 0.3 s of moving
legs, sliding included. The Go2's stops after four iterations: then they are up to 0.04 rad apart, and 0.12 rad where feet slide.

On the CPU everything repeats bit for bit. On a GPU contacts are numbered in the order in which they are found, so that sums differ in their
last digits from run to run.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import mujoco_warp as mjw
import torch
import warp as wp
from torch import Tensor

from robots.description import Robot
from robots.errors import TetherError
from sim.legged import memory, parameters
from sim.legged.simulator import LeggedSimulator, Views
from sim.legged.sizes import Sizes, largest
from sim.mujoco_warp import backend, kernels, sizes

# Every environment's own, from the start: a recorded graph knows where they are.
MOTORS = ("dof_armature", "dof_frictionloss", "actuator_gainprm", "actuator_forcerange")
FIELDS = (*MOTORS, "geom_friction", "body_mass", "body_ipos", "body_inertia", "body_iquat")
CONSTANTS = ("body_subtreemass", "body_invweight0", "dof_invweight0", "actuator_acc0")  # follow from them
STATE = ("qpos", "qvel", "act", "qacc_warmstart", "time", "ctrl", "xfrc_applied")
SHORT = mjw.OverflowType.ALL & ~(mjw.OverflowType.ITERATIONS | mjw.OverflowType.LS_ITERATIONS)  # of room; solvers stop early on purpose


class MujocoWarpSimulator(LeggedSimulator):
    """Many copies of one legged robot; see `sim.legged.simulator.LeggedSimulator`.

    An environment that lacks room for contacts or constraints is ``diverged`` after that step, and a warning says so once. With the default
    room none can.

    Args:
        robot: a `LeggedRobot` with actuators.
        num_envs: copies.
        room: for contacts and constraints of an environment; by default for all that can be.
        options: those of `sim.mujoco_cpu.simulator.MujocoCpuSimulator`, but for ``threads``; ``device`` may be a GPU.

    Raises:
        TetherError: for another kind of robot or mode, a device that is not there, a model that does not fit the description, or that
            MuJoCo Warp cannot simulate, or more environments than memory.
    """

    engine: ClassVar[str] = "mujoco_warp"

    def __init__(self, robot: Robot, num_envs: int, *, room: Sizes | None = None, **options: Any) -> None:
        self._room, self._warned = room, False
        super().__init__(robot, num_envs, **options)

    def _device(self, device: torch.device) -> torch.device:
        if device.type not in ("cpu", "cuda"):
            raise TetherError(f"the engine {self.engine} runs on cpu and cuda, not on {device.type}")
        backend.start()
        return device

    def _check_memory(self) -> None:
        self._room = self._room or largest(self.model)
        memory.check(self.num_envs, sizes.needed(self.model, self._room), sizes.available(self.device))

    def _connect(self) -> Views:
        with wp.ScopedDevice(backend.device_of(self.device)):
            self._make()
        self._step = backend.Recorded(self._control_step, self.device)
        self._forward = backend.Recorded(lambda: mjw.forward(self.warp_model, self.data), self.device)
        self._constants = backend.Recorded(self._derive, self.device)
        self._state = {name: wp.to_torch(getattr(self.data, name)) for name in STATE}
        self._model_fields = {name: wp.to_torch(getattr(self.warp_model, name)) for name in FIELDS}
        self._fields = parameters.Fields(self.robot, self.model, self.device, self._diagonalised)
        everyone = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        self._write(everyone, set(self._values.present))  # from here on they follow from the parameters alone
        torque, sensors = wp.to_torch(self.data.actuator_force), wp.to_torch(self.data.sensordata)
        applied = self._state["xfrc_applied"][:, self.model.body(self.robot.base).id]
        return Views(self._state["qpos"], self._state["qvel"], torque, sensors, applied)

    def _make(self) -> None:
        """Model, data, and what graphs read and write beside them."""
        assert self._room is not None
        try:
            self.warp_model = mjw.put_model(self.model, dict.fromkeys((*FIELDS, *CONSTANTS), self.num_envs))
        except (NotImplementedError, ValueError) as error:
            raise TetherError(f"{self.robot.model}: MuJoCo Warp does not simulate it: {error}; use --sim mujoco_cpu") from error
        option = self.warp_model.opt
        option.warn_overflow = 0  # it would print from kernels; `_warn` says it
        option.graph_conditional = self.device.type == "cuda" and wp.is_conditional_graph_supported()
        option.contact_sensor_maxmatch = self._room.of_one_geom
        self.data = sizes.make_data(self.model, self.num_envs, self._room)
        self._targets = wp.zeros((self.substeps, self.num_envs, self.model.nu), dtype=float)
        self._lost = wp.zeros(self.num_envs, dtype=bool)
        self._short = wp.zeros(1, dtype=int)
        self._short_seen = torch.zeros(1, dtype=torch.int32, pin_memory=self.device.type == "cuda")

    # --- what is recorded ---

    def _control_step(self) -> None:
        for substep in range(self.substeps):
            wp.copy(self.data.ctrl, self._targets[substep])
            mjw.step(self.warp_model, self.data)
        d = self.data
        watched = [d.qpos, d.qvel, d.qacc_warmstart, d.act, d.actuator_force, d.sensordata, d.overflow, self._short, self._lost]
        wp.launch(kernels.give_up, dim=self.num_envs, inputs=[self.warp_model.qpos0, int(SHORT), *watched])

    def _derive(self) -> None:
        """Constants of the model; readings are left as they are until the next step makes them anew."""
        mjw.set_const(self.warp_model, self.data, mjw.SetConstGroup.FIXED | mjw.SetConstGroup.INERT0, restore=False)

    # --- what runs ---

    def _settle(self, mask: Tensor) -> None:
        for name in ("act", "qacc_warmstart", "time", "ctrl"):
            view = self._state[name]
            view.masked_fill_(mask.view(-1, *[1] * (view.ndim - 1)), 0.0)
        wp.to_torch(self._lost).masked_fill_(mask, False)
        self._forward()

    def _advance(self, targets: Tensor) -> None:
        wp.to_torch(self._targets).copy_(targets.transpose(0, 1))
        self._step()
        self._warn()

    def _failed(self) -> Tensor:
        return wp.to_torch(self._lost)

    def _warn(self) -> None:
        """Say once that there was too little room; on a GPU a step or two late, for looking now would wait."""
        self._short_seen.copy_(wp.to_torch(self._short), non_blocking=True)
        if not self._warned and (kinds := int(self._short_seen.item())):
            self._warned = True
            names = ", ".join(kind.name.lower() for kind in mjw.OverflowType if kinds & kind)
            remedy = f"give the engine more room than {self._room}"
            complaint = f"MuJoCo Warp ran out of room ({names}), and those environments count as diverged; {remedy}"
            warnings.warn(complaint, RuntimeWarning, stacklevel=4)

    def _write(self, mask: Tensor, changed: set[str]) -> None:
        """For everybody, where nothing changed too: they are functions of the parameters."""
        for field, at, value in self._fields.changes(changed, self._values.present):
            self._model_fields[field][(slice(None), *at)].copy_(value)
        if changed & parameters.DERIVED:
            self._constants()

    def _diagonalised(self, inertia: Tensor) -> tuple[Tensor, Tensor]:
        moments, axes = inertia.new_empty(len(inertia), 3), inertia.new_empty(len(inertia), 4)
        arrays = [(inertia.contiguous(), wp.mat33d), (moments, wp.vec3d), (axes, wp.vec4d)]
        with backend.beside_torch(self.device):
            wp.launch(kernels.diagonalise, dim=len(inertia), inputs=[wp.from_torch(tensor, dtype=kind) for tensor, kind in arrays])
        return moments, axes

    def _saved(self) -> Tensor:
        return torch.cat([view.flatten(1) if view.ndim > 1 else view.unsqueeze(1) for view in self._state.values()], dim=1)

    def _load(self, state: Tensor) -> None:
        widths = [view[0].numel() for view in self._state.values()]
        for view, new in zip(self._state.values(), state.split(widths, dim=1), strict=True):
            view.copy_(new.reshape(view.shape))
