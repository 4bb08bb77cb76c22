"""Robots that are given by equations of motion, in torch: batched, differentiable, on any device.

Each equation is the published step x⁺ = f(x, u, w), coded here on its own; `safety.sets` has the same maps for its proofs, and a test
compares the two. Nothing is clamped or wrapped: whoever leaves the state box is seen outside of it.

    mechanical, x = (q, v):    v⁺ = v + dt v̇(x, u, w),    q⁺ = q + dt v⁺
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from robots.description import GRAVITY, EquationRobot, Robot
from robots.errors import TetherError
from robots.pendulum import Pendulum
from robots.planar_quadrotor import PlanarQuadrotor
from robots.seeker import Seeker
from sim.checks import check_count, check_mask, check_names, check_shape
from sim.devices import available_device
from sim.fused.fuse import Fused
from sim.random_numbers import RandomNumbers, uniform
from sim.simulator import Simulator

SEEDS = 1 << 24  # whole numbers up to here are exact in float32
SCALE, SEED, MEAN = "disturbance_scale", "disturbance_seed", "disturbance_mean"
SAVED = ("state", "parameters", "chosen")


def pendulum(robot: Pendulum, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
    """θ̈ of (θ, θ̇) ``[n, 2]``, ``[n, 1]``."""
    return robot.gravity_1_s2 * x[:, :1].sin() + robot.torque_1_s2 * u + w


def planar_quadrotor(robot: PlanarQuadrotor, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
    """(ẍ, z̈, φ̈) of (x, z, φ, ẋ, ż, φ̇) ``[n, 6]``, ``[n, 3]``."""
    tilt, rate, thrust = x[:, 2:3], x[:, 5:6], GRAVITY + robot.thrust_m_s2 * u[:, :1]
    sideways = thrust * tilt.sin() + w[:, :1]
    upwards = thrust * tilt.cos() - GRAVITY + w[:, 1:2]
    wanted = robot.tilt_command_rad * u[:, 1:2]
    turning = robot.tilt_gain_1_s2 * wanted - robot.tilt_stiffness_1_s2 * tilt - robot.tilt_damping_1_s * rate
    return torch.cat([sideways, upwards, turning], dim=1)


def seeker(robot: Seeker, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
    """x⁺ ``[n, 2]``."""
    return x + robot.step_s * robot.speed_m_s * u + w


def mechanical(acceleration: Callable[[Any, Tensor, Tensor, Tensor], Tensor]) -> Callable[[Any, Tensor, Tensor, Tensor], Tensor]:
    """The step by semi-implicit Euler."""

    def step(robot: EquationRobot, x: Tensor, u: Tensor, w: Tensor) -> Tensor:
        q, v = x.split(x.shape[1] // 2, dim=1)
        v = v + robot.step_s * acceleration(robot, x, u, w)
        return torch.cat([q + robot.step_s * v, v], dim=1)

    return step


STEPS: dict[type[EquationRobot], Callable[[Any, Tensor, Tensor, Tensor], Tensor]] = {
    Pendulum: mechanical(pendulum),
    PlanarQuadrotor: mechanical(planar_quadrotor),
    Seeker: seeker,
}


class Raw(NamedTuple):
    """States and surroundings of all environments ``[num_envs, width]``."""

    state: Tensor
    surroundings: Tensor


class EquationSimulator(Simulator):
    """Many copies of one `EquationRobot`.

    The disturbance is uniform in ``disturbance_scale`` times its box, and follows from the engine's seed, the environment's
    ``disturbance_seed`` and the number of steps taken; `disturb` sets the next one instead. ``disturbance_mean`` is added to either, and
    the robot's factors change its constants: both leave what is published, and what certificates are about. Rest, which `reset` assumes
    for what it is not told: zero, and surroundings as described. Parameters keep what `randomize` gave them until it is called again.

    Args:
        robot: a kind of robot in `STEPS`.
        num_envs: copies.
        actuation_mode: ``input``.
        control_dt, physics_dt: the robot's ``step_s``: another step is another system.
        seed: of the disturbance.
        device, dtype: of every tensor.

    Raises:
        TetherError: for a robot without an equation here, an unknown mode, a count below one, or another step.
    """

    engine: ClassVar[str] = "torch"

    def __init__(
        self,
        robot: Robot,
        num_envs: int,
        *,
        actuation_mode: str = "input",
        control_dt: float | None = None,
        physics_dt: float | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        check_count(num_envs)
        if not isinstance(robot, EquationRobot) or type(robot) not in STEPS:
            known = ", ".join(kind.__name__ for kind in STEPS)
            raise TetherError(f"there is no equation of motion of a {type(robot).__name__}; sim.equations.STEPS has those of: {known}")
        for name, given in {"control_dt": control_dt, "physics_dt": physics_dt}.items():
            if given is not None and not math.isclose(given, robot.step_s, rel_tol=1e-6):
                raise TetherError(f"{name} is {given} s; the equation of {robot.name} is for steps of {robot.step_s} s: leave it there")
        self.robot: EquationRobot = robot
        self.num_envs, self.actuation_mode = num_envs, actuation_mode
        self.control_dt = self.physics_dt = robot.step_s
        self.device, self.dtype = available_device(device), dtype
        signals = robot.actuation(actuation_mode)
        self._inputs = sum(signal.size for signal in signals)
        self._lower, self._upper = (
            self._row([value for signal in signals for value in getattr(signal, side)]) for side in ("lower", "upper")
        )
        self._half_width = self._row(list(robot.disturbance))
        self._widths = {name: robot.sensor(name).size for name in (*robot.states, *robot.surroundings)}
        self._dim = len(robot.state_box)
        self._rest = self._row([0.0] * self._dim + [value for values in robot.surroundings.values() for value in values])
        self._state = self._rest.expand(num_envs, -1).clone()
        self._numbers = RandomNumbers(num_envs, seed, self.device)
        self._parameter_widths = {SCALE: 1, SEED: 1, MEAN: len(robot.disturbance), **dict.fromkeys(robot.factors, 1)}
        self._parameters = torch.ones(num_envs, sum(self._parameter_widths.values()), device=self.device, dtype=dtype)
        self._parameters[:, 1] = torch.arange(num_envs) % SEEDS
        self._parameters[:, 2 : 2 + len(robot.disturbance)] = 0.0
        self._chosen: Tensor | None = None  # the next disturbance
        self._advance = Fused(self._advanced, f"the step of {robot.name}")

    def _row(self, values: list[float]) -> Tensor:
        return torch.tensor([values], device=self.device, dtype=self.dtype)

    # --- state ---

    def reset(self, mask: Tensor, state: Mapping[str, Tensor]) -> None:
        """See `Simulator.reset`; keys: the robot's states and surroundings."""
        check_mask(mask, self.num_envs)
        check_names(state, self._widths, f"state of {self.robot.name}")
        rest = dict(zip(self._widths, self._rest.split(list(self._widths.values()), dim=1), strict=True))
        rows = [self._rows(state[name], width, name) if name in state else rest[name] for name, width in self._widths.items()]
        start = torch.cat([row.expand(self.num_envs, -1) for row in rows], dim=1)
        self._refuse(mask & ~start.isfinite().all(1), "the start is not finite")
        self._state = torch.where(mask.unsqueeze(1), start, self._state)

    def signals(self) -> dict[str, Tensor]:
        """See `Simulator.signals`."""
        return self.privileged()

    def privileged(self) -> dict[str, Tensor]:
        """The sensors: states and surroundings."""
        return self.interpret(self.raw())

    def raw(self) -> Raw:
        """See `Simulator.raw`."""
        return Raw(self._state[:, : self._dim], self._state[:, self._dim :])

    def interpret(self, raw: Raw) -> dict[str, Tensor]:
        """See `Simulator.interpret`."""
        parts = torch.cat([raw.state, raw.surroundings], dim=1).split(list(self._widths.values()), dim=1)
        return dict(zip(self._widths, parts, strict=True))

    def detach(self) -> None:
        """Cut the state off the graph that led to it; for truncated back-propagation."""
        self._state = self._state.detach()

    # --- stepping ---

    def step(self, actuation: Tensor) -> None:
        """See `Simulator.step`. Actuation is clipped to the robot's bounds."""
        u = self._rows(actuation, self._inputs, "actuation")
        self._refuse(~u.isfinite().all(1), "actuation is not finite")
        key = self._numbers.advance()._replace(environment=self._parameters[:, 1:2].to(torch.int32))
        self._state = self._advance(self._state, u, key, self.parameters(), self._chosen)
        self._chosen = None

    def _advanced(self, packed: Tensor, u: Tensor, key: Any, parameters: Mapping[str, Tensor], chosen: Tensor | None) -> Tensor:
        """One step; pure."""
        x, surroundings = packed[:, : self._dim], packed[:, self._dim :]
        half = self._half_width
        drawn = parameters[SCALE] * half * (2.0 * uniform(key, 0, half.shape[1], self.dtype) - 1.0) if chosen is None else chosen
        w = drawn + parameters[MEAN]
        constants: dict[str, Any] = {field: getattr(self.robot, field) * parameters[name] for name, field in self.robot.factors.items()}
        robot = dataclasses.replace(self.robot, **constants)
        x = STEPS[type(self.robot)](robot, x, u.clamp(self._lower, self._upper), w)
        return torch.cat([x, surroundings], dim=1)

    def disturb(self, disturbance: Tensor) -> None:
        """Set the disturbance of the next step alone, ``[num_envs, width]`` in the units of ``robot.disturbance``, whatever its scale.

        Raises:
            TetherError: for a disturbance outside the box.
        """
        w = self._rows(disturbance, self._half_width.shape[1], "disturbance")
        self._refuse(~(w.abs() <= self._half_width).all(1), f"the disturbance is outside ±{list(self.robot.disturbance)}")
        self._chosen = w

    def apply_wrench(self, force_in_world: Tensor, torque_in_base: Tensor) -> None:
        """Refused: the equations have no body for it."""
        raise TetherError(f"{self.robot.name} is equations without a body that could feel a wrench; use the engine's disturb")

    def push(self, velocity_change_in_world: Tensor) -> None:
        """Refused: the equations have no body for it."""
        raise TetherError(f"{self.robot.name} is equations without a body that could be pushed; use the engine's disturb")

    # --- parameters ---

    def parameters(self) -> dict[str, Tensor]:
        """``disturbance_scale`` on the half-widths of its box; ``disturbance_seed``, a whole number in 0…2²⁴ − 1; ``disturbance_mean``
        ``[num_envs, width]``, in the units of ``robot.disturbance``; and the robot's factors. All but the mean are ``[num_envs, 1]``.
        """
        parts = self._parameters.split(list(self._parameter_widths.values()), dim=1)
        return dict(zip(self._parameter_widths, parts, strict=True))

    def randomize(self, mask: Tensor, parameters: Mapping[str, Tensor]) -> None:
        """See `Simulator.randomize`.

        Raises:
            TetherError: also for a scale that is negative, a seed that is none, or a mean or factor that is not finite.
        """
        check_mask(mask, self.num_envs)
        widths = self._parameter_widths
        check_names(parameters, widths, f"parameter of {self.robot.name}")
        now = self.parameters()
        rows = [self._rows(parameters[name], width, name) if name in parameters else now[name] for name, width in widths.items()]
        new = torch.cat(rows, dim=1)
        self._refuse(mask & ~((new[:, 0] >= 0.0) & (new[:, 0] < math.inf)), "disturbance_scale is negative or not finite")
        self._refuse(mask & ~((new[:, 1] >= 0.0) & (new[:, 1] < SEEDS)), f"disturbance_seed is outside 0…{SEEDS - 1}")
        self._refuse(mask & ~new[:, 2:].isfinite().all(1), f"one of {', '.join(list(widths)[2:])} is not finite")
        self._parameters = torch.where(mask.unsqueeze(1), new, self._parameters)

    # --- saving and checks ---

    def state_dict(self) -> dict[str, Any]:
        """See `Simulator.state_dict`."""
        values = {name: getattr(self, f"_{name}") for name in SAVED}
        saved = {name: None if value is None else value.detach().clone() for name, value in values.items()}
        return saved | {"numbers": self._numbers.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Simulator.load_state_dict`; raises `TetherError` when another robot or number of environments was saved."""
        if set(state) != {*SAVED, "numbers"} or state["state"].shape != self._state.shape:
            raise TetherError(f"this state is not of {self.num_envs} environments of {self.robot.name}")
        for name in SAVED:
            value = state[name]
            setattr(self, f"_{name}", None if value is None else value.to(self.device, self.dtype, copy=True))
        self._numbers.load_state_dict(state["numbers"])

    def _refuse(self, bad: Tensor, complaint: str) -> None:
        """On the CPU only, where looking waits for nothing."""
        if self.device.type == "cpu" and bad.any():
            raise TetherError(f"{complaint} in environments {bad.nonzero().flatten()[:8].tolist()}")

    def _rows(self, value: Tensor, width: int, name: str) -> Tensor:
        check_shape(value, (self.num_envs, width), name)
        return value.to(self.device, self.dtype)
