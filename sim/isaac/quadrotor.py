"""Quadrotors on Isaac: rotors, their loop, drag and the ground's cushion are `sim.quadrotor`'s, the rigid body is a worker's.

Before every physics step the rotors' force and torque at its middle are applied to the body, and held over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from robots.description import Robot
from robots.errors import TetherError
from sim import quadrotor_dynamics as dynamics
from sim.battery import supplied
from sim.fused.fuse import Fused
from sim.isaac.process import ISAAC_LAB, Kind, Worker
from sim.isaac.workers import protocol
from sim.quadrotor import VELOCITY, Beginning, QuadrotorSimulator, surroundings
from sim.quadrotor_core import Episode, Surroundings, split
from sim.quadrotor_dynamics import State
from sim.simulator import Simulator

STRONGEST = 1e6  # N, N·m
BODY = ("mass", "inertia", "centre_of_mass")  # parameters that the worker must follow


class IsaacQuadrotorSimulator(QuadrotorSimulator):
    """Many copies of one quadrotor; see `sim.quadrotor.QuadrotorSimulator`. No gradients: train by ppo.

    Args:
        robot: a `Quadrotor` with four rotors.
        num_envs: copies.
        seed: taken for the sake of other engines; nothing is drawn.
        options: those of `QuadrotorSimulator`, but one drone a world and float32.

    Raises:
        TetherError: as `QuadrotorSimulator`, and where there is no Isaac, or it does not take the robot.
        EngineLost: whenever Isaac's process has ended.
    """

    engine: ClassVar[str] = "isaac"
    kind: ClassVar[Kind] = ISAAC_LAB

    def __init__(self, robot: Robot, num_envs: int, *, seed: int = 0, **options: Any) -> None:
        for name, only in (("drones_per_world", 1), ("dtype", torch.float32)):
            if options.get(name, only) != only:
                raise TetherError(f"the engine {self.engine} takes {name} {only} only; use --sim torch")
        super().__init__(robot, num_envs, **options)
        self._forces = Fused(self._rotor_forces, "the rotors' forces", batch_axis=-1)
        self.worker = Worker(self.kind, self._build(seed))
        self._arrays = self.worker.arrays
        self._arrays["friction"].fill_(1.0)
        everyone = torch.ones(num_envs, dtype=torch.bool, device=self.device)
        self._write(everyone, ["friction", *BODY])
        self._place("reset", everyone)

    # --- what the worker is told ---

    def _build(self, seed: int) -> protocol.Build:
        """A free body, and a physics step a request: rotors turn between them."""
        return protocol.Build(
            model=str(self.robot.model.absolute()),
            base="base",
            joints=[],
            feet=[],
            parts=[],
            effort=[],
            speed=[],
            knee_speed=[],
            lag_s=[],
            num_envs=self.num_envs,
            substeps=1,
            physics_dt=self.physics_dt,
            iterations=10,
            ls_iterations=20,
            contacts=16,  # four hubs, and room to spare
            constraints=64,
            terrain=None,
            device=str(self.device),
            memory=-1,
            seed=seed,
        )

    def reset(self, mask: Tensor, state: Mapping[str, Tensor]) -> None:
        """See `QuadrotorSimulator.reset`."""
        super().reset(mask, state)
        self._place("reset", mask)

    def began(self, mask: Tensor, new: Episode, given: Beginning) -> None:
        """See `Simulator.began`."""
        super().began(mask, new, given)
        self._write(mask, [name for name in given.parameters if name in BODY])
        self._place("reset", mask)

    def randomize(self, mask: Tensor, parameters: Mapping[str, Tensor]) -> None:
        """See `QuadrotorSimulator.randomize`."""
        super().randomize(mask, parameters)
        self._write(mask, [name for name in parameters if name in BODY])

    def push(self, velocity_change_in_world: Tensor) -> None:
        """See `Simulator.push`."""
        super().push(velocity_change_in_world)
        self._place("place", velocity_change_in_world.any(1))

    def _place(self, do: str, mask: Tensor) -> None:
        """Have the bodies in ``mask`` where `_state` says, about the base."""
        base = self._core.about_centre_of_mass(dynamics.unpack(self._state.t()), self._centre_of_mass, -1.0)
        self._arrays["qpos"].copy_(torch.cat((base.position, base.orientation)).t())
        self._arrays["qvel"].copy_(torch.cat((base.velocity, base.rate)).t())
        self._arrays["mask"].copy_(mask)
        self.worker.ask(do)

    def _write(self, mask: Tensor, names: list[str]) -> None:
        if not names:
            return
        parameters = split(self._parameters.t())
        for name in BODY:
            value: Tensor = getattr(parameters, name).t()
            self._arrays[name].copy_(torch.diag_embed(value).flatten(1) if name == "inertia" else value)
        self._arrays["mask"].copy_(mask)
        self.worker.ask("write", names=names)

    # --- stepping ---

    def step(self, actuation: Tensor) -> None:
        """See `Simulator.step`."""
        self._check_finite(actuation)
        self._last_velocity = self._state[:, VELOCITY]
        self._history.push(self._clipped(actuation.to(self.device, self.dtype)).t())
        commands = self._history.each().unbind()
        around, near = surroundings(self._parameters, self._force, self._torque, self._given), self._near_ground()
        for takeover in self._core.takeover.unbind(0):
            wrench, *rotors = self._forces(self._state.t(), takeover, commands, around, near)
            self._arrays["applied"].copy_(wrench.t().nan_to_num(0.0).clamp(-STRONGEST, STRONGEST))  # a lost body may ask for anything
            self.worker.ask("step")
            self._state = self._seen(*rotors).t()

    pending, advanced, keep = Simulator.pending, Simulator.advanced, Simulator.keep

    def _rotor_forces(
        self, packed: Tensor, takeover: Tensor, commands: tuple[Tensor, ...], around: Surroundings, near_ground: bool
    ) -> tuple[Tensor, ...]:
        """Force and torque on the body in the world ``[6, n]``, and rotor speeds, rate integral and charge after the sub-step. Pure."""
        core = self._core
        c, inertia = core.constants(around), split(around.parameters).inertia
        s, command = core.commanded(dynamics.unpack(packed), takeover, commands, core.delay(around))
        integral, charge = s.rate_integral, s.charge
        if c.supply is not None and charge is not None:
            command, charge = supplied(c.supply, charge, s.rotor_speed, command)
        (_, middle, _), speeds = dynamics.rotors(core.geometry, c, s.rotor_speed, command)
        wrench = dynamics.wrench(core.geometry, c, s, middle, inertia, near_ground)
        return (wrench, speeds, integral) if charge is None else (wrench, speeds, integral, charge)

    def _seen(self, *rotors: Tensor) -> Tensor:
        """The packed state with the body as the worker left it; where it gave up, numbers are what say so."""
        qpos, qvel = self._arrays["qpos"].t(), self._arrays["qvel"].t()
        lost = torch.where(self._arrays["lost"].t() > 0.0, torch.nan, 0.0)
        base = State(qpos[3:], qvel[3:], qvel[:3] + lost, qpos[:3], *rotors)
        return dynamics.pack(self._core.about_centre_of_mass(base, self._centre_of_mass, 1.0))

    def detach(self) -> None:
        """See `Simulator.detach`."""
        Simulator.detach(self)

    # --- saving ---

    def state_dict(self) -> dict[str, Any]:
        """See `Simulator.state_dict`."""
        self.worker.ask("save")
        return super().state_dict() | {"memory": self._arrays["memory"].clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `QuadrotorSimulator.load_state_dict`."""
        ours = {name: value for name, value in state.items() if name != "memory"}
        super().load_state_dict(ours)
        self._write(torch.ones(self.num_envs, dtype=torch.bool, device=self.device), list(BODY))
        self._arrays["memory"].copy_(state["memory"])
        self.worker.ask("load")
