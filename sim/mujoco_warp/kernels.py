"""Our own kernels. Warp reads their annotations, so they are no strings here."""

import warp as wp

LARGEST = wp.constant(1.0e6)  # m, rad, or their rates: beyond this, float32 has no physics left


@wp.kernel(enable_backward=False)
def diagonalise(tensor: wp.array[wp.mat33d], moments: wp.array[wp.vec3d], axes: wp.array[wp.vec4d]) -> None:
    """Principal moments and axes, as quaternions (w, x, y, z), of symmetric tensors; one a thread."""
    body = wp.tid()
    rotation, values = wp.eig3(tensor[body])
    if wp.determinant(rotation) < wp.float64(0.0):
        rotation = -rotation
    quaternion = wp.quat_from_matrix(rotation)
    moments[body] = values
    axes[body] = wp.vec4d(quaternion[3], quaternion[0], quaternion[1], quaternion[2])


@wp.kernel(enable_backward=False)
def give_up(
    rest: wp.array2d[float],
    buffers: int,
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
    warmstart: wp.array2d[float],
    activation: wp.array2d[float],
    torque: wp.array2d[float],
    sensors: wp.array2d[float],
    overflow: wp.array[int],
    overflowed: wp.array[int],
    failed: wp.array[bool],
) -> None:
    """Put worlds whose state is no number, or beyond `LARGEST`, back to rest, as ``mj_step`` does; say which, and which lacked room."""
    world = wp.tid()
    sane = wp.abs(qpos[world, 0]) < LARGEST
    for i in range(1, qpos.shape[1]):
        sane = sane and wp.abs(qpos[world, i]) < LARGEST
    for i in range(qvel.shape[1]):
        sane = sane and wp.abs(qvel[world, i]) < LARGEST
    lacking = overflow[world] & buffers
    failed[world] = (not sane) or lacking != 0
    if lacking != 0:
        wp.atomic_or(overflowed, 0, lacking)
    overflow[world] = 0
    if sane:
        return
    for i in range(qpos.shape[1]):
        qpos[world, i] = rest[0, i]
    for i in range(qvel.shape[1]):
        qvel[world, i] = 0.0
        warmstart[world, i] = 0.0
    for i in range(activation.shape[1]):
        activation[world, i] = 0.0
    for i in range(torque.shape[1]):
        torque[world, i] = 0.0
    for i in range(sensors.shape[1]):
        sensors[world, i] = 0.0
