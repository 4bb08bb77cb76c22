"""Rigid-body dynamics of a quadrotor as pure functions of (state, constants, inputs), batched along the last axis.

    m v̇ = R (Σ fᵢ ẑ − D Rᵀ(v − wind)) + m g + f_ext                  D = diag(d) + diag(k) Σ Ωᵢ
    J ω̇ = Σ (rᵢ − c) × fᵢ ẑ + κ Σ sᵢ fᵢ ẑ + J_r Σ sᵢ Ω̇ᵢ ẑ − ω × (J ω − J_r Σ sᵢ Ωᵢ ẑ) + τ_ext
    q̇ = ½ q ⊗ (0, ω),   Ω̇ᵢ = (Ωcᵢ − Ωᵢ)/τ,   fᵢ = c₀ + c₁ uᵢ + c₂ uᵢ²,   uᵢ = Ωᵢ/Ω_max

m mass, J inertia about the centre of mass, c its offset from the base, d and k body and rotor drag, rᵢ rotor hubs, sᵢ the sign of rotor i's reaction torque
(it turns the other way), κ torque per thrust, J_r rotor inertia, τ motor time constant (rising or falling).

Rotor speeds are exact for a command that is held over a sub-step; the rigid body is integrated by the classical fourth-order Runge–Kutta method, with
rotor forces evaluated together at the beginning, middle and end. benchmarks/RESULTS.md has its error against a reference, and its cost, over sub-steps.

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
    """State of every environment; `pack` keeps this order, and the first thirteen rows are the rigid body.

    Attributes:
        orientation: quaternion (w, x, y, z), body to world, ``[4, n]``.
        rate: angular velocity in the body frame [rad/s], ``[3, n]``.
        velocity: of the centre of mass in the world [m/s], ``[3, n]``.
        position: of the centre of mass in the world [m], ``[3, n]``.
        rotor_speed: normalised, ``[4, n]``.
        rate_integral: of the inner rate loop, as a rate error [rad/s], ``[3, n]``.
    """

    orientation: Tensor
    rate: Tensor
    velocity: Tensor
    position: Tensor
    rotor_speed: Tensor
    rate_integral: Tensor


STATE_WIDTHS = (4, 3, 3, 3, 4, 3)
BODY_WIDTHS = (4, 3, 3, 3)


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
        rotors: thrusts, speeds and slopes of the rotors ``[12]`` to lift ``[3]``, torque about the base ``[3]`` and what the rotors' momentum adds to
            Jₓ ω̇ₓ per ωᵧ and to Jᵧ ω̇ᵧ per ωₓ ``[3]``.
        speed_sum: rotor speeds to Σ Ω [rad/s], ``[1, 4]``; None without rotor drag.
        permute: ω to (ωᵧ, ωₓ, ωₓ, ω_z, ω_z, ωᵧ), ``[6, 3]``.
        attitude: q (q, ω)ᵀ to R, row by row, and q̇, ``[13, 28]``.
        rotation: q qᵀ to R, row by row, ``[9, 16]``.
        hubs: rotor positions, ``[3, 4, 1]``.
        contact_radius: of the sphere about each [m].
    """

    rotors: Tensor
    speed_sum: Tensor | None
    permute: Tensor
    attitude: Tensor
    rotation: Tensor
    hubs: Tensor
    contact_radius: float


def geometry(robot: Quadrotor, device: torch.device, dtype: torch.dtype) -> Geometry:
    """Matrices of ``robot``."""

    def matrix(rows: list[list[float]]) -> Tensor:
        return torch.tensor(rows, device=device, dtype=dtype)

    x, y, z = ([rotor.position_m[axis] for rotor in robot.rotors] for axis in range(3))
    spin = [float(rotor.spin) for rotor in robot.rotors]
    zero, one = [0.0] * 4, [1.0] * 4
    momentum = [robot.rotor_inertia_kg_m2 * robot.rotor_speed_max_rad_s * sign for sign in spin]
    attitude = _attitude(device, dtype)
    return Geometry(
        rotors=matrix(
            [
                zero + zero + zero,
                zero + zero + zero,
                one + zero + zero,
                y + zero + zero,
                [-value for value in x] + zero + zero,
                [robot.torque_per_thrust_m * sign for sign in spin] + zero + momentum,
                zero + momentum + zero,
                zero + [-value for value in momentum] + zero,
                zero + zero + zero,
            ]
        ),
        speed_sum=matrix([[robot.rotor_speed_max_rad_s] * 4]) if any(robot.rotor_drag_kg) else None,
        permute=matrix([[0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 1, 0]]),
        attitude=attitude,
        rotation=attitude[:9].view(9, 4, 7)[:, :, :4].reshape(9, 16).contiguous(),
        hubs=matrix([x, y, z]).unsqueeze(-1),
        contact_radius=robot.contact_radius_m,
    )


