"""Distance of the quadrotor engine from MuJoCo after one second of random thrust, and its cost, over sub-steps.

``python -m benchmarks.integrator`` prints the table of benchmarks/RESULTS.md. The reference integrates our MJCF with MuJoCo's RK4 at
0.25 ms. Rotor speeds, thrust, drag and rotor momentum are evaluated in every Runge–Kutta stage by an implementation of their equations that
shares nothing with the engine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mujoco
import numpy as np
import torch

from robots.crazyflie import FAMILY, crazyflie
from robots.description import Quadrotor
from sim.quadrotor import QuadrotorSimulator

REFERENCE_DT_S = 0.25e-3
CONTROL_DT_S = 0.01
START_M = 10.0


def random_thrusts(robot: Quadrotor, seed: int, steps: int = 100) -> np.ndarray:
    """Thrust commands ``[steps, 4]``, every rotor anew every 10 ms, uniform in 0.2…0.8 of the largest."""
    return np.random.default_rng(seed).uniform(0.2, 0.8, (steps, 4)) * robot.thrust_max_n


def speed_command(robot: Quadrotor, thrust: np.ndarray) -> np.ndarray:
    """Normalised rotor speed for a thrust, by solving the thrust curve."""
    c0, c1, c2 = robot.thrust_curve_n
    return np.array([max(np.roots([c2, c1, c0 - f]).real) for f in thrust])


def reference_flight(
    robot: Quadrotor,
    thrusts: np.ndarray,
    speed: np.ndarray,
    velocity: np.ndarray,
    rate: np.ndarray,
    centre_of_mass: tuple[float, float, float] = (0.0, 0.0, 0.0),
    wrench: tuple[float, ...] = (0.0,) * 6,
) -> np.ndarray:
    """Positions ``[steps + 1, 3]`` from the origin, level, under ``thrusts`` held for 10 ms each, from rotor ``speed``, ``velocity`` and
    ``rate``.

    An offset ``centre_of_mass`` [m] goes with a robot without drag, which here acts at the base; ``wrench`` is a force and a torque in the
    world at the centre of mass.
    """
    spec = mujoco.MjSpec.from_file(str(robot.model))
    spec.body("base").ipos = centre_of_mass
    spec.option.timestep = REFERENCE_DT_S
    model = spec.compile()
    data = mujoco.MjData(model)
    data.xfrc_applied[1] = wrench
    data.qvel[:] = np.concatenate([velocity, rate])
    positions = [data.qpos[:3].copy()]
    for thrust in thrusts:
        command = speed_command(robot, thrust)
        with _forces(robot, speed, command, data.time):
            for _ in range(round(CONTROL_DT_S / REFERENCE_DT_S)):
                mujoco.mj_step(model, data)
        speed, _ = _rotor_speed(robot, speed, command, CONTROL_DT_S)
        positions.append(data.qpos[:3].copy())
    return np.array(positions)


def _rotor_speed(robot: Quadrotor, speed: np.ndarray, command: np.ndarray, elapsed: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotor speeds and their rates of change ``elapsed`` seconds after a command."""
    tau = np.where(command > speed, robot.motor_rise_s, robot.motor_fall_s)
    error = (speed - command) * np.exp(-elapsed / tau)
    return command + error, -error / tau


@contextmanager
def _forces(robot: Quadrotor, start: np.ndarray, command: np.ndarray, begin: float) -> Iterator[None]:
    """Set thrusts, drag and the rotors' momentum in every stage of MuJoCo's integrator, for one held command."""
    spin = np.array([rotor.spin for rotor in robot.rotors])
    c0, c1, c2 = robot.thrust_curve_n

    def passive(_: Any, data: Any) -> None:
        u, u_dot = _rotor_speed(robot, start, command, data.time - begin)
        matrix = data.xmat[1].reshape(3, 3)
        drag = np.array(robot.body_drag_n_s_m) + np.array(robot.rotor_drag_kg) * robot.rotor_speed_max_rad_s * u.sum()
        inertia = robot.rotor_inertia_kg_m2 * robot.rotor_speed_max_rad_s
        momentum = np.array([0.0, 0.0, -inertia * (spin * u).sum()])
        data.ctrl[:] = c0 + c1 * u + c2 * u * u
        data.qfrc_passive[:3] = -matrix @ (drag * (matrix.T @ data.qvel[:3]))
        data.qfrc_passive[3:6] = -np.cross(data.qvel[3:6], momentum) + np.array([0.0, 0.0, inertia * (spin * u_dot).sum()])

    mujoco.set_mjcb_passive(passive)
    try:
        yield
    finally:
        mujoco.set_mjcb_passive(None)


