"""Joints and their motors against `JointActuator` as its docstring says it: order, sign, answers, torque and speed, delays."""

from __future__ import annotations

import numpy as np
import pytest

from sim.simulator import Simulator
from tests.sim.conformance.subject import (
    DEGREE,
    ENVS,
    assert_near,
    fine_answer,
    give,
    legs,
    look,
    promise,
    safe,
    spread,
    start,
)
from tests.sim.walkers import explicit_torque

HEAVY = 20.0  # kg·m², of rotors that hardly change their speed within a control step
STEPS = 25  # half a second
TARGETS = {"small": np.full(12, 0.3), "beyond torque and speed": np.array([0.8, -0.5, -0.9] * 4), "back": np.array([-0.2, -0.3, 0.4] * 4)}


def _joints(sim: Simulator, steps: int, command: np.ndarray) -> np.ndarray:
    """Positions ``[steps, ENVS, 12]`` under targets ``[ENVS, 12]``."""
    seen = []
    for _ in range(steps):
        sim.step(spread(sim, command))
        seen.append(look(sim, "joint_position"))
    return np.stack(seen)


def test_each_target_moves_the_joint_of_its_name_and_no_other(walker: Simulator) -> None:
    """Environment i asks joint i for 0.3 rad more, in the air; its torque and speed begin in that direction."""
    robot = legs(walker)
    joints = len(robot.joints)
    assert joints < ENVS
    command = np.tile(robot.stand, (ENVS, 1))
    command[:joints] += 0.3 * np.eye(joints)
    start(walker)
    walker.step(spread(walker, command))
    torque, speed = (look(walker, f"joint_{what}") for what in ("torque", "velocity"))
    moved = _joints(walker, 9, command)[-1] - robot.stand
    own = np.eye(ENVS, joints, dtype=bool)
    for name, value, least in (("torque", torque, 1.0), ("speed", speed, 1.0), ("way", moved, 0.2)):
        assert (value[own] > least).all(), name
        assert (np.abs(value[~own]) < 0.5 * value[own].min()).all(), name
    assert np.abs(moved[joints:]).max() < 1e-3, "nobody asked these"


def test_joints_answer_a_step_as_their_actuators_say(walker: Simulator) -> None:
    """Half a second in the air, against a fine integration: small steps, and one that asks for more torque and speed than there is."""
    expected = [fine_answer(walker, legs(walker).stand + target, STEPS) for target in TARGETS.values()]
    start(walker)
    found = _joints(walker, STEPS, legs(walker).stand + np.stack(list(TARGETS.values())))
    for case, name in enumerate(TARGETS):
        for env in range(case, ENVS, len(TARGETS)):
            np.testing.assert_allclose(found[:, env], expected[case], atol=promise(walker).answer_deg * DEGREE, err_msg=name)
            np.testing.assert_allclose(found[-1, env], expected[case][-1], atol=1.0 * DEGREE, err_msg=name)


@pytest.mark.parametrize("error", [0.2, 3.0, -3.0])
def test_torque_is_on_the_curve_at_every_speed(walker: Simulator, error: float) -> None:
    """Rotors so heavy that they keep their speed: braking, driving, beyond the knee and beyond the last speed."""
    robot = legs(walker)
    give(walker, "armature", [HEAVY])
    speeds = np.repeat(np.linspace(-25.0, 25.0, ENVS)[:, None], len(robot.joints), axis=1)
    begin = np.array([0.5 * (joint.lower + joint.upper) for joint in robot.joints]) - speeds * 0.5 * walker.control_dt
    start(walker, joint_position=begin, joint_velocity=speeds)
    target = np.clip(begin + error, *([getattr(joint, side) for joint in robot.joints] for side in ("lower", "upper")))
    walker.step(spread(walker, target))
    position, speed, torque = (look(walker, f"joint_{what}").astype(float) for what in ("position", "velocity", "torque"))
    np.testing.assert_allclose(speed, speeds, atol=0.3)
    at = position - speed * walker.physics_dt  # where the last sub-step began
    expected = np.stack([explicit_torque(*row) for row in zip(at, speed, target, strict=True)])
    effort = [joint.effort for joint in robot.joints]
    np.testing.assert_allclose(torque / effort, expected / effort, atol=promise(walker).torque)


