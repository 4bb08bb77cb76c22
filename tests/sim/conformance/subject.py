"""What the conformance tests share: what each engine promises, short ways to set an engine up and look at it, and oracles.

Everything goes through `Simulator` and the documented names of signals and parameters; what is seen is on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import mujoco
import numpy as np
import torch
from torch import Tensor

from benchmarks.sim import random_actuation
from robots.description import GRAVITY, LeggedRobot
from sim.simulator import Simulator
from tests.sim.walkers import explicit_torque

ENVS = 16
HIGH_M = 50.0
DEGREE = np.pi / 180
POSITION, ORIENTATION = "position_base_in_world", "orientation_base_in_world"
VELOCITY, RATE = "linear_velocity_base_in_world", "angular_velocity_base_in_base"
BASE = (POSITION, ORIENTATION, VELOCITY, RATE)
JOINTS = ("joint_position", "joint_velocity")
ROTORS = ("rotor_speeds", "rate_integral")
TURNS = {  # quarter turns (w, x, y, z), and where they take the body's x, y and z axes
    (1.0, 0.0, 0.0, 0.0): np.eye(3),
    (0.5**0.5, 0.5**0.5, 0.0, 0.0): np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    (0.5**0.5, 0.0, 0.5**0.5, 0.0): np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]]),
    (0.5**0.5, 0.0, 0.0, 0.5**0.5): np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
}


class Promise(NamedTuple):
    """How closely an engine keeps to what it simulates.

    Attributes:
        repeats: largest difference between a trajectory and its repetition, in the units of its state; 0: bit for bit.
        restored: the same after parameters went away and came back; what is derived from them may differ in its last digits.
        motion: relative error of closed forms of rigid bodies.
        answer_deg: of joints on the way against the fine integration of their motors; at 13 rad/s half a sub-step is 1.9°. After half a
            second 1° is everybody's.
        torque: relative error of what motors give.
        grip: relative error of the largest friction.
    """

    repeats: float = 0.0
    restored: float = 2e-4
    motion: float = 0.01
    answer_deg: float = 2.5
    torque: float = 2e-3
    grip: float = 0.02


PROMISES = {
    "torch": Promise(),
    "mujoco_cpu": Promise(),
    "mujoco_warp": Promise(),
    "isaac": Promise(),
    "isaacgym": Promise(repeats=2e-3, restored=2e-3, motion=0.02, answer_deg=5.0, torque=0.02, grip=0.1),  # PhysX; never seen to keep it
}


class Subject(NamedTuple):
    """An engine, and the parameters that it began with."""

    sim: Simulator
    nominal: dict[str, Tensor]


def as_new(subject: Subject) -> Simulator:
    """The engine with nominal parameters, no wrench, and everybody at rest."""
    sim = subject.sim
    sim.randomize(everyone(sim), subject.nominal)
    sim.apply_wrench(spread(sim, [0.0] * 3), spread(sim, [0.0] * 3))
    sim.reset(everyone(sim), {})
    return sim


def promise(sim: Simulator) -> Promise:
    """On a GPU sums are in any order."""
    given = PROMISES[sim.engine]
    return given if sim.device.type == "cpu" else given._replace(repeats=max(given.repeats, 2e-3), restored=2e-3)


# --- setting up ---


def legs(sim: Simulator) -> LeggedRobot:
    assert isinstance(sim.robot, LeggedRobot)
    return sim.robot


def everyone(sim: Simulator) -> Tensor:
    return torch.ones(ENVS, dtype=torch.bool, device=sim.device)


def only(sim: Simulator, *envs: int) -> Tensor:
    """A mask."""
    return torch.isin(torch.arange(ENVS), torch.tensor(envs)).to(sim.device)


def spread(sim: Simulator, value: Any) -> Tensor:
    """One row for everybody, or as many rows in turn as there are; ``[ENVS, width]``."""
    given = torch.as_tensor(np.array(value, dtype=np.float32))
    given = given if given.ndim == 2 else given[None]
    return given[torch.arange(ENVS) % len(given)].to(sim.device)


def start(sim: Simulator, **state: Any) -> None:
    """Reset everybody, high in the air where nothing else is said; see `spread`."""
    sim.reset(everyone(sim), {name: spread(sim, value) for name, value in ({POSITION: [0.0, 0.0, HIGH_M]} | state).items()})


def give(sim: Simulator, name: str, values: Sequence[Any]) -> None:
    """A parameter to everybody, in turn; one number may stand for a whole row."""
    width = sim.parameters()[name].shape[1]
    sim.randomize(everyone(sim), {name: spread(sim, [np.broadcast_to(value, width) for value in values])})


def safe(sim: Simulator) -> Tensor:
    """The command that keeps the robot standing or hovering, ``[ENVS, size]``."""
    return spread(sim, [value for signal in sim.robot.actuation(sim.actuation_mode) for value in signal.safe])


def coast(sim: Simulator, rate: Any = (0.0, 0.0, 0.0)) -> Tensor:
    """The command that asks for no force: of legs to stay as they stand, of rotors to stand still while the body turns at ``rate``."""
    if isinstance(sim.robot, LeggedRobot):
        return safe(sim)
    return torch.cat([spread(sim, [0.0]), spread(sim, rate)], dim=1)


def still(sim: Simulator) -> dict[str, Any]:
    """Starts without force: rotors at rest, in air that does not drag."""
    if isinstance(sim.robot, LeggedRobot):
        return {}
    give(sim, "drag", [0.0])
    return {"rotor_speeds": [0.0] * 4}


def varied(sim: Simulator, seed: int = 0) -> Tensor:
    """Ten random commands, ``[10, ENVS, size]``."""
    return random_actuation(sim.robot, sim.actuation_mode, ENVS, seed).to(sim.device)


# --- looking ---


def seen(sim: Simulator) -> dict[str, Tensor]:
    return {name: value.cpu().clone() for name, value in sim.privileged().items()}


def look(sim: Simulator, name: str) -> np.ndarray:
    values: np.ndarray = sim.privileged()[name].cpu().numpy().copy()
    return values


def everything(sim: Simulator) -> Tensor:
    return torch.cat([value.float() for value in seen(sim).values()], dim=1)


def motion(sim: Simulator) -> Tensor:
    """State of base and joints, ``[ENVS, width]``."""
    now = seen(sim)
    return torch.cat([now[name] for name in (*BASE, *JOINTS) if name in now], dim=1)


def run(sim: Simulator, commands: Tensor, steps: int | None = None) -> Tensor:
    """The motion after each of ``commands`` ``[steps, ENVS, size]``, or after each of ``steps`` of one ``[ENVS, size]``."""
    rows = []
    for command in commands if steps is None else commands.expand(steps, -1, -1):
        sim.step(command)
        rows.append(motion(sim))
    return torch.stack(rows)


def assert_same(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Bit for bit where ``tolerance`` is 0."""
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0.0, atol=tolerance)


