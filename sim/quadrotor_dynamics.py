"""Rigid-body dynamics of a quadrotor as pure functions of (state, constants, inputs), batched along the last axis.

    m v̇ = R (Σ fᵢ ẑ − D Rᵀ(v − wind)) + m g + f_ext                  D = diag(d) + diag(k) Σ Ωᵢ
    J ω̇ = Σ (rᵢ − c) × fᵢ ẑ + κ Σ sᵢ fᵢ ẑ + J_r Σ sᵢ Ω̇ᵢ ẑ − ω × (J ω − J_r Σ sᵢ Ωᵢ ẑ) + τ_ext
    q̇ = ½ q ⊗ (0, ω),   Ω̇ᵢ = (Ωcᵢ − Ωᵢ)/τ,   fᵢ = c₀ + c₁ uᵢ + c₂ uᵢ²,   uᵢ = Ωᵢ/Ω_max

m mass, J inertia about the centre of mass, c its offset from the base, d and k body and rotor drag, rᵢ rotor hubs, sᵢ the sign of rotor i's reaction torque
(it turns the other way), κ torque per thrust, J_r rotor inertia, τ motor time constant (rising or falling).

One sub-step is a Strang splitting, second order with one evaluation of forces: turn by half a step at constant ω, kick v and ω by the forces at that
attitude, turn by the other half. Rotor speeds are exact for a held command, linear drag is implicit-midpoint. The two half turns between neighbouring
sub-steps merge into one, so that n sub-steps cost n + 1 turns.

All tensors are feature-major, ``[width, num_envs]``: constant matrices then act by one small product, and rows are contiguous. Nothing is written in
place, so that gradients pass through any number of steps.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from robots.description import GRAVITY, Quadrotor
from sim.ground import contact, ground_effect


class State(NamedTuple):
    """State of every environment, in the order `pack` keeps.

    Attributes:
        position: of the centre of mass in the world [m], ``[3, n]``.
        orientation: quaternion (w, x, y, z), body to world, ``[4, n]``.
        velocity: of the centre of mass in the world [m/s], ``[3, n]``.
        rate: angular velocity in the body frame [rad/s], ``[3, n]``.
        rotor_speed: normalised, ``[4, n]``.
        rate_integral: of the inner rate loop, as a rate error [rad/s], ``[3, n]``.
    """

    position: Tensor
    orientation: Tensor
    velocity: Tensor
    rate: Tensor
    rotor_speed: Tensor
    rate_integral: Tensor


STATE_WIDTHS = (3, 4, 3, 3, 4, 3)


def pack(state: State) -> Tensor:
    """One tensor ``[20, n]``."""
    return torch.cat(state)


def unpack(packed: Tensor) -> State:
    """Views of the parts of ``[20, n]``."""
    return State(*packed.split(STATE_WIDTHS))


class Parameters(NamedTuple):
    """What can be randomised, in the order it is packed; ``[width, n]``.

    Attributes:
        mass: [kg].
        inertia: principal moments about the centre of mass [kg·m²].
        centre_of_mass: its offset from the base [m].
        thrust_scale: factor on each rotor's thrust.
        torque_scale: factor on κ.
        motor_time_scale: factor on both motor time constants.
        drag: body drag along the body axes [N·s/m].
        rotor_drag: drag along the body axes per speed and summed rotor speed [kg].
        action_delay: from `step` to the inner loop [s].
        wind: velocity of the air in the world [m/s].
    """

    mass: Tensor
    inertia: Tensor
    centre_of_mass: Tensor
    thrust_scale: Tensor
    torque_scale: Tensor
    motor_time_scale: Tensor
    drag: Tensor
    rotor_drag: Tensor
    action_delay: Tensor
    wind: Tensor


PARAMETER_WIDTHS = {
    "mass": 1,
    "inertia": 3,
    "centre_of_mass": 3,
    "thrust_scale": 4,
    "torque_scale": 1,
    "motor_time_scale": 1,
    "drag": 3,
    "rotor_drag": 3,
    "action_delay": 1,
    "wind": 3,
}


def nominal(robot: Quadrotor) -> list[float]:
    """Packed parameters of the robot as described, without delay and wind."""
    values = [robot.mass_kg, *robot.inertia_kg_m2, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    return [*values, *robot.body_drag_n_s_m, *robot.rotor_drag_kg, 0.0, 0.0, 0.0, 0.0]


class Geometry(NamedTuple):
    """Constant matrices of one robot, the same for all environments.

    Attributes:
        wrench: thrusts to body force and torque about the base, ``[6, 4]``.
        gyro: rotor speeds to what their momentum adds to Jₓ ω̇ₓ per ωᵧ and to Jᵧ ω̇ᵧ per ωₓ, ``[3, 4]``.
        reaction: change of rotor speeds over a sub-step to torque, ``[3, 4]``.
        speed_sum: rotor speeds to Σ Ω [rad/s], ``[1, 4]``; None without rotor drag.
        permute: ω to (ωᵧ, ωₓ, ωₓ, ω_z, ω_z, ωᵧ), ``[6, 3]``.
        rotation: q qᵀ to R, row by row, ``[9, 16]``.
        turn: q hᵀ to q ⊗ (0, h), ``[4, 12]``.
        hubs: rotor positions, ``[3, 4, 1]``.
        contact_radius: of the sphere about each [m].
    """

    wrench: Tensor
    gyro: Tensor
    reaction: Tensor
    speed_sum: Tensor | None
    permute: Tensor
    rotation: Tensor
    turn: Tensor
    hubs: Tensor
    contact_radius: float


def geometry(robot: Quadrotor, dt: float, device: torch.device, dtype: torch.dtype) -> Geometry:
    """Matrices of ``robot`` for sub-steps of ``dt`` seconds."""

    def matrix(rows: list[list[float]]) -> Tensor:
        return torch.tensor(rows, device=device, dtype=dtype)

    x, y, z = ([rotor.position_m[axis] for rotor in robot.rotors] for axis in range(3))
    spin = [float(rotor.spin) for rotor in robot.rotors]
    zero = [0.0] * len(robot.rotors)
    momentum = robot.rotor_inertia_kg_m2 * robot.rotor_speed_max_rad_s
    return Geometry(
        wrench=matrix([zero, zero, [1.0] * 4, y, [-value for value in x], [robot.torque_per_thrust_m * sign for sign in spin]]),
        gyro=matrix([[momentum * sign for sign in spin], [-momentum * sign for sign in spin], zero]),
        reaction=matrix([zero, zero, [momentum / dt * sign for sign in spin]]),
        speed_sum=matrix([[robot.rotor_speed_max_rad_s] * 4]) if any(robot.rotor_drag_kg) else None,
        permute=matrix([[0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 1, 0]]),
        rotation=_rotation_from_outer(device, dtype),
        turn=_product_from_outer(device, dtype),
        hubs=matrix([x, y, z]).unsqueeze(-1),
        contact_radius=robot.contact_radius_m,
    )


def _rotation_from_outer(device: torch.device, dtype: torch.dtype) -> Tensor:
    """``[9, 16]``: q qᵀ to the rotation matrix of a unit q = (w, x, y, z)."""
    w, x, y, z = range(4)
    entries = [
        [(w, w, 1), (x, x, 1), (y, y, -1), (z, z, -1)],
        [(x, y, 2), (w, z, -2)],
        [(x, z, 2), (w, y, 2)],
        [(x, y, 2), (w, z, 2)],
        [(w, w, 1), (x, x, -1), (y, y, 1), (z, z, -1)],
        [(y, z, 2), (w, x, -2)],
        [(x, z, 2), (w, y, -2)],
        [(y, z, 2), (w, x, 2)],
        [(w, w, 1), (x, x, -1), (y, y, -1), (z, z, 1)],
    ]
    matrix = torch.zeros(9, 16, device=device, dtype=dtype)
    for row, terms in enumerate(entries):
        for i, j, factor in terms:
            matrix[row, 4 * i + j] = factor
    return matrix


def _product_from_outer(device: torch.device, dtype: torch.dtype) -> Tensor:
    """``[4, 12]``: q hᵀ to the quaternion product q ⊗ (0, h)."""
    w, x, y, z = range(4)
    entries = [[(x, 0, -1), (y, 1, -1), (z, 2, -1)], [(w, 0, 1), (y, 2, 1), (z, 1, -1)], [(w, 1, 1), (z, 0, 1), (x, 2, -1)], [(w, 2, 1), (x, 1, 1), (y, 0, -1)]]
    matrix = torch.zeros(4, 12, device=device, dtype=dtype)
    for row, terms in enumerate(entries):
        for i, j, factor in terms:
            matrix[row, 3 * i + j] = factor
    return matrix


class Constants(NamedTuple):
    """Per-environment constants of a sub-step, computed only when parameters change; ``[width, n]``.

    Attributes:
        lag: share of a rotor-speed error left after (half a sub-step, a sub-step) when rising; two tensors ``[1, n]``.
        lag_excess: what falling adds to each; None for motors that fall as fast as they rise.
        thrust: the three coefficients of the thrust curve, each ``[4, n]``.
        drag, rotor_drag, mass: as in `Parameters`.
        inverse_mass: 1 / (m + d dt/2), which makes linear drag implicit.
        acceleration: gravity and external force per mass.
        airspeed_offset: dt/2 · acceleration − wind, from v to the airspeed at mid-step.
        inverse_inertia: 1/J.
        torque_gain: 1/J, its last row times the scale of κ.
        offset_gain: (−c_y/Jx, c_x/Jy, 0), angular acceleration per total thrust; None while every centre of mass is where it is described.
        external_rate: J⁻¹ τ_ext; None without an external torque.
        coupling: ((Jy − Jz)/Jx, (Jz − Jx)/Jy, (Jx − Jy)/Jz).
    """

    lag: tuple[Tensor, Tensor]
    lag_excess: tuple[Tensor, Tensor] | None
    thrust: tuple[Tensor, Tensor, Tensor]
    drag: Tensor
    rotor_drag: Tensor
    mass: Tensor
    inverse_mass: Tensor
    acceleration: Tensor
    airspeed_offset: Tensor
    inverse_inertia: Tensor
    torque_gain: Tensor
    offset_gain: Tensor | None
    external_rate: Tensor | None
    coupling: Tensor


def constants(robot: Quadrotor, dt: float, p: Parameters, force: Tensor | None, torque: Tensor | None, offset: bool) -> Constants:
    """What `substep` needs of the parameters, an external force in the world and torque in the body frame ``[3, n]``."""
    rise, fall = (tuple(torch.exp(-share * dt / (tau * p.motor_time_scale)) for share in (0.5, 1.0)) for tau in (robot.motor_rise_s, robot.motor_fall_s))
    gravity = torch.zeros_like(p.inertia) - p.mass.new_tensor([[0.0], [0.0], [GRAVITY]])
    acceleration = gravity if force is None else gravity + force / p.mass
    inverse_inertia = p.inertia.reciprocal()
    jx, jy, jz = p.inertia.unbind()
    cx, cy, _ = p.centre_of_mass.unbind()
    kx, ky, kz = inverse_inertia.unbind()
    c0, c1, c2 = (p.thrust_scale * coefficient for coefficient in robot.thrust_curve_n)
    return Constants(
        lag=(rise[0], rise[1]),
        lag_excess=None if robot.motor_rise_s == robot.motor_fall_s else (fall[0] - rise[0], fall[1] - rise[1]),
        thrust=(c0, c1, c2),
        drag=p.drag,
        rotor_drag=p.rotor_drag,
        mass=p.mass,
        inverse_mass=1.0 / (p.mass + 0.5 * dt * p.drag),
        acceleration=acceleration,
        airspeed_offset=0.5 * dt * acceleration - p.wind,
        inverse_inertia=inverse_inertia,
        torque_gain=torch.stack((kx, ky, kz * p.torque_scale[0])),
        offset_gain=torch.stack((-cy * kx, cx * ky, torch.zeros_like(kx))) if offset else None,
        external_rate=None if torque is None else torque * inverse_inertia,
        coupling=torch.stack(((jy - jz) * kx, (jz - jx) * ky, (jx - jy) * kz)),
    )


def turn(g: Geometry, orientation: Tensor, rate: Tensor, duration: float) -> Tensor:
    """q ⊗ exp(ω t/2) for a constant ω: with h = ω t/2, tan|h| ≈ |h| (1 + |h|²/3), then normalised. Its angle errs by 4/15 |h|⁵."""
    half = rate * (0.5 * duration)
    half = torch.addcmul(half, half, (half * half).sum(0, keepdim=True), value=1.0 / 3.0)
    turned = torch.addmm(orientation, g.turn, (orientation.unsqueeze(1) * half).view(12, -1))
    return turned * (turned * turned).sum(0, keepdim=True).rsqrt()


def rotation(g: Geometry, orientation: Tensor) -> Tensor:
    """Rotation matrix of unit quaternions, ``[3, 3, n]``."""
    return (g.rotation @ (orientation.unsqueeze(1) * orientation).view(16, -1)).view(3, 3, -1)


def motors(c: Constants, speed: Tensor, command: Tensor) -> tuple[Tensor, Tensor]:
    """Rotor speeds after half a sub-step and after a whole one, exact for a command that is held."""
    error = speed - command
    middle, after = torch.addcmul(command, error, c.lag[0]), torch.addcmul(command, error, c.lag[1])
    if c.lag_excess is None:
        return middle, after
    falling = error.clamp(min=0.0)
    return torch.addcmul(middle, falling, c.lag_excess[0]), torch.addcmul(after, falling, c.lag_excess[1])


def thrusts(c: Constants, speed: Tensor) -> Tensor:
    """fᵢ = c₀ + c₁ uᵢ + c₂ uᵢ² [N], ``[4, n]``."""
    return torch.addcmul(c.thrust[0], speed, torch.addcmul(c.thrust[1], speed, c.thrust[2]))


def _drag(g: Geometry, c: Constants, dt: float, middle: Tensor) -> tuple[Tensor, Tensor]:
    """Drag coefficients along the body axes and 1 / (m + D dt/2)."""
    if g.speed_sum is None:
        return c.drag, c.inverse_mass
    drag = torch.addcmul(c.drag, c.rotor_drag, g.speed_sum @ middle)
    return drag, torch.add(c.mass, drag, alpha=0.5 * dt).reciprocal()


def _spin(g: Geometry, c: Constants, rate: Tensor, push: Tensor, gyro: Tensor) -> Tensor:
    """ω̇ at ω: torques per inertia, rigid-body coupling and the rotors' momentum."""
    first, second = (g.permute @ rate).split(3)
    return torch.addcmul(push, first, torch.addcmul(gyro, c.coupling, second))