def engine_flight(
    robot: Quadrotor,
    thrusts: np.ndarray,
    speed: np.ndarray,
    velocity: np.ndarray,
    rate: np.ndarray,
    physics_dt: float,
    dtype: torch.dtype = torch.float32,
) -> np.ndarray:
    """The same flights by the engine, 10 m up; ``[flights, …]`` in, positions ``[steps + 1, flights, 3]`` out."""
    flights, steps = thrusts.shape[:2]
    sim = QuadrotorSimulator(robot, flights, actuation_mode="rotor_thrusts", control_dt=CONTROL_DT_S, physics_dt=physics_dt, dtype=dtype)
    height = torch.tensor([[0.0, 0.0, START_M]], dtype=dtype).expand(flights, 3)
    given = {
        "rotor_speeds": torch.as_tensor(speed),
        "linear_velocity_base_in_world": torch.as_tensor(velocity),
        "angular_velocity_base_in_base": torch.as_tensor(rate),
    }
    sim.reset(torch.ones(flights, dtype=torch.bool), given | {"position_base_in_world": height})
    positions = [sim.signals()["position_base_in_world"]]
    for step in range(steps):
        sim.step(torch.as_tensor(thrusts[:, step]))
        positions.append(sim.signals()["position_base_in_world"])
    return torch.stack(positions).double().numpy() - np.array([0.0, 0.0, START_M])


def starts(seeds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random rotor speeds, velocities (≤ 3 m/s an axis) and body rates (≤ 3 rad/s an axis) of hover's `full` suite, ``[seeds, …]``."""
    random = np.random.default_rng(1)
    return random.uniform(0.4, 0.9, (seeds, 4)), random.uniform(-3.0, 3.0, (seeds, 3)), random.uniform(-3.0, 3.0, (seeds, 3))


def cost_us(robot: Quadrotor, physics_dt: float, num_envs: int = 512, steps: int = 300) -> float:
    """Processor time of one 10 ms control step [µs], the best of ten rounds."""
    sim = QuadrotorSimulator(robot, num_envs, control_dt=CONTROL_DT_S, physics_dt=physics_dt)
    actuation = torch.tensor([[robot.mass_kg * 9.81, 0.1, 0.1, 0.1]]).expand(num_envs, 4)
    sim.reset(torch.ones(num_envs, dtype=torch.bool), {"position_base_in_world": torch.tensor([[0.0, 0.0, 50.0]]).expand(num_envs, 3)})
    best = float("inf")
    with torch.no_grad():
        for _ in range(10):
            begin = time.process_time()
            for _ in range(steps // 10):
                sim.step(actuation)
            best = min(best, (time.process_time() - begin) / (steps // 10))
    return best * 1e6


def main(seeds: int = 8) -> None:
    """Print the table of benchmarks/RESULTS.md."""
    torch.set_num_threads(1)
    speed, velocity, rate = starts(seeds)
    print(f"{'preset':22}" + "".join(f"{CONTROL_DT_S / n * 1e3:>10.2f} ms" for n in (1, 2, 3, 4, 5, 10)))
    for robot in FAMILY:
        thrusts = np.stack([random_thrusts(robot, seed) for seed in range(seeds)])
        truth = np.stack([reference_flight(robot, *flight) for flight in zip(thrusts, speed, velocity, rate, strict=True)], axis=1)
        errors = []
        for substeps in (1, 2, 3, 4, 5, 10):
            flown = engine_flight(robot, thrusts, speed, velocity, rate, CONTROL_DT_S / substeps)
            errors.append(np.linalg.norm(flown[-1] - truth[-1], axis=1).max() * 1e3)
        print(f"{robot.name:22}" + "".join(f"{error:>10.3f} mm" for error in errors))
    costs = [cost_us(crazyflie, CONTROL_DT_S / n) for n in (1, 2, 3, 4, 5, 10)]
    print(f"{'512 envs, one thread':22}" + "".join(f"{cost:>10.0f} µs" for cost in costs))


if __name__ == "__main__":
    main()
