"""The engine on Isaac Lab: its scene, and where in Newton's arrays everything is."""

import contextlib
import math
import os
import tempfile
from typing import Any, Dict, List

import isaaclab.sim as sim_utils
import kernels  # type: ignore[import-not-found]
import mujoco
import mujoco_usd_converter
import newton
import numpy as np
import protocol  # type: ignore[import-not-found]
import torch
import warp as wp
from isaaclab.app import launch_simulation
from isaaclab.assets import AssetBaseCfg
from isaaclab.scene import InteractiveScene, InteractiveSceneCfg
from isaaclab.sensors import ContactSensorCfg
from isaaclab.sim import SimulationCfg, SimulationContext
from isaaclab.sim.spawners import SpawnerCfg
from isaaclab.sim.utils import clone
from isaaclab.sim.utils.stage import get_current_stage
from isaaclab.utils import configclass
from isaaclab_newton.physics import MJWarpSolverCfg, NewtonCfg, NewtonManager
from newton import ModelFlags
from pxr import Sdf, UsdGeom, UsdPhysics, UsdShade

GROUND = "/World/ground"
SLIPPERY = 1e-5  # friction of the ground: the larger of two counts, and the solver wants some
CHANGES = {  # parameters by what of the model follows from them
    ModelFlags.SHAPE_PROPERTIES: {"friction"},
    ModelFlags.BODY_INERTIAL_PROPERTIES: {"mass", "centre_of_mass", "inertia"},
    ModelFlags.JOINT_DOF_PROPERTIES: {"armature", "joint_friction"},
}


