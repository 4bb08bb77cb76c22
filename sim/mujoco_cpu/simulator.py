"""Batched legged robots on MuJoCo's C engine: `mujoco.batch`, many simulations of one model on native threads.

A step is one call: all sub-steps of all environments, motors included, run in C. Each environment has its own value of every model field
that was randomised, and shares the others. What is exact and what is not:

- Motors are `robots.description.JointActuator` at physics rate, by MuJoCo's DC motor, torque–speed curve included.
- Delays are exact in whole sub-steps, and to first order between them (`sim.mujoco_cpu.latency`).
- Positions and velocities of base and joints are those after the step. Torques, contacts, and the positions and velocities of feet are
  those of its last sub-step's beginning, one ``physics_dt`` earlier, as MuJoCo's own sensors are after ``mj_step``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from mujoco.batch import Batch
from torch import Tensor

from robots.description import LeggedRobot, Robot
from robots.errors import TetherError, unknown
from sim.checks import check_mask, check_names, check_shape, substeps
from sim.devices import available_device
from sim.mujoco_cpu import memory, parameters
from sim.mujoco_cpu.latency import Latency
from sim.mujoco_cpu.model import Terrain, build
from sim.mujoco_cpu.readout import Readout, empty, state_widths
from sim.mujoco_cpu.rest import rest
from sim.mujoco_cpu.wrench import Wrench
from sim.simulator import Simulator

MODES = ("joint_position",)


class MujocoCpuSimulator(Simulator):
    """Many copies of one legged robot on flat ground, or on a terrain.

    Rest, which `reset` assumes for what it is not told: standing still on flat ground, as the robot's description stands. Parameters
    keep what `randomize` gave them until it is called again; names and units: `sim.mujoco_cpu.parameters.nominal`.

    Args:
        robot: a `LeggedRobot` with actuators.
        num_envs: copies.
        actuation_mode: ``joint_position``.
        control_dt: period of `step` [s].
        physics_dt: period of a sub-step [s]; by default the largest divisor of ``control_dt`` up to 5 ms.
        terrain: ground other than flat; states are given in the world, so a start on it must say how high.
        threads: that step; by default as many as torch uses.
        seed: of the jitter of delays.
        device: the CPU.

    Raises:
        TetherError: for another kind of robot, mode or device, a model that does not fit the description, or more environments than memory.
    """

    engine: ClassVar[str] = "mujoco_cpu"

    def __init__(
        self,
        robot: Robot,
        num_envs: int,
        *,
        actuation_mode: str = "joint_position",
        control_dt: float = 0.02,
        physics_dt: float | None = None,
        terrain: Terrain | None = None,
        threads: int | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if num_envs < 1:
            raise TetherError(f"num_envs is {num_envs}; give at least 1")
        self.robot: LeggedRobot = legged(robot)
        if actuation_mode not in MODES:
            raise unknown(f"actuation mode of the engine {self.engine}", actuation_mode, MODES)
        self.device = available_device(device)
        if self.device.type != "cpu":
            raise TetherError(f"the engine {self.engine} runs on the CPU; use --device cpu, or another --sim")
        self.num_envs, self.actuation_mode = num_envs, actuation_mode
        self.control_dt, self.substeps = control_dt, substeps(control_dt, physics_dt)
        self.physics_dt = control_dt / self.substeps
        self.model = build(self.robot, self.physics_dt, terrain)
        memory.check(self.model, num_envs, self.substeps)
        self.batch = Batch(self.model, num_envs, threads or torch.get_num_threads())
        self._sensors = {sensor.name for sensor in robot.sensors}
        (target,) = robot.actuation(actuation_mode)
        self._bounds = np.array(target.lower), np.array(target.upper)
        self._readout, self._widths = Readout(self.robot), state_widths(self.robot)
        self._rest = rest(self.robot, self.model)
        self._latency = Latency(num_envs, target.size, control_dt, self.substeps, np.array(target.safe), seed)
        self._wrench = Wrench(self.batch, self.model.body(self.robot.base).id)
        self._connect()
        self._nominal = parameters.nominal(self.robot, self.model)
        self._fields = parameters.Fields(self.robot, self.batch)
        self._values = {name: np.tile(value, (num_envs, 1)) for name, value in self._nominal.items()}
        self._told = self._packed()
        self._rows = empty(self._readout.size, num_envs)
        self.reset(torch.ones(num_envs, dtype=torch.bool), {})

    def _connect(self) -> None:
        """Views of MuJoCo's memory: state rows, motor torques, sensors, and counts of warnings."""
        self._qpos, self._qvel = self.batch.bind("qpos"), self.batch.bind("qvel")
        outputs = [self.batch.bind("actuator_force"), self.batch.bind("sensordata")]
        for view in outputs:
            view.flags.writeable = True  # for torch's sake, which only reads
        self._sources = [torch.from_numpy(view) for view in (self._qpos, self._qvel, *outputs)]
        for view in outputs:
            view.flags.writeable = False
        self._warnings = self.batch.warning[:, :, 1]  # after the last one's detail
        self._warned = self._warnings.sum(1)

    # --- state ---

    def reset(self, mask: Tensor, state: Mapping[str, Tensor]) -> None:
        """See `Simulator.reset`; keys: those of `sim.mujoco_cpu.readout.STATE_WIDTHS`. Commands still on their way are forgotten.

        Raises:
            TetherError: also for values that are not finite, or a quaternion without length.
        """
        check_mask(mask, self.num_envs)
        ids = mask.numpy().nonzero()[0].astype(np.int32)
        if len(ids) == 0:
            return
        start = self._start(ids, state)
        for component in ("qacc_warmstart", "act", "time", "ctrl"):
            self.batch.bind(component)[ids] = 0.0
        positions = self._qpos.shape[1]
        self._qpos[ids], self._qvel[ids] = start[:, :positions], start[:, positions:]
        self._latency.reset(ids, self._values["action_delay"][:, 0])
        self.batch.forward(ids)
        self._look()

    def _start(self, ids: np.ndarray, state: Mapping[str, Tensor]) -> np.ndarray:
        """State rows of environments ``ids``, at rest where ``state`` says nothing, ``[len(ids), positions + velocities]``."""
        check_names(state, self._widths, f"state of the engine {self.engine}")
        columns = []
        for name, width in self._widths.items():
            column = np.tile(self._rest[name], (len(ids), 1))
            if name in state:
                check_shape(state[name], (self.num_envs, width), name)
                column = state[name].detach().double().numpy()[ids]
                check_finite(ids, np.isfinite(column).all(1), f"state {name!r} is not finite")
            if name == "orientation_base_in_world":
                length = np.linalg.norm(column, axis=1, keepdims=True)
                check_finite(ids, length[:, 0] > 1e-6, f"state {name!r} has no length")
                column = column / length
            columns.append(column)
        return np.concatenate(columns, axis=1)

    def _look(self) -> None:
        """Copy what MuJoCo computed into new rows, transposed, as float32."""
        rows = torch.empty(self._readout.size, self.num_envs)
        begin = 0
        for source in self._sources:
            rows[begin : begin + source.shape[1]].copy_(source.t())
            begin += source.shape[1]
        warned = self._warnings.sum(1)
        rows[begin] = torch.from_numpy((warned > self._warned).astype(np.float32))
        self._warned = warned
        self._rows = rows.t()

    def signals(self) -> dict[str, Tensor]:
        """See `Simulator.signals`."""
        return {name: value for name, value in self.privileged().items() if name in self._sensors}

    def privileged(self) -> dict[str, Tensor]:
        """State of base and joints by the names of `reset`; ``joint_torque`` [N·m]; per foot ``foot_force_in_world`` [N],
        ``foot_position_in_world`` [m], ``foot_velocity_in_world`` [m/s], three columns a foot, and ``foot_contact`` (bool, one a foot);
        ``<part>_contact`` (bool, one a geom of the part); ``diverged`` (bool ``[num_envs, 1]``): MuJoCo gave up on this step, and what
        follows is not physics: end the episode.
        """
        return self.interpret(self.raw())

    def raw(self) -> Tensor:
        """See `Simulator.raw`; rows by `sim.mujoco_cpu.readout.widths`."""
        return self._rows

    def interpret(self, raw: Tensor) -> dict[str, Tensor]:
        """See `Simulator.interpret`."""
        return self._readout.interpret(raw)

    # --- stepping ---

    def step(self, actuation: Tensor) -> None:
        """See `Simulator.step`. Actuation is clipped to the robot's bounds and takes effect after the environment's delay."""
        check_shape(actuation, (self.num_envs, len(self.robot.joints)), "actuation")
        command = actuation.detach().double().numpy()
        check_finite(np.arange(self.num_envs), np.isfinite(command).all(1), "actuation is not finite")
        delay, jitter = self._values["action_delay"][:, 0], self._values["action_delay_jitter"][:, 0]
        targets = self._latency.targets(command.clip(*self._bounds), delay, jitter)
        self._wrench.turn(self._qpos[:, 3:7])
        self.batch.rollout(self.substeps, targets, record=())
        self._look()

    def push(self, velocity_change_in_world: Tensor) -> None:
        """See `Simulator.push`."""
        check_shape(velocity_change_in_world, (self.num_envs, 3), "velocity_change_in_world")
        self._qvel[:, :3] += velocity_change_in_world.detach().double().numpy()
        begin = self._qpos.shape[1]
        rows = self._rows.clone()
        rows[:, begin : begin + 3] = torch.from_numpy(self._qvel[:, :3])
        self._rows = rows

    def apply_wrench(self, force_in_world: Tensor, torque_in_base: Tensor) -> None:
        """See `Simulator.apply_wrench`; the force acts at the base's centre of mass."""
        for value, name in ((force_in_world, "force_in_world"), (torque_in_base, "torque_in_base")):
            check_shape(value, (self.num_envs, 3), name)
        self._wrench.set(force_in_world.detach().double().numpy(), torque_in_base.detach().double().numpy())

    # --- parameters ---

    def parameters(self) -> dict[str, Tensor]:
        """See `Simulator.parameters`."""
        widths = [value.shape[1] for value in self._values.values()]
        return dict(zip(self._values, self._told.split(widths, dim=1), strict=True))

    def _packed(self) -> Tensor:
        """All parameters as rows, float32."""
        return torch.from_numpy(np.concatenate([value.T for value in self._values.values()])).float().t()

    def randomize(self, mask: Tensor, parameters: Mapping[str, Tensor]) -> None:
        """See `Simulator.randomize`; a factor or value of every joint may be one column for all.

        Raises:
            TetherError: also for values no physics has: not finite, a mass or gain that is not positive, a delay beyond `MAX_LATENCY_S`.
        """
        check_mask(mask, self.num_envs)
        ids = mask.numpy().nonzero()[0].astype(np.int32)
        if len(ids) == 0 or not parameters:
            return
        new = {name: self._asked(ids, name, value) for name, value in parameters.items()}
        for name, value in new.items():
            self._values[name][ids] = value
        self._told = self._packed()
        self._fields.write(ids, set(new), {name: value[ids] for name, value in self._values.items()})

    def _asked(self, ids: np.ndarray, name: str, value: Tensor) -> np.ndarray:
        """Checked values of environments ``ids``."""
        check_names([name], parameters.BOUNDS, f"parameter of the engine {self.engine}")
        width = len(self._nominal[name])
        if value.shape != (self.num_envs, 1):
            check_shape(value, (self.num_envs, width), name)
        chosen = value.detach().double().numpy()[ids]
        low, high = parameters.BOUNDS[name]
        check_finite(
            ids, (np.isfinite(chosen) & (chosen > low) & (chosen < high)).all(1), f"parameter {name!r} is outside {low:g}…{high:g}"
        )
        return np.broadcast_to(chosen, (len(ids), width))

    # --- saving ---

    def state_dict(self) -> dict[str, Any]:
        """See `Simulator.state_dict`; MuJoCo's integration state with everything around it."""
        values = {name: torch.from_numpy(value.copy()) for name, value in self._values.items()}
        saved = {"state": torch.from_numpy(self.batch.state.copy()), "rows": self._rows.clone(), "parameters": values}
        return saved | {"latency": self._latency.state_dict(), "torque_in_base": self._wrench.saved()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Simulator.load_state_dict`; raises `TetherError` when an engine of another size, robot or rate saved it."""
        shape = tuple(self.batch.state.shape)
        if set(state) != {"state", "rows", "parameters", "latency", "torque_in_base"} or tuple(state["state"].shape) != shape:
            raise TetherError(f"this state is not of the engine {self.engine} with {self.num_envs} environments of {self.robot.name}")
        everyone = torch.ones(self.num_envs, dtype=torch.bool)
        changed = {n: v for n, v in state["parameters"].items() if not np.array_equal(v.numpy(), self._values[n])}
        self.randomize(everyone, changed)
        self._latency.load_state_dict(state["latency"])
        self.batch.state[:] = state["state"].numpy()
        self._wrench.load(state["torque_in_base"])
        self._rows = state["rows"].clone()


def legged(robot: Robot) -> LeggedRobot:
    """``robot``, if the engine can simulate it."""
    if not isinstance(robot, LeggedRobot):
        raise TetherError(f"the engine mujoco_cpu simulates legged robots; {robot.name} is none: choose another --sim")
    return robot


def check_finite(ids: np.ndarray, good: np.ndarray, complaint: str) -> None:
    """Refuse environments ``ids`` that are not ``good`` ``[len(ids)]``."""
    if not good.all():
        raise TetherError(f"{complaint} in environments {ids[~good][:8].tolist()}")
