"""Isaac Gym behind `protocol.Engine`: motors and readings as tensors of all environments, around `scene.Scene`.

Linear velocities in Isaac Gym's tensors are of centres of mass, where ours are of bodies' origins (NVIDIA's documentation does not say;
Isaac Lab's says so of the same physics, and unilabsim/unisim measured it on Preview 4); angular ones are in the world, where that of our
``qvel`` is in the base frame. Its quaternions are (x, y, z, w).
"""

import math
from typing import Any, Dict, List

import chain
import mjcf
import numpy as np
import protocol  # type: ignore[import-not-found]
import scene
import torch
from torch import Tensor

TO_WXYZ, TO_XYZW = [3, 0, 1, 2], [1, 2, 3, 0]
FASTEST = 1e6  # of anything of a robot, in SI units
TOUCH_N = 1e-6  # a part touches what pushes it at all


class IsaacGym(protocol.Engine):
    """See `protocol`. What differs here:

    A reset is only noted, and reaches Isaac Gym with the next step, together with others that came meanwhile: it takes state once a physics
    step. What is read back is computed from the state; forces are zero until then. Physics is prepared by the first step, so that whatever
    is written before can still be anything.

    ``joint_friction`` f is a torque of ours, −clip(τ + q̇ · armature / dt, −f, f) under a motor's τ: it holds against the motor, and a rotor
    on its own stops in one step, but it knows nothing of the load. Isaac Gym's own is a share of that.

    ``memory`` begins with state and the motors' torques before ``strength``. PhysX keeps contacts and warm starts to itself, so that what
    follows a "load" is what would have followed up to these.
    """

    name = "Isaac Gym"
    packages = ("isaacgym", "torch", "numpy")

    def build(self, build: protocol.Build, arrays: Dict[str, Any]) -> None:
        """See `protocol.Engine.build`."""
        self.asked, self.a = build, {name: _view(array, build.device) for name, array in arrays.items()}
        model = mjcf.read(build.model)
        if model.bodies[0].name != build.base:
            raise protocol.Refused(f"{build.model} has the free body {model.bodies[0].name}; {build.base} is wanted")
        device = self.a["qpos"].device
        self.scene = scene.Scene(build, model, device)
        self.chain = chain.Chain(model, build.joints, device)
        self.motors = Motors(build, device)
        names = [body.name for body in model.bodies]
        self.feet, self.parts = self.scene.bodies(build.feet), self.scene.bodies(build.parts)
        self.feet_columns = torch.tensor([names.index(foot) for foot in build.feet], dtype=torch.long, device=device)
        centres = torch.tensor(np.array([body.centre for body in model.bodies]), dtype=torch.float32, device=device)
        self.centre, self.feet_centres = centres[:1].repeat(build.num_envs, 1), centres[self.feet_columns]
        self.noted, self.pending = torch.zeros(build.num_envs, dtype=torch.bool, device=device), False
        self.qpos, self.qvel = torch.zeros_like(self.a["qpos"]), torch.zeros_like(self.a["qvel"])
        self.hopeless = torch.zeros_like(self.noted)  # what was put there was nothing that a robot does

    # --- state ---

    def reset(self) -> None:
        """See `protocol.Engine.reset`."""
        mask = self.a["mask"] != 0
        self.motors.torque.masked_fill_(mask[:, None], 0.0)
        for name in ("torque", "foot_force", "part_contact", "lost"):
            self.a[name].masked_fill_(mask[:, None], 0.0)
        self.place()

    def place(self) -> None:
        """See `protocol.Engine.place`."""
        mask = self.a["mask"] != 0
        self._note(mask)
        places, speeds = self.chain(self.a["qpos"], self.a["qvel"])
        self._tell("foot_position", places[:, self.feet_columns].flatten(1), mask)
        self._tell("foot_velocity", speeds[:, self.feet_columns].flatten(1), mask)
        self._finish()

    def _note(self, mask: Tensor) -> None:
        """Remember the state of the environments in ``mask`` for the next step."""
        self.noted, self.pending = self.noted | mask, True
        self.qpos.copy_(torch.where(mask[:, None], self.a["qpos"], self.qpos))
        self.qvel.copy_(torch.where(mask[:, None], self.a["qvel"], self.qvel))
        self.hopeless = torch.where(mask, ~(_sound(self.qpos) & _sound(self.qvel)), self.hopeless)
        for state in (self.qpos, self.qvel):  # whatever PhysX would make of them
            state.masked_fill_(self.hopeless[:, None], 0.0)
        self.qpos[:, 3].masked_fill_(self.hopeless, 1.0)

    def _tell(self, name: str, value: Tensor, mask: Tensor) -> None:
        self.a[name].copy_(torch.where(mask[:, None], value, self.a[name]))

    def _put(self) -> None:
        """Give Isaac Gym the state that was noted."""
        if not self.pending:
            return
        turn, rate = self.qpos[:, 3:7], chain.rotate(self.qpos[:, 3:7], self.qvel[:, 3:6])
        speed = self.qvel[:, :3] + chain.cross(rate, chain.rotate(turn, self.centre))
        root = torch.cat([self.qpos[:, :3] + self.scene.origins, turn[:, TO_XYZW], speed, rate], dim=1)
        self.scene.put(self.noted, root, self.qpos[:, 7:], self.qvel[:, 6:])
        self.noted, self.pending = torch.zeros_like(self.noted), False

    def step(self) -> None:
        """See `protocol.Engine.step`."""
        self.scene.begin()
        self._put()
        self.scene.hold(self.a["applied"])
        torque = self.a["torque"]
        for target in self.a["target"]:
            position, velocity = self.scene.joints()
            torque = self.motors(target, position, velocity, self.a)
            self.scene.advance(torch.nan_to_num(torque - self._friction(torque, velocity)))
        self.scene.refresh()
        self._read(torque)
        self._finish()

    def _friction(self, torque: Tensor, velocity: Tensor) -> Tensor:
        """Torque that joints lose ``[num_envs, joints]``, of what moves them and of what would stop a rotor on its own."""
        most = self.a["joint_friction"]
        return torch.max(torch.min(torque + self.a["armature"] / self.asked.physics_dt * velocity, most), -most)

    def _read(self, torque: Tensor) -> None:
        """Fill the arrays from fresh tensors."""
        root, (position, velocity) = self.scene.root[self.scene.actors], self.scene.joints()
        turn, rate = root[:, 3:7][:, TO_WXYZ], root[:, 10:13]
        speed = root[:, 7:10] - chain.cross(rate, chain.rotate(turn, self.centre))
        qpos = torch.cat([root[:, :3] - self.scene.origins, turn, position], dim=1)
        qvel = torch.cat([speed, chain.rotate_back(turn, rate), velocity], dim=1)
        lost = self.hopeless | ~(_sound(qpos) & _sound(qvel))
        for name, value in (("qpos", qpos), ("qvel", qvel), ("torque", torque), *self._feet()):
            self.a[name].copy_(torch.nan_to_num(value.masked_fill(lost[:, None], 0.0)))
        self.a["qpos"][:, 3].masked_fill_(lost, 1.0)
        self.a["lost"].masked_fill_(lost[:, None], 1.0)
        self.a["part_contact"].copy_(self.scene.contact[self.parts].square().sum(2) > TOUCH_N**2)

    def _feet(self) -> List[Any]:
        """(name, value) of what is read of feet."""
        state = self.scene.body[self.feet]  # [num_envs, feet, 13]
        turn, rate = state[:, :, 3:7][:, :, TO_WXYZ].reshape(-1, 4), state[:, :, 10:13].reshape(-1, 3)
        arms = chain.rotate(turn, self.feet_centres.repeat(len(state), 1))
        speed = state[:, :, 7:10] - chain.cross(rate, arms).reshape(len(state), -1, 3)
        places = state[:, :, :3] - self.scene.origins[:, None]
        force = self.scene.contact[self.feet]
        return [("foot_force", force.flatten(1)), ("foot_position", places.flatten(1)), ("foot_velocity", speed.flatten(1))]

    # --- parameters ---

    def write(self, names: List[str]) -> None:
        """See `protocol.Engine.write`. Isaac Gym sets properties robot by robot: a loop over those in ``mask``, at starts of episodes only.

        Raises:
            protocol.Refused: for a centre of mass that would move while physics runs on a GPU.
        """
        mask = self.a["mask"] != 0
        if "centre_of_mass" in names:
            self._check_centres(mask)
            self.centre = torch.where(mask[:, None], self.a["centre_of_mass"], self.centre)
        values = {name: self.a[name].cpu().tolist() for name in names}
        of_base = [name for name in ("mass", "centre_of_mass", "inertia") if name in values]
        for index in torch.nonzero(mask).flatten().tolist():
            robot = self.scene.robots[index]
            if "friction" in values:
                self.scene.set_friction(robot, values["friction"][index][0])
            if of_base:
                self.scene.set_base(robot, {name: values[name][index] for name in of_base})
            if "armature" in values and self.asked.joints:
                self.scene.set_armature(robot, values["armature"][index])

    def _check_centres(self, mask: Tensor) -> None:
        moved = ((self.a["centre_of_mass"] - self.centre).abs() > 1e-6).any(1) & mask
        if self.scene.on_gpu and self.scene.begun and bool(moved.any()):
            raise protocol.Refused(
                "Isaac Gym does not move centres of mass once it simulates on a GPU: randomise base_centre_of_mass_offset and payload_mass "
                "before the first step only, or not at all, or use --device cpu or another --sim"
            )

    # --- saving ---

    def save(self) -> None:
        """See `protocol.Engine.save`."""
        for kept, column in zip(self._remembered(), self._columns()):
            column.copy_(kept)
        self._finish()

    def load(self) -> None:
        """See `protocol.Engine.load`."""
        for kept, column in zip(self._remembered(), self._columns()):
            kept.copy_(column)
        self._note(torch.ones_like(self.noted))
        self._finish()

    def _remembered(self) -> List[Tensor]:
        return [self.a["qpos"], self.a["qvel"], self.motors.torque]

    def _columns(self) -> List[Tensor]:
        """Of ``memory``, one for each that is remembered; the rest is for other engines."""
        widths = [kept.shape[1] for kept in self._remembered()]
        return list(self.a["memory"][:, : sum(widths)].split(widths, dim=1))

    def _finish(self) -> None:
        """Wait until the arrays are written."""
        if self.a["qpos"].is_cuda:
            torch.cuda.synchronize(self.a["qpos"].device)