def test_a_torque_accelerates_a_joint_by_its_armature(walker: Simulator) -> None:
    """τ = kp Δq, and q̇ = τ t / armature where that is nearly all there is to move; a holding friction subtracts from it."""
    robot, asked = legs(walker), 0.2
    give(walker, "armature", [HEAVY, 2 * HEAVY])
    give(walker, "joint_friction", [0.0, 0.0, 2.0, 2.0])
    start(walker)
    walker.step(safe(walker) + asked)
    kp = np.array([actuator.kp for actuator in robot.actuators])
    armature, friction = np.array([1.0, 2.0, 1.0, 2.0])[:, None] * HEAVY, np.array([0.0, 0.0, 2.0, 2.0])[:, None]
    assert_near(look(walker, "joint_torque"), np.tile(asked * kp, (ENVS, 1)), promise(walker).torque)
    speed = (asked * kp - friction) * walker.control_dt / armature
    assert_near(look(walker, "joint_velocity")[:4], speed, 0.02)


@pytest.mark.parametrize(("name", "value"), [("kp_scale", 1.5), ("kd_scale", 2.0), ("strength_scale", 0.7)])
def test_scales_of_motors_scale_gains_and_what_comes_out(walker: Simulator, name: str, value: float) -> None:
    """Turning, with rotors too heavy to change their speed, on no limit."""
    robot = legs(walker)
    give(walker, "armature", [HEAVY])
    give(walker, name, [1.0, value])
    speeds = np.full(len(robot.joints), 4.0)
    start(walker, joint_velocity=speeds)
    targets = np.stack([np.array(robot.stand) + offset for offset in (0.2, 0.2, 0.6, 0.6)])
    low, high = ([getattr(joint, side) for joint in robot.joints] for side in ("lower", "upper"))
    walker.step(spread(walker, targets.clip(low, high)))
    error = spread(walker, targets.clip(low, high)).cpu().numpy() - look(walker, "joint_position") + 4.0 * walker.physics_dt
    kp, kd = (np.array([getattr(actuator, gain) for actuator in robot.actuators]) for gain in ("kp", "kd"))
    scales = np.where(np.arange(ENVS) % 2 == 1, value, 1.0)[:, None]
    kp_scale, kd_scale, strength_scale = (scales if name == scale else 1.0 for scale in ("kp_scale", "kd_scale", "strength_scale"))
    asked = strength_scale * (kp_scale * kp * error - kd_scale * kd * look(walker, "joint_velocity"))
    assert_near(look(walker, "joint_torque"), asked, promise(walker).torque)


def test_a_command_takes_effect_as_late_as_the_environment_says(walker: Simulator) -> None:
    """Delays of 0 to 8 sub-steps: nothing before, then the answer of the fine integration, late."""
    late, steps, target = np.arange(9) * walker.physics_dt, 8, np.array(legs(walker).stand) + 0.3
    expected = [fine_answer(walker, target, steps, delay_s) for delay_s in late]
    give(walker, "action_delay", late)
    start(walker)
    found = _joints(walker, steps, target)
    for env in range(ENVS):
        np.testing.assert_allclose(found[:, env], expected[env % 9], atol=promise(walker).answer_deg * DEGREE, err_msg=f"{late[env % 9]} s")
    np.testing.assert_allclose(found[0, 4:9], [legs(walker).stand] * 5, atol=1e-4)
    shifted = np.abs(found[1:, 4:9] - found[:-1, 0:5]).max()
    assert shifted < max(promise(walker).repeats, 2e-3), "a control step later is the same, a control step later"