class IsaacLab(protocol.Engine):
    """See `protocol.Engine`."""

    name = "Isaac Lab"
    packages = ("isaaclab", "newton", "mujoco-warp", "warp-lang", "torch")

    def __init__(self) -> None:
        self._context = contextlib.ExitStack()

    # --- building ---

    def build(self, build: protocol.Build, arrays: Dict[str, Any]) -> None:
        """See `protocol.Engine.build`."""
        wp.config.log_level = wp.LOG_WARNING
        self.spec, self.device = build, build.device
        self._simulate(build)
        self.solver, self.model = NewtonManager._solver, NewtonManager.get_model()
        self.state, self.control = NewtonManager.get_state_0(), NewtonManager.get_control()
        self.a = {name: self._seen(array) for name, array in arrays.items()}
        self._find(build)
        NewtonManager.register_post_actuator_callback(self._before_physics_step)
        NewtonManager.register_post_step_callback(self._after_physics)
        NewtonManager.activate_newton_actuator_path()  # the motors above are of the kind that goes into the recorded period
        NewtonManager.set_decimation(build.substeps)

    def _simulate(self, build: protocol.Build) -> None:
        """The stage with ground and robots, and the solver."""
        options = {
            "njmax": build.constraints,
            "nconmax": build.contacts,
            "iterations": build.iterations,
            "ls_iterations": build.ls_iterations,
        }
        solver = MJWarpSolverCfg(integrator="implicitfast", cone="pyramidal", tolerance=1e-8, **options)
        physics = NewtonCfg(solver_cfg=solver, use_cuda_graph=build.device != "cpu")
        config = SimulationCfg(dt=build.physics_dt, device=build.device, physics=physics, save_logs_to_file=False)
        self._context.enter_context(launch_simulation(config, {"device": build.device}))
        self.sim = SimulationContext(config)
        self.scene = InteractiveScene(_scene(build))
        self.sim.reset()

    def _seen(self, array: Any) -> Any:
        """The trainer's array as Warp's."""
        if isinstance(array, np.ndarray):
            return wp.from_torch(torch.from_numpy(array))
        shape = array.__cuda_array_interface__["shape"]
        return wp.from_torch(torch.zeros(shape, device=self.device) if 0 in shape else torch.as_tensor(array, device=self.device))

    def _find(self, build: protocol.Build) -> None:
        """Newton's arrays by world, and places in them by name: worlds are alike."""
        worlds, model, state = build.num_envs, self.model, self.state
        bodies, joints = _names(model.body_label, worlds), _names(model.joint_label, worlds)
        starts = {name: (model.joint_q_start.numpy()[i], model.joint_qd_start.numpy()[i]) for i, name in enumerate(joints)}
        _check("body", [build.base, *build.feet, *build.parts], bodies)
        _check("joint", build.joints, joints)
        self.base = bodies.index(build.base)
        self.coordinates, self.dofs = (self._indices([starts[name][which] for name in build.joints]) for which in range(2))
        of_newton = self.solver.mjc_dof_to_newton_dof.numpy()[0].tolist()  # by columns of the solver's own
        self.columns = self._indices([of_newton.index(dof) for dof in self.dofs.numpy()])
        self.feet, sensed = self._indices([bodies.index(name) for name in build.feet]), self.scene["contacts"].sensor_names
        self.feet_sensed, self.parts_sensed = (self._indices([sensed.index(name) for name in names]) for names in (build.feet, build.parts))
        self.shapes = [i for i, body in enumerate(model.shape_body.numpy()) if body >= 0]
        by_world = {
            name: getattr(holder, name)
            for holder, names in ((state, STATES), (model, MODELS), (self.control, ("joint_f",)))
            for name in names
        }
        self.n = {name: array.reshape((worlds, -1)) for name, array in by_world.items()}
        self.n["body_inertia"] = model.body_inertia.reshape((worlds, -1))
        self.warm = self.solver.mjw_data.qacc_warmstart
        self.total = self.scene["contacts"].contact_view.total_force.reshape((worlds, -1))
        left = [math.exp(-build.physics_dt / lag) if lag > 0.0 else 0.0 for lag in build.lag_s]
        self.limits = wp.array(
            np.array([build.effort, build.speed, build.knee_speed, left], dtype=np.float32).reshape(4, -1), device=self.device
        )
        self.at = wp.zeros(1, dtype=int, device=self.device)
        self.solver.mjw_model.opt.warn_overflow = 0  # a solver that stops early does so on purpose
        self.worlds_mask = wp.zeros(worlds + 1, dtype=bool, device=self.device)

    def _indices(self, values: List[int]) -> Any:
        return wp.array(np.array(values, dtype=np.int32), dtype=int, device=self.device)

    # --- inside a control period ---

    def _before_physics_step(self) -> None:
        a, n = self.a, self.n
        if self.spec.joints:
            gains = [a["target"], a["kp"], a["kd"], a["strength"], n["joint_q"], n["joint_qd"]]
            where = [self.at, self.dofs, self.coordinates, self.columns, self.limits]
            given = [a["torque"], n["joint_f"], self.solver.mjw_model.dof_damping]
            self._launch(kernels.drive, (self.spec.num_envs, len(self.spec.joints)), [*where, *gains, *given])
        self._launch(kernels.count, 1, [self.spec.substeps, self.at])

    def _after_physics(self) -> None:
        a, n = self.a, self.n
        self._launch(kernels.give_up, self.spec.num_envs, [n["joint_q"], n["joint_qd"], self.warm, a["torque"], a["lost"]])
        self._read()

    def _read(self) -> None:
        a, n, worlds = self.a, self.n, self.spec.num_envs
        joints = [self.base, self.dofs, self.coordinates, n["joint_q"], n["joint_qd"], n["body_com"], a["qpos"], a["qvel"]]
        self._launch(kernels.read_state, worlds, joints)
        if self.spec.feet:
            bodies = [n["body_q"], n["body_qd"], n["body_com"], a["foot_position"], a["foot_velocity"]]
            self._launch(kernels.read_feet, (worlds, len(self.spec.feet)), [self.feet, *bodies])

    def _launch(self, kernel: Any, dim: Any, inputs: List[Any]) -> None:
        wp.launch(kernel, dim=dim, inputs=inputs, device=self.device)

    # --- orders ---

    def step(self) -> None:
        """See `protocol.Engine.step`."""
        a, worlds = self.a, self.spec.num_envs
        self._launch(kernels.push, worlds, [self.base, a["applied"], self.n["body_f"]])
        self.sim.step(render=False)
        contacts = [self.feet_sensed, self.parts_sensed, self.total, a["lost"], a["foot_force"], a["part_contact"]]
        if self.spec.feet or self.spec.parts:
            self._launch(kernels.read_contacts, worlds, contacts)
        wp.synchronize_device(self.device)

    def place(self) -> None:
        """See `protocol.Engine.place`."""
        a, n = self.a, self.n
        joints = [self.dofs, self.coordinates, a["qpos"], a["qvel"], n["body_com"], n["joint_q"], n["joint_qd"]]
        self._launch(kernels.place, self.spec.num_envs, [a["mask"], self.base, *joints])
        self._look()

    def reset(self) -> None:
        """See `protocol.Engine.reset`. Contacts are nothing until the first step."""
        a, worlds = self.a, self.spec.num_envs
        self._launch(kernels.forget, worlds, [a["mask"], a["torque"], a["lost"], a["foot_force"], a["part_contact"]])
        wp.copy(self.worlds_mask, a["mask"].view(wp.bool), count=worlds)
        self.solver.reset(self.state, world_mask=self.worlds_mask, flags=0)
        self.place()

    def _look(self) -> None:
        """Bodies and readings of the joints as they are."""
        newton.eval_fk(self.model, self.state.joint_q, self.state.joint_qd, self.state)
        self._read()
        wp.synchronize_device(self.device)

    def write(self, names: List[str]) -> None:
        """See `protocol.Engine.write`; gains and strengths are read where they are."""
        mask = wp.to_torch(self.a["mask"]).bool()
        for name in names:
            if name in WRITES:
                self._write(name, mask)
        for flag, parameters in CHANGES.items():
            if parameters & set(names):
                self.solver.notify_model_changed(flag)
        self._lower_terrain()
        if "centre_of_mass" in names:
            self.place()  # Newton knows velocities of centres of mass: where one moves, the base keeps its own
        wp.synchronize_device(self.device)

    def _lower_terrain(self) -> None:
        """A height field's lowest point is where the terrain has it; Newton 1.6 puts it to 0 whenever a shape changes."""
        if self.spec.terrain is None:
            return
        fields = np.flatnonzero(self.solver.mj_model.geom_type == int(mujoco.mjtGeom.mjGEOM_HFIELD)).tolist()
        wp.to_torch(self.solver.mjw_model.geom_pos)[:, fields, 2] = float(np.min(self.spec.terrain["heights_m"]))
        self.solver._sync_worldbody_geom_xposes()

    def _write(self, name: str, mask: torch.Tensor) -> None:
        value = wp.to_torch(self.a[name])[mask]
        if name == "friction":
            shapes = wp.to_torch(self.model.shape_material_mu)[self.shapes].view(self.spec.num_envs, -1)
            shapes[mask] = value
            wp.to_torch(self.model.shape_material_mu)[self.shapes] = shapes.flatten()
        elif name in ("armature", "joint_friction"):
            columns = wp.to_torch(self.dofs).long()
            wp.to_torch(self.n[WRITES[name]])[mask.nonzero(), columns] = value
        else:
            view = wp.to_torch(self.n[WRITES[name]])
            view[mask, self.base] = value.view(-1, *view.shape[2:])
            inverse = 1.0 / value[:, 0] if name == "mass" else torch.linalg.inv(value.view(-1, 3, 3)) if name == "inertia" else None
            if inverse is not None:
                wp.to_torch(self.n["body_inv_" + name])[mask, self.base] = inverse

    def save(self) -> None:
        """See `protocol.Engine.save`: Newton's coordinates to the bit, warm starts of the contact solver and the motors' torques."""
        parts = [wp.to_torch(part) for part in self._remembered()]
        memory = wp.to_torch(self.a["memory"])
        memory[:, : sum(part.shape[1] for part in parts)] = torch.cat(parts, dim=1)
        wp.synchronize_device(self.device)

    def load(self) -> None:
        """See `protocol.Engine.load`."""
        parts = [wp.to_torch(part) for part in self._remembered()]
        begin = 0
        for part in parts:
            part.copy_(wp.to_torch(self.a["memory"])[:, begin : begin + part.shape[1]])
            begin += part.shape[1]
        self._look()

    def _remembered(self) -> List[Any]:
        return [self.n["joint_q"], self.n["joint_qd"], self.warm, self.a["torque"]]