# Each row of R and of q̇ = ½ q ⊗ (0, ω) as a sum of products of (w, x, y, z) with (w, x, y, z, a, b, c), ω = (a, b, c).
ATTITUDE = (
    "+ww +xx -yy -zz",
    "+xy +xy -wz -wz",
    "+xz +xz +wy +wy",
    "+xy +xy +wz +wz",
    "+ww -xx +yy -zz",
    "+yz +yz -wx -wx",
    "+xz +xz -wy -wy",
    "+yz +yz +wx +wx",
    "+ww -xx -yy +zz",
    "-xa -yb -zc",
    "+wa +yc -zb",
    "+wb +za -xc",
    "+wc +xb -ya",
)


def _attitude(device: torch.device, dtype: torch.dtype) -> Tensor:
    matrix = torch.zeros(13, 28, device=device, dtype=dtype)
    for row, terms in enumerate(ATTITUDE):
        for sign, first, second in terms.split():
            factor = 0.5 if second in "abc" else 1.0
            matrix[row, 7 * "wxyz".index(first) + "wxyzabc".index(second)] += factor if sign == "+" else -factor
    return matrix


class Constants(NamedTuple):
    """Per-environment constants of a sub-step, computed only when parameters change; ``[width, n]``, or ``[width, 3, n]`` at three times.

    Attributes:
        lag: share of a rotor-speed error left at the beginning, middle and end of a sub-step when rising, ``[1, 3, n]``.
        slope: rate of rotor speed per initial error at those times when rising, over the scale of κ since it shares ``rotor_gain``, ``[1, 3, n]``.
        lag_excess, slope_excess: what falling adds to them; None for motors that fall as fast as they rise.
        thrust: the three coefficients of the thrust curve, each ``[4, 1, n]``.
        rotor_gain: from `Geometry.rotors` to force per mass (3), angular acceleration (3), the latter per body rate (3), ``[9, 1, n]``.
        rotor_offset: angular acceleration by an external torque, in the same rows; None without.
        offset_gain: (−c_y/Jx, c_x/Jy, 0) m, angular acceleration per lift; None while every centre of mass is where it is described.
        drag, rotor_drag: per mass.
        acceleration: gravity and external force per mass.
        wind: as in `Parameters`; None while there was none anywhere.
        coupling: ((Jy − Jz)/Jx, (Jz − Jx)/Jy, (Jx − Jy)/Jz).
        inverse_inertia: 1/J.
        mass: m.
    """

    lag: Tensor
    slope: Tensor
    lag_excess: Tensor | None
    slope_excess: Tensor | None
    thrust: tuple[Tensor, Tensor, Tensor]
    rotor_gain: Tensor
    rotor_offset: Tensor | None
    offset_gain: Tensor | None
    drag: Tensor
    rotor_drag: Tensor
    acceleration: Tensor
    wind: Tensor | None
    coupling: Tensor
    inverse_inertia: Tensor
    mass: Tensor


class Given(NamedTuple):
    """Which parts of the model some environment has ever been given; what nobody uses costs nothing."""

    offset: bool = False
    delay: bool = False
    wind: bool = False


