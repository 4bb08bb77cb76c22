"""A point mass that is told where to go, cheap enough to train in seconds; and a recall task that only memory solves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from robots.description import Limits, Robot
from robots.signals import Actuation, Command, Sensor
from safety.safeguards.safeguard import Guarded, Safeguard
from sim.simulator import Simulator
from tasks.task import Memory, Signals, Start, Suite, Task, Transition

POINT = Robot(
    name="point",
    model=Path("point.xml"),
    source="made up for tests",
    mass_kg=1.0,
    sensors=(Sensor("position", ("x",), "m", "world", source="encoder"), Sensor("velocity", ("x",), "m/s", "world", source="encoder")),
    actuations={"force": (Actuation("force", ("x",), "N", "world", (-1.0,), (1.0,), field="effort", safe=(0.0,)),)},
    limits=Limits(tilt_rad=0.1, speed_m_s=2.0, body_rate_rad_s=1.0, distance_m=5.0),
)


class PointSimulator(Simulator):
    """x' = x + v dt, v' = v + f dt."""

    engine = "point"

    def __init__(self, num_envs: int, control_dt: float = 0.1) -> None:
        self.robot, self.actuation_mode, self.num_envs, self.device = POINT, "force", num_envs, torch.device("cpu")
        self.control_dt = self.physics_dt = control_dt
        self.state = {"position": torch.zeros(num_envs, 1), "velocity": torch.zeros(num_envs, 1)}
        self.wind = torch.zeros(num_envs, 1)
        self.force = torch.zeros(num_envs, 3)

    def reset(self, mask: Tensor, state: Mapping[str, Tensor]) -> None:
        """See `Simulator`."""
        rest = torch.zeros(self.num_envs, 1)
        self.state = {name: torch.where(mask.unsqueeze(1), state.get(name, rest), value) for name, value in self.state.items()}

    def step(self, actuation: Tensor) -> None:
        """See `Simulator`."""
        velocity = self.state["velocity"] + self.control_dt * (actuation + self.force[:, :1])
        self.state = {"position": self.state["position"] + self.control_dt * velocity, "velocity": velocity}

    def signals(self) -> dict[str, Tensor]:
        """See `Simulator`."""
        return dict(self.state)

    def privileged(self) -> dict[str, Tensor]:
        """See `Simulator`."""
        return dict(self.state)

    def parameters(self) -> dict[str, Tensor]:
        """See `Simulator`."""
        return {"wind": self.wind}

    def randomize(self, mask: Tensor, parameters: Mapping[str, Tensor]) -> None:
        """See `Simulator`."""
        self.wind = torch.where(mask.unsqueeze(1), parameters.get("wind", self.wind), self.wind)

    def apply_wrench(self, force_in_world: Tensor, torque_in_base: Tensor) -> None:
        """See `Simulator`."""
        self.force = force_in_world

    def push(self, velocity_change_in_world: Tensor) -> None:
        """See `Simulator`."""
        self.state["velocity"] = self.state["velocity"] + velocity_change_in_world[:, :1]

    def detach(self) -> None:
        """See `Simulator`."""
        self.state = {name: value.detach() for name, value in self.state.items()}

    def state_dict(self) -> dict[str, Any]:
        """See `Simulator`."""
        return {"state": self.state, "wind": self.wind, "force": self.force}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Simulator`."""
        self.state, self.wind, self.force = dict(state["state"]), state["wind"], state["force"]


@dataclass(frozen=True)
class PointSuite(Suite):
    """Uniform starts within ± reach."""

    reach: float = 1.0
    noise: float = 0.0
    force: float = 0.0
    gust: float = 0.0


class Reach(Task):
    """Drive the point to the goal and stay; leaving ± 3 m is failure."""

    name = "reach"
    actuation_mode = "force"
    rate_hz = 10.0
    episode_s = 2.0
    clock = "encoder"
    sensors = ("position", "velocity")
    commands = (Command("goal", ("x",), "m", "world", default=(0.0,)),)
    action_size = 1
    task_memory_size = 1
    observation_names = ("error", "velocity", "steps")
    suites: ClassVar = {"full": PointSuite("full")}
    training_suite = PointSuite("training", noise=0.01)
    robot = POINT

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """Error, velocity and, from memory, how many steps were seen before."""
        return torch.cat([command["goal"] - sensors["position"], sensors["velocity"], memory.task], dim=1), memory.task + 1

    def actuate(self, action: Tensor) -> dict[str, Tensor]:
        """A force within the limits."""
        return {"force": action}

    def sample(self, suite: PointSuite, num_envs: int, generator: torch.Generator) -> Start:
        """Uniform start and goal."""
        start, goal = (torch.rand(2, num_envs, 1, generator=generator) * 2 - 1) * suite.reach
        some = torch.ones(num_envs, 1)
        push = torch.tensor([[suite.force, 0.0, 0.0]]).repeat(num_envs, 1)
        return Start(
            state={"position": start},
            parameters={"wind": some * 0.5},
            command={"goal": goal},
            sensor_noise={"position": some * suite.noise},
            force_in_world=push if suite.force else None,
            gust_m_s=torch.full((num_envs, 3), suite.gust) if suite.gust else None,
        )

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """Near is good, fast is bad."""
        error = self.tracking_error(transition.state, transition.command)
        return {"distance": -0.1 * error, "speed": -0.01 * transition.state["velocity"].abs().flatten()}

    def terminated(self, transition: Transition) -> Tensor:
        """Left the table, or not a number."""
        return ~(transition.state["position"].abs() <= 3.0).flatten()

    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """Distance to the goal."""
        return (state["position"] - command["goal"]).abs().flatten()

    def success(self, tracking_errors: Tensor, terminated: Tensor) -> Tensor:
        """Within 0.1 m at the end."""
        return (tracking_errors[-1] < 0.1) & ~terminated

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """Noise-free error and velocity."""
        return torch.cat([command["goal"] - state["position"], state["velocity"]], dim=1)


class Brake(Safeguard):
    """Keeps |v + a dt| ≤ 0.5 m/s where the force can; the action nearest to the one asked."""

    def forward(self, state: Tensor, action: Tensor) -> Guarded:
        """State is the velocity ``[n, 1]``."""
        low, high = (-0.5 - state) / 0.1, (0.5 - state) / 0.1
        safe = torch.minimum(torch.maximum(action, low), high).clamp(-1.0, 1.0)
        distance = 0.5 - (state + 0.1 * safe).abs()
        return Guarded(safe, distance, (distance >= -1e-6).to(action.dtype), (safe - action).abs())


class SlowReach(Reach):
    """`Reach` with a safeguard that keeps it slow."""

    name = "slow_reach"
    safeguards: ClassVar = {"brake": lambda task: Brake()}

    def guarded_state(self, sensors: Signals, command: Signals, memory: Memory) -> Tensor:
        """The velocity."""
        return sensors["velocity"]


class Recall(Reach):
    """Push with the sign that was shown on the first step only: without memory the expected reward is that of standing still."""

    name = "recall"
    episode_s = 0.6
    observation_names = ("shown",)
    task_memory_size = 0

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """The goal's sign on the first step, zero afterwards."""
        return command["goal"].sign() * (1 - memory.started), memory.task

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """0.1 for half force with the right sign, 0 for none, −0.3 for the wrong sign."""
        miss = transition.actuation["force"] - 0.5 * transition.command["goal"].sign()
        return {"push": 0.1 * (1 - 4 * miss.square()).flatten()}
