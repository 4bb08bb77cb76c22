"""What runs inside a control period: motors before each physics step, readings after the last. Columns are ours, indices Newton's."""

from typing import Tuple

import warp as wp

LARGEST = wp.constant(1.0e6)  # m, rad, or their rates


@wp.func
def from_wxyz(w: float, x: float, y: float, z: float) -> wp.quat:
    """Warp's order is (x, y, z, w)."""
    return wp.normalize(wp.quat(x, y, z, w))


@wp.func
def most(effort: float, speed: float, knee: float, velocity: float) -> Tuple[float, float]:
    """Torque that a motor can give along its motion, and how much less it is per speed."""
    share = (speed - velocity) / (speed - knee)
    falls = wp.where(share > -1.0 and share < 1.0, effort / (speed - knee), 0.0)
    return effort * wp.clamp(share, -1.0, 1.0), falls


@wp.kernel(enable_backward=False)
def drive(
    step: wp.array[int],
    dofs: wp.array[int],
    coordinates: wp.array[int],
    columns: wp.array[int],
    limits: wp.array2d[float],  # effort, speed, knee speed, share of a torque error that is left after a physics step
    target: wp.array3d[float],
    kp: wp.array2d[float],
    kd: wp.array2d[float],
    strength: wp.array2d[float],
    joint_q: wp.array2d[float],
    joint_qd: wp.array2d[float],
    torque: wp.array2d[float],
    joint_f: wp.array2d[float],
    damping: wp.array2d[float],
) -> None:
    """`robots.description.JointActuator` in every world (first index) and joint (second).

    How torque falls with speed is given to the solver as damping of the joint, for it integrates that implicitly, and added back to the
    force: as MuJoCo does with motors of its own.
    """
    world, joint = wp.tid()
    effort, speed, knee, left = limits[0, joint], limits[1, joint], limits[2, joint], limits[3, joint]
    position, velocity = joint_q[world, coordinates[joint]], joint_qd[world, dofs[joint]]
    asked = kp[world, joint] * (target[step[0], world, joint] - position) - kd[world, joint] * velocity
    highest, falls = most(effort, speed, knee, velocity)
    lowest, rises = most(effort, speed, knee, -velocity)
    slope = kd[world, joint]
    if asked > highest:
        asked, slope = highest, falls
    elif asked < -lowest:
        asked, slope = -lowest, rises
    asked *= strength[world, joint]
    slope *= strength[world, joint] * (1.0 - left)
    given = asked + (torque[world, joint] - asked) * left
    torque[world, joint] = given
    damping[world, columns[joint]] = slope
    joint_f[world, dofs[joint]] = given + slope * velocity


@wp.kernel(enable_backward=False)
def count(substeps: int, step: wp.array[int]) -> None:
    """On to the next physics step of the control period."""
    step[0] = (step[0] + 1) % substeps


@wp.kernel(enable_backward=False)
def push(base: int, applied: wp.array2d[float], body_f: wp.array2d[wp.spatial_vector]) -> None:
    """Force at the centre of mass and torque on the base, in the world."""
    w = wp.tid()
    force = wp.vec3(applied[w, 0], applied[w, 1], applied[w, 2])
    body_f[w, base] = wp.spatial_vector(force, wp.vec3(applied[w, 3], applied[w, 4], applied[w, 5]))


@wp.kernel(enable_backward=False)
def place(
    mask: wp.array[wp.uint8],
    base: int,
    dofs: wp.array[int],
    coordinates: wp.array[int],
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
    body_com: wp.array2d[wp.vec3],
    joint_q: wp.array2d[float],
    joint_qd: wp.array2d[float],
) -> None:
    """Write the state of masked worlds. Newton's free joint moves with the centre of mass, in the world."""
    w = wp.tid()
    if mask[w] == wp.uint8(0):
        return
    turn = from_wxyz(qpos[w, 3], qpos[w, 4], qpos[w, 5], qpos[w, 6])
    rate = wp.quat_rotate(turn, wp.vec3(qvel[w, 3], qvel[w, 4], qvel[w, 5]))
    velocity = wp.vec3(qvel[w, 0], qvel[w, 1], qvel[w, 2]) + wp.cross(rate, wp.quat_rotate(turn, body_com[w, base]))
    for i in range(3):
        joint_q[w, i] = qpos[w, i]
        joint_qd[w, i] = velocity[i]
        joint_qd[w, 3 + i] = rate[i]
    for i in range(4):
        joint_q[w, 3 + i] = turn[i]
    for joint in range(dofs.shape[0]):
        joint_q[w, coordinates[joint]] = qpos[w, 7 + joint]
        joint_qd[w, dofs[joint]] = qvel[w, 6 + joint]


@wp.func
def wild(rows: wp.array2d[float], row: int) -> bool:
    """Whether something is not finite, or larger than anything of a robot."""
    for i in range(rows.shape[1]):  # noqa: SIM110  (Warp has no any)
        if not wp.isfinite(rows[row, i]) or wp.abs(rows[row, i]) > LARGEST:
            return True
    return False


