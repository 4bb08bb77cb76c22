"""What the quadrotor engine computes, as pure functions that become fused kernels: `QuadrotorCore`.

Tensors are feature-major, ``[width, n]``, and packed: one for the state of all environments, one for their parameters.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from robots.description import Quadrotor
from sim import quadrotor_dynamics as dynamics
from sim.action_delay import effective, takeover_times
from sim.battery import drawn, voltage
from sim.fused.fuse import Fused, Update, choose
from sim.ground import touching
from sim.quadrotor_checks import bounds
from sim.quadrotor_constants import PARAMETER_WIDTHS, Constants, Given, Parameters, constants, geometry, source
from sim.quadrotor_dynamics import State
from sim.rate_loop import control, rate_loop, rotor_speeds


class Episode(NamedTuple):
    """Everything that changes when an episode begins, ``[n, …]``: packed parameters, and as in `QuadrotorCore._place`.

    ``fit``: whether start and parameters are as they should be, bool ``[n]``.
    """

    fit: Tensor
    parameters: Tensor
    state: Tensor
    history: Tensor
    last_velocity: Tensor


class Surroundings(NamedTuple):
    """What a step depends on beside state and commands, ``[width, n]``.

    Attributes:
        parameters: packed.
        force: external, in the world [N], ``[3, n]``. torque: in the body frame [N·m]. None for none.
        given: which parts of the model are in use.
    """

    parameters: Tensor
    force: Tensor | None
    torque: Tensor | None
    given: Given


class QuadrotorCore:
    """The arithmetic of one robot in one actuation mode at one rate.

    Args:
        robot, actuation_mode, control_dt, substeps: as in `sim.quadrotor.QuadrotorSimulator`.
        device, dtype: of every tensor.
    """

    def __init__(
        self, robot: Quadrotor, actuation_mode: str, control_dt: float, substeps: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.robot, self.actuation_mode, self.control_dt = robot, actuation_mode, control_dt
        self.physics_dt = control_dt / substeps
        self.refuses = device.type == "cpu"  # what is not fit; elsewhere looking would wait
        self.geometry = geometry(robot, self.physics_dt, device, dtype)
        self.loop = rate_loop(robot, self.physics_dt, device, dtype)
        self.takeover = takeover_times(control_dt, substeps).to(device, dtype)
        self.lowest, self.highest = (torch.tensor(values, device=device, dtype=dtype).unsqueeze(1) for values in bounds())
        self._repeat = Fused(self._substep, "the quadrotor engine's sub-steps", batch_axis=-1, steps=substeps)
        self.advance = Fused(self._advance, "the quadrotor engine's step", batch_axis=-1)
        self.measure = Fused(self.measured, "the quadrotor engine's signals")
        self.acceptable = Fused(self._acceptable, "the quadrotor engine's bounds", batch_axis=-1)
        self.randomize = Update(self._randomize, "the quadrotor engine's randomisation", batch_axis=-1)
        self.sound = Fused(self._sound, "the quadrotor engine's check of a start", batch_axis=-1)
        self.place = Update(self._place, "the quadrotor engine's reset", batch_axis=-1)
        self.begin = Update(self.begun, "the quadrotor engine's start of an episode")

    def in_real_time(self) -> None:
        """Use kernels for a single robot too."""
        self.advance.pads = self.measure.pads = True

    def _advance(self, packed: Tensor, commands: tuple[Tensor, ...], around: Surroundings, near_ground: bool) -> Tensor:
        """The packed state after a control step under the latest commands, newest first, each ``[4, n]``."""
        given = (commands, self.delay(around), self.constants(around), near_ground)
        advanced: tuple[Tensor] = self._repeat((packed,), (self.takeover,), given)
        return advanced[0]

    def constants(self, around: Surroundings) -> Constants:
        """Of the sub-steps."""
        return constants(self.robot, self.geometry, split(around.parameters), around.force, around.torque, around.given)

    @staticmethod
    def delay(around: Surroundings) -> Tensor | None:
        """Of commands [s], ``[n]``; None while nobody has one."""
        return split(around.parameters).action_delay[0] if around.given.delay else None

    def _substep(
        self, carry: tuple[Tensor], of_step: tuple[Tensor], constants: tuple[tuple[Tensor, ...], Tensor | None, Constants, bool]
    ) -> tuple[Tensor]:
        """One sub-step: (packed state), (`takeover_times`), (latest commands with the newest first, delay, constants, near ground)."""
        (packed,), (takeover,), (commands, delay, c, near_ground) = carry, of_step, constants
        s, command = self.commanded(dynamics.unpack(packed), takeover, commands, delay)
        s = dynamics.substep(self.geometry, c, self.physics_dt, s, command, near_ground)
        return (dynamics.pack(s._replace(orientation=dynamics.normalised(s.orientation))),)

    def commanded(self, s: State, takeover: Tensor, commands: tuple[Tensor, ...], delay: Tensor | None) -> tuple[State, Tensor]:
        """Rotor speeds that the inner loop asks for in a sub-step ``[4, n]``, and the state with the loop's own moved on."""
        command = commands[0] if delay is None else effective(commands, delay, takeover, self.physics_dt)
        if self.actuation_mode != "ctbr":
            return s, rotor_speeds(self.loop, command)
        command, integral = control(self.loop, s.rate, s.rate_integral, command)
        return s._replace(rate_integral=integral), command

    def measured(self, packed: Tensor, last_velocity: Tensor, parameters: Tensor, given: Given) -> dict[str, Tensor]:
        """`Simulator.privileged` of packed state and parameters ``[n, width]``; ``last_velocity`` is that of a control step ago. Pure."""
        s, p = dynamics.unpack(packed.t()), split(parameters.t())
        base = self.about_centre_of_mass(s, centre_of_mass(p, given), -1.0)
        touched = touching(s.position, dynamics.rotation(self.geometry, s.orientation), self.geometry.hubs, self.robot.contact_radius_m)
        supply, battery = source(self.robot, self.physics_dt, p, given), {}
        if supply is not None and s.charge is not None:
            battery = {"state_of_charge": s.charge.t(), "battery_voltage": voltage(supply, s.charge, drawn(supply, s.rotor_speed)).t()}
        return {
            "position_base_in_world": base.position.t(),
            "orientation_base_in_world": base.orientation.t(),
            "linear_velocity_base_in_world": base.velocity.t(),
            "angular_velocity_base_in_base": base.rate.t(),
            "rotor_speeds": s.rotor_speed.t(),
            "rate_integral": s.rate_integral.t(),
            "linear_acceleration_base_in_world": (s.velocity.t() - last_velocity) / self.control_dt,
            "ground_contact": touched.unsqueeze(1),
            **battery,
        }

    def _acceptable(self, mask: Tensor, new: dict[str, Tensor], parameters: Tensor) -> Tensor:
        """Whether ``new`` parameters are physical, or not asked for, bool ``[n]``."""
        return self.physical(with_new(parameters, new)).all(0) | ~mask

    def _randomize(
        self, old: tuple[Tensor, Tensor], new: dict[str, Tensor], centre_of_mass: Tensor | None, given: Given
    ) -> tuple[Tensor, Tensor]:
        """Packed parameters with ``new`` ones, and the packed state; from the ``old`` two.

        The base stays where it is if its centre of mass moves; a battery that is given a charge has it at once.
        """
        changed = with_new(old[0], new)
        s, p = dynamics.unpack(old[1]), split(changed)
        if "centre_of_mass" in new:
            base = self.about_centre_of_mass(s, centre_of_mass, -1.0)
            s = self.about_centre_of_mass(base, p.centre_of_mass, 1.0)
        if given.battery and "battery_charge" in new:
            s = s._replace(charge=p.battery_charge)
        return changed, dynamics.pack(s)

    def physical(self, parameters: Tensor) -> Tensor:
        """Which packed parameters are within their bounds, bool ``[width, n]``."""
        return (parameters > self.lowest) & (parameters < self.highest)

    def finite(self, new: State) -> Tensor:
        """Which elements of a start are finite, bool ``[width, n]``."""
        return dynamics.pack(new._replace(orientation=dynamics.normalised(new.orientation))).isfinite()

    def _sound(self, mask: Tensor, new: State) -> Tensor:
        """Whether all of a start is, or it is not asked for, bool ``[n]``."""
        return self.finite(new).all(0) | ~mask

    def _place(
        self, old: tuple[Tensor, Tensor, Tensor], new: State, safe: Tensor, centre_of_mass: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """State, history of commands and last velocity at an episode's start; ``new`` is about the base, ``safe`` the command ``[4, 1]``
        that was given before it.
        """
        start = self.about_centre_of_mass(new._replace(orientation=dynamics.normalised(new.orientation)), centre_of_mass, 1.0)
        return dynamics.pack(start), torch.cat([safe] * (len(old[1]) // len(safe))), start.velocity

    def begun(self, old: Episode, new: State, parameters: dict[str, Tensor], safe: Tensor, given: Given) -> Episode:
        """What `_randomize` and `_place` do, one after the other, but nothing where it `refuses` to; pure.

        All are ``[n, …]``, ``safe`` is ``[1, 4]``.
        """
        start = State(*[part.t() for part in new[:6]])
        changed = with_new(old.parameters.t(), {name: value.t() for name, value in parameters.items()})
        fit, p = self.finite(start).all(0) & self.physical(changed).all(0), split(changed)
        if given.battery:
            start = start._replace(charge=p.battery_charge)
        before = (old.state.t(), old.history.t(), old.last_velocity.t())
        state, history, velocity = self._place(before, start, safe.t(), centre_of_mass(p, given))
        begun = Episode(fit, changed.t(), state.t(), history.t(), velocity.t())
        return choose(fit, begun, old)._replace(fit=fit) if self.refuses else begun

    def about_centre_of_mass(self, s: State, centre_of_mass: Tensor | None, sign: float) -> State:
        """From base to centre of mass (sign 1) or back (−1): p ± R c, v ± R (ω × c)."""
        if centre_of_mass is None:
            return s
        matrix = dynamics.rotation(self.geometry, s.orientation)
        position = (matrix * centre_of_mass).sum(1)
        velocity = (matrix * torch.linalg.cross(s.rate, centre_of_mass, dim=0)).sum(1)
        return s._replace(position=torch.add(s.position, position, alpha=sign), velocity=torch.add(s.velocity, velocity, alpha=sign))


def centre_of_mass(p: Parameters, given: Given) -> Tensor | None:
    """Its offset from the base [m], ``[3, n]``; None while it is nowhere but in the base."""
    return p.centre_of_mass if given.offset else None


def split(parameters: Tensor) -> Parameters:
    """Packed parameters ``[width, n]`` by name."""
    return Parameters(*parameters.split(list(PARAMETER_WIDTHS.values())))


def with_new(parameters: Tensor, new: dict[str, Tensor]) -> Tensor:
    """Packed parameters with those in ``new`` instead; one row may serve all rotors."""
    rows = dict(zip(PARAMETER_WIDTHS, parameters.split(list(PARAMETER_WIDTHS.values())), strict=True))
    rows |= {name: value.expand(PARAMETER_WIDTHS[name], -1) for name, value in new.items()}
    return torch.cat(list(rows.values()))
