"""What every engine of legged robots does alike: names, checks, delays, starts, rows of readings.

An engine holds the memory of many simulations, shows the parts of it that are read or written here as tensors (`Views`), and steps.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from robots.description import LeggedRobot, Robot
from robots.errors import TetherError, unknown
from sim.checks import check_count, check_mask, check_names, check_shape, refuse, substeps
from sim.devices import available_device
from sim.legged.latency import Latency
from sim.legged.model import Terrain, build
from sim.legged.readout import Readout, empty, state_widths
from sim.legged.rest import rest
from sim.legged.values import Values
from sim.legged.wrench import Wrench
from sim.simulator import Simulator

MODES = ("joint_position",)
SEEN = 4  # so many of `Views` become rows


class Views(NamedTuple):
    """An engine's memory, seen as tensors ``[num_envs, width]``.

    Attributes:
        qpos, qvel: state; written to.
        torque, sensors: of the motors, and by MuJoCo's sensors; read only.
        applied: force and torque on the base in the world; written to.
    """

    qpos: Tensor
    qvel: Tensor
    torque: Tensor
    sensors: Tensor
    applied: Tensor


class LeggedSimulator(Simulator):
    """Many copies of one legged robot on flat ground, or on a terrain.

    Rest, which `reset` assumes for what it is not told: standing still on flat ground, as the robot's description stands. Parameters
    keep what `randomize` gave them until it is called again; names and units: `sim.legged.parameters.nominal`. Values are checked on a CPU
    always, on a GPU where episodes begin: looking at every actuation would wait for the GPU, and a robot driven by nonsense is `diverged`.
    """

    by_torque: ClassVar[bool] = False  # it knows learned actuators, and gives their torques

    def __init__(
        self,
        robot: Robot,
        num_envs: int,
        *,
        actuation_mode: str = "joint_position",
        control_dt: float = 0.02,
        physics_dt: float | None = None,
        terrain: Terrain | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        check_count(num_envs)
        self.robot: LeggedRobot = self._legged(robot)
        if actuation_mode not in MODES:
            raise unknown(f"actuation mode of the engine {self.engine}", actuation_mode, MODES)
        self.device = self._device(available_device(device))
        self.num_envs, self.actuation_mode = num_envs, actuation_mode
        self.control_dt, self.substeps = control_dt, substeps(control_dt, physics_dt)
        self.physics_dt = control_dt / self.substeps
        self.model = build(self.robot, self.physics_dt, terrain, by_torque=self.by_torque)
        self._check_memory()
        self._sensors = {sensor.name for sensor in robot.sensors}
        (target,) = robot.actuation(actuation_mode)
        self._bounds = self._numbers(target.lower), self._numbers(target.upper)
        self._readout, self._widths = Readout(self.robot), state_widths(self.robot)
        self._rest = {name: self._numbers(value) for name, value in rest(self.robot, self.model).items()}
        self._latency = Latency(num_envs, self._numbers(target.safe), control_dt, self.substeps, seed)
        self._values = Values(self.robot, self.model, num_envs, self.device, self.engine)
        self._views = self._connect()
        self._wrench = Wrench(self._views.applied)
        self._rows = empty(self._readout.size, num_envs, self.device)
        self._everyone = torch.ones(num_envs, dtype=torch.bool, device=self.device)
        self.reset(self._everyone, {})

    # --- what an engine does its own way ---

    @abc.abstractmethod
    def _device(self, device: torch.device) -> torch.device:
        """``device``, if the engine runs there."""

    @abc.abstractmethod
    def _check_memory(self) -> None:
        """Refuse more environments than memory holds."""

    @abc.abstractmethod
    def _connect(self) -> Views:
        """Make ``num_envs`` simulations of ``model``."""

    @abc.abstractmethod
    def _settle(self, mask: Tensor) -> None:
        """Forget warm starts, activations and time where ``mask`` is set, and compute readings of the state that was written there."""

    @abc.abstractmethod
    def _advance(self, targets: Tensor) -> None:
        """Take all sub-steps, under ``targets`` ``[num_envs, substeps, joints]``."""

    def _follow_pushes(self, mask: Tensor) -> None:
        """Go on from the velocities that were written where ``mask`` is set; for an engine whose views are copies."""

    @abc.abstractmethod
    def _write(self, mask: Tensor, changed: set[str]) -> None:
        """Make the models where ``mask`` is set follow the parameters ``changed``."""

    @abc.abstractmethod
    def _failed(self) -> Tensor:
        """Which simulations the engine gave up on since it was last asked, bool ``[num_envs]``."""

    @abc.abstractmethod
    def _saved(self) -> Tensor:
        """A copy of all that the next step follows from, ``[num_envs, any]``."""

    @abc.abstractmethod
    def _load(self, state: Tensor) -> None:
        """Inverse of `_saved`."""

    # --- state ---

    def reset(self, mask: Tensor, state: Mapping[str, Tensor]) -> None:
        """See `Simulator.reset`; keys: those of `sim.legged.readout.STATE_WIDTHS`. Commands still on their way are forgotten.

        Raises:
            TetherError: also for values that are not finite, or a quaternion without length.
        """
        check_mask(mask, self.num_envs)
        if self._nobody(mask):
            return
        start, chosen = self._start(mask, state), mask.unsqueeze(1)
        positions = self._views.qpos.shape[1]
        for view, new in ((self._views.qpos, start[:, :positions]), (self._views.qvel, start[:, positions:])):
            view.copy_(torch.where(chosen, new, view))
        self._latency.reset(mask, self._values["action_delay"][:, 0])
        self._settle(mask)
        self._look(mask)

    def _start(self, mask: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        """State rows, at rest where ``state`` says nothing, ``[num_envs, positions + velocities]``."""
        check_names(state, self._widths, f"state of the engine {self.engine}")
        columns, bad = [], {}
        for name, width in self._widths.items():
            column = self._rest[name].expand(self.num_envs, -1)
            if name in state:
                check_shape(state[name], (self.num_envs, width), name)
                column = self._double(state[name])
                bad[f"state {name!r} is not finite"] = ~column.isfinite().all(1)
            if name == "orientation_base_in_world":
                length = column.norm(dim=1, keepdim=True)
                bad[f"state {name!r} has no length"] = length[:, 0] <= 1e-6
                column = column / length
            columns.append(column)
        refuse(mask, bad)
        return torch.cat(columns, dim=1)

    def _look(self, mask: Tensor | None = None) -> None:
        """Copy what MuJoCo computed into new rows, transposed, as float32; where a ``mask`` is not set, keep the old ones."""
        rows = torch.empty(self._readout.size, self.num_envs, device=self.device)
        begin = 0
        for source in self._views[:SEEN]:
            rows[begin : begin + source.shape[1]].copy_(source.t())
            begin += source.shape[1]
        rows[begin] = self._failed()
        self._rows = (rows if mask is None else torch.where(mask, rows, self._rows.t())).t()

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
        """See `Simulator.raw`; rows by `sim.legged.readout.widths`."""
        return self._rows

    def interpret(self, raw: Tensor) -> dict[str, Tensor]:
        """See `Simulator.interpret`."""
        return self._readout.interpret(raw)

    # --- stepping ---

    def step(self, actuation: Tensor) -> None:
        """See `Simulator.step`. Actuation is clipped to the robot's bounds and takes effect after the environment's delay."""
        check_shape(actuation, (self.num_envs, len(self.robot.joints)), "actuation")
        command = self._double(actuation)
        if self.device.type == "cpu":
            refuse(self._everyone, {"actuation is not finite": ~command.isfinite().all(1)})
        delay, jitter = self._values["action_delay"][:, 0], self._values["action_delay_jitter"][:, 0]
        targets = self._latency.targets(command.clamp(*self._bounds), delay, jitter)
        self._wrench.turn(self._views.qpos[:, 3:7])
        self._advance(targets)
        self._look()

    def push(self, velocity_change_in_world: Tensor) -> None:
        """See `Simulator.push`."""
        check_shape(velocity_change_in_world, (self.num_envs, 3), "velocity_change_in_world")
        velocity = self._views.qvel[:, :3]
        velocity += self._double(velocity_change_in_world)
        begin = self._views.qpos.shape[1]
        rows = self._rows.clone()
        rows[:, begin : begin + 3] = velocity
        self._rows = rows
        self._follow_pushes(velocity_change_in_world.any(1))

    def apply_wrench(self, force_in_world: Tensor, torque_in_base: Tensor) -> None:
        """See `Simulator.apply_wrench`; the force acts at the base's centre of mass."""
        for value, name in ((force_in_world, "force_in_world"), (torque_in_base, "torque_in_base")):
            check_shape(value, (self.num_envs, 3), name)
        self._wrench.set(self._double(force_in_world), self._double(torque_in_base))

    # --- parameters ---

    def parameters(self) -> dict[str, Tensor]:
        """See `Simulator.parameters`."""
        return self._values.told()

    def randomize(self, mask: Tensor, parameters: Mapping[str, Tensor]) -> None:
        """See `Simulator.randomize`; a factor or value of every joint may be one column for all.

        Raises:
            TetherError: also for values no physics has: not finite, a mass that is not positive, a delay beyond `MAX_LATENCY_S`.
        """
        check_mask(mask, self.num_envs)
        if not parameters or self._nobody(mask):
            return
        self._values.take(mask, parameters)
        self._write(mask, set(parameters))

    # --- saving ---

    def state_dict(self) -> dict[str, Any]:
        """See `Simulator.state_dict`; MuJoCo's state with everything around it."""
        values = {name: value.clone() for name, value in self._values.present.items()}
        saved = {"state": self._saved(), "rows": self._rows.clone(), "parameters": values}
        return saved | {"latency": self._latency.state_dict(), "torque_in_base": self._wrench.saved()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Simulator.load_state_dict`; raises `TetherError` when an engine of another kind, size, robot or rate saved it."""
        if set(state) != {"state", "rows", "parameters", "latency", "torque_in_base"} or state["state"].shape != self._saved().shape:
            raise TetherError(f"this state is not of the engine {self.engine} with {self.num_envs} environments of {self.robot.name}")
        self.randomize(self._everyone, self._values.changed_by(state["parameters"]))
        self._latency.load_state_dict(state["latency"])
        self._load(state["state"].to(self.device))
        self._wrench.load(state["torque_in_base"])
        self._rows = state["rows"].to(self.device, copy=True)

    # --- small things ---

    def _legged(self, robot: Robot) -> LeggedRobot:
        if not isinstance(robot, LeggedRobot):
            raise TetherError(f"the engine {self.engine} simulates legged robots; {robot.name} is none: choose another --sim")
        return robot

    def _numbers(self, values: Any) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float64).to(self.device, copy=True)

    def _double(self, value: Tensor) -> Tensor:
        return value.detach().to(self.device, torch.float64)

    def _nobody(self, mask: Tensor) -> bool:
        """Whether there is nothing to do; on a GPU asking costs more than doing it for nobody."""
        return self.device.type == "cpu" and not mask.any()
