"""Batched quadrotors in torch: the default engine for flight, differentiable, on any device.

Equations and integrator: `sim.quadrotor_dynamics`; inner body-rate loop: `sim.rate_loop`; ground: `sim.ground`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from robots.description import GRAVITY, Quadrotor, Robot
from robots.errors import TetherError, unknown
from sim import quadrotor_checks as checks
from sim import quadrotor_dynamics as dynamics
from sim.action_delay import history_length, shares, takeover_times
from sim.battery import drawn, voltage
from sim.devices import available_device
from sim.downwash import among
from sim.ground import REACH_M, touching
from sim.quadrotor_constants import PARAMETER_WIDTHS, Given, Parameters, constants, geometry, nominal
from sim.quadrotor_dynamics import State
from sim.rate_loop import control, rate_loop, rotor_speeds
from sim.simulator import Simulator

MODES = ("ctbr", "rotor_thrusts")
SAVED = ("state", "parameters", "history", "last_velocity", "force", "torque")
RESET_WIDTHS = {  # in the order of `State`
    "orientation_base_in_world": 4,
    "angular_velocity_base_in_base": 3,
    "linear_velocity_base_in_world": 3,
    "position_base_in_world": 3,
    "rotor_speeds": 4,
    "rate_integral": 3,
}


class QuadrotorSimulator(Simulator):
    """Many copies of one quadrotor.

    Rest, which `reset` assumes for what it is not told: level and still, 1 m above the world's origin, rotors at hover speed, hover
    commanded last. Parameters keep what `randomize` gave them until it is called again; `reset` leaves them alone.

    Args:
        robot: a `Quadrotor` with four rotors.
        num_envs: copies.
        actuation_mode: ``ctbr`` (collective thrust [N] and body rates [rad/s], through the inner rate loop) or ``rotor_thrusts`` ([N]).
        control_dt: period of `step` [s].
        physics_dt: period of a sub-step and of the inner loop [s]; by default the largest divisor of ``control_dt`` up to 5 ms.
            benchmarks/RESULTS.md has error against cost.
        drones_per_world: how many environments in a row share a world and feel each other's downwash (`sim.downwash`), held over a control
            step: the wake itself, which is not modelled, takes longer to arrive.
        device, dtype: of every tensor.

    Raises:
        TetherError: for a robot that is no quadrotor, an unknown mode, a count below one, worlds that do not fill the environments, a
            ``physics_dt`` that does not divide ``control_dt``, or a device that is not there.
    """

    engine: ClassVar[str] = "torch"

    def __init__(
        self,
        robot: Robot,
        num_envs: int,
        *,
        actuation_mode: str = "ctbr",
        control_dt: float = 0.01,
        physics_dt: float | None = None,
        drones_per_world: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if num_envs < 1:
            raise TetherError(f"num_envs is {num_envs}; give at least 1")
        if drones_per_world < 1 or num_envs % drones_per_world:
            raise TetherError(f"drones_per_world is {drones_per_world}; give a divisor of the {num_envs} environments")
        if actuation_mode not in MODES:
            raise unknown("actuation mode of the quadrotor engine", actuation_mode, MODES)
        self.robot: Quadrotor = checks.with_four_rotors(robot)
        self.num_envs, self.drones_per_world, self.actuation_mode = num_envs, drones_per_world, actuation_mode
        self.control_dt, self.substeps = control_dt, checks.substeps(control_dt, physics_dt)
        self.physics_dt = control_dt / self.substeps
        self.device, self.dtype = available_device(device), dtype
        self._geometry = geometry(self.robot, self.physics_dt, self.device, dtype)
        self._loop = rate_loop(self.robot, self.physics_dt, self.device, dtype)
        signals = robot.actuation(actuation_mode)
        self._lower, self._upper, self._safe = (
            self._column([value for signal in signals for value in getattr(signal, name)]) for name in ("lower", "upper", "safe")
        )
        self._lowest, self._highest = (self._column(values) for values in checks.bounds())
        self._rest = self._resting()
        self._state = self._rest.expand(-1, num_envs).clone()
        self._last_velocity = torch.zeros_like(self._state[:3])
        self._history = self._safe.expand(history_length(control_dt), -1, num_envs).clone()
        self._takeover = takeover_times(control_dt, self.substeps).to(self.device, dtype)
        self._parameters = self._column(nominal(self.robot)).expand(-1, num_envs).clone()
        self._force: Tensor | None = None
        self._torque: Tensor | None = None
        self._given = Given(rotor_drag=any(self.robot.rotor_drag_kg))
        self._refresh()

    def _column(self, values: list[float]) -> Tensor:
        return torch.tensor(values, device=self.device, dtype=self.dtype).unsqueeze(1)

    def _resting(self) -> Tensor:
        hover = rotor_speeds(self._loop, self._column([self.robot.mass_kg * GRAVITY / 4.0] * 4))
        return torch.cat((self._column([1.0] + [0.0] * 11 + [1.0]), hover, self._column([0.0] * 3)))

    def _refresh(self) -> None:
        """Recompute what depends on parameters and wrench."""
        p = Parameters(*self._parameters.split(list(PARAMETER_WIDTHS.values())))
        self._constants = constants(self.robot, self._geometry, p, self._force, self._torque, self._given)
        self._centre_of_mass, self._initial_charge = p.centre_of_mass, p.battery_charge
        if self._given.delay:
            self._shares = shares(p.action_delay[0], self._takeover, self.physics_dt)

    # --- state ---

    def reset(self, mask: Tensor, state: Mapping[str, Tensor]) -> None:
        """See `Simulator.reset`; keys: those of `RESET_WIDTHS`. Commands still on their way in these environments become hover,
        and batteries as full as ``battery_charge`` says.

        Raises:
            TetherError: also for values that are not finite, or a quaternion without length.
        """
        checks.check_mask(mask, self.num_envs)
        checks.check_names(state, RESET_WIDTHS, "state")
        rest = self._rest.expand(-1, self.num_envs).split(list(RESET_WIDTHS.values()))
        rows = [
            self._feature_major(state[name], width, name) if name in state else default
            for (name, width), default in zip(RESET_WIDTHS.items(), rest, strict=True)
        ]
        charge = self._initial_charge if self._given.battery else None
        start = State(*rows)._replace(orientation=dynamics.normalised(rows[0]), charge=charge)
        packed = torch.where(mask, dynamics.pack(self._about_centre_of_mass(start, 1.0)), self._state)
        checks.check_values(packed.isfinite(), RESET_WIDTHS | {"battery_charge": 1}, "state", "is not finite")
        self._state = packed
        self._history = torch.where(mask, self._safe, self._history)
        self._last_velocity = torch.where(mask, dynamics.unpack(packed).velocity, self._last_velocity)

    def _about_centre_of_mass(self, s: State, sign: float) -> State:
        """From base to centre of mass (sign 1) or back (−1): p ± R c, v ± R (ω × c)."""
        if not self._given.offset:
            return s
        matrix, c = dynamics.rotation(self._geometry, s.orientation), self._centre_of_mass
        position, velocity = (matrix * c).sum(1), (matrix * torch.linalg.cross(s.rate, c, dim=0)).sum(1)
        return s._replace(position=torch.add(s.position, position, alpha=sign), velocity=torch.add(s.velocity, velocity, alpha=sign))

    def signals(self) -> dict[str, Tensor]:
        """See `Simulator.signals`."""
        s = self._about_centre_of_mass(dynamics.unpack(self._state), -1.0)
        return {
            "position_base_in_world": s.position.t(),
            "orientation_base_in_world": s.orientation.t(),
            "linear_velocity_base_in_world": s.velocity.t(),
            "angular_velocity_base_in_base": s.rate.t(),
        }

    def privileged(self) -> dict[str, Tensor]:
        """`signals`, ``rotor_speeds`` (normalised), ``rate_integral``, ``linear_acceleration_base_in_world`` (of the centre of mass, mean
        over the last `step`) and ``ground_contact`` (bool ``[num_envs, 1]``); with a battery also ``state_of_charge`` (0…1) and
        ``battery_voltage`` [V].
        """
        s = dynamics.unpack(self._state)
        matrix = dynamics.rotation(self._geometry, s.orientation)
        contact = touching(s.position, matrix, self._geometry.hubs, self.robot.contact_radius_m)
        return self.signals() | {
            "rotor_speeds": s.rotor_speed.t(),
            "rate_integral": s.rate_integral.t(),
            "linear_acceleration_base_in_world": ((s.velocity - self._last_velocity) / self.control_dt).t(),
            "ground_contact": contact.unsqueeze(1),
            **self._battery(s),
        }

    def _battery(self, s: State) -> dict[str, Tensor]:
        b = self._constants.supply
        if b is None or s.charge is None:
            return {}
        return {"state_of_charge": s.charge.t(), "battery_voltage": voltage(b, s.charge, drawn(b, s.rotor_speed)).t()}

    def detach(self) -> None:
        """Cut the state off the graph that led to it; for truncated back-propagation."""
        self._state, self._history, self._last_velocity = self._state.detach(), self._history.detach(), self._last_velocity.detach()

    # --- stepping ---

    def step(self, actuation: Tensor) -> None:
        """See `Simulator.step`. Actuation is clipped to the robot's bounds and takes effect after the environment's delay."""
        commands = self._commands(actuation)
        g, c, dt = self._geometry, self._constants, self.physics_dt
        s = dynamics.unpack(self._state)
        self._last_velocity = s.velocity
        if self.drones_per_world > 1:
            c = among(c, s.position, self.drones_per_world)
        near = self._near_ground(s)
        for command in commands:
            if self.actuation_mode == "ctbr":
                command, integral = control(self._loop, s.rate, s.rate_integral, command)
                s = s._replace(rate_integral=integral)
            s = dynamics.substep(g, c, dt, s, command, near)
        s = s._replace(orientation=dynamics.normalised(s.orientation))
        self._state = dynamics.pack(s)

    def _commands(self, actuation: Tensor) -> list[Tensor]:
        """What the inner loop (``ctbr``) or the motors (rotor speeds) are told in each sub-step, ``[4, n]`` each."""
        command = self._feature_major(actuation, 4, "actuation").clamp(self._lower, self._upper)
        if self.device.type == "cpu" and not math.isfinite(command.detach().sum().item()):
            bad = (~actuation.isfinite()).any(1).nonzero().flatten().tolist()
            raise TetherError(f"actuation is not finite in environments {bad[:8]}; look at what the policy observed there")
        self._history = torch.cat((command.unsqueeze(0), self._history[:-1]))
        delayed = (self._shares * self._history).sum(1).unbind() if self._given.delay else (command,)
        told = [rotor_speeds(self._loop, each) for each in delayed] if self.actuation_mode == "rotor_thrusts" else list(delayed)
        return told if self._given.delay else told * self.substeps

    def _near_ground(self, s: State) -> bool:
        """Whether to compute the ground: nobody falls through the metre above its reach in a step. On a GPU always: asking would wait."""
        return self.device.type != "cpu" or bool(s.position[2].detach().amin() < 2.0 * REACH_M)

    # --- parameters and wrenches ---

    def parameters(self) -> dict[str, Tensor]:
        """See `Simulator.parameters`; names, units and widths: `sim.quadrotor_constants.Parameters`."""
        parts = self._parameters.split(list(PARAMETER_WIDTHS.values()))
        return {name: part.t() for name, part in zip(PARAMETER_WIDTHS, parts, strict=True)}

    def randomize(self, mask: Tensor, parameters: Mapping[str, Tensor]) -> None:
        """See `Simulator.randomize`. ``thrust_scale`` may have one column for all rotors. The base stays where it is if its centre of mass
        moves. The supply is ideal until a battery parameter is given; ``battery_charge`` takes effect at once and at every `reset`.

        Raises:
            TetherError: also for values no physics has: a mass, inertia, motor time or resistance that is not positive, a delay outside
                0…20 ms, a charge outside 0…1; and for battery parameters of a robot that describes no battery.
        """
        checks.check_mask(mask, self.num_envs)
        checks.check_names(parameters, PARAMETER_WIDTHS, "parameter")
        given = self._given.and_by(parameters)
        checks.check_battery(given, self.robot)
        rows = list(self._parameters.split(list(PARAMETER_WIDTHS.values())))
        for index, (name, width) in enumerate(PARAMETER_WIDTHS.items()):
            if name in parameters:
                one = name == "thrust_scale" and parameters[name].shape[1:] == (1,)
                rows[index] = self._feature_major(parameters[name], 1 if one else width, name).expand(width, -1)
        packed = torch.where(mask, torch.cat(rows), self._parameters)
        checks.check_values((packed > self._lowest) & (packed < self._highest), PARAMETER_WIDTHS, "parameter", "is outside its bounds")
        base = self._about_centre_of_mass(dynamics.unpack(self._state), -1.0)
        self._given, self._parameters = given, packed
        self._refresh()
        if "centre_of_mass" in parameters:
            self._state = torch.where(mask, dynamics.pack(self._about_centre_of_mass(base, 1.0)), self._state)
        if given.battery:
            self._charge(mask if "battery_charge" in parameters else torch.zeros_like(mask))

    def _charge(self, mask: Tensor) -> None:
        """Batteries in ``mask`` to their initial charge, and all of them when the first one appears."""
        s = dynamics.unpack(self._state)
        charge = self._initial_charge if s.charge is None else torch.where(mask, self._initial_charge, s.charge)
        self._state = dynamics.pack(s._replace(charge=charge))

    def apply_wrench(self, force_in_world: Tensor, torque_in_base: Tensor) -> None:
        """See `Simulator.apply_wrench`; both act at the centre of mass."""
        self._force = self._feature_major(force_in_world, 3, "force_in_world")
        self._torque = self._feature_major(torque_in_base, 3, "torque_in_base")
        self._refresh()

    # --- saving and checks ---

    def state_dict(self) -> dict[str, Any]:
        """See `Simulator.state_dict`."""
        values = {name: getattr(self, f"_{name}") for name in SAVED}
        saved = {name: None if value is None else value.detach().clone() for name, value in values.items()}
        return saved | {"given": list(self._given)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Simulator.load_state_dict`; raises `TetherError` when an engine of another size or control period saved it."""
        if not self._is_mine(state):
            raise TetherError(f"this state is not of a quadrotor engine with {self.num_envs} environments every {self.control_dt} s")
        given = Given(*state["given"])
        checks.check_battery(given, self.robot)
        for name in SAVED:
            value = state[name]
            setattr(self, f"_{name}", None if value is None else value.to(self.device, self.dtype, copy=True))
        self._given = given
        self._refresh()

    def _is_mine(self, state: Mapping[str, Any]) -> bool:
        same = all(name in state and state[name].shape == getattr(self, f"_{name}").shape for name in SAVED[1:4])
        return same and set(state) == {*SAVED, "given"} and state["state"].shape[1:] == (self.num_envs,)

    def _feature_major(self, value: Tensor, width: int, name: str) -> Tensor:
        if value.shape != (self.num_envs, width):
            raise TetherError(f"{name} has shape {list(value.shape)}; expected [{self.num_envs}, {width}] (environments, width)")
        return value.to(self.device, self.dtype).t()
