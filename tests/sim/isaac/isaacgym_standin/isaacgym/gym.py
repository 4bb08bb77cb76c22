"""The functions, with the rules of each."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isaacgym import gymapi
from isaacgym.gymtorch import Given
from isaacgym.robot import Robot, order

SETTERS = ("set_actor_root_state_tensor_indexed", "set_dof_state_tensor_indexed")
STATES = ("actor_root_state", "rigid_body_state", "net_contact_force", "dof_state")
last = None  # the simulation made last, for tests to look into


class Acquired:
    """A tensor that Isaac Gym owns: it means nothing until refreshed."""

    def __init__(self, rows: int, columns: int) -> None:
        self.tensor = torch.full((rows, columns), float("nan"))
        self.fresh = False


class Sim:
    """A simulation, and what was called on it since it last moved."""

    def __init__(self, params: Any) -> None:
        self.params, self.robots, self.environments, self.asset = params, [], 0, None  # type: Any, list[Robot], int, Any
        self.ground, self.prepared, self.running = None, False, False  # type: Any, bool, bool
        self.acquired, self.calls, self.given = {}, [], []  # type: dict[str, Acquired], list[str], list[Given]
        self.history = []  # type: list[list[str]]
        self.borrowed = {}  # type: dict[str, Any]

    def take(self, call: str, *given: Given) -> list[Any]:
        """Note a call that gives tensors, which has to be ready for it."""
        assert self.prepared, f"{call} before prepare_sim"
        assert not self.running, f"{call} while physics runs: fetch_results is missing"
        assert call not in self.calls, f"{call} twice in a physics step: the first is lost"
        self.calls.append(call)
        self.given += given
        return [each.tensor() for each in given]


class Gym:
    """Functions as they are documented."""

    # --- building ---

    def create_sim(self, compute: int, graphics: int, kind: int, params: Any) -> Sim:
        assert kind == gymapi.SIM_PHYSX
        assert graphics == -1
        assert params.up_axis == gymapi.UP_AXIS_Z
        assert params.use_gpu_pipeline == params.physx.use_gpu
        assert (params.gravity.x, params.gravity.y, params.gravity.z) == (0.0, 0.0, -9.81)
        assert params.substeps == 1
        globals()["last"] = Sim(params)
        return last

    def add_ground(self, sim: Sim, plane: Any) -> None:
        assert (plane.normal.x, plane.normal.y, plane.normal.z) == (0.0, 0.0, 1.0)
        sim.ground = plane

    def add_triangle_mesh(self, sim: Sim, vertices: np.ndarray, triangles: np.ndarray, mesh: Any) -> None:
        assert vertices.dtype == np.float32
        assert triangles.dtype == np.uint32
        assert vertices.shape == (3 * mesh.nb_vertices,)
        assert triangles.shape == (3 * mesh.nb_triangles,)
        sim.ground = mesh
        sim.mesh = vertices.reshape(-1, 3), triangles.reshape(-1, 3)

    def load_asset(self, sim: Sim, folder: str, name: str, options: Any) -> Any:
        assert sim.ground is not None
        assert not options.fix_base_link
        assert not options.collapse_fixed_joints
        assert options.angular_damping == options.linear_damping == options.armature == 0.0
        path = Path(folder, name)
        tags = {element.tag for element in ElementTree.parse(path).getroot().iter()}
        known = {"mujoco", "compiler", "worldbody", "body", "freejoint", "inertial", "joint", "geom"}
        assert tags <= known, f"the importer may not know {tags - known}"
        sim.asset = path.read_text()
        return sim.asset

    def get_asset_rigid_body_names(self, asset: str) -> list[str]:
        return order(asset, "body")

    def get_asset_dof_names(self, asset: str) -> list[str]:
        return order(asset, "joint")

    def create_env(self, sim: Sim, lower: Any, upper: Any, per_row: int) -> int:
        assert not sim.prepared
        sim.environments += 1
        return sim.environments - 1

    def create_actor(self, env: int, asset: str, pose: Any, name: str, group: int, filtered: int, segmentation: int) -> int:
        assert group == env, "robots of one group meet"
        assert filtered == 1, "a robot that may meet itself"
        last.robots.append(Robot(asset, pose, last.ground, last.params.dt))
        return 0

    # --- indices ---

    def get_actor_index(self, env: int, actor: int, domain: int) -> int:
        assert (actor, domain) == (0, gymapi.DOMAIN_SIM)
        return env

    def get_actor_dof_index(self, env: int, actor: int, index: int, domain: int) -> int:
        assert (actor, domain) == (0, gymapi.DOMAIN_SIM)
        return env * len(last.robots[0].joints) + index

    def get_actor_rigid_body_index(self, env: int, actor: int, index: int, domain: int) -> int:
        assert (actor, domain) == (0, gymapi.DOMAIN_SIM)
        return env * len(last.robots[0].bodies) + index

    # --- properties ---

    def _settled(self, env: int, actor: int) -> Robot:
        assert actor == 0
        assert not last.running, "properties while physics runs"
        return last.robots[env]

    def get_actor_dof_properties(self, env: int, actor: int) -> np.ndarray:
        return self._settled(env, actor).dof.copy()

    def set_actor_dof_properties(self, env: int, actor: int, properties: np.ndarray) -> bool:
        assert properties.dtype == gymapi.DOF
        self._settled(env, actor).set_dof(properties)
        return True

    def get_actor_rigid_shape_properties(self, env: int, actor: int) -> list[Any]:
        return copy.deepcopy(self._settled(env, actor).shapes)

    def set_actor_rigid_shape_properties(self, env: int, actor: int, properties: list[Any]) -> bool:
        self._settled(env, actor).set_shapes(properties)
        return True

    def get_actor_rigid_body_properties(self, env: int, actor: int) -> list[Any]:
        return copy.deepcopy(self._settled(env, actor).masses)

    def set_actor_rigid_body_properties(self, env: int, actor: int, properties: list[Any], recompute_inertia: bool) -> bool:
        assert not recompute_inertia
        robot = self._settled(env, actor)
        if last.prepared and last.params.use_gpu_pipeline:
            for old, new in zip(robot.masses, properties, strict=True):
                assert (old.com.x, old.com.y, old.com.z) == (new.com.x, new.com.y, new.com.z), "COM cannot change on the GPU pipeline"
        robot.set_masses(properties)
        return True

    # --- tensors ---

    def prepare_sim(self, sim: Sim) -> bool:
        assert not sim.prepared, "prepare_sim twice"
        assert len(sim.robots) == sim.environments > 0
        sim.prepared = True
        return True

    def _acquire(self, sim: Sim, name: str, each: int, columns: int) -> Acquired:
        assert sim.prepared, f"acquire_{name}_tensor before prepare_sim"
        assert name not in sim.acquired, f"acquire_{name}_tensor twice"
        assert each, "an empty tensor cannot be acquired"
        return sim.acquired.setdefault(name, Acquired(each * len(sim.robots), columns))

    def acquire_actor_root_state_tensor(self, sim: Sim) -> Acquired:
        return self._acquire(sim, "actor_root_state", 1, 13)

    def acquire_rigid_body_state_tensor(self, sim: Sim) -> Acquired:
        return self._acquire(sim, "rigid_body_state", len(sim.robots[0].bodies), 13)

    def acquire_net_contact_force_tensor(self, sim: Sim) -> Acquired:
        return self._acquire(sim, "net_contact_force", len(sim.robots[0].bodies), 3)

    def acquire_dof_state_tensor(self, sim: Sim) -> Acquired:
        return self._acquire(sim, "dof_state", len(sim.robots[0].joints), 2)

    def _refresh(self, sim: Sim, name: str) -> bool:
        assert not sim.running, "refresh before fetch_results"
        rows = np.concatenate([getattr(robot, name)() for robot in sim.robots])
        sim.acquired[name].tensor.copy_(torch.from_numpy(rows))
        sim.acquired[name].fresh = True
        return True

    def refresh_actor_root_state_tensor(self, sim: Sim) -> bool:
        return self._refresh(sim, "actor_root_state")

    def refresh_rigid_body_state_tensor(self, sim: Sim) -> bool:
        return self._refresh(sim, "rigid_body_state")

    def refresh_net_contact_force_tensor(self, sim: Sim) -> bool:
        return self._refresh(sim, "net_contact_force")

    def refresh_dof_state_tensor(self, sim: Sim) -> bool:
        return self._refresh(sim, "dof_state")

    def _indices(self, sim: Sim, name: str, state: torch.Tensor, indices: torch.Tensor, count: int) -> list[int]:
        acquired = sim.acquired[name]
        assert acquired.fresh, f"{name} was not refreshed: the buffer holds nothing to keep"
        assert state.dtype == torch.float32
        assert state.shape == acquired.tensor.shape, "a setter takes the whole buffer"
        assert indices.dtype == torch.int32
        assert indices.shape == (count,)
        chosen = indices.tolist()
        assert len(set(chosen)) == count > 0
        assert all(0 <= index < len(sim.robots) for index in chosen)
        return chosen

    def set_actor_root_state_tensor_indexed(self, sim: Sim, state: Given, indices: Given, count: int) -> bool:
        rows, chosen = sim.take("set_actor_root_state_tensor_indexed", state, indices)
        for index in self._indices(sim, "actor_root_state", rows, chosen, count):
            sim.robots[index].set_root(rows[index].double().numpy())
        return True

    def set_dof_state_tensor_indexed(self, sim: Sim, state: Given, indices: Given, count: int) -> bool:
        rows, chosen = sim.take("set_dof_state_tensor_indexed", state, indices)
        each = len(sim.robots[0].joints)
        assert each, "an actor without joints in the setter of joints"
        for index in self._indices(sim, "dof_state", rows, chosen, count):
            sim.robots[index].set_joints(rows[index * each : (index + 1) * each].double().numpy())
        return True

    def set_dof_actuation_force_tensor(self, sim: Sim, force: Given) -> bool:
        (force_,) = sim.take("set_dof_actuation_force_tensor", force)
        assert force_.dtype == torch.float32
        assert force_.numel() == len(sim.robots) * len(sim.robots[0].joints) > 0
        sim.borrowed["effort"] = force_.reshape(len(sim.robots), -1)
        return True

    def apply_rigid_body_force_tensors(self, sim: Sim, force: Given, torque: Given, space: int) -> bool:
        tensors = sim.take("apply_rigid_body_force_tensors", force, torque)
        assert space == gymapi.ENV_SPACE
        for name, tensor in zip(("force", "torque"), tensors, strict=True):
            assert tensor.dtype == torch.float32
            assert tensor.numel() == 3 * len(sim.robots) * len(sim.robots[0].bodies)
            sim.borrowed[name] = tensor.reshape(len(sim.robots), -1, 3)
        return True

    # --- stepping ---

    def simulate(self, sim: Sim) -> None:
        assert sim.prepared
        assert not sim.running, "simulate before fetch_results"
        for given in sim.given:
            given.tensor()
        assert bool(sim.robots[0].joints) == ("effort" in sim.borrowed), "no fresh torques"
        for index, robot in enumerate(sim.robots):
            robot.step(**{name: tensor[index].double().numpy() for name, tensor in sim.borrowed.items()})
        sim.history.append(sim.calls)
        sim.calls, sim.given, sim.borrowed, sim.running = [], [], {}, not sim.params.use_gpu_pipeline
        for acquired in sim.acquired.values():
            acquired.fresh = False
            acquired.tensor.fill_(float("nan"))

    def fetch_results(self, sim: Sim, wait: bool) -> None:
        assert wait
        assert not sim.params.use_gpu_pipeline, "fetch_results is for the CPU pipeline"
        assert sim.running
        sim.running = False
