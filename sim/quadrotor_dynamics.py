"""Rigid-body dynamics of a quadrotor as pure functions of (state, constants, inputs), batched along the last axis.

    m v̇ = R (Σ fᵢ ẑ − D Rᵀ(v − wind)) + m g + f_ext                  D = diag(d) + diag(k) Σ Ωᵢ
    J ω̇ = Σ (rᵢ − c) × fᵢ ẑ + κ Σ sᵢ fᵢ ẑ + J_r Σ sᵢ Ω̇ᵢ ẑ − ω × (J ω − J_r Σ sᵢ Ωᵢ ẑ) + τ_ext
    q̇ = ½ q ⊗ (0, ω),   Ω̇ᵢ = (Ωcᵢ − Ωᵢ)/τ,   fᵢ = c₀ + c₁ uᵢ + c₂ uᵢ²,   uᵢ = Ωᵢ/Ω_max

m mass, J inertia about the centre of mass, c its offset from the base, d and k body and rotor drag, rᵢ rotor hubs, sᵢ the sign of rotor i's
reaction torque (it turns the other way), κ torque per thrust, J_r rotor inertia, τ motor time constant (rising or falling). A battery
(`sim.battery`) bounds the Ωcᵢ.

Rotor speeds are exact for a command that is held over a sub-step; the rigid body is integrated by the classical fourth-order Runge–Kutta
method, with rotor forces evaluated together at the beginning, middle and end. benchmarks/RESULTS.md has its error against a reference, and
its cost, over sub-steps.

All tensors are feature-major, ``[width, num_envs]``: constant matrices then act by one small product, and rows are contiguous. Nothing is
written in place, so that gradients pass through any number of steps.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sim.battery import supplied
from sim.ground import contact, ground_effect
from sim.quadrotor_constants import Constants, Geometry


class State(NamedTuple):
    """State of every environment; `pack` keeps this order, and the first thirteen rows are the rigid body.

    Attributes:
        orientation: quaternion (w, x, y, z), body to world, ``[4, n]``.
        rate: angular velocity in the body frame [rad/s], ``[3, n]``.
        velocity: of the centre of mass in the world [m/s], ``[3, n]``.
        position: of the centre of mass in the world [m], ``[3, n]``.
        rotor_speed: normalised, ``[4, n]``.
        rate_integral: of the inner rate loop, as a rate error [rad/s], ``[3, n]``.
        charge: of the battery, 0…1, ``[1, n]``; None while every supply is ideal.
    """

    orientation: Tensor
    rate: Tensor
    velocity: Tensor
    position: Tensor
    rotor_speed: Tensor
    rate_integral: Tensor
    charge: Tensor | None = None


STATE_WIDTHS = (4, 3, 3, 3, 4, 3)  # without charge
BODY_WIDTHS = (4, 3, 3, 3)


def pack(state: State) -> Tensor:
    """One tensor ``[20, n]``, ``[21, n]`` with a battery."""
    parts = [part for part in state if part is not None]
    count = max(part.shape[-1] for part in parts)  # one row may serve all
    return torch.cat([part if part.shape[-1] == count else part.expand(-1, count) for part in parts])


def unpack(packed: Tensor) -> State:
    """Inverse of `pack`, as views."""
    return State(*packed.split(STATE_WIDTHS if packed.shape[0] == sum(STATE_WIDTHS) else (*STATE_WIDTHS, 1)))


def rotation(g: Geometry, orientation: Tensor) -> Tensor:
    """Rotation matrix of unit quaternions, ``[3, 3, n]``."""
    return (g.rotation @ (orientation.unsqueeze(1) * orientation).view(16, -1)).view(3, 3, -1)


class Rotors(NamedTuple):
    """What the rotors do at one time of a sub-step, ``[width, n]``.

    Attributes:
        thrust: of each [N], ``[4, n]``.
        acceleration: force per mass along the body axes (3), angular acceleration (3), and what their momentum adds to ω̇ₓ per ωᵧ and to
            ω̇ᵧ per ωₓ (3).
        drag: along the body axes, per mass, ``[3, n]``.
    """

    thrust: Tensor
    acceleration: Tensor
    drag: Tensor


def rotors(g: Geometry, c: Constants, start: Tensor, command: Tensor) -> tuple[list[Rotors], Tensor]:
    """Forces at the beginning, middle and end of a sub-step, and rotor speeds at its end, exact for a command that is held."""
    error = (start - command).unsqueeze(1)
    speed, slope = torch.addcmul(command.unsqueeze(1), error, c.lag), error * c.slope
    if c.lag_excess is not None and c.slope_excess is not None:
        falling = error.clamp(min=0.0)
        speed, slope = torch.addcmul(speed, falling, c.lag_excess), torch.addcmul(slope, falling, c.slope_excess)
    thrust = torch.addcmul(c.thrust[0], speed, torch.addcmul(c.thrust[1], speed, c.thrust[2]))
    rotor = (g.rotors @ torch.cat((thrust, speed, slope)).view(12, -1)).view(9, 3, -1)
    acceleration = rotor * c.rotor_gain if c.rotor_offset is None else torch.addcmul(c.rotor_offset, rotor, c.rotor_gain)
    if c.offset_gain is not None:
        lift, push, momentum = acceleration.split(3)
        acceleration = torch.cat((lift, torch.addcmul(push, c.offset_gain, lift[2:]), momentum))
    drags: tuple[Tensor, ...] = (c.drag,) * 3
    if c.rotor_drag is not None:
        drags = torch.addcmul(c.drag.unsqueeze(1), c.rotor_drag, (g.speed_sum @ speed.reshape(4, -1)).view(1, 3, -1)).unbind(1)
    return [Rotors(*at) for at in zip(thrust.unbind(1), acceleration.unbind(1), drags, strict=True)], speed[:, 2]


def derivative(g: Geometry, c: Constants, body: Tensor, r: Rotors, near_ground: bool) -> Tensor:
    """ẋ of the rigid body x = (q, ω, v, p) ``[13, n]``."""
    orientation, rate, velocity, _ = body.split(BODY_WIDTHS)
    products = (orientation.unsqueeze(1) * body[:7]).view(28, -1)
    matrix, turning = (g.attitude @ products).split((9, 4))
    matrix = matrix.view(3, 3, -1)

    lift, push, momentum = r.acceleration.split(3)
    airspeed = velocity if c.wind is None else velocity - c.wind
    in_body = torch.addcmul(lift, r.drag, (matrix * airspeed.unsqueeze(1)).sum(0), value=-1.0)
    if near_ground:
        extra_lift, extra_push = _ground(g, c, matrix, body, r.thrust)
        in_body, push = in_body + extra_lift, push + extra_push
    acceleration = (matrix * in_body).sum(1) + c.acceleration

    first, second = (g.permute @ rate).split(3)
    spinning = torch.addcmul(push, first, torch.addcmul(momentum, c.coupling, second))
    return torch.cat((turning, spinning, acceleration, velocity))


def _ground(g: Geometry, c: Constants, matrix: Tensor, body: Tensor, thrust: Tensor) -> tuple[Tensor, Tensor]:
    """Force per mass and angular acceleration in the body frame that ground effect and contact add, ``[3, n]`` each."""
    _, rate, velocity, position = body.split(BODY_WIDTHS)
    extra = _cushion(g, matrix, position, thrust)
    force, torque = contact(position, velocity, rate, matrix, g.hubs, g.contact_radius, c.mass)
    lift = (extra[:3] + (matrix * force.unsqueeze(1)).sum(0)) / c.mass
    return lift, extra[3:6] * c.rotor_gain[3:6, 0] + torque * c.inverse_inertia


def _cushion(g: Geometry, matrix: Tensor, position: Tensor, thrust: Tensor) -> Tensor:
    """Force and torque in the body frame by ground effect, in the rows of `Geometry.rotors`."""
    return g.rotors[:, :4] @ (thrust * ground_effect(position, matrix, g.hubs))


def wrench(g: Geometry, c: Constants, s: State, r: Rotors, inertia: Tensor, near_ground: bool) -> Tensor:
    """Force and torque about the centre of mass, both in the world, ``[6, n]``, of all that acts but gravity, contact and the body's own
    gyroscopic torque: what an engine of rigid bodies is to be told.
    """
    matrix = rotation(g, s.orientation)
    lift, push, momentum = r.acceleration.split(3)
    airspeed = s.velocity if c.wind is None else s.velocity - c.wind
    in_body = torch.addcmul(lift, r.drag, (matrix * airspeed.unsqueeze(1)).sum(0), value=-1.0)
    push = torch.addcmul(push, (g.permute[:3] @ s.rate), momentum)
    if near_ground:
        extra = _cushion(g, matrix, s.position, r.thrust)
        in_body, push = in_body + extra[:3] / c.mass, push + extra[3:6] * c.rotor_gain[3:6, 0]
    force = c.mass * ((matrix * in_body).sum(1) + c.acceleration - g.gravity)
    return torch.cat((force, (matrix * (inertia * push)).sum(1)))


def substep(g: Geometry, c: Constants, dt: float, s: State, command: Tensor, near_ground: bool) -> State:
    """Advance by ``dt``.

    Args:
        command: rotor speeds asked for, held over the sub-step, ``[4, n]``.
        near_ground: whether any environment is low enough for ground effect or contact; elsewhere both are exactly zero.
    """
    charge = s.charge
    if c.supply is not None and charge is not None:
        command, charge = supplied(c.supply, charge, s.rotor_speed, command)
    (start, middle, end), rotor_speed = rotors(g, c, s.rotor_speed, command)
    x = torch.cat((s.orientation, s.rate, s.velocity, s.position))
    k1 = derivative(g, c, x, start, near_ground)
    k2 = derivative(g, c, torch.add(x, k1, alpha=0.5 * dt), middle, near_ground)
    k3 = derivative(g, c, torch.add(x, k2, alpha=0.5 * dt), middle, near_ground)
    k4 = derivative(g, c, torch.add(x, k3, alpha=dt), end, near_ground)
    x = torch.add(x, torch.add(k1 + k4, k2 + k3, alpha=2.0), alpha=dt / 6.0)
    orientation, rate, velocity, position = x.split(BODY_WIDTHS)
    return State(orientation, rate, velocity, position, rotor_speed, s.rate_integral, charge)


def normalised(orientation: Tensor) -> Tensor:
    """Unit quaternions, ``[4, n]``."""
    return orientation * orientation.square().sum(0, keepdim=True).rsqrt()
