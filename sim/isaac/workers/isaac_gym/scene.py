"""Everything that calls Isaac Gym: the simulation, one robot an environment, and the tensors they are read and driven by.

Its rules, from NVIDIA's documentation: `prepare_sim` once, after all robots are there; state is set from the whole buffer, for indices of
actors in the simulation, at most once a physics step; forces last one physics step; whatever a call was given stays alive until the next.
"""

import math
import os
import tempfile
from typing import Any, Dict, List, Tuple

import mjcf
import numpy as np
import protocol  # type: ignore[import-not-found]
import torch
from isaacgym import gymapi, gymtorch
from torch import Tensor

SPACING_M = 3.0  # between robots on flat ground, which do not meet, but whose neighbourhood costs time
UNLIMITED = 1e6  # effort of Isaac Gym's own drives; ours are limited by their motors
FASTEST = 1000.0  # m/s and rad/s: MuJoCo has no limits, PhysX wants one
POSITION_ITERATIONS = 4  # of PhysX, where the robot asks for none

# PhysX combines the friction of two materials by their mean, and Isaac Gym offers no other rule. A ground of 0 and a robot of 2 μ make μ.
GROUND_FRICTION, ROBOT_FRICTION = 0.0, 2.0


class Scene:
    """Robots in Isaac Gym. All environments have the world's origin and axes; on flat ground robots stand in a grid (`origins`).

    Args:
        build: what is simulated.
        model: the robot, as read from ``build.model``.
        device: of the tensors.

    Attributes:
        on_gpu: whether state stays on a GPU.
        begun: whether physics was prepared, after which some properties are fixed.
        origins: from the environments' origins in our arrays to Isaac Gym's ``[num_envs, 3]``.
        root: state of bases ``[actors, 13]``: position, quaternion (x, y, z, w), velocity of the centre of mass and angular, in the world.
        dof, body, contact: of all joints ``[dofs, 2]``, bodies ``[bodies, 13]`` like ``root``, and net forces on bodies ``[bodies, 3]``.
        actors, dofs: rows of these for each environment ``[num_envs]``, and each joint in the arrays' order ``[num_envs, joints]``.
    """

    def __init__(self, build: protocol.Build, model: mjcf.Model, device: torch.device) -> None:
        self.on_gpu, self.begun = build.device != "cpu", False
        self.gym, self.device, self.num_envs = gymapi.acquire_gym(), device, build.num_envs
        ordinal = int(build.device.partition(":")[2] or 0)
        self.sim = self.gym.create_sim(ordinal, -1, gymapi.SIM_PHYSX, _parameters(build, self.on_gpu))
        if self.sim is None:
            raise protocol.Refused(f"Isaac Gym cannot simulate on {build.device}; its own messages are on the worker's stderr")
        self._add_ground(build.terrain)
        asset = self._load(build.model, model)
        self.names = list(self.gym.get_asset_rigid_body_names(asset))
        self.order = _order(list(self.gym.get_asset_dof_names(asset)), build.joints, "joints", build.model)
        _order(self.names, [body.name for body in model.bodies], "bodies", build.model)
        grid = math.ceil(math.sqrt(build.num_envs))
        spacing = 0.0 if build.terrain else SPACING_M
        places = [(spacing * (index % grid), spacing * (index // grid), 0.0) for index in range(build.num_envs)]
        self.origins = torch.tensor(places, dtype=torch.float32, device=device)
        self.robots = [self._add(asset, place, model, index, grid) for index, place in enumerate(places)]
        self._check(model, build.model)
        self.base = self.names.index(build.base)
        self.actors = self._rows([[self.gym.get_actor_index(*robot, gymapi.DOMAIN_SIM)] for robot in self.robots])[:, 0]
        index = self.gym.get_actor_dof_index
        self.dofs = self._rows([[index(*robot, column, gymapi.DOMAIN_SIM) for column in self.order] for robot in self.robots])

    # --- building ---

    def _add_ground(self, terrain: Any) -> None:
        if terrain is None:
            plane = gymapi.PlaneParams()
            plane.normal, plane.distance = gymapi.Vec3(0.0, 0.0, 1.0), 0.0
            plane.static_friction = plane.dynamic_friction = GROUND_FRICTION
            plane.restitution = 0.0
            self.gym.add_ground(self.sim, plane)
            return
        vertices, triangles = protocol.surface(np.asarray(terrain["heights_m"], dtype=np.float32), terrain["size_m"])
        mesh = gymapi.TriangleMeshParams()
        mesh.nb_vertices, mesh.nb_triangles = len(vertices), len(triangles)
        mesh.static_friction = mesh.dynamic_friction = GROUND_FRICTION
        mesh.restitution = 0.0
        self.gym.add_triangle_mesh(self.sim, vertices.ravel(), triangles.ravel(), mesh)

    def _load(self, path: str, model: mjcf.Model) -> Any:
        """The robot as an asset, from a file in the importer's words."""
        options = gymapi.AssetOptions()
        options.fix_base_link = options.collapse_fixed_joints = options.disable_gravity = False
        options.default_dof_drive_mode = int(gymapi.DOF_MODE_EFFORT)
        options.angular_damping = options.linear_damping = options.armature = 0.0
        options.max_angular_velocity = options.max_linear_velocity = FASTEST
        with tempfile.TemporaryDirectory() as folder:
            mjcf.write(model, os.path.join(folder, "robot.xml"))
            asset = self.gym.load_asset(self.sim, folder, "robot.xml", options)
        if asset is None:
            raise protocol.Refused(f"Isaac Gym does not load {path}; its own messages are on the worker's stderr")
        return asset

    def _add(self, asset: Any, place: Tuple[float, ...], model: mjcf.Model, index: int, grid: int) -> Tuple[Any, int]:
        """(environment, actor): meets nothing of another group, nor itself (filter 1)."""
        pose, edge = gymapi.Transform(), gymapi.Vec3(0.0, 0.0, 0.0)
        x, y, z = (float(value) for value in model.bodies[0].position + np.array(place))
        pose.p = gymapi.Vec3(x, y, z)
        environment = self.gym.create_env(self.sim, edge, edge, grid)
        robot = environment, self.gym.create_actor(environment, asset, pose, "robot", index, 1, 0)
        if model.joints:
            properties = self.gym.get_actor_dof_properties(*robot)
            names = self.gym.get_asset_dof_names(asset)
            _drive(properties, [joint for name in names for joint in model.joints if joint.name == name])
            self.gym.set_actor_dof_properties(*robot, properties)
        self.set_friction(robot, model.friction)
        return robot

    def _check(self, model: mjcf.Model, path: str) -> None:
        """Refuse a robot that came through the importer with other masses than it has."""
        found = dict(zip(self.names, self.gym.get_actor_rigid_body_properties(*self.robots[0])))
        for body in model.bodies:
            there = found[body.name]
            pairs = [
                ("mass", there.mass, body.mass),
                ("centre of mass", _vector(there.com), body.centre),
                ("inertia", [_vector(row) for row in (there.inertia.x, there.inertia.y, there.inertia.z)], body.inertia),
            ]
            for what, got, wanted in pairs:
                if not np.allclose(got, wanted, rtol=1e-2, atol=1e-6):
                    raise protocol.Refused(f"Isaac Gym reads {path} with {what} {got} of body {body.name}; the file says {wanted}")

    def _rows(self, rows: List[List[int]]) -> Tensor:
        return torch.tensor(rows, dtype=torch.long, device=self.device).reshape(self.num_envs, -1)

    def bodies(self, names: List[str]) -> Tensor:
        """Rows of bodies ``[num_envs, names]``."""
        index, columns = self.gym.get_actor_rigid_body_index, [self.names.index(name) for name in names]
        return self._rows([[index(*robot, column, gymapi.DOMAIN_SIM) for column in columns] for robot in self.robots])

    # --- stepping ---

    def begin(self) -> None:
        """Prepare physics, once; later calls do nothing."""
        if self.begun:
            return
        self.begun = True
        gym, sim = self.gym, self.sim
        gym.prepare_sim(sim)
        self.root = gymtorch.wrap_tensor(gym.acquire_actor_root_state_tensor(sim))
        self.body = gymtorch.wrap_tensor(gym.acquire_rigid_body_state_tensor(sim))
        self.contact = gymtorch.wrap_tensor(gym.acquire_net_contact_force_tensor(sim))
        self.dof = self.root.new_zeros(0, 2)
        if self.dofs.numel():
            self.dof = gymtorch.wrap_tensor(gym.acquire_dof_state_tensor(sim))
        self.effort = self.root.new_zeros(len(self.dof))
        self.forces, self.torques = torch.zeros_like(self.contact), torch.zeros_like(self.contact)
        self.base_rows = self.bodies([self.names[self.base]])[:, 0]
        self.refresh()

    def put(self, mask: Tensor, root: Tensor, position: Tensor, velocity: Tensor) -> None:
        """State of the environments in ``mask``: rows like ``root``, and of joints ``[num_envs, joints]``. Once a physics step."""
        self.chosen = self.actors[mask].to(torch.int32).contiguous()  # kept: the calls borrow its memory
        count = len(self.chosen)
        if not count:
            return
        self.root[self.actors[mask]] = root[mask]
        self._demand(self.gym.set_actor_root_state_tensor_indexed, self.root, count)
        if self.dofs.numel():
            self.dof[self.dofs[mask]] = torch.stack([position, velocity], dim=2)[mask]
            self._demand(self.gym.set_dof_state_tensor_indexed, self.dof, count)

    def _demand(self, setter: Any, tensor: Tensor, count: int) -> None:
        if setter(self.sim, gymtorch.unwrap_tensor(tensor), gymtorch.unwrap_tensor(self.chosen), count) is False:
            raise RuntimeError(f"Isaac Gym does not take the state of {count} robots")

    def hold(self, applied: Tensor) -> None:
        """Force on the bases' centres of mass, and torque, in the world ``[num_envs, 6]``, in every physics step from now on."""
        self.forces[self.base_rows], self.torques[self.base_rows] = applied[:, :3], applied[:, 3:]

    def advance(self, torque: Tensor) -> None:
        """A physics step under torques of joints ``[num_envs, joints]``; then only ``dof`` is new."""
        gym, sim, unwrap = self.gym, self.sim, gymtorch.unwrap_tensor
        if self.dofs.numel():
            self.effort[self.dofs.reshape(-1)] = torque.reshape(-1)
            gym.set_dof_actuation_force_tensor(sim, unwrap(self.effort))
        gym.apply_rigid_body_force_tensors(sim, unwrap(self.forces), unwrap(self.torques), gymapi.ENV_SPACE)
        gym.simulate(sim)
        if not self.on_gpu:
            gym.fetch_results(sim, True)
        if self.dofs.numel():
            gym.refresh_dof_state_tensor(sim)

    def refresh(self) -> None:
        """Make all tensors new."""
        self.gym.refresh_actor_root_state_tensor(self.sim)
        self.gym.refresh_rigid_body_state_tensor(self.sim)
        self.gym.refresh_net_contact_force_tensor(self.sim)
        if self.dofs.numel():
            self.gym.refresh_dof_state_tensor(self.sim)

    def joints(self) -> Tuple[Tensor, Tensor]:
        """Positions and velocities in the arrays' order ``[num_envs, joints]``."""
        state = self.dof[self.dofs]
        return state[:, :, 0], state[:, :, 1]

    # --- properties: Isaac Gym knows them robot by robot only ---

    def set_friction(self, robot: Tuple[Any, int], friction: float) -> None:
        """Of the robot with the ground."""
        shapes = self.gym.get_actor_rigid_shape_properties(*robot)
        for shape in shapes:
            shape.friction = ROBOT_FRICTION * friction - GROUND_FRICTION
        self.gym.set_actor_rigid_shape_properties(*robot, shapes)

    def set_base(self, robot: Tuple[Any, int], values: Dict[str, List[float]]) -> None:
        """``mass``, ``centre_of_mass``, ``inertia``: those that are there."""
        bodies = self.gym.get_actor_rigid_body_properties(*robot)
        base = bodies[self.base]
        if "mass" in values:
            base.mass = values["mass"][0]
        if "centre_of_mass" in values:
            base.com = gymapi.Vec3(*values["centre_of_mass"])
        if "inertia" in values:
            base.inertia = _matrix(values["inertia"])
        self.gym.set_actor_rigid_body_properties(*robot, bodies, False)  # recomputeInertia

    def set_armature(self, robot: Tuple[Any, int], armature: List[float]) -> None:
        """In the arrays' order."""
        properties = self.gym.get_actor_dof_properties(*robot)
        properties["armature"][self.order] = armature
        self.gym.set_actor_dof_properties(*robot, properties)


def _parameters(build: protocol.Build, on_gpu: bool) -> Any:
    """Of the simulation: one solve a physics step; PhysX's own numbers where nothing says otherwise."""
    parameters = gymapi.SimParams()
    parameters.dt, parameters.substeps = build.physics_dt, 1
    parameters.up_axis, parameters.gravity = gymapi.UP_AXIS_Z, gymapi.Vec3(0.0, 0.0, -9.81)
    parameters.use_gpu_pipeline = parameters.physx.use_gpu = on_gpu
    physx = parameters.physx
    physx.solver_type = 1  # temporal Gauss-Seidel
    physx.num_position_iterations, physx.num_velocity_iterations = build.iterations or POSITION_ITERATIONS, 0
    physx.contact_offset, physx.rest_offset = 0.01, 0.0
    physx.bounce_threshold_velocity, physx.max_depenetration_velocity = 0.5, 1.0
    physx.num_threads = os.cpu_count() or 1
    physx.max_gpu_contact_pairs, physx.default_buffer_size_multiplier = 2**23, 5.0
    return parameters


def _drive(properties: Any, joints: List[mjcf.Joint]) -> None:
    """Joints that do as their motors say, between their stops. Isaac Gym's joint friction is a share of the load, so ours is a torque."""
    properties["driveMode"].fill(int(gymapi.DOF_MODE_EFFORT))
    for field, value in (("stiffness", 0.0), ("damping", 0.0), ("friction", 0.0), ("effort", UNLIMITED), ("velocity", FASTEST)):
        properties[field].fill(value)
    for row, joint in enumerate(joints):
        properties["armature"][row] = joint.armature
        properties["hasLimits"][row] = joint.limits is not None
        if joint.limits is not None:
            properties["lower"][row], properties["upper"][row] = joint.limits


def _order(there: List[str], wanted: List[str], what: str, path: str) -> List[int]:
    """Where each of ``wanted`` is; refuses others than these."""
    if sorted(there) != sorted(wanted):
        raise protocol.Refused(f"Isaac Gym reads {path} with {what} {', '.join(there) or 'none'}; wanted: {', '.join(wanted) or 'none'}")
    return [there.index(name) for name in wanted]


def _vector(value: Any) -> List[float]:
    return [value.x, value.y, value.z]


def _matrix(rows: List[float]) -> Any:
    """From nine numbers, row by row."""
    found = gymapi.Mat33()
    found.x, found.y, found.z = (gymapi.Vec3(*rows[begin : begin + 3]) for begin in (0, 3, 6))
    return found
