"""A battery that sags: open-circuit voltage, internal resistance and charge bound the speed that rotors reach. Pure functions.

    E = e₀ + e₁ z − e₂ exp(−z/z₀)                                  open-circuit voltage at state of charge z, Chen and Rincón-Mora 2006
    V = E − R I                                                     internal resistance, the Rint model of He, Xiong and Fan 2011
    V I = P = P₀ + p Σ Ωᵢ²,   so   V = ½ (E + √(E² − 4 R P))        what a rotor draws, measured (`robots.crazyflie`)
    ż = −I/Q                                                        charge, stopped at empty
    Ωᵢ ≤ Ω_V,   V = a Ω_V + b Ω_V²                                  a motor given all of V: back-EMF and the drop over its winding

    Chen and Rincón-Mora, IEEE Trans. Energy Conversion 21(2), 2006; He, Xiong and Fan, Energies 4(4), 2011.

Below that bound a rotor gets the speed it is told, whatever the voltage: the autopilot is assumed to compensate, as the Crazyflie's does by
default (Bitcraze, Battery Compensation). Not modelled: temperature, ageing, slow polarisation, the power that speeds a rotor up, and the
cut-off of an empty pack, which stays at e₀ − e₂. All tensors are feature-major as in `sim.quadrotor_dynamics`.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from robots.description import Battery

SMALLEST_ROOT_V = 0.1  # √(E² − 4 R P) from below: a load beyond E²/4R is past what any voltage carries, and the slope stays finite


class Supply(NamedTuple):
    """A battery in the units of a sub-step, rotor speeds normalised.

    Attributes:
        open_circuit: (e₀, e₁, e₂) [V] and 1/z₀.
        resistance: R [Ω], ``[1, n]``.
        power: (P₀, p Ω_max²) [W].
        used: dt/Q, share of the charge that 1 A takes in a sub-step.
        reach: (a Ω_max, b Ω_max²) [V].
    """

    open_circuit: tuple[float, float, float, float]
    resistance: Tensor
    power: tuple[float, float]
    used: float
    reach: tuple[float, float]


def supply(battery: Battery, rotor_speed_max_rad_s: float, dt: float, resistance_scale: Tensor) -> Supply:
    """``battery`` for sub-steps of ``dt`` seconds."""
    per_speed, per_square = battery.rotor_voltage
    return Supply(
        open_circuit=(*battery.open_circuit_v, 1.0 / battery.empty_share),
        resistance=battery.resistance_ohm * resistance_scale,
        power=(battery.idle_power_w, battery.rotor_power_w_s2 * rotor_speed_max_rad_s**2),
        used=dt / (3600.0 * battery.capacity_ah),
        reach=(per_speed * rotor_speed_max_rad_s, per_square * rotor_speed_max_rad_s**2),
    )


def drawn(b: Supply, rotor_speed: Tensor) -> Tensor:
    """P [W], ``[1, n]``, at rotor speeds ``[4, n]``."""
    idle, rotor = b.power
    return rotor_speed.square().sum(0, keepdim=True) * rotor + idle


def voltage(b: Supply, charge: Tensor, power: Tensor) -> Tensor:
    """V [V], ``[1, n]``."""
    base, rise, drop, steepness = b.open_circuit
    source = base + rise * charge - drop * (-steepness * charge).exp()
    return 0.5 * (source + (source.square() - 4.0 * b.resistance * power).clamp(min=SMALLEST_ROOT_V**2).sqrt())


def ceiling(b: Supply, volts: Tensor) -> Tensor:
    """The normalised rotor speed that ``volts`` reach, ``[1, n]``; written so that b may be zero."""
    linear, square = b.reach
    return 2.0 * volts / ((linear * linear + 4.0 * square * volts).sqrt() + linear)


def supplied(b: Supply, charge: Tensor, rotor_speed: Tensor, command: Tensor) -> tuple[Tensor, Tensor]:
    """What the battery makes of rotor speeds asked for ``[4, n]``, and its state of charge ``[1, n]`` a sub-step later.

    Voltage and current are those at the beginning of the sub-step, in which rotor speed moves by a fraction of its lag.
    """
    power = drawn(b, rotor_speed)
    volts = voltage(b, charge, power)
    return command.minimum(ceiling(b, volts)), (charge - b.used * power / volts).clamp(min=0.0)
