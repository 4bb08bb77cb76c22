"""How far engines are from each other, and how fast each is: ``tether bench engines --robot go2 --sim mujoco_cpu mujoco_warp``.

Every engine goes through the same starts and commands in all environments, of which the first is looked at; the first engine is what the
others are compared with. Of legs:

    standing    height, and contact force over weight, in the last half second of two that it stands
    responses   joints in free fall, half a second after a step of all targets: a small one, and one beyond torque and speed
    flight      energy gained in 0.3 s of tumbling with limp joints, over the largest kinetic energy in it
    motors      energy given and taken, ∫ Σ |τ q̇| dt, over a second of crouching
    push        0.8 m/s to the left: where the base is half a second later, and how far it leaned

Of quadrotors: how far one that is told to hover goes in two seconds, body rates after a step of what is asked of the inner loop, and the
error of 0.3 s of free fall without air against its closed form. Throughput (`benchmarks.sim`) is measured in turns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import mujoco
import numpy as np
import torch

from benchmarks.sim import driven, in_turns, usual_period
from cli.main import missing_module
from robots.description import GRAVITY, LeggedRobot, Robot
from robots.errors import TetherError
from sim.simulator import Simulator
from training.simulators import device_for, engine_for, make

HIGH_M = 50.0
STAND_S, RESPONSE_S, FALL_S, CROUCH_S, HOVER_S = 2.0, 0.5, 0.3, 1.0, 2.0
STEPS_RAD = {"small step": (0.3, 0.3, 0.3), "large step": (0.8, -0.5, -0.9)}  # of hip, thigh and calf
RATE_STEPS = {"roll and yaw rate step": (2.0, 0.0, 1.0)}  # rad/s
CROUCH_RAD = (0.0, 0.4, -0.6)
PUSH_M_S = (0.0, 0.8, 0.0)
POSITION, ORIENTATION = "position_base_in_world", "orientation_base_in_world"
VELOCITY, RATE = "linear_velocity_base_in_world", "angular_velocity_base_in_base"


class Response(NamedTuple):
    """What followed a step, of one engine: readings ``[steps + 1, channels]``, and what was asked ``[channels]``."""

    asked: np.ndarray
    readings: np.ndarray


class Findings(NamedTuple):
    """What one engine did."""

    measures: dict[str, float]
    responses: dict[str, Response]


def compare(
    robot: Robot,
    engines: Sequence[str],
    num_envs: int,
    *,
    control_dt: float | None = None,
    seconds: float = 2.0,
    seed: int = 0,
    **settings: Any,
) -> dict[str, Any]:
    """The whole comparison, by keys that stay; ``settings`` are ``device`` and ``physics_dt``.

    Engines that cannot be made are in ``unavailable``, with the reason. Responses are in rad of joints, and in rad/s of rates.
    """
    period = control_dt or usual_period(robot)
    sims, unavailable = _made(robot, engines, num_envs, period, **settings)
    found = {name: examine(sim) for name, sim in sims.items()}
    speeds = in_turns([driven(sim, seed) for sim in sims.values()], seconds)
    measured = {}
    for (name, findings), speed in zip(found.items(), speeds, strict=True):
        apart = differences(findings.responses, found[next(iter(found))].responses, "rad" if isinstance(robot, LeggedRobot) else "rad_s")
        measured[name] = speed | findings.measures | apart
    what = {"robot": robot.name, "num_envs": num_envs, "control_dt": period, "reference": next(iter(sims), None)}
    return what | {"engines": measured, "unavailable": unavailable, "responses": _by_case(robot, found, period)}


def _made(
    robot: Robot, engines: Sequence[str], num_envs: int, control_dt: float, *, device: str = "cpu", physics_dt: float | None = None
) -> tuple[dict[str, Simulator], dict[str, str]]:
    """Engines by name, and why there is none."""
    mode, sims, reasons = next(iter(robot.actuations)), {}, {}
    for name in dict.fromkeys(engine_for(name, robot) for name in engines):
        options = {"actuation_mode": mode, "control_dt": control_dt, "physics_dt": physics_dt, "device": device_for(name, device)}
        try:
            sims[name] = make(name, robot, num_envs, **options)
        except TetherError as error:
            reasons[name] = str(error)
        except ModuleNotFoundError as error:
            reasons[name] = missing_module(error)
    return sims, reasons


def differences(found: Mapping[str, Response], reference: Mapping[str, Response], unit: str) -> dict[str, float]:
    """Between responses to the same steps, all of them together."""
    apart = np.concatenate([(found[case].readings - reference[case].readings).ravel() for case in found])
    return {f"response_rms_{unit}": float(np.sqrt(np.mean(apart**2))), f"response_max_{unit}": float(np.abs(apart).max())}


def _by_case(robot: Robot, found: Mapping[str, Findings], period: float) -> dict[str, Any]:
    """Every response, by case and engine."""
    cases: dict[str, Any] = {}
    for name, findings in found.items():
        for case, (asked, readings) in findings.responses.items():
            rest = {"time_s": period * np.arange(len(readings)), "channels": _channels(robot), "asked": asked, "engines": {}}
            cases.setdefault(case, rest)["engines"][name] = readings
    return cases


def _channels(robot: Robot) -> list[str]:
    return [joint.name for joint in robot.joints] if isinstance(robot, LeggedRobot) else ["roll rate", "pitch rate", "yaw rate"]


# --- one engine ---


def examine(sim: Simulator) -> Findings:
    """Put ``sim`` through everything but throughput; afterwards its parameters are what they were."""
    body = Body(sim)
    return legs(body, sim.robot) if isinstance(sim.robot, LeggedRobot) else rotors(body)


class Body:
    """The first environment of an engine, whose others do the same."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.everyone = torch.ones(sim.num_envs, dtype=torch.bool, device=sim.device)
        self.safe = np.array([value for signal in sim.robot.actuation(sim.actuation_mode) for value in signal.safe])

    def __getitem__(self, name: str) -> np.ndarray:
        """A privileged signal, ``[width]``."""
        value: np.ndarray = self.sim.privileged()[name][0].double().cpu().numpy()
        return value

    def _all(self, row: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(row, dtype=np.float32), device=self.sim.device).expand(self.sim.num_envs, -1)

    def start(self, **state: Any) -> None:
        """Begin at rest but for ``state``."""
        self.sim.reset(self.everyone, {name: self._all(row) for name, row in state.items()})

    def give(self, **parameters: float) -> dict[str, torch.Tensor]:
        """Set parameters, every column to one number; returns what they were."""
        before = {name: self.sim.parameters()[name].clone() for name in parameters}
        self.sim.randomize(self.everyone, {name: torch.full_like(before[name], value) for name, value in parameters.items()})
        return before

    def push(self, change: Any) -> None:
        """See `Simulator.push`."""
        self.sim.push(self._all(change))

    def steps(self, seconds: float) -> range:
        """Control steps in ``seconds``."""
        return range(round(seconds / self.sim.control_dt))

    def step(self, command: Any) -> None:
        """See `Simulator.step`."""
        self.sim.step(self._all(command))

    def response(self, command: Any, seconds: float, name: str) -> np.ndarray:
        """Readings of ``name`` now and after each step under ``command``, ``[steps + 1, width]``."""
        rows = [self[name]]
        for _ in self.steps(seconds):
            self.step(command)
            rows.append(self[name])
        return np.stack(rows)