@wp.kernel(enable_backward=False)
def give_up(
    joint_q: wp.array2d[float],
    joint_qd: wp.array2d[float],
    warm: wp.array2d[float],
    torque: wp.array2d[float],
    lost: wp.array2d[float],
) -> None:
    """Where numbers are `wild`: say so, and put some there that do no harm."""
    w = wp.tid()
    if not (wild(joint_q, w) or wild(joint_qd, w)):
        return
    lost[w, 0] = 1.0
    for i in range(joint_q.shape[1]):
        joint_q[w, i] = wp.where(i == 6, 1.0, 0.0)
    for i in range(joint_qd.shape[1]):
        joint_qd[w, i] = 0.0
    for i in range(warm.shape[1]):
        warm[w, i] = 0.0
    for i in range(torque.shape[1]):
        torque[w, i] = 0.0


@wp.kernel(enable_backward=False)
def read_state(
    base: int,
    dofs: wp.array[int],
    coordinates: wp.array[int],
    joint_q: wp.array2d[float],
    joint_qd: wp.array2d[float],
    body_com: wp.array2d[wp.vec3],
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
) -> None:
    """Inverse of `place`, for everyone."""
    w = wp.tid()
    turn = wp.normalize(wp.quat(joint_q[w, 3], joint_q[w, 4], joint_q[w, 5], joint_q[w, 6]))
    rate = wp.vec3(joint_qd[w, 3], joint_qd[w, 4], joint_qd[w, 5])
    velocity = wp.vec3(joint_qd[w, 0], joint_qd[w, 1], joint_qd[w, 2]) - wp.cross(rate, wp.quat_rotate(turn, body_com[w, base]))
    inside = wp.quat_rotate_inv(turn, rate)
    for i in range(3):
        qpos[w, i] = joint_q[w, i]
        qpos[w, 4 + i] = turn[i]
        qvel[w, i] = velocity[i]
        qvel[w, 3 + i] = inside[i]
    qpos[w, 3] = turn[3]
    for joint in range(dofs.shape[0]):
        qpos[w, 7 + joint] = joint_q[w, coordinates[joint]]
        qvel[w, 6 + joint] = joint_qd[w, dofs[joint]]


@wp.kernel(enable_backward=False)
def read_feet(
    feet: wp.array[int],
    body_q: wp.array2d[wp.transform],
    body_qd: wp.array2d[wp.spatial_vector],
    body_com: wp.array2d[wp.vec3],
    position: wp.array2d[float],
    velocity: wp.array2d[float],
) -> None:
    """Where the origin of each foot's body is, and how fast."""
    w, foot = wp.tid()
    body = feet[foot]
    pose, moves = body_q[w, body], body_qd[w, body]
    arm = wp.quat_rotate(wp.transform_get_rotation(pose), body_com[w, body])
    at = wp.transform_get_translation(pose)
    speed = wp.spatial_top(moves) - wp.cross(wp.spatial_bottom(moves), arm)
    for i in range(3):  # of a world that is lost they may not be finite
        position[w, 3 * foot + i] = wp.where(wp.isfinite(at[i]), at[i], 0.0)
        velocity[w, 3 * foot + i] = wp.where(wp.isfinite(speed[i]), speed[i], 0.0)


@wp.kernel(enable_backward=False)
def read_contacts(
    feet: wp.array[int],
    parts: wp.array[int],
    total: wp.array2d[wp.vec3],  # [worlds, sensed bodies]
    lost: wp.array2d[float],
    force: wp.array2d[float],
    touched: wp.array2d[float],
) -> None:
    """Forces on feet, and whether parts are touched; nothing where a world is lost."""
    w = wp.tid()
    sound = lost[w, 0] == 0.0
    for foot in range(feet.shape[0]):
        pushed = total[w, feet[foot]]
        for i in range(3):
            force[w, 3 * foot + i] = wp.where(sound and wp.isfinite(pushed[i]), pushed[i], 0.0)
    for part in range(parts.shape[0]):
        touched[w, part] = wp.where(sound and wp.length(total[w, parts[part]]) > 0.0, 1.0, 0.0)


@wp.kernel(enable_backward=False)
def forget(
    mask: wp.array[wp.uint8],
    torque: wp.array2d[float],
    lost: wp.array2d[float],
    force: wp.array2d[float],
    touched: wp.array2d[float],
) -> None:
    """What an episode must not know of the one before; contacts are there again after the first step."""
    w = wp.tid()
    if mask[w] == wp.uint8(0):
        return
    lost[w, 0] = 0.0
    for i in range(torque.shape[1]):
        torque[w, i] = 0.0
    for i in range(force.shape[1]):
        force[w, i] = 0.0
    for i in range(touched.shape[1]):
        touched[w, i] = 0.0
