"""MJCF of the Go2 from its published numbers: primitive geometry, our own.

``python -m robots.go2_model`` writes the file again; a test compares it with `mjcf`. Only the ground collides, with a few shapes: Unitree's
boxes, cylinders and spheres, and our own capsule for the calf. What falls touches with the base, a hip or a thigh.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from robots.description import GRAVITY
from robots.go2 import LEGS, LINKS, go2


class Link(NamedTuple):
    """Mass [kg], centre of mass [m] in the link's frame, and inertia (xx, yy, zz, xy, xz, yz) [kg·m²] about it."""

    mass: float
    centre: tuple[float, float, float]
    inertia: tuple[float, float, float, float, float, float]


# Unitree go2_description; of the legs the front left one.
BASE = Link(go2.base_mass_kg, (0.021112, 0.0, -0.005366), (0.02448, 0.098077, 0.107, 1.2166e-4, 1.4849e-3, -3.12e-5))
HIP = Link(0.678, (-0.0054, 0.00194, -0.000105), (4.8e-4, 8.84e-4, 5.96e-4, -3.01e-6, 1.11e-6, -1.42e-6))
THIGH = Link(1.152, (-0.00374, -0.0223, -0.0327), (5.84e-3, 5.8e-3, 1.03e-3, 8.72e-5, -2.89e-4, 8.08e-4))
CALF = Link(0.154, (0.00548, -0.000975, -0.115), (1.08e-3, 1.1e-3, 3.29e-5, 3.4e-7, 1.72e-5, 8.28e-6))
FOOT = Link(0.04, (0.0, 0.0, 0.0), (9.6e-6, 9.6e-6, 9.6e-6, 0.0, 0.0, 0.0))
HIP_AT, THIGH_AT, SHANK = (0.1934, 0.0465), 0.0955, 0.213  # m

TEMPLATE = """<mujoco model="{name}">
  <!-- Written by robots/go2_model.py from robots/go2.py: change the numbers there. {source}. -->
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.005" gravity="0 0 -{gravity}" integrator="implicitfast" cone="pyramidal" iterations="4" ls_iterations="6"/>
  <default>
    <joint armature="{armature}"/>
    <geom contype="0" conaffinity="1" condim="3" priority="1" friction="0.8 0.02 0.01" mass="0" rgba="0.25 0.26 0.28 1"/>
    <site size="0.01"/>
  </default>
  <worldbody>
    <body name="base" pos="0 0 0.33">
      <freejoint name="base"/>
      {inertial}
      <geom name="base" type="box" size="0.1881 0.04675 0.057"/>
      <site name="imu" pos="-0.02557 0 0.04232"/>
{legs}
    </body>
  </worldbody>
</mujoco>
"""

LEG = """      <body name="{leg}_hip" pos="{hip_at}">
        {hip_inertial}
        <joint name="{leg}_hip_joint" axis="1 0 0" range="{hip_range}"/>
        <geom name="{leg}_hip" type="cylinder" pos="{cylinder_at}" euler="{quarter} 0 0" size="0.046 0.02"/>
        <body name="{leg}_thigh" pos="{thigh_at}">
          {thigh_inertial}
          <joint name="{leg}_thigh_joint" axis="0 1 0" range="{thigh_range}"/>
          <geom name="{leg}_thigh" type="box" pos="0 0 -{half_shank}" size="0.017 0.01225 {half_shank}"/>
          <body name="{leg}_calf" pos="0 0 -{shank}">
            {calf_inertial}
            <joint name="{leg}_calf_joint" axis="0 1 0" range="{calf_range}"/>
            <geom name="{leg}_calf" type="capsule" fromto="0 0 0 0 0 -0.18" size="0.013"/>
            <body name="{leg}_foot" pos="0 0 -{shank}">
              {foot_inertial}
              <geom name="{leg}_foot" type="sphere" size="0.022" rgba="0.1 0.1 0.1 1"/>
              <site name="{leg}_foot"/>
            </body>
          </body>
        </body>
      </body>"""


def mjcf() -> str:
    """The model: a free base with four legs, without ground and without actuators, which engines add."""
    return TEMPLATE.format(
        name=go2.name,
        source=go2.source,
        gravity=GRAVITY,
        armature=_text([go2.actuators[0].armature]),
        inertial=_inertial(BASE),
        legs="\n".join(_leg(leg) for leg in LEGS),
    )


def _leg(leg: str) -> str:
    ahead, left = (1 if leg[0] == "F" else -1), (1 if leg[1] == "L" else -1)
    hip = mirrored(HIP, left, ahead)
    links = {"hip": hip, "thigh": mirrored(THIGH, left), "calf": mirrored(CALF, left), "foot": FOOT}
    joints = {joint.name: joint for joint in go2.joints}
    values = {f"{name}_inertial": _inertial(link) for name, link in links.items()}
    for name in LINKS:
        joint = joints[f"{leg}_{name}_joint"]
        values[f"{name}_range"] = _text([joint.lower, joint.upper])
    return LEG.format(
        leg=leg,
        hip_at=_text([ahead * HIP_AT[0], left * HIP_AT[1], 0.0]),
        cylinder_at=_text([0.0, left * 0.08, 0.0]),
        thigh_at=_text([0.0, left * THIGH_AT, 0.0]),
        shank=SHANK,
        half_shank=SHANK / 2,
        quarter=_text([math.pi / 2]),
        **values,
    )


def mirrored(link: Link, left: int, ahead: int = 1) -> Link:
    """The same link on another side: ``left`` and ``ahead`` are 1 or −1, and products of inertia change sign with either axis."""
    x, y, z = link.centre
    xx, yy, zz, xy, xz, yz = link.inertia
    return Link(link.mass, (ahead * x, left * y, z), (xx, yy, zz, ahead * left * xy, ahead * xz, left * yz))


def _inertial(link: Link) -> str:
    return f'<inertial pos="{_text(link.centre)}" mass="{_text([link.mass])}" fullinertia="{_text(link.inertia)}"/>'


def _text(values: Iterable[float]) -> str:
    return " ".join(f"{value + 0.0:.12g}" for value in values)


def main() -> None:
    """Write the model file."""
    go2.model.write_text(mjcf(), encoding="utf-8")
    print(go2.model)


if __name__ == "__main__":
    main()