# --- legs ---


def legs(body: Body, robot: LeggedRobot) -> Findings:
    """See the module's docstring."""
    responses = {case: _joint_response(body, robot, np.resize(step, len(robot.joints))) for case, step in STEPS_RAD.items()}
    return Findings(_standing(body) | _flight(body, robot) | _crouching(body) | _pushed(body), responses)


def _joint_response(body: Body, robot: LeggedRobot, step: np.ndarray) -> Response:
    body.start(**{POSITION: [0.0, 0.0, HIGH_M]})
    low, high = (np.array([getattr(joint, side) for joint in robot.joints]) for side in ("lower", "upper"))
    asked = np.clip(body.safe + step, low, high)
    return Response(asked, body.response(asked, RESPONSE_S, "joint_position"))


def _standing(body: Body) -> dict[str, float]:
    body.start()
    heights, forces = [], []
    for _ in body.steps(STAND_S):
        body.step(body.safe)
        heights.append(body[POSITION][2])
        forces.append(body["foot_force_in_world"].reshape(-1, 3)[:, 2].sum())
    last = len(body.steps(0.5))
    weight = body.sim.robot.mass_kg * GRAVITY
    return {"standing_height_m": float(np.mean(heights[-last:])), "contact_force_over_weight": float(np.mean(forces[-last:])) / weight}


