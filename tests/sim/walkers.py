"""Shared by the tests of the legged engine: environments, a reference in plain MuJoCo, and short-hands."""

from __future__ import annotations

import mujoco
import numpy as np
import torch
from torch import Tensor

from robots.go2 import go2
from sim.legged.model import build
from sim.legged.simulator import LeggedSimulator
from sim.mujoco_cpu.simulator import MujocoCpuSimulator

WEIGHT = go2.mass_kg * 9.81
STAND = torch.tensor([go2.stand])
BOUNDS = tuple(np.array(side) for side in (go2.actuation("joint_position")[0].lower, go2.actuation("joint_position")[0].upper))

CHANGES: dict[str, float | list[float]] = {  # of every parameter
    "friction": 0.2,
    "base_mass": 9.921,
    "base_centre_of_mass_offset": [0.05, 0.02, -0.03],
    "payload_mass": 3.0,
    "kp_scale": 1.3,
    "kd_scale": 2.0,
    "strength_scale": 0.7,
    "armature": 0.05,
    "joint_friction": 1.0,
    "action_delay": 0.013,
    "action_delay_jitter": 0.01,
}


def simulator(num_envs: int = 1, **options: object) -> MujocoCpuSimulator:
    return MujocoCpuSimulator(go2, num_envs, **options)  # type: ignore[arg-type]


def everyone(sim: LeggedSimulator) -> Tensor:
    return torch.ones(sim.num_envs, dtype=torch.bool)


def stand(sim: LeggedSimulator, steps: int) -> dict[str, Tensor]:
    """What there is to see after standing for ``steps`` control steps."""
    for _ in range(steps):
        sim.step(STAND.expand(sim.num_envs, -1))
    return sim.privileged()


def targets(num_envs: int, steps: int, seed: int = 0, spread: float = 0.2) -> Tensor:
    """Random joint targets around the stand, ``[steps, num_envs, 12]``."""
    return STAND + spread * torch.randn(steps, num_envs, 12, generator=torch.Generator().manual_seed(seed))


def randomised(num_envs: int = 5, seed: int = 0) -> MujocoCpuSimulator:
    """Environments that differ in everything."""
    sim, random = simulator(num_envs), torch.Generator().manual_seed(seed)

    def between(low: float, high: float, width: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(num_envs, width, generator=random)

    parameters = {"friction": between(0.4, 1.25), "base_mass": between(6.0, 10.0), "payload_mass": between(0.0, 3.0)}
    parameters |= {name: between(0.85, 1.15, 12) for name in ("kp_scale", "kd_scale", "strength_scale")}
    parameters |= {"base_centre_of_mass_offset": between(-0.05, 0.05, 3), "armature": between(0.005, 0.02, 12)}
    parameters |= {"joint_friction": between(0.0, 0.1, 12), "action_delay": between(0.0, 0.02), "action_delay_jitter": between(0.0, 0.005)}
    sim.randomize(everyone(sim), parameters)
    sim.apply_wrench(5.0 * torch.randn(num_envs, 3, generator=random), torch.randn(num_envs, 3, generator=random))
    sim.reset(everyone(sim), {"orientation_base_in_world": torch.tensor([1.0, 0.0, 0.0, 0.0]) + 0.1 * torch.randn(num_envs, 4)})
    return sim


def everything(sim: LeggedSimulator) -> Tensor:
    return torch.cat([value.float() for value in sim.privileged().values()], dim=1)


def explicit_torque(position: np.ndarray, velocity: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`JointActuator` as its docstring says it, ``[12]``."""

    def limit(speed: np.ndarray) -> np.ndarray:
        rows = zip(go2.joints, go2.actuators, speed, strict=True)
        return np.array([j.effort * np.clip((j.speed - v) / (j.speed - a.knee_speed), -1.0, 1.0) for j, a, v in rows])

    kp, kd = (np.array([getattr(actuator, name) for actuator in go2.actuators]) for name in ("kp", "kd"))
    return np.minimum(np.maximum(kp * (target - position) - kd * velocity, -limit(-velocity)), limit(velocity))


def plain(physics_dt: float = 0.005) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """The same model under MuJoCo's own functions, standing."""
    model = build(go2, physics_dt)
    data = mujoco.MjData(model)
    sim = simulator()
    data.qpos[:] = sim.batch.qpos[0]
    data.ctrl[:] = go2.stand
    return model, data
