"""Smooth references to follow: sums of sinusoids, so that velocity and acceleration are exact.

    p(t) = p₀ + Σₖ sₖ sin kωt + cₖ cos kωt,    k = 1 … 3,    ṗ and p̈ by differentiating each term

The figure-eight, 4 m wide and 6 s a lap, is ω = 2π/6 s, s₁ = (2, 0, 0) m, s₂ = (0, 1, 0) m, and nothing else:

    x = 2 sin ωt,   y = sin 2ωt;    peak speed 2√2 m ω = 2.96 m/s,   peak acceleration 17/4 m ω² = 4.66 m/s²

A random reference is a random shape q, scaled to the same two peaks: with v̂ and â the peaks of ‖q'‖ and ‖q''‖ at ω = 1 and unit size,

    ω = (â*/v̂*) (v̂/â),    size = v̂*/(ω v̂),    v̂* and â* those of the figure-eight.

A reference is a mapping of tensors: ``origin`` p₀ ``[n, 3]`` m, ``frequency`` ω ``[n, 1]`` rad/s, ``sine`` and ``cosine`` ``[n, 9]`` m, the
coefficients of x for k = 1 … 3, then of y, then of z.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tasks.draw import Draw
from tasks.task import Signals
from tasks.vectors import length

HARMONICS = 3
LAP_S = 6.0
HALF_WIDTH_M = 2.0
LAP_FREQUENCY = 2 * math.pi / LAP_S
PEAK_SPEED_M_S = math.sqrt(2.0) * HALF_WIDTH_M * LAP_FREQUENCY
PEAK_ACCELERATION_M_S2 = 17.0 / 8.0 * HALF_WIDTH_M * LAP_FREQUENCY**2  # where sin² ωt = 17/32
VERTICAL = 0.3  # of a random reference, over its horizontal size: the weakest robots have 0.4 g to spare
SAMPLES = 512  # of one period, to find a peak: less than 2e-4 below the true one


class Motion(NamedTuple):
    """Position [m], velocity [m/s] and acceleration [m/s²] of a reference in the world, ``[n, 3]``."""

    position: Tensor
    velocity: Tensor
    acceleration: Tensor


def motion(reference: Signals, time_s: Tensor) -> Motion:
    """Where the reference is at ``time_s`` ``[n, 1]``, and how it moves there."""
    orders = torch.arange(1.0, HARMONICS + 1, device=time_s.device)
    rate = reference["frequency"] * orders
    angle = rate * time_s
    terms = torch.stack([angle.sin(), angle.cos()], dim=2)  # [n, harmonics, 2]
    sine, cosine = (reference[name].unflatten(1, (3, HARMONICS)) for name in ("sine", "cosine"))
    rate = rate.unsqueeze(1)
    position = torch.cat([sine, cosine], dim=2)
    velocity = torch.cat([-cosine * rate, sine * rate], dim=2)
    acceleration = torch.cat([-sine * rate * rate, -cosine * rate * rate], dim=2)
    basis = terms.transpose(1, 2).flatten(1).unsqueeze(2)  # [n, 2 · harmonics, 1]
    here, speed, change = torch.bmm(torch.cat([position, velocity, acceleration], dim=1), basis).squeeze(2).split(3, dim=1)
    return Motion(reference["origin"] + here, speed, change)


def figure_eight(start: Tensor) -> dict[str, Tensor]:
    """The figure-eight from its middle at ``start`` ``[n, 3]`` m, heading for +x and +y."""
    sine = start.new_zeros(3, HARMONICS)
    sine[0, 0], sine[1, 1] = HALF_WIDTH_M, HALF_WIDTH_M / 2.0
    frequency = torch.full_like(start[:, :1], LAP_FREQUENCY)
    return {"origin": start, "frequency": frequency, "sine": sine.flatten().repeat(len(start), 1), "cosine": start.new_zeros(len(start), 9)}


def random_smooth(start: Tensor, draw: Draw) -> dict[str, Tensor]:
    """Random references from ``start`` ``[n, 3]`` m, with the peak speed and the peak acceleration of the figure-eight."""
    count = 3 * HARMONICS
    orders = torch.arange(1.0, HARMONICS + 1, device=start.device)
    shape = start.new_tensor([1.0, 1.0, VERTICAL]).unsqueeze(1) / orders  # speeds of all terms alike
    amplitude = draw.uniform(0.3, 1.0, count) * shape.flatten()
    phase = draw.uniform(-math.pi, math.pi, count)
    sine, cosine = amplitude * phase.cos(), amplitude * phase.sin()
    speed, acceleration = _peaks(sine, cosine, orders)
    frequency = (PEAK_ACCELERATION_M_S2 / PEAK_SPEED_M_S) * speed / acceleration
    size = PEAK_SPEED_M_S / (frequency * speed)
    first = (size * cosine).unflatten(1, (3, HARMONICS)).sum(2)
    return {"origin": start - first, "frequency": frequency, "sine": size * sine, "cosine": size * cosine}


def _peaks(sine: Tensor, cosine: Tensor, orders: Tensor) -> tuple[Tensor, Tensor]:
    """Largest ‖q'‖ and ‖q''‖ over one period at ω = 1, ``[n, 1]``."""
    angle = torch.arange(SAMPLES, device=sine.device) * (2 * math.pi / SAMPLES) * orders.unsqueeze(1)  # [harmonics, samples]
    s, c = (part.unflatten(1, (3, HARMONICS)) for part in (sine, cosine))
    velocity = (s * orders) @ angle.cos() - (c * orders) @ angle.sin()
    acceleration = (s * orders.square()) @ angle.sin() + (c * orders.square()) @ angle.cos()
    speed, change = (length(part.transpose(1, 2)).amax(1, keepdim=True) for part in (velocity, acceleration))
    return speed, change