STATES = ("joint_q", "joint_qd", "body_q", "body_qd", "body_f")
MODELS = ("body_com", "body_mass", "body_inv_mass", "body_inv_inertia", "joint_armature", "joint_friction")
WRITES = {
    "friction": "",
    "mass": "body_mass",
    "centre_of_mass": "body_com",
    "inertia": "body_inertia",
    "armature": "joint_armature",
    "joint_friction": "joint_friction",
}


def _scene(build: protocol.Build) -> Any:
    """Robots apart from each other, who do not meet: every environment is a world of its own."""
    folder = tempfile.mkdtemp(dir=os.getcwd())  # the trainer's, who removes it
    usd = str(mujoco_usd_converter.Converter(layer_structure=False, scene=False).convert(build.model, folder).path)

    apart = sim_utils.ArticulationRootPropertiesCfg(articulation_enabled=True, enabled_self_collisions=False) if build.joints else None

    @configclass
    class Scene(InteractiveSceneCfg):
        ground = AssetBaseCfg(prim_path=GROUND, spawn=GroundCfg(terrain=build.terrain))
        robot = AssetBaseCfg(prim_path="{ENV_REGEX_NS}/Robot", spawn=sim_utils.UsdFileCfg(usd_path=usd, articulation_props=apart))
        contacts = ContactSensorCfg(prim_path="{ENV_REGEX_NS}/Robot/Geometry/.*")

    return Scene(num_envs=build.num_envs, env_spacing=0.0)