def substep(g: Geometry, c: Constants, dt: float, s: State, command: Tensor, near_ground: bool) -> State:
    """Advance all but the attitude by ``dt``; ``s.orientation`` is the one at mid-step.

    Args:
        s: position, velocity, rate, rotor speed at the start of the sub-step.
        command: rotor speeds asked for, held over the sub-step, ``[4, n]``.
        near_ground: whether any environment is low enough for ground effect or contact; elsewhere both are exactly zero.
    """
    middle, rotor_speed = motors(c, s.rotor_speed, command)
    thrust = thrusts(c, middle)
    matrix = rotation(g, s.orientation)
    force, torque = None, None
    if near_ground:
        position = torch.add(s.position, s.velocity, alpha=0.5 * dt)
        thrust = thrust * ground_effect(position, matrix, g.hubs)
        force, torque = contact(position, s.velocity, s.rate, matrix, g.hubs, g.contact_radius, c.mass)

    lift, moment = (g.wrench @ thrust).split(3)
    drag, inverse_mass = _drag(g, c, dt, middle)
    airspeed = (matrix * (s.velocity + c.airspeed_offset).unsqueeze(1)).sum(0)
    body_acceleration = torch.addcmul(lift, drag, airspeed, value=-1.0) * inverse_mass
    acceleration = (matrix * body_acceleration).sum(1) + c.acceleration

    push = torch.addcmul(moment * c.torque_gain, g.reaction @ (rotor_speed - s.rotor_speed), c.inverse_inertia)
    if c.offset_gain is not None:
        push = torch.addcmul(push, c.offset_gain, lift[2:])
    if c.external_rate is not None:
        push = push + c.external_rate
    if force is not None and torque is not None:
        acceleration = acceleration + force / c.mass
        push = torch.addcmul(push, torque, c.inverse_inertia)
    gyro = (g.gyro @ middle) * c.inverse_inertia
    halfway = torch.add(s.rate, _spin(g, c, s.rate, push, gyro), alpha=0.5 * dt)
    rate = torch.add(s.rate, _spin(g, c, halfway, push, gyro), alpha=dt)

    velocity = torch.add(s.velocity, acceleration, alpha=dt)
    position = torch.add(s.position, s.velocity + velocity, alpha=0.5 * dt)
    return State(position, s.orientation, velocity, rate, rotor_speed, s.rate_integral)
