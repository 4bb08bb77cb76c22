"""The numbers of `sim.quadrotor_dynamics`: parameters per environment, matrices per robot, and what a sub-step precomputes of both."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor

from robots.description import GRAVITY, Quadrotor
from sim.battery import Supply, supply
from sim.quaternions import PRODUCT, ROTATION, quadratic


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
        battery_charge: state of charge that `reset` gives, 0…1.
        battery_resistance_scale: factor on the battery's internal resistance.
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
    battery_charge: Tensor
    battery_resistance_scale: Tensor


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
    "battery_charge": 1,
    "battery_resistance_scale": 1,
}


def nominal(robot: Quadrotor) -> list[float]:
    """Packed parameters of the robot as described, without delay and wind, fully charged."""
    values = [robot.mass_kg, *robot.inertia_kg_m2, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    return [*values, *robot.body_drag_n_s_m, *robot.rotor_drag_kg, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]


class Geometry(NamedTuple):
    """Constant matrices of one robot, the same for all environments.

    Attributes:
        rotors: thrusts, speeds and slopes of the rotors ``[12]`` to lift ``[3]``, torque about the base ``[3]`` and what the rotors'
            momentum adds to Jₓ ω̇ₓ per ωᵧ and to Jᵧ ω̇ᵧ per ωₓ ``[3]``.
        speed_sum: rotor speeds to Σ Ω [rad/s], ``[1, 4]``.
        permute: ω to (ωᵧ, ωₓ, ωₓ, ω_z, ω_z, ωᵧ), ``[6, 3]``.
        attitude: q (q, ω)ᵀ to R, row by row, and q̇, ``[13, 28]``.
        rotation: q qᵀ to R, row by row, ``[9, 16]``.
        hubs: rotor positions, ``[3, 4, 1]``.
        contact_radius: of the sphere about each [m].
        dt: of a sub-step [s].
        times: its beginning, middle and end [s], ``[1, 3, 1]``.
        gravity: [m/s²], ``[3, 1]``.
    """

    rotors: Tensor
    speed_sum: Tensor
    permute: Tensor
    attitude: Tensor
    rotation: Tensor
    hubs: Tensor
    contact_radius: float
    dt: float
    times: Tensor
    gravity: Tensor


def geometry(robot: Quadrotor, dt: float, device: torch.device, dtype: torch.dtype) -> Geometry:
    """Matrices of ``robot`` for sub-steps of ``dt`` seconds."""

    def matrix(rows: list[list[float]]) -> Tensor:
        return torch.tensor(rows, device=device, dtype=dtype)

    x, y, z = ([rotor.position_m[axis] for rotor in robot.rotors] for axis in range(3))
    spin = [float(rotor.spin) for rotor in robot.rotors]
    zero, one = [0.0] * 4, [1.0] * 4
    momentum = [robot.rotor_inertia_kg_m2 * robot.rotor_speed_max_rad_s * sign for sign in spin]
    turning = 0.5 * quadratic(PRODUCT, "wxyzabc", device, dtype)
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
        speed_sum=matrix([[robot.rotor_speed_max_rad_s] * 4]),
        permute=matrix([[0, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 1, 0]]),
        attitude=torch.cat((quadratic(ROTATION, "wxyzabc", device, dtype), turning)),
        rotation=quadratic(ROTATION, "wxyz", device, dtype),
        hubs=matrix([x, y, z]).unsqueeze(-1),
        contact_radius=robot.contact_radius_m,
        dt=dt,
        times=matrix([[0.0, 0.5 * dt, dt]]).unsqueeze(-1),
        gravity=matrix([[0.0], [0.0], [-GRAVITY]]),
    )


class Constants(NamedTuple):
    """Per-environment constants of a control step's sub-steps; ``[width, n]``, or ``[width, 3, n]`` at three times.

    Attributes:
        lag: share of a rotor-speed error left at the beginning, middle and end of a sub-step when rising, ``[1, 3, n]``.
        slope: rate of rotor speed per initial error at those times when rising, over the scale of κ since it shares ``rotor_gain``, ``[1,
            3, n]``.
        lag_excess, slope_excess: what falling adds to them; None for motors that fall as fast as they rise.
        thrust: the three coefficients of the thrust curve, each ``[4, 1, n]``.
        rotor_gain: from `Geometry.rotors` to force per mass (3), angular acceleration (3), the latter per body rate (3), ``[9, 1, n]``.
        rotor_offset: angular acceleration by an external torque, in the same rows; None without.
        offset_gain: (−c_y/Jx, c_x/Jy, 0) m, angular acceleration per lift; None while every centre of mass is where it is described.
        drag: per mass.
        rotor_drag: per mass, ``[3, 1, n]``; None while every robot has none.
        acceleration: gravity and external force per mass.
        wind: as in `Parameters`; None while there was none anywhere.
        coupling: ((Jy − Jz)/Jx, (Jz − Jx)/Jy, (Jx − Jy)/Jz).
        inverse_inertia: 1/J.
        mass: m.
        supply: the battery; None while every supply is ideal.
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
    rotor_drag: Tensor | None
    acceleration: Tensor
    wind: Tensor | None
    coupling: Tensor
    inverse_inertia: Tensor
    mass: Tensor
    supply: Supply | None