def assert_near(found: Any, expected: Any, relative: float) -> None:
    """Within ``relative`` of the largest that is expected."""
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=relative * float(np.abs(expected).max()))


def together(quaternion: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Quaternions ``[n, 4]``, or their negatives, which are the same turns, on the side of ``like``."""
    return quaternion * np.sign((quaternion * like).sum(1, keepdims=True))


# --- oracles ---


def momenta(sim: Simulator) -> tuple[np.ndarray, np.ndarray]:
    """Velocity of the centre of mass of legs [m/s], and angular momentum about it [kg·m²/s], in the world, ``[ENVS, 3]`` each; MuJoCo's
    kinematics of the state that is reported.
    """
    model = mujoco.MjModel.from_xml_path(str(sim.robot.model))
    data, now = mujoco.MjData(model), {name: value.double().numpy() for name, value in seen(sim).items()}
    velocity, momentum = np.zeros((ENVS, 3)), np.zeros((ENVS, 3))
    for env in range(ENVS):
        data.qpos[:] = np.concatenate([now[name][env] for name in (POSITION, ORIENTATION, "joint_position")])
        data.qvel[:] = np.concatenate([now[name][env] for name in (VELOCITY, RATE, "joint_velocity")])
        mujoco.mj_forward(model, data)
        mujoco.mj_subtreeVel(model, data)
        velocity[env], momentum[env] = data.subtree_linvel[1], data.subtree_angmom[1]
    return velocity, momentum


def fine_answer(sim: Simulator, target: np.ndarray, steps: int, delay_s: float = 0.0) -> np.ndarray:
    """Joint positions ``[steps, joints]`` at the ends of control steps, of a falling robot that stood: `JointActuator` as it says, in
    Python under MuJoCo at 0.2 ms; ``target`` ``[joints]`` counts from ``delay_s`` on.
    """
    model = mujoco.MjModel.from_xml_path(str(sim.robot.model))
    model.opt.timestep = 2e-4
    data, stand, rows = mujoco.MjData(model), np.array(legs(sim).stand), []
    data.qpos[2], data.qpos[7:] = HIGH_M, stand
    for _ in range(steps):
        for _ in range(round(sim.control_dt / model.opt.timestep)):
            wanted = target if data.time > delay_s - 1e-9 else stand
            data.qfrc_applied[6:] = explicit_torque(data.qpos[7:], data.qvel[6:], wanted)
            mujoco.mj_step(model, data)
        rows.append(data.qpos[7:].copy())
    return np.stack(rows)


def fallen(velocity: Any, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Way and velocity ``[…, 3]`` after a free fall that began at ``velocity``."""
    gravity = np.array([0.0, 0.0, -GRAVITY])
    begin = np.asarray(velocity)
    return begin * seconds + 0.5 * gravity * seconds**2, begin + gravity * seconds


def foot_radius(sim: Simulator) -> float:
    model = mujoco.MjModel.from_xml_path(str(sim.robot.model))
    return float(model.geom(legs(sim).feet[0]).size[0])


def by_foot(values: Mapping[str, Tensor], name: str) -> np.ndarray:
    """A signal of feet as ``[ENVS, feet, 3]``."""
    rows: np.ndarray = values[name].unflatten(1, (-1, 3)).numpy()
    return rows
