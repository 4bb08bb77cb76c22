"""Batched quadrotors in torch: the default engine for flight, differentiable, on any device.

Equations and integrator: `sim.quadrotor_dynamics`; inner loop: `sim.rate_loop`; around it: `sim.ground`, `sim.battery`, `sim.downwash`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from robots.description import GRAVITY, Quadrotor, Robot
from robots.errors import TetherError, unknown
from sim import quadrotor_checks as checks
from sim import quadrotor_dynamics as dynamics
from sim.action_delay import History, history_length
from sim.checks import check_count, check_mask, check_names, check_shape, substeps
from sim.devices import available_device
from sim.downwash import among
from sim.fused.remembered import Remembered
from sim.ground import REACH_M
from sim.quadrotor_constants import PARAMETER_WIDTHS, Given, nominal
from sim.quadrotor_core import Episode, QuadrotorCore, Surroundings, centre_of_mass, split, with_new
from sim.quadrotor_dynamics import State
from sim.rate_loop import rotor_speeds
from sim.simulator import Simulator

MODES = ("ctbr", "rotor_thrusts")
SAVED = ("state", "parameters", "last_velocity", "force", "torque")  # and the history of commands
RESET_WIDTHS = {  # in the order of `State`
    "orientation_base_in_world": 4,
    "angular_velocity_base_in_base": 3,
    "linear_velocity_base_in_world": 3,
    "position_base_in_world": 3,
    "rotor_speeds": 4,
    "rate_integral": 3,
}
Raw = tuple[Tensor, Tensor, Tensor, Given]  # packed state, velocity a step ago and packed parameters, ``[n, width]``
VELOCITY, HEIGHT = slice(7, 10), 12  # columns of the packed state


class Pending(NamedTuple):
    """What `QuadrotorSimulator.advanced` makes a step of, ``[n, width]``: see `sim.quadrotor_core`; commands of before side by side, newest
    first.
    """

    state: Tensor
    actuation: Tensor
    history: Tensor
    parameters: Tensor
    force: Tensor | None
    torque: Tensor | None
    given: Given
    near_ground: bool


class Beginning(NamedTuple):
    """What `QuadrotorSimulator.begun` makes an episode of, ``[n, width]``: start, new parameters, the command of before, the model."""

    state: State
    parameters: dict[str, Tensor]
    safe: Tensor
    given: Given


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
        check_count(num_envs)
        self.robot: Quadrotor = checks.with_four_rotors(robot)
        if drones_per_world < 1 or num_envs % drones_per_world:
            raise TetherError(f"drones_per_world is {drones_per_world}; give a divisor of the {num_envs} environments")
        if actuation_mode not in MODES:
            raise unknown("actuation mode of the quadrotor engine", actuation_mode, MODES)
        self.num_envs, self.drones_per_world, self.actuation_mode = num_envs, drones_per_world, actuation_mode
        self.control_dt, self.substeps = control_dt, substeps(control_dt, physics_dt)
        self.physics_dt = control_dt / self.substeps
        self.device, self.dtype = available_device(device), dtype
        self._core = QuadrotorCore(self.robot, actuation_mode, control_dt, self.substeps, self.device, dtype)
        self._sensors = {sensor.name for sensor in robot.sensors}
        signals = robot.actuation(actuation_mode)
        self._lower, self._upper, self._safe = (
            self._column([value for signal in signals for value in getattr(signal, name)]) for name in ("lower", "upper", "safe")
        )
        self._rest = self._resting()
        # all that is kept of environments is [num_envs, width], environments contiguous in memory
        self._state = self._rest.expand(-1, num_envs).clone().t()
        self._last_velocity = torch.zeros_like(self._state[:, :3])
        self._history = History(self._safe.expand(history_length(control_dt), -1, num_envs))
        self._parameters = self._column(nominal(self.robot)).expand(-1, num_envs).clone().t()
        self._fit = torch.ones(num_envs, dtype=torch.bool, device=self.device)  # whether the last start of each was
        self._rows = Remembered(self._new, dtype, self.device)
        self._force: Tensor | None = None
        self._torque: Tensor | None = None
        self._given = Given(rotor_drag=any(self.robot.rotor_drag_kg))

    def in_real_time(self) -> None:
        """Compile now what one robot needs, in the air and near the ground, so that stepping is fast from the first time on."""
        self._core.in_real_time()
        saved = self.state_dict()
        with torch.no_grad():
            for height in (0.5, 10.0 * REACH_M):
                position = torch.tensor([[0.0, 0.0, height]], device=self.device, dtype=self.dtype).expand(self.num_envs, 3)
                self.reset(torch.ones(self.num_envs, dtype=torch.bool, device=self.device), {"position_base_in_world": position})
                self.step(self._safe.t().expand(self.num_envs, -1))
                self.privileged()
        self.load_state_dict(saved)

    def _column(self, values: list[float]) -> Tensor:
        return torch.tensor(values, device=self.device, dtype=self.dtype).unsqueeze(1)

    def _resting(self) -> Tensor:
        hover = rotor_speeds(self._core.loop, self._column([self.robot.mass_kg * GRAVITY / 4.0] * 4))
        return torch.cat((self._column([1.0] + [0.0] * 11 + [1.0]), hover, self._column([0.0] * 3)))

    # --- state ---

    def reset(self, mask: Tensor, state: Mapping[str, Tensor]) -> None:
        """See `Simulator.reset`; keys: those of `RESET_WIDTHS`. Commands still on their way in these environments become hover,
        and batteries as full as ``battery_charge`` says.

        Raises:
            TetherError: also for values that are not finite, or a quaternion without length.
        """
        check_mask(mask, self.num_envs)
        charge = split(self._parameters.t()).battery_charge if self._given.battery else None
        new = self._start(state)._replace(charge=charge)
        self._check_start(self._core.sound(mask, new), mask, new)
        old = (self._state.t(), self._history.latest.t(), self._last_velocity.t())
        placed, history, velocity = self._core.place(mask, old, new, self._safe, self._centre_of_mass)
        self._state, self._last_velocity = placed.t(), velocity.t()
        self._history.take(history.t())

    @property
    def _centre_of_mass(self) -> Tensor | None:
        return centre_of_mass(split(self._parameters.t()), self._given)

    def _start(self, state: Mapping[str, Tensor]) -> State:
        """Rows of a start, at rest where ``state`` says nothing, without a battery's charge."""
        check_names(state, RESET_WIDTHS, "state of the quadrotor engine")
        rest = self._rest.split(list(RESET_WIDTHS.values()))
        rows = [
            self._feature_major(state[name], width, name) if name in state else default
            for (name, width), default in zip(RESET_WIDTHS.items(), rest, strict=True)
        ]
        return State(*rows)

    def _check_start(self, good: Tensor, mask: Tensor, new: State) -> None:
        widths = RESET_WIDTHS | {"battery_charge": 1}
        checks.check_values(good, lambda: self._core.finite(new) | ~mask, widths, "state", "is not finite")

    def signals(self) -> dict[str, Tensor]:
        """See `Simulator.signals`."""
        return {name: value for name, value in self.privileged().items() if name in self._sensors}

    def privileged(self) -> dict[str, Tensor]:
        """`signals`, ``rotor_speeds`` (normalised), ``rate_integral``, ``linear_acceleration_base_in_world`` (of the centre of mass, mean
        over the last `step`) and ``ground_contact`` (bool ``[num_envs, 1]``); with a battery also ``state_of_charge`` (0…1) and
        ``battery_voltage`` [V].
        """
        measured: dict[str, Tensor] = self._core.measure(*self.raw())
        return measured

    def raw(self) -> Raw:
        """See `Simulator.raw`."""
        return self._state, self._last_velocity, self._parameters, self._given

    def interpret(self, raw: Raw) -> dict[str, Tensor]:
        """See `Simulator.interpret`."""
        return self._core.measured(*raw)

    def detach(self) -> None:
        """Cut the state off the graph that led to it; for truncated back-propagation."""
        self._state, self._last_velocity = self._state.detach(), self._last_velocity.detach()
        self._history.detach()

    # --- stepping ---

    def step(self, actuation: Tensor) -> None:
        """See `Simulator.step`. Actuation is clipped to the robot's bounds and takes effect after the environment's delay."""
        self.keep(self.advanced(self.pending(actuation))[1])

    def pending(self, actuation: Tensor) -> Pending:
        """See `Simulator.pending`."""
        self._check_finite(actuation)
        force = self._force
        if self.drones_per_world > 1:
            push = among(dynamics.unpack(self._state.t()).position, self.drones_per_world).t()
            force = push if force is None else force + push
        return Pending(
            state=self._state,
            actuation=actuation.to(self.device, self.dtype),
            history=self._history.latest,
            parameters=self._parameters,
            force=force,
            torque=self._torque,
            given=self._given,
            near_ground=self._near_ground(),
        )

    def advanced(self, pending: Pending) -> tuple[Raw, tuple[Tensor, Tensor]]:
        """See `Simulator.advanced`: state and command are left."""
        packed, command = pending.state.t(), self._clipped(pending.actuation)
        commands = (command, *pending.history.t().split(len(command))[:-1])
        around = surroundings(pending.parameters, pending.force, pending.torque, pending.given)
        state: Tensor = self._core.advance(packed, commands, around, pending.near_ground)
        raw = (state.t(), dynamics.unpack(packed).velocity.t(), pending.parameters, pending.given)
        return raw, (state.t(), command.t())

    def keep(self, left: tuple[Tensor, Tensor]) -> None:
        """See `Simulator.keep`."""
        state, command = left
        self._last_velocity = self._state[:, VELOCITY]
        self._state = state
        self._history.push(command)

    def _clipped(self, actuation: Tensor) -> Tensor:
        """A command ``[4, n]``."""
        return actuation.t().clamp(self._lower, self._upper)

    def _check_finite(self, actuation: Tensor) -> None:
        check_shape(actuation, (self.num_envs, 4), "actuation")
        if self.device.type == "cpu" and not math.isfinite(actuation.detach().sum().item()):
            bad = (~actuation.isfinite()).any(1).nonzero().flatten().tolist()
            if bad:  # and not a sum of what is finite
                raise TetherError(f"actuation is not finite in environments {bad[:8]}; look at what the policy observed there")

    def _near_ground(self) -> bool:
        """Whether to compute the ground: nobody falls through the metre above its reach in a step. On a GPU always: asking would wait."""
        return self.device.type != "cpu" or self._state.detach().select(1, HEIGHT).amin().item() < 2.0 * REACH_M

    # --- parameters and wrenches ---

    def parameters(self) -> dict[str, Tensor]:
        """See `Simulator.parameters`; names, units and widths: `sim.quadrotor_constants.Parameters`."""
        return dict(zip(PARAMETER_WIDTHS, self._parameters.split(list(PARAMETER_WIDTHS.values()), dim=1), strict=True))

    def randomize(self, mask: Tensor, parameters: Mapping[str, Tensor]) -> None:
        """See `Simulator.randomize`. ``thrust_scale`` may have one column for all rotors. The base stays where it is if its centre of mass
        moves. The supply is ideal until a battery parameter is given; ``battery_charge`` takes effect at once and at every `reset`.

        Raises:
            TetherError: also for values no physics has: a mass, inertia, motor time or resistance that is not positive, a delay outside
                0…20 ms, a charge outside 0…1; and for battery parameters of a robot that describes no battery.
        """
        check_mask(mask, self.num_envs)
        given, new = self._asked(parameters), self._changes(parameters)
        self._check_parameters(self._core.acceptable(mask, new, self._parameters.t()), mask, new)
        if given != self._given:
            self._widen(given)
        old = (self._parameters.t(), self._state.t())
        changed, state = self._core.randomize(mask, old, new, self._centre_of_mass, given)
        learned = self._parameters.requires_grad or any(value.requires_grad for value in new.values())
        self._parameters = changed.t() if learned else changed.detach().t()  # one kernel gives both, but they do not follow from the state
        self._state = state.t()

    def _widen(self, given: Given) -> None:
        """Use more of the model from now on, with the parameters that everybody has."""
        if given.battery and not self._given.battery:
            self._state = torch.cat((self._state.t(), split(self._parameters.t()).battery_charge)).t()
        self._given = given

    def begin(self, mask: Tensor, state: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> None:
        """See `Simulator.begin`: `randomize` and `reset` as one kernel."""
        old, given = self.beginning(mask, state, parameters)
        self.began(mask, self._core.begin(mask, old, *given), given)

    def beginning(self, mask: Tensor, state: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> tuple[Episode, Beginning]:
        """See `Simulator.beginning`."""
        check_mask(mask, self.num_envs)
        given = self._asked(parameters)
        if given != self._given:
            self._widen(given)
        new, changes = self._rows(state, parameters)
        old = Episode(self._fit, self._parameters, self._state, self._history.latest, self._last_velocity)
        return old, Beginning(new, changes, self._safe.t(), given)

    def _new(self, state: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> tuple[State, dict[str, Tensor]]:
        """Start and parameters as `QuadrotorCore.begun` takes them."""
        changes = {name: value.t() for name, value in self._changes(parameters).items()}
        return State(*_each_turned(self._start(state)[:6])), changes

    def begun(self, old: Episode, given: Beginning) -> tuple[Episode, Raw]:
        """See `Simulator.begun`."""
        new = self._core.begun(old, *given)
        return new, (new.state, new.last_velocity, new.parameters, given.given)

    def began(self, mask: Tensor, new: Episode, given: Beginning) -> None:
        """See `Simulator.began`. What is refused leaves the environments in which it is wrong as they were."""
        self._fit, self._parameters, self._state, history, self._last_velocity = new
        self._history.take(history)
        if self.device.type == "cpu" and not self._fit.all():
            self._fit = torch.ones_like(self._fit)
            start, changes = State(*_each_turned(given.state[:6])), {name: value.t() for name, value in given.parameters.items()}
            self._check_parameters(self._core.acceptable(mask, changes, self._parameters.t()), mask, changes)
            self._check_start(self._core.sound(mask, start), mask, start)

    def _asked(self, parameters: Mapping[str, Tensor]) -> Given:
        """What of the model is in use from now on."""
        check_names(parameters, PARAMETER_WIDTHS, "parameter of the quadrotor engine")
        given = self._given.and_by(parameters)
        checks.check_battery(given, self.robot)
        return given

    def _changes(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rows of new parameters."""
        return {name: self._feature_major(value, self._columns(name, value), name) for name, value in parameters.items()}

    def _check_parameters(self, good: Tensor, mask: Tensor, new: dict[str, Tensor]) -> None:
        checks.check_values(good, lambda: self._physical(mask, new), PARAMETER_WIDTHS, "parameter", "is outside its bounds")

    def _physical(self, mask: Tensor, new: dict[str, Tensor]) -> Tensor:
        """Which parameters are within their bounds, or not asked for, bool ``[width, n]``."""
        return self._core.physical(with_new(self._parameters.t(), new)) | ~mask

    @staticmethod
    def _columns(name: str, value: Tensor) -> int:
        """The width of a parameter; one factor may serve all rotors."""
        return 1 if name == "thrust_scale" and value.shape[1:] == (1,) else PARAMETER_WIDTHS[name]

    def apply_wrench(self, force_in_world: Tensor, torque_in_base: Tensor) -> None:
        """See `Simulator.apply_wrench`; both act at the centre of mass."""
        self._force = self._feature_major(force_in_world, 3, "force_in_world").t()
        self._torque = self._feature_major(torque_in_base, 3, "torque_in_base").t()

    def push(self, velocity_change_in_world: Tensor) -> None:
        """See `Simulator.push`."""
        change = self._feature_major(velocity_change_in_world, 3, "velocity_change_in_world")
        s = dynamics.unpack(self._state.t())
        self._state = dynamics.pack(s._replace(velocity=s.velocity + change)).t()

    # --- saving and checks ---

    def state_dict(self) -> dict[str, Any]:
        """See `Simulator.state_dict`."""
        values = {name: getattr(self, f"_{name}") for name in SAVED}
        saved = {name: None if value is None else value.t().detach().clone() for name, value in values.items()}
        return saved | {"history": self._history.each().detach().clone(), "given": list(self._given)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Simulator.load_state_dict`; raises `TetherError` when an engine of another size or control period saved it."""
        if not self._is_mine(state):
            raise TetherError(f"this state is not of a quadrotor engine with {self.num_envs} environments every {self.control_dt} s")
        given = Given(*state["given"])
        checks.check_battery(given, self.robot)
        for name in SAVED:
            value = state[name]
            setattr(self, f"_{name}", None if value is None else value.to(self.device, self.dtype, copy=True).t())
        self._history = History(state["history"].to(self.device, self.dtype, copy=True))
        self._given = given

    def _is_mine(self, state: Mapping[str, Any]) -> bool:
        same = all(name in state and state[name].shape == getattr(self, f"_{name}").t().shape for name in SAVED[1:3])
        same = same and "history" in state and state["history"].shape == self._history.each().shape
        return same and set(state) == {*SAVED, "history", "given"} and state["state"].shape[1:] == (self.num_envs,)

    def _feature_major(self, value: Tensor, width: int, name: str) -> Tensor:
        check_shape(value, (self.num_envs, width), name)
        return value.to(self.device, self.dtype).t()


def surroundings(parameters: Tensor, force: Tensor | None, torque: Tensor | None, given: Given) -> Surroundings:
    """Of rows of environments."""
    return Surroundings(parameters.t(), _turned(force), _turned(torque), given)


def _turned(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.t()


def _each_turned(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple([value.t() for value in values])
