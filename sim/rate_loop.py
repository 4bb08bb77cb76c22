"""The autopilot's inner loop: collective thrust and body rates to rotor speeds, as pure functions on feature-major tensors.

    α = K (ω_c − ω + z),   ż = (ω_c − ω)/T_i,  |z| ≤ z_max          τ = J α

with the robot's nominal inertia J: the loop, like a real one, does not know what was randomised. The mixer keeps, in this order, roll and
pitch torque, collective thrust, yaw torque: the first is scaled to the thrust range, the second moved to where the first fits, the third
given what is left.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from robots.description import Quadrotor


class RateLoop(NamedTuple):
    """Constants of the loop.

    Attributes:
        mix: α to the thrusts of roll and pitch and to the yaw thrust every rotor adds or takes, ``[5, 3]``.
        spin: signs of the rotors' reaction torques, ``[4, 1]``.
        integral_gain: dt / T_i.
        integral_limit: z_max [rad/s].
        low, high: thrust range of a rotor [N].
        curve: (1/c₂, offset, shift) of the inverse thrust curve u = √(f/c₂ + offset) − shift.
    """

    mix: Tensor
    spin: Tensor
    integral_gain: float
    integral_limit: float
    low: float
    high: float
    curve: tuple[float, float, float]


def rate_loop(robot: Quadrotor, dt: float, device: torch.device, dtype: torch.dtype) -> RateLoop:
    """The loop of ``robot`` running every ``dt`` seconds.

    Thrusts are the least-squares allocation, for rotors placed symmetrically about both axes: roll, pitch, yaw, collective stay apart.
    """
    x, y = (torch.tensor([rotor.position_m[axis] for rotor in robot.rotors], dtype=torch.float64) for axis in range(2))
    spin = torch.tensor([float(rotor.spin) for rotor in robot.rotors], dtype=torch.float64)
    jx, jy, jz = (j * gain for j, gain in zip(robot.inertia_kg_m2, robot.rate_gain_1_s, strict=True))
    zero = torch.zeros_like(x)
    tilt = torch.stack((y / y.square().sum() * jx, -x / x.square().sum() * jy, zero), dim=1)
    yaw = torch.tensor([[0.0, 0.0, jz / (len(robot.rotors) * robot.torque_per_thrust_m)]], dtype=torch.float64)
    c0, c1, c2 = robot.thrust_curve_n
    shift = c1 / (2.0 * c2)
    return RateLoop(
        mix=torch.cat((tilt, yaw)).to(device, dtype),
        spin=spin.unsqueeze(1).to(device, dtype),
        integral_gain=dt / robot.rate_integral_time_s,
        integral_limit=robot.rate_integral_limit_rad_s,
        low=robot.thrust_min_n,
        high=robot.thrust_max_n,
        curve=(1.0 / c2, shift * shift - c0 / c2, shift),
    )


def rotor_speeds(loop: RateLoop, thrust: Tensor) -> Tensor:
    """Inverse thrust curve, u from f [N]; √x is written x/√max(x, ε) for a finite slope at rest. Zero where no speed gives so little."""
    inverse, offset, shift = loop.curve
    square = thrust * inverse + offset
    return (square * square.clamp(min=1e-6).rsqrt() - shift).clamp(min=0.0)


def mix(loop: RateLoop, acceleration: Tensor, collective: Tensor) -> Tensor:
    """Rotor thrusts within their range, ``[4, n]``, from α [rad/s²] ``[3, n]`` and the collective thrust per rotor [N] ``[1, n]``."""
    tilt, yaw = (loop.mix @ acceleration).split((4, 1))
    half_range = 0.5 * (loop.high - loop.low)
    reach = tilt.abs().amax(0, keepdim=True)
    tilt = tilt * (half_range / reach.clamp(min=half_range))
    reach = reach.clamp(max=half_range)
    lowest, highest = reach + loop.low, loop.high - reach
    collective = collective.clamp(lowest, highest)
    room = torch.minimum(collective - lowest, highest - collective)
    return torch.addcmul(tilt + collective, loop.spin, yaw.clamp(-room, room))


def control(loop: RateLoop, rate: Tensor, integral: Tensor, command: Tensor) -> tuple[Tensor, Tensor]:
    """Rotor speeds ``[4, n]`` and the next integral, from (collective thrust [N], body rates [rad/s]) ``[4, n]``."""
    collective, target = command.split((1, 3))
    error = target - rate
    if loop.integral_gain:
        integral = torch.add(integral, error, alpha=loop.integral_gain).clamp(-loop.integral_limit, loop.integral_limit)
        error = error + integral
    return rotor_speeds(loop, mix(loop, error, 0.25 * collective)), integral
