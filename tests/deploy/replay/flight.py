"""Flights to judge: the shipped geometric controller on a point mass that turns at once, through the real runtime and recorder."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from deploy.guards import GuardConfig
from deploy.policy import Policy
from deploy.record import Recorder
from deploy.runtime import Runtime, State
from robots.crazyflie import crazyflie
from robots.description import GRAVITY

POLICY = Path(__file__).parents[3] / "policies" / "hover_geometric.onnx"
EPOCH_NS = 1_760_000_000_123_456_789
GROUND_TICKS = 10  # before the policy may take over
START_S = 100.0  # of the monotonic clock


class Plant:
    """Thrust along the body's z axis, body rates followed at once; semi-implicit Euler."""

    def __init__(self) -> None:
        self.position = np.array([0.0, 0.0, 6.0])
        self.velocity = np.array([0.5, -0.3, 0.2])
        self.quaternion = np.array([np.cos(0.3), 0.8 * np.sin(0.3), 0.36 * np.sin(0.3), 0.48 * np.sin(0.3)])
        self.rate = np.zeros(3)

    def step(self, thrust_n: float, rate: np.ndarray, dt: float) -> None:
        self.rate = rate
        w, v = self.quaternion[0], self.quaternion[1:]
        change = np.array([-v @ rate, *(w * rate + np.cross(v, rate))])
        self.quaternion = self.quaternion + 0.5 * dt * change
        self.quaternion /= np.linalg.norm(self.quaternion)
        w, x, y, z = self.quaternion
        up = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
        self.velocity = self.velocity + dt * (thrust_n / crazyflie.mass_kg * up - np.array([0.0, 0.0, GRAVITY]))
        self.position = self.position + dt * self.velocity

    def sensors(self) -> dict[str, np.ndarray]:
        return {
            "position_base_in_world": self.position,
            "orientation_base_in_world": self.quaternion,
            "linear_velocity_base_in_world": self.velocity,
            "angular_velocity_base_in_base": self.rate,
        }


def fly(
    path: Path,
    policy: Policy,
    seconds: float = 4.0,
    *,
    late: Collection[int] = (),
    silent: Collection[int] = (),
    estop: int | None = None,
    pause: Collection[int] = (),
    released: Collection[int] = (),
    config: GuardConfig | None = None,
    **limits: Any,
) -> Path:
    """Record a flight to a goal 1 m away.

    Args:
        path: where to.
        policy: a hover policy.
        seconds: of flight, after some ticks on the ground.
        late: ticks whose answer takes 1.5 periods.
        silent: ticks whose observation does not arrive.
        estop: tick at which the e-stop is pressed.
        pause: ticks between which the runtime is deactivated.
        released: ticks at which the dead-man switch is not held.
        config: guard thresholds.
        limits: of the robot that flies it, instead of the Crazyflie's.
    """
    config, period, clock = config or GuardConfig(), policy.contract.period_s, [START_S]
    robot = dataclasses.replace(crazyflie, limits=dataclasses.replace(crazyflie.limits, **limits))
    plant = Plant()
    with Recorder(path, policy, robot=robot, config=config, notes={"simulator": "point mass"}) as recorder:
        runtime = Runtime(policy, robot=robot, recorder=recorder, config=config, now=lambda: clock[0])
        for tick in range(GROUND_TICKS + round(seconds / period)):
            receipt = START_S + tick * period
            clock[0] = receipt + 2e-4 + 3e-4 * float(np.sin(tick * 12.9898) ** 2) + (1.5 * period if tick in late else 0.0)
            _operate(runtime, tick, receipt, held=tick not in released)
            if tick == estop:
                runtime.estop("a hand on the button")
            if tick in pause and runtime.state is State.POLICY:
                runtime.deactivate()
            if tick - 1 in pause and tick not in pause:
                runtime.activate()
            stamp_ns = EPOCH_NS + round(tick * period * 1e9)
            answer = runtime.watch(receipt) if tick in silent else runtime.on_sensors("odometry", plant.sensors(), stamp_ns, receipt)
            if answer is not None and answer.actuation is not None:
                plant.step(float(answer.actuation["collective_thrust"][0]), answer.actuation["body_rates"].astype(float), period)
    return path


def _operate(runtime: Runtime, tick: int, receipt: float, *, held: bool) -> None:
    if tick == GROUND_TICKS // 2:
        runtime.activate()
    if tick >= GROUND_TICKS and held:
        runtime.enable(receipt)
    if tick == GROUND_TICKS + 2:
        runtime.on_command("goal_position_in_world", np.array([0.5, -0.4, 6.7]), receipt)
