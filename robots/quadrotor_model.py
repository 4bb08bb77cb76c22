"""MJCF of a quadrotor from its description: primitive geometry, our own, so that the model file cannot disagree with the numbers.

``python -m robots.quadrotor_model`` writes the file of every preset again; a test compares them with `mjcf`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from robots.description import GRAVITY, Quadrotor

TEMPLATE = """<mujoco model="{name}">
  <!-- Written by robots/quadrotor_model.py from robots/crazyflie.py: change the numbers there. {source}. -->
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.002" gravity="0 0 -{gravity}" integrator="RK4"/>
  <default>
    <geom contype="0" conaffinity="0" mass="0"/>
    <default class="collision">
      <geom contype="1" conaffinity="1" group="3" rgba="0.8 0.2 0.2 0.3"/>
    </default>
    <site size="0.003"/>
  </default>
  <worldbody>
    <body name="base">
      <freejoint name="base"/>
      <inertial pos="0 0 0" mass="{mass}" diaginertia="{inertia}"/>
      <geom name="body" type="box" size="{body} {body} 0.008" rgba="0.15 0.15 0.18 1"/>
      <geom name="front" type="box" pos="{body} 0 0" size="0.003 0.006 0.004" rgba="0.9 0.3 0.1 1"/>
{rotors}
    </body>
  </worldbody>
  <actuator>
{motors}
  </actuator>
</mujoco>
"""

ROTOR = """      <geom name="arm_{i}" type="box" pos="{arm}" euler="0 0 {angle}" size="{half} 0.003 0.002" rgba="0.2 0.2 0.2 1"/>
      <geom name="rotor_{i}" type="cylinder" pos="{hub}" size="0.0231 0.001" rgba="0.5 0.5 0.55 0.5"/>
      <geom name="hub_{i}" class="collision" type="sphere" pos="{hub}" size="{radius}"/>
      <site name="rotor_{i}" pos="{hub}"/>"""

MOTOR = """    <motor name="rotor_{i}" site="rotor_{i}" gear="0 0 1 0 0 {torque}" ctrlrange="0 {thrust}"/>"""


def mjcf(robot: Quadrotor) -> str:
    """The model: a free body with the described inertia, one site and one motor [N] a rotor, geared to its reaction torque."""
    rotors, motors = [], []
    for i, rotor in enumerate(robot.rotors, start=1):
        x, y, z = rotor.position_m
        values = {
            "hub": _text((x, y, z)),
            "arm": _text((x / 2, y / 2, z)),
            "angle": _text([math.atan2(y, x)]),
            "half": _text([math.hypot(x, y) / 2]),
        }
        rotors.append(ROTOR.format(i=i, radius=_text([robot.contact_radius_m]), **values))
        motors.append(MOTOR.format(i=i, torque=_text([rotor.spin * robot.torque_per_thrust_m]), thrust=_text([robot.thrust_max_n])))
    return TEMPLATE.format(
        name=robot.name,
        source=robot.source.replace("--", "-"),
        gravity=GRAVITY,
        mass=_text([robot.mass_kg]),
        inertia=_text(robot.inertia_kg_m2),
        body=_text([0.5 * max(abs(rotor.position_m[0]) for rotor in robot.rotors)]),
        rotors="\n".join(rotors),
        motors="\n".join(motors),
    )


def _text(values: Iterable[float]) -> str:
    return " ".join(f"{value:.12g}" for value in values)


def main() -> None:
    """Write the model file of every preset."""
    from robots.crazyflie import FAMILY

    for robot in FAMILY:
        robot.model.write_text(mjcf(robot), encoding="utf-8")
        print(robot.model)


if __name__ == "__main__":
    main()