def _flight(body: Body, robot: LeggedRobot) -> dict[str, float]:
    """Energy is MuJoCo's of the state that is reported; without gains nothing takes or gives any."""
    model = mujoco.MjModel.from_xml_path(str(robot.model))
    before = body.give(kp_scale=0.0, kd_scale=0.0)
    body.start(**{POSITION: [0.0, 0.0, HIGH_M], RATE: [1.0, -1.5, 2.0]})
    energies = [_energy(body, model)]
    for _ in body.steps(FALL_S):
        body.step(body.safe)
        energies.append(_energy(body, model))
    body.sim.randomize(body.everyone, before)
    potential, kinetic = np.array(energies).T
    return {"flight_energy_drift": float((potential + kinetic)[-1] - (potential + kinetic)[0]) / float(kinetic.max())}


def _energy(body: Body, model: mujoco.MjModel) -> np.ndarray:
    """Potential and kinetic [J]."""
    data = mujoco.MjData(model)
    data.qpos[:] = np.concatenate([body[name] for name in (POSITION, ORIENTATION, "joint_position")])
    data.qvel[:] = np.concatenate([body[name] for name in (VELOCITY, RATE, "joint_velocity")])
    mujoco.mj_forward(model, data)
    mujoco.mj_energyPos(model, data)
    mujoco.mj_energyVel(model, data)
    energy: np.ndarray = data.energy.copy()
    return energy


def _crouching(body: Body) -> dict[str, float]:
    """Down and up once."""
    body.start()
    for _ in body.steps(0.5):
        body.step(body.safe)
    total, depth = 0.0, np.resize(CROUCH_RAD, len(body.safe))
    for step in body.steps(CROUCH_S):
        share = 0.5 - 0.5 * math.cos(2.0 * math.pi * (step + 1) * body.sim.control_dt / CROUCH_S)
        body.step(body.safe + share * depth)
        total += float(np.abs(body["joint_torque"] * body["joint_velocity"]).sum()) * body.sim.control_dt
    return {"motor_energy_j": total}


def _pushed(body: Body) -> dict[str, float]:
    body.start()
    for _ in body.steps(0.5):
        body.step(body.safe)
    begin, leaned = body[POSITION], 0.0
    body.push(PUSH_M_S)
    for _ in body.steps(RESPONSE_S):
        body.step(body.safe)
        _, x, y, _ = body[ORIENTATION]
        leaned = max(leaned, math.acos(max(-1.0, 1.0 - 2.0 * (x * x + y * y))))
    return {"push_displacement_m": float(np.linalg.norm(body[POSITION] - begin)), "push_lean_rad": leaned}


# --- rotors ---


def rotors(body: Body) -> Findings:
    """See the module's docstring."""
    responses = {}
    for case, rates in RATE_STEPS.items():
        body.start(**{POSITION: [0.0, 0.0, HIGH_M]})
        responses[case] = Response(np.array(rates), body.response([body.safe[0], *rates], RESPONSE_S, RATE))
    return Findings(_hovering(body) | _falling(body), responses)


def _hovering(body: Body) -> dict[str, float]:
    body.start(**{POSITION: [0.0, 0.0, HIGH_M]})
    for _ in body.steps(HOVER_S):
        body.step(body.safe)
    return {"hover_drift_m": float(np.linalg.norm(body[POSITION] - [0.0, 0.0, HIGH_M]))}


def _falling(body: Body) -> dict[str, float]:
    before = body.give(drag=0.0)
    body.start(**{POSITION: [0.0, 0.0, HIGH_M], VELOCITY: [1.0, 0.0, 0.0], "rotor_speeds": [0.0] * 4})
    for _ in body.steps(FALL_S):
        body.step([0.0] * 4)
    body.sim.randomize(body.everyone, before)
    seconds = len(body.steps(FALL_S)) * body.sim.control_dt
    velocity = np.array([1.0, 0.0, -GRAVITY * seconds])
    place = np.array([seconds, 0.0, HIGH_M - 0.5 * GRAVITY * seconds**2])
    errors = {"fall_speed_error_m_s": body[VELOCITY] - velocity, "fall_position_error_m": body[POSITION] - place}
    return {name: float(np.linalg.norm(error)) for name, error in errors.items()}