def constants(robot: Quadrotor, dt: float, p: Parameters, force: Tensor | None, torque: Tensor | None, given: Given) -> Constants:
    """What `substep` needs of the parameters, an external force in the world and torque in the body frame ``[3, n]``."""
    times = p.mass.new_tensor([[[0.0], [0.5 * dt], [dt]]])
    (rise, rise_slope), (fall, fall_slope) = (_lag(times, tau * p.motor_time_scale, p.torque_scale) for tau in (robot.motor_rise_s, robot.motor_fall_s))
    symmetric = robot.motor_rise_s == robot.motor_fall_s
    per_mass, per_inertia = p.mass.reciprocal(), p.inertia.reciprocal()
    gravity = p.mass.new_tensor([[0.0], [0.0], [-GRAVITY]])
    (jx, jy, jz), (kx, ky, kz), (cx, cy, _) = p.inertia.unbind(), per_inertia.unbind(), p.centre_of_mass.unbind()
    zero = torch.zeros_like(kx)
    c0, c1, c2 = (p.thrust_scale.unsqueeze(1) * coefficient for coefficient in robot.thrust_curve_n)
    return Constants(
        lag=rise,
        slope=rise_slope,
        lag_excess=None if symmetric else fall - rise,
        slope_excess=None if symmetric else fall_slope - rise_slope,
        thrust=(c0, c1, c2),
        rotor_gain=torch.cat((per_mass.expand(3, -1), torch.stack((kx, ky, kz * p.torque_scale[0])), per_inertia)).unsqueeze(1),
        rotor_offset=None if torque is None else _rows(torque * per_inertia),
        offset_gain=torch.stack((-cy * kx, cx * ky, zero)).mul(p.mass).unsqueeze(1) if given.offset else None,
        drag=p.drag * per_mass,
        rotor_drag=(p.rotor_drag * per_mass).unsqueeze(1),
        acceleration=gravity if force is None else torch.addcmul(gravity, force, per_mass),
        wind=p.wind if given.wind else None,
        coupling=torch.stack(((jy - jz) * kx, (jz - jx) * ky, (jx - jy) * kz)),
        inverse_inertia=per_inertia,
        mass=p.mass,
    )


def _rows(push: Tensor) -> Tensor:
    """An angular acceleration ``[3, n]`` in the rows of ``rotor_gain``, ``[9, 1, n]``."""
    zero = torch.zeros_like(push)
    return torch.cat((zero, push, zero)).unsqueeze(1)


def _lag(times: Tensor, tau: Tensor, torque_scale: Tensor) -> tuple[Tensor, Tensor]:
    """e^(−t/τ), and its rate of change over the scale of κ, ``[1, 3, n]``."""
    left = (-times / tau.unsqueeze(1)).exp()
    return left, -left / (tau * torque_scale).unsqueeze(1)


def rotation(g: Geometry, orientation: Tensor) -> Tensor:
    """Rotation matrix of unit quaternions, ``[3, 3, n]``."""
    return (g.rotation @ (orientation.unsqueeze(1) * orientation).view(16, -1)).view(3, 3, -1)


class Rotors(NamedTuple):
    """What the rotors do at one time of a sub-step, ``[width, n]``.

    Attributes:
        thrust: of each [N], ``[4, n]``.
        acceleration: force per mass along the body axes (3), angular acceleration (3), and what their momentum adds to ω̇ₓ per ωᵧ and to ω̇ᵧ per ωₓ (3).
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
    if g.speed_sum is not None:
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
    extra = g.rotors[:, :4] @ (thrust * ground_effect(position, matrix, g.hubs))
    force, torque = contact(position, velocity, rate, matrix, g.hubs, g.contact_radius, c.mass)
    lift = (extra[:3] + (matrix * force.unsqueeze(1)).sum(0)) / c.mass
    return lift, extra[3:6] * c.rotor_gain[3:6, 0] + torque * c.inverse_inertia


def substep(g: Geometry, c: Constants, dt: float, s: State, command: Tensor, near_ground: bool) -> State:
    """Advance by ``dt``.

    Args:
        command: rotor speeds asked for, held over the sub-step, ``[4, n]``.
        near_ground: whether any environment is low enough for ground effect or contact; elsewhere both are exactly zero.
    """
    (start, middle, end), rotor_speed = rotors(g, c, s.rotor_speed, command)
    x = torch.cat(s[:4])
    k1 = derivative(g, c, x, start, near_ground)
    k2 = derivative(g, c, torch.add(x, k1, alpha=0.5 * dt), middle, near_ground)
    k3 = derivative(g, c, torch.add(x, k2, alpha=0.5 * dt), middle, near_ground)
    k4 = derivative(g, c, torch.add(x, k3, alpha=dt), end, near_ground)
    x = torch.add(x, torch.add(k1 + k4, k2 + k3, alpha=2.0), alpha=dt / 6.0)
    orientation, rate, velocity, position = x.split(BODY_WIDTHS)
    return State(orientation, rate, velocity, position, rotor_speed, s.rate_integral)


def normalised(orientation: Tensor) -> Tensor:
    """Unit quaternions, ``[4, n]``."""
    return orientation * orientation.square().sum(0, keepdim=True).rsqrt()
