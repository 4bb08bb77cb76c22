"""A robot, a contract and a policy small enough to know everything about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deploy.policy import PolicyOutput
from deploy.runtime import Runtime, Tick
from robots.contract import Contract
from robots.description import Limits, Quadrotor, Robot, Rotor
from robots.signals import Actuation, Command, Sensor

PERIOD_NS = 10_000_000
LIMITS = Limits(tilt_rad=1.0, speed_m_s=5.0, body_rate_rad_s=10.0, distance_m=4.0)
ODOMETRY = (
    Sensor("position_base_in_world", ("x", "y", "z"), "m", "world", source="odometry"),
    Sensor("orientation_base_in_world", ("w", "x", "y", "z"), "1", "world", source="odometry"),
    Sensor("linear_velocity_base_in_world", ("x", "y", "z"), "m/s", "world", source="odometry"),
    Sensor("angular_velocity_base_in_base", ("x", "y", "z"), "rad/s", "base", (-60.0,) * 3, (60.0,) * 3, source="odometry"),
)
BATTERY = Sensor("battery_voltage", ("volts",), "V", source="battery")
THRUST = Actuation("collective_thrust", ("collective_thrust",), "N", "base", (0.0,), (0.6,), "effort", (0.3,))
RATES = Actuation("body_rates", ("roll_rate", "pitch_rate", "yaw_rate"), "rad/s", "base", (-10.0,) * 3, (10.0,) * 3, "velocity", (0.0,) * 3)
GOAL = Command("goal_position_in_world", ("x", "y", "z"), "m", "world", on_stale="hold")
VELOCITY = Command("velocity_in_base", ("x", "y"), "m/s", "base", default=(0.0, 0.0), on_stale="zero")

QUADROTOR = Quadrotor(
    name="test_quadrotor",
    model=Path("none.xml"),
    source="made up",
    mass_kg=0.03,
    sensors=(*ODOMETRY, BATTERY),
    actuations={"ctbr": (THRUST, RATES)},
    limits=LIMITS,
    inertia_kg_m2=(1e-5,) * 3,
    rotors=(Rotor(position_m=(0.03, -0.03, 0.0), spin=-1),) * 4,
    thrust_curve_n=(0.0, 0.0, 0.15),
    torque_per_thrust_m=0.006,
    rotor_speed_max_rad_s=2000.0,
    rotor_inertia_kg_m2=1e-8,
    motor_rise_s=0.05,
    motor_fall_s=0.05,
    body_drag_n_s_m=(0.0,) * 3,
    rate_gain_1_s=(10.0,) * 3,
    rate_max_rad_s=(10.0, 10.0, 4.0),
)

JOINTS = ("hip", "knee")
TORQUES = Actuation("joint_positions", JOINTS, "rad", "", (-1.0, -2.0), (1.0, 2.0), "position", (0.0, 0.0))
LEG = Robot(
    name="test_leg",
    model=Path("none.xml"),
    source="made up",
    mass_kg=1.0,
    sensors=(Sensor("joint_angles", JOINTS, "rad", source="joint_state"),),
    actuations={"position": (TORQUES,)},
    limits=Limits(tilt_rad=1.0, speed_m_s=1.0, body_rate_rad_s=1.0, distance_m=float("inf")),
)


def contract_of(robot: Robot = QUADROTOR, **changes: Any) -> Contract:
    """The contract of a policy for ``robot``, with ``changes``."""
    is_leg = robot is LEG
    fields: dict[str, Any] = {
        "robot": robot.name,
        "task": "test",
        "rate_hz": 100.0,
        "clock": "joint_state" if is_leg else "odometry",
        "sensors": robot.sensors if is_leg else ODOMETRY,
        "commands": () if is_leg else (GOAL,),
        "actuation": next(iter(robot.actuations.values())),
        "actuation_mode": next(iter(robot.actuations)),
        "memory_size": 2,
        "observation": ("error_x", "error_y", "error_z"),
        "limits": robot.limits,
    }
    return Contract(**{**fields, **changes})


class FakePolicy:
    """Counts its steps in memory and answers with ``answer(step)``.

    Attributes:
        answer: from the step since restart to actuation by name; default: hover thrust and no rates.
        change: applied to the output, to make it wrong.
        seen: (sensors, commands, memory) of every step, copied.
    """

    digest = "ab" * 32

    def __init__(self, contract: Contract | None = None, answer: Callable[[int], Mapping[str, Any]] | None = None) -> None:
        self.contract = contract or contract_of()
        self.answer = answer or (lambda step: {signal.name: np.array(signal.safe) for signal in self.contract.actuation})
        self.change: Callable[[PolicyOutput], Any] = lambda output: output
        self.seen: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]] = []

    def step(self, sensors: Mapping[str, np.ndarray], command: Mapping[str, np.ndarray], memory: np.ndarray) -> Any:
        self.seen.append(({k: v.copy() for k, v in sensors.items()}, {k: v.copy() for k, v in command.items()}, memory.copy()))
        one = np.ones((1, 1), dtype=np.float32)
        with np.errstate(all="ignore"):
            actuation = {name: np.reshape(value, (1, -1)).astype(np.float32) for name, value in self.answer(int(memory[0, 0])).items()}
        observation = np.zeros((1, len(self.contract.observation)), dtype=np.float32)
        return self.change(PolicyOutput(actuation, memory + 1.0, observation, one * 1e6, one * 0, one, one * 0))


def odometry(**changes: Any) -> dict[str, Any]:
    """Hovering at (1, 2, 3), with ``changes`` by sensor name."""
    level = {
        "position_base_in_world": np.array([1.0, 2.0, 3.0]),
        "orientation_base_in_world": np.array([1.0, 0.0, 0.0, 0.0]),
        "linear_velocity_base_in_world": np.zeros(3),
        "angular_velocity_base_in_base": np.zeros(3),
    }
    return {**level, **changes}


class Flight:
    """A runtime in lockstep with a simulated clock.

    Attributes:
        time_s: the monotonic clock.
        stamp_ns: of the next reading.
        enabled: whether the dead-man switch is held.
    """

    def __init__(self, policy: FakePolicy | None = None, robot: Robot = QUADROTOR, **options: Any) -> None:
        self.policy = policy or FakePolicy(contract_of(robot))
        self.time_s = 100.0
        self.stamp_ns = 5_000_000_000
        self.enabled = True
        self.runtime = Runtime(self.policy, robot=robot, now=lambda: self.time_s, **options)

    def flying(self, ticks: int = 3) -> Flight:
        """Activate and run until the policy is in control."""
        self.runtime.activate()
        for _ in range(ticks):
            self.tick()
        return self

    def tick(self, dt_s: float = 0.01, **changes: Any) -> Tick:
        """One reading of the clock source, ``dt_s`` after the last."""
        found = self.read(dt_s=dt_s, **changes)
        assert found is not None
        return found

    def watch(self, dt_s: float) -> Tick | None:
        """Nothing has arrived for another ``dt_s``."""
        self.time_s += dt_s
        return self.runtime.watch(self.time_s)

    def read(self, dt_s: float = 0.01, **changes: Any) -> Tick | None:
        """Like `tick`, for readings that may not trigger one."""
        self.time_s += dt_s
        self.stamp_ns += round(dt_s * 1e9)
        if self.enabled:
            self.runtime.enable(self.time_s)
        return self.runtime.on_sensors("odometry", odometry(**changes), self.stamp_ns, self.time_s)


def with_limits(**changes: float) -> Limits:
    """`LIMITS` with ``changes``."""
    return dataclasses.replace(LIMITS, **changes)