class Given(NamedTuple):
    """Which parts of the model some environment has ever been given; what nobody uses costs nothing."""

    offset: bool = False
    delay: bool = False
    wind: bool = False
    rotor_drag: bool = False
    battery: bool = False

    def and_by(self, names: Collection[str]) -> Given:
        """Also what parameters of these names ask for."""
        return Given(*(now or not wants.isdisjoint(names) for now, wants in zip(self, GIVEN_BY, strict=True)))


GIVEN_BY = ({"centre_of_mass"}, {"action_delay"}, {"wind"}, {"rotor_drag"}, {"battery_charge", "battery_resistance_scale"})  # as in `Given`


def constants(robot: Quadrotor, g: Geometry, p: Parameters, force: Tensor | None, torque: Tensor | None, given: Given) -> Constants:
    """What `substep` needs of the parameters, an external force in the world and torque in the body frame ``[3, n]``."""
    rise, rise_slope = _lag(g.times, robot.motor_rise_s * p.motor_time_scale, p.torque_scale)
    lag_excess, slope_excess = None, None
    if robot.motor_fall_s != robot.motor_rise_s:
        fall, fall_slope = _lag(g.times, robot.motor_fall_s * p.motor_time_scale, p.torque_scale)
        lag_excess, slope_excess = fall - rise, fall_slope - rise_slope
    per_mass, per_inertia = p.mass.reciprocal(), p.inertia.reciprocal()
    (jx, jy, jz), (kx, ky, kz) = p.inertia.unbind(), per_inertia.unbind()
    offset_gain = None
    if given.offset:
        cx, cy, _ = p.centre_of_mass.unbind()
        offset_gain = torch.stack((-cy * kx, cx * ky, torch.zeros_like(kx))).mul(p.mass).unsqueeze(1)
    scale = p.thrust_scale.unsqueeze(1)
    c0, c1, c2 = (scale * coefficient for coefficient in robot.thrust_curve_n)
    return Constants(
        lag=rise,
        slope=rise_slope,
        lag_excess=lag_excess,
        slope_excess=slope_excess,
        thrust=(c0, c1, c2),
        rotor_gain=torch.cat((per_mass.expand(3, -1), torch.stack((kx, ky, kz * p.torque_scale[0])), per_inertia)).unsqueeze(1),
        rotor_offset=None if torque is None else _rows(torque * per_inertia),
        offset_gain=offset_gain,
        drag=p.drag * per_mass,
        rotor_drag=(p.rotor_drag * per_mass).unsqueeze(1) if given.rotor_drag else None,
        acceleration=g.gravity if force is None else torch.addcmul(g.gravity, force, per_mass),
        wind=p.wind if given.wind else None,
        coupling=torch.stack(((jy - jz) * kx, (jz - jx) * ky, (jx - jy) * kz)),
        inverse_inertia=per_inertia,
        mass=p.mass,
        supply=source(robot, g.dt, p, given),
    )


def source(robot: Quadrotor, dt: float, p: Parameters, given: Given) -> Supply | None:
    """The battery, for sub-steps of ``dt`` seconds; None while every supply is ideal."""
    if robot.battery is None or not given.battery:
        return None
    return supply(robot.battery, robot.rotor_speed_max_rad_s, dt, p.battery_resistance_scale)


def _rows(push: Tensor) -> Tensor:
    """An angular acceleration ``[3, n]`` in the rows of ``rotor_gain``, ``[9, 1, n]``."""
    zero = torch.zeros_like(push)
    return torch.cat((zero, push, zero)).unsqueeze(1)


def _lag(times: Tensor, tau: Tensor, torque_scale: Tensor) -> tuple[Tensor, Tensor]:
    """e^(−t/τ), and its rate of change over the scale of κ, ``[1, 3, n]``."""
    left = (-times / tau.unsqueeze(1)).exp()
    return left, -left / (tau * torque_scale).unsqueeze(1)