class Motors:
    """`robots.description.JointActuator` of every joint, lag included.

    Attributes:
        torque: after limits and lag, before strength ``[num_envs, joints]``.
    """

    def __init__(self, build: protocol.Build, device: torch.device) -> None:
        left = [math.exp(-build.physics_dt / lag) if lag > 0.0 else 0.0 for lag in build.lag_s]
        columns = (build.effort, build.speed, build.knee_speed, left)
        self.effort, self.speed, self.knee_speed, self.left = (torch.tensor(values, device=device) for values in columns)
        self.torque = torch.zeros(build.num_envs, len(build.joints), device=device)

    def __call__(self, target: Tensor, position: Tensor, velocity: Tensor, arrays: Dict[str, Tensor]) -> Tensor:
        """Torques of the next physics step ``[num_envs, joints]``; moves on by one."""
        asked = arrays["kp"] * (target - position) - arrays["kd"] * velocity
        given = torch.min(torch.max(asked, -self._limit(-velocity)), self._limit(velocity))
        self.torque = given + self.left * (self.torque - given)
        return arrays["strength"] * self.torque

    def _limit(self, velocity: Tensor) -> Tensor:
        return self.effort * torch.clamp((self.speed - velocity) / (self.speed - self.knee_speed), -1.0, 1.0)


def _sound(state: Tensor) -> Tensor:
    """Where a state is one that a robot can have, bool ``[num_envs]``."""
    return (torch.isfinite(state) & (state.abs() < FASTEST)).all(1)


def _view(array: Any, device: str) -> Tensor:
    """The same memory as a tensor."""
    if isinstance(array, np.ndarray):
        return torch.from_numpy(array)
    shape = array.__cuda_array_interface__["shape"]
    if 0 in shape:
        return torch.zeros(shape, device=device)
    return torch.as_tensor(array, device=device)
