"""The Crazyflie presets: what the description says is what every engine loads."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import pinocchio
import pytest

from robots.crazyflie import FAMILY, crazyflie
from robots.description import GRAVITY, Quadrotor
from robots.quadrotor_model import mjcf

every_preset = pytest.mark.parametrize("robot", FAMILY, ids=lambda robot: robot.name)


@every_preset
def test_model_file_is_the_one_written_from_the_numbers(robot: Quadrotor) -> None:
    assert robot.model.read_text(encoding="utf-8") == mjcf(robot), "run: python -m robots.quadrotor_model"


@every_preset
def test_mujoco_loads_the_described_inertia_rotors_and_motors(robot: Quadrotor) -> None:
    model = mujoco.MjModel.from_xml_path(str(robot.model))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    body = model.body("base")
    assert body.mass[0] == robot.mass_kg
    np.testing.assert_array_equal(body.inertia, robot.inertia_kg_m2)
    np.testing.assert_array_equal(body.ipos, 0.0)
    np.testing.assert_array_equal(body.iquat, [1.0, 0.0, 0.0, 0.0])
    assert model.opt.gravity.tolist() == [0.0, 0.0, -GRAVITY]
    for i, rotor in enumerate(robot.rotors, start=1):
        np.testing.assert_array_equal(data.site(f"rotor_{i}").xpos, rotor.position_m)
        motor = model.actuator(f"rotor_{i}")
        np.testing.assert_allclose(motor.gear, [0, 0, 1, 0, 0, rotor.spin * robot.torque_per_thrust_m], rtol=1e-9)
        np.testing.assert_allclose(motor.ctrlrange, [0.0, robot.thrust_max_n], rtol=1e-9)


@every_preset
def test_pinocchio_loads_the_described_inertia_and_rotors(robot: Quadrotor) -> None:
    model = pinocchio.buildModelFromMJCF(str(robot.model))
    inertia = model.inertias[1]
    assert inertia.mass == robot.mass_kg
    np.testing.assert_allclose(inertia.inertia, np.diag(robot.inertia_kg_m2), rtol=1e-12, atol=0.0)
    np.testing.assert_array_equal(inertia.lever, 0.0)
    for i, rotor in enumerate(robot.rotors, start=1):
        frame = model.frames[model.getFrameId(f"rotor_{i}")]
        np.testing.assert_allclose(frame.placement.translation, rotor.position_m, rtol=0.0, atol=1e-12)


@every_preset
def test_rotors_cancel_at_equal_thrust(robot: Quadrotor) -> None:
    torque = sum(np.cross(rotor.position_m, [0.0, 0.0, 1.0]) for rotor in robot.rotors)
    np.testing.assert_allclose(torque, 0.0, atol=1e-12)
    assert sum(rotor.spin for rotor in robot.rotors) == 0
    x, y = robot.rotors[0].position_m[:2]
    assert x > 0.0 > y, "rotor 1 is front right"


@every_preset
def test_numbers_are_those_of_a_flyable_crazyflie(robot: Quadrotor) -> None:
    assert robot.source
    assert robot.thrust_to_weight >= 1.4
    assert 0.025 <= robot.mass_kg <= 0.045
    jx, jy, jz = robot.inertia_kg_m2
    assert jz < jx + jy, "no body has such moments"
    speeds = np.linspace(0.2, 1.0, 50)
    c0, c1, c2 = robot.thrust_curve_n
    assert np.all(np.diff(c0 + c1 * speeds + c2 * speeds**2) > 0.0), "thrust grows with speed where it flies"
    assert math.pi / 2 + 0.5 < robot.limits.tilt_rad < math.pi, "recovery from 90° must stay inside, a robot on its back must not"
    assert robot.limits.speed_m_s > 6.0
    assert robot.limits.body_rate_rad_s > 2.0 * max(robot.rate_max_rad_s)
    assert robot.limits.distance_m > 8.0


def test_default_preset_quotes_quadswarm() -> None:
    assert crazyflie.mass_kg == 0.028
    assert crazyflie.inertia_kg_m2 == (1.37e-5, 1.44e-5, 2.66e-5)
    assert crazyflie.thrust_to_weight == pytest.approx(1.9)
    assert math.hypot(*crazyflie.rotors[0].position_m) == pytest.approx(0.046, abs=1e-4)
    assert (crazyflie.torque_per_thrust_m, crazyflie.motor_rise_s) == (0.006, 0.037)


def test_bare_preset_joins_forsters_two_maps() -> None:
    """Thrust over command and rotor speed over command must give the same point for any command."""
    from robots.crazyflie import crazyflie_bare as robot

    command = np.linspace(0.0, 65535.0, 9)
    thrust = 5.484560e-4 + 1.032633e-6 * command + 2.130295e-11 * command**2
    u = (380.8359 + 0.04076521 * command) / robot.rotor_speed_max_rad_s
    c0, c1, c2 = robot.thrust_curve_n
    np.testing.assert_allclose(c0 + c1 * u + c2 * u**2, thrust, rtol=0.0, atol=1e-6)
