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
from sim import quadrotor_dynamics as dynamics
from sim.devices import available_device
from sim.ground import REACH_M, touching
from sim.quadrotor_dynamics import PARAMETER_WIDTHS, Parameters, State
from sim.rate_loop import control, rate_loop, rotor_speeds
from sim.simulator import Simulator

MAX_ACTION_DELAY_S = 0.02
SAVED = ("state", "parameters", "history", "last_velocity", "force", "torque", "given")
POSITIVE, ANY = (0.0, math.inf), (-math.inf, math.inf)
BOUNDS = {"mass": POSITIVE, "inertia": POSITIVE, "motor_time_scale": POSITIVE, "action_delay": (-1e-6, MAX_ACTION_DELAY_S + 1e-6)}
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

    Rest, which `reset` assumes for what it is not told: level, still, at the world's origin + 1 m, rotors at hover speed, the last actuation hovering.
    Parameters keep what `randomize` gave them until it is called again; `reset` leaves them alone.

    Args:
        robot: a `Quadrotor` with four rotors.
        num_envs: copies.
        actuation_mode: ``ctbr`` (collective thrust [N] and body rates [rad/s], through the inner rate loop) or ``rotor_thrusts`` ([N] each).
        control_dt: period of `step` [s].
        physics_dt: period of a sub-step and of the inner loop [s]; benchmarks/RESULTS.md has error against cost.
        device, dtype: of every tensor.

    Raises:
        TetherError: for a robot that is no quadrotor, an unknown mode, a count below one, a ``physics_dt`` that does not divide ``control_dt``, or a
            device that is not there.
    """

    engine: ClassVar[str] = "torch"

    def __init__(
        self,
        robot: Robot,
        num_envs: int,
        *,
        actuation_mode: str = "ctbr",
        control_dt: float = 0.01,
        physics_dt: float = 0.005,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if not isinstance(robot, Quadrotor) or len(robot.rotors) != 4:
            raise TetherError(f"the quadrotor engine simulates robots with four rotors; {robot.name} is none: choose another --sim")
        if num_envs < 1:
            raise TetherError(f"num_envs is {num_envs}; give at least 1")
        substeps = round(control_dt / physics_dt) if physics_dt > 0.0 else 0
        if substeps < 1 or not math.isclose(substeps * physics_dt, control_dt, rel_tol=1e-6):
            raise TetherError(f"physics_dt {physics_dt} s does not divide control_dt {control_dt} s; choose control_dt / n for a whole n")
        signals = robot.actuation(actuation_mode)
        if actuation_mode not in ("ctbr", "rotor_thrusts"):
            raise unknown("actuation mode of the quadrotor engine", actuation_mode, ["ctbr", "rotor_thrusts"])
        self.robot: Quadrotor = robot
        self.num_envs, self.actuation_mode = num_envs, actuation_mode
        self.control_dt, self.physics_dt, self.substeps = control_dt, control_dt / substeps, substeps
        self.device, self.dtype = available_device(device), dtype
        self._geometry = dynamics.geometry(robot, self.device, dtype)
        self._loop = rate_loop(robot, self.physics_dt, self.device, dtype)
        self._lower = self._column([value for signal in signals for value in signal.lower])
        self._upper = self._column([value for signal in signals for value in signal.upper])
        self._safe = self._column([value for signal in signals for value in signal.safe])
        bounds = [BOUNDS.get(name, ANY) for name, width in PARAMETER_WIDTHS.items() for _ in range(width)]
        self._lowest, self._highest = self._column([low for low, _ in bounds]), self._column([high for _, high in bounds])
        self._parameters = self._column(dynamics.nominal(robot)).expand(-1, num_envs).clone()
        self._force: Tensor | None = None
        self._torque: Tensor | None = None
        self._given = dynamics.Given()
        self._state = self._rest().expand(-1, num_envs).clone()
        history = 1 + math.ceil(MAX_ACTION_DELAY_S / control_dt - 1e-6)
        self._history = self._safe.expand(history, -1, num_envs).clone()
        self._last_velocity = self._state[7:10]
        self._refresh()

    def _column(self, values: list[float]) -> Tensor:
        return torch.tensor(values, device=self.device, dtype=self.dtype).unsqueeze(1)

    def _rest(self) -> Tensor:
        hover = rotor_speeds(self._loop, self._column([self.robot.mass_kg * GRAVITY / 4.0] * 4))
        return torch.cat((self._column([1.0] + [0.0] * 11 + [1.0]), hover, self._column([0.0] * 3)))

    def _refresh(self) -> None:
        """Recompute what depends on parameters and wrench."""
        parameters = Parameters(*self._parameters.split(list(PARAMETER_WIDTHS.values())))
        self._constants = dynamics.constants(self.robot, self.physics_dt, parameters, self._force, self._torque, self._given)
        self._centre_of_mass = parameters.centre_of_mass
        if self._given.delay:
            self._delay_weights = _delay_weights(parameters.action_delay[0], self.substeps, self.physics_dt, self.control_dt, len(self._history))

    # --- state ---

    def reset(self, mask: Tensor, state: Mapping[str, Tensor]) -> None:
        """See `Simulator.reset`; keys: those of `RESET_WIDTHS`. The actuation history of these environments becomes hover."""
        self._check_mask(mask)
        for name in state:
            if name not in RESET_WIDTHS:
                raise unknown("state of the quadrotor engine", name, list(RESET_WIDTHS))
        rest = self._rest().split(list(RESET_WIDTHS.values()))
        rows = [
            self._feature_major(state[name], width, name) if name in state else default.expand(-1, self.num_envs)
            for (name, width), default in zip(RESET_WIDTHS.items(), rest, strict=True)
        ]
        start = State(*rows)
        start = start._replace(orientation=dynamics.normalised(start.orientation))
        self._state = torch.where(mask, dynamics.pack(self._moved_to_centre_of_mass(start, 1.0)), self._state)
        self._history = torch.where(mask, self._safe, self._history)
        self._last_velocity = torch.where(mask, self._state[7:10], self._last_velocity)

    def _moved_to_centre_of_mass(self, s: State, sign: float) -> State:
        """From base to centre of mass (sign 1) or back (−1): p ± R c, v ± R (ω × c)."""
        if not self._given.offset:
            return s
        matrix = dynamics.rotation(self._geometry, s.orientation)
        c = self._centre_of_mass
        moved = (matrix * c).sum(1), (matrix * torch.linalg.cross(s.rate, c, dim=0)).sum(1)
        return s._replace(position=torch.add(s.position, moved[0], alpha=sign), velocity=torch.add(s.velocity, moved[1], alpha=sign))

    def signals(self) -> dict[str, Tensor]:
        """See `Simulator.signals`."""
        s = self._moved_to_centre_of_mass(dynamics.unpack(self._state), -1.0)
        return {
            "position_base_in_world": s.position.t(),
            "orientation_base_in_world": s.orientation.t(),
            "linear_velocity_base_in_world": s.velocity.t(),
            "angular_velocity_base_in_base": s.rate.t(),
        }

    def privileged(self) -> dict[str, Tensor]:
        """`signals`, ``rotor_speeds`` (normalised), ``rate_integral``, ``linear_acceleration_base_in_world`` (mean over the last `step`, of the centre of
        mass) and ``ground_contact`` (bool ``[num_envs, 1]``).
        """
        s = dynamics.unpack(self._state)
        matrix = dynamics.rotation(self._geometry, s.orientation)
        contact = touching(s.position, matrix, self._geometry.hubs, self.robot.contact_radius_m)
        return self.signals() | {
            "rotor_speeds": s.rotor_speed.t(),
            "rate_integral": s.rate_integral.t(),
            "linear_acceleration_base_in_world": ((s.velocity - self._last_velocity) / self.control_dt).t(),
            "ground_contact": contact.unsqueeze(1),
        }

    def detach(self) -> None:
        """Cut the state off the graph that led to it; for truncated back-propagation."""
        self._state, self._history, self._last_velocity = self._state.detach(), self._history.detach(), self._last_velocity.detach()

    # --- stepping ---

    def step(self, actuation: Tensor) -> None:
        """See `Simulator.step`. Actuation is clipped to the robot's bounds and passed on after the environment's delay, resolved within sub-steps."""
        commands = self._commands(actuation)
        g, c, dt = self._geometry, self._constants, self.physics_dt
        s = dynamics.unpack(self._state)
        self._last_velocity = s.velocity
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
        delayed = (self._delay_weights * self._history).sum(1).unbind() if self._given.delay else (command,)
        told = [rotor_speeds(self._loop, each) for each in delayed] if self.actuation_mode == "rotor_thrusts" else list(delayed)
        return told if self._given.delay else told * self.substeps

    def _near_ground(self, s: State) -> bool:
        """Whether to compute the ground at all: nobody falls through the second metre in one step. On a GPU always, since asking would wait for it."""
        return self.device.type != "cpu" or bool(s.position[2].detach().amin() < 2.0 * REACH_M)

    # --- parameters and wrenches ---

    def parameters(self) -> dict[str, Tensor]:
        """See `Simulator.parameters`; names, units and widths: `sim.quadrotor_dynamics.Parameters`."""
        parts = self._parameters.split(list(PARAMETER_WIDTHS.values()))
        return {name: part.t() for name, part in zip(PARAMETER_WIDTHS, parts, strict=True)}

    def randomize(self, mask: Tensor, parameters: Mapping[str, Tensor]) -> None:
        """See `Simulator.randomize`. ``thrust_scale`` may have one column for all rotors.

        Raises:
            TetherError: also for values no physics has: a mass, inertia or time scale that is not positive, an action delay outside 0…20 ms.
        """
        self._check_mask(mask)
        for name in parameters:
            if name not in PARAMETER_WIDTHS:
                raise unknown("parameter of the quadrotor engine", name, list(PARAMETER_WIDTHS))
        rows = list(self._parameters.split(list(PARAMETER_WIDTHS.values())))
        for index, (name, width) in enumerate(PARAMETER_WIDTHS.items()):
            if name in parameters:
                value = parameters[name]
                columns = 1 if name == "thrust_scale" and value.dim() == 2 and value.shape[1] == 1 else width
                rows[index] = self._feature_major(value, columns, name).expand(width, -1)
        new = dynamics.Given("centre_of_mass" in parameters, "action_delay" in parameters, "wind" in parameters)
        self._given = dynamics.Given(*(old or now for old, now in zip(self._given, new, strict=True)))
        self._parameters = self._physical(torch.where(mask, torch.cat(rows), self._parameters))
        self._refresh()

    def _physical(self, packed: Tensor) -> Tensor:
        """``packed`` itself; on the CPU, where looking costs nothing, only if every value is possible."""
        if self.device.type != "cpu":
            return packed
        inside = (packed > self._lowest) & (packed < self._highest)
        if not inside.all():
            row = int((~inside).any(1).nonzero()[0])
            name = [name for name, width in PARAMETER_WIDTHS.items() for _ in range(width)][row]
            low, high = float(self._lowest[row]), float(self._highest[row])
            raise TetherError(f"parameter {name!r} is outside {low:g}…{high:g} in some environment: {float(packed[row][~inside[row]][0]):g}")
        return packed

    def apply_wrench(self, force_in_world: Tensor, torque_in_base: Tensor) -> None:
        """See `Simulator.apply_wrench`; both act at the centre of mass."""
        self._force = self._feature_major(force_in_world, 3, "force_in_world")
        self._torque = self._feature_major(torque_in_base, 3, "torque_in_base")
        self._refresh()

    # --- saving and checks ---

    def state_dict(self) -> dict[str, Any]:
        """See `Simulator.state_dict`."""
        return {name: value.detach().clone() if isinstance(value, Tensor) else value for name, value in ((n, getattr(self, f"_{n}")) for n in SAVED)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Simulator.load_state_dict`; raises `TetherError` when it was saved by an engine of another size or device."""
        if set(state) != set(SAVED) or state["state"].shape != self._state.shape or state["history"].shape != self._history.shape:
            raise TetherError(f"this state was not saved by a quadrotor engine with {self.num_envs} environments and a {self.control_dt} s control period")
        for name in SAVED:
            value = state[name]
            setattr(self, f"_{name}", value.to(self.device, self.dtype, copy=True) if isinstance(value, Tensor) else value)
        self._refresh()

    def _feature_major(self, value: Tensor, width: int, name: str) -> Tensor:
        if value.shape != (self.num_envs, width):
            raise TetherError(f"{name} has shape {list(value.shape)}; expected [{self.num_envs}, {width}] (environments, width)")
        return value.to(self.device, self.dtype).t()

    def _check_mask(self, mask: Tensor) -> None:
        if mask.shape != (self.num_envs,) or mask.dtype != torch.bool:
            raise TetherError(f"mask has shape {list(mask.shape)} and type {mask.dtype}; expected bool [{self.num_envs}]")


def _delay_weights(delay: Tensor, substeps: int, physics_dt: float, control_dt: float, history: int) -> Tensor:
    """Share of each sub-step during which each of the latest commands is in effect, ``[substeps, history, 1, n]``; newest first.

    The command issued h periods ago takes effect at time delay − h·control_dt of this period, so that the share of a sub-step that ends at t and belongs to
    it or a newer one is (t − delay + h·control_dt)/physics_dt, within 0…1.
    """
    end = physics_dt * torch.arange(1, substeps + 1, device=delay.device, dtype=delay.dtype).view(-1, 1, 1)
    age = control_dt * torch.arange(history, device=delay.device, dtype=delay.dtype).view(1, -1, 1)
    newer = ((end - delay + age) / physics_dt).clamp(0.0, 1.0)
    newer = torch.cat((newer[:, :-1], torch.ones_like(newer[:, -1:])), dim=1)
    return torch.cat((newer[:, :1], newer[:, 1:] - newer[:, :-1]), dim=1).unsqueeze(2)