@clone
def lay_ground(prim_path: str, cfg: Any, translation: Any = None, orientation: Any = None, **others: Any) -> Any:
    """A plane, or a mesh that Newton makes a height field of; slippery itself, for the larger friction of two counts."""
    stage, terrain = get_current_stage(), cfg.terrain
    if terrain is None:
        prim = UsdGeom.Plane.Define(stage, prim_path).GetPrim()
    else:
        heights, (x, y) = np.array(terrain["heights_m"], dtype=float), terrain["size_m"]
        prim = _mesh(stage, prim_path, heights, (x, y))
        resolution = max(x / (heights.shape[1] - 1), y / (heights.shape[0] - 1))
        prim.CreateAttribute("newton:heightfield:resolution", Sdf.ValueTypeNames.Float).Set(resolution)
    UsdPhysics.CollisionAPI.Apply(prim)
    material = UsdShade.Material.Define(stage, prim_path + "/Material")
    surface = UsdPhysics.MaterialAPI.Apply(material.GetPrim())
    surface.CreateStaticFrictionAttr(SLIPPERY)
    surface.CreateDynamicFrictionAttr(SLIPPERY)
    UsdShade.MaterialBindingAPI.Apply(prim).Bind(material, materialPurpose="physics")
    return prim


@configclass
class GroundCfg(SpawnerCfg):
    """Flat ground, or a terrain as in `protocol.Build`."""

    func: Any = lay_ground
    terrain: Any = None


def _mesh(stage: Any, path: str, heights: np.ndarray, size: Any) -> Any:
    vertices, triangles = protocol.surface(heights, size)
    mesh = UsdGeom.Mesh.Define(stage, path)
    mesh.CreatePointsAttr(vertices.tolist())
    mesh.CreateFaceVertexIndicesAttr(triangles.ravel().tolist())
    mesh.CreateFaceVertexCountsAttr([3] * len(triangles))
    return mesh.GetPrim()


def _names(labels: List[str], worlds: int) -> List[str]:
    """Of one world's bodies or joints."""
    if len(labels) % worlds:
        raise protocol.Refused(f"Newton has {len(labels)} bodies or joints in {worlds} worlds; they must be alike")
    return [label.rsplit("/", 1)[-1] for label in labels[: len(labels) // worlds]]


def _check(kind: str, wanted: List[str], there: List[str]) -> None:
    missing = [name for name in wanted if name not in there]
    if missing:
        raise protocol.Refused(
            "the robot as Isaac Lab reads it has no {} {}; it has: {}".format(kind, ", ".join(missing), ", ".join(there))
        )
