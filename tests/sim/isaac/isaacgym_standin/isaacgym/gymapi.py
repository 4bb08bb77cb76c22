"""Types and constants. Fields are fixed, as in the real ones: a misspelt one raises."""

from __future__ import annotations

from typing import Any

import numpy as np

SIM_PHYSX, UP_AXIS_Z, DOMAIN_SIM, ENV_SPACE = 1, 1, 2, 1
DOF_MODE_NONE, DOF_MODE_POS, DOF_MODE_VEL, DOF_MODE_EFFORT = range(4)
FIELDS = ("lower", "upper", "velocity", "effort", "stiffness", "damping", "friction", "armature")
DOF = np.dtype([("hasLimits", "?"), ("driveMode", "i4"), *((name, "f4") for name in FIELDS)])


def fixed(name: str, **usual: Any) -> type:
    """A type with these fields and no others; a default that is a type is made anew each time."""

    def start(self: Any, *values: Any) -> None:
        for index, (field, value) in enumerate(usual.items()):
            setattr(self, field, values[index] if index < len(values) else value() if isinstance(value, type) else value)

    return type(name, (), {"__slots__": tuple(usual), "__init__": start})


Vec3 = fixed("Vec3", x=0.0, y=0.0, z=0.0)
Quat = fixed("Quat", x=0.0, y=0.0, z=0.0, w=1.0)
Mat33 = fixed("Mat33", x=Vec3, y=Vec3, z=Vec3)
Transform = fixed("Transform", p=Vec3, r=Quat)
PlaneParams = fixed("PlaneParams", normal=Vec3, distance=0.0, static_friction=1.0, dynamic_friction=1.0, restitution=0.0, segmentation_id=0)
TriangleMeshParams = fixed(
    "TriangleMeshParams", nb_vertices=0, nb_triangles=0, transform=Transform, static_friction=1.0, dynamic_friction=1.0, restitution=0.0
)
RigidShapeProperties = fixed("RigidShapeProperties", friction=1.0, rolling_friction=0.0, torsion_friction=0.0, restitution=0.0, filter=0)
RigidBodyProperties = fixed("RigidBodyProperties", mass=0.0, com=Vec3, inertia=Mat33, invMass=0.0, invInertia=Mat33, flags=0)
AssetOptions = fixed(
    "AssetOptions",
    angular_damping=0.5,
    linear_damping=0.0,
    armature=0.0,
    collapse_fixed_joints=False,
    default_dof_drive_mode=0,
    disable_gravity=False,
    fix_base_link=False,
    max_angular_velocity=64.0,
    max_linear_velocity=1000.0,
    thickness=0.02,
)
PhysXParams = fixed(
    "PhysXParams",
    use_gpu=False,
    solver_type=1,
    num_position_iterations=4,
    num_velocity_iterations=1,
    num_threads=0,
    contact_offset=0.02,
    rest_offset=0.001,
    bounce_threshold_velocity=0.2,
    max_depenetration_velocity=100.0,
    max_gpu_contact_pairs=1024 * 1024,
    default_buffer_size_multiplier=2.0,
    num_subscenes=0,
    contact_collection=2,
)
SimParams = fixed(
    "SimParams", dt=1 / 60, substeps=2, up_axis=0, gravity=Vec3, use_gpu_pipeline=False, physx=PhysXParams, num_client_threads=0
)


def acquire_gym() -> Any:
    from isaacgym.gym import Gym

    return Gym()
