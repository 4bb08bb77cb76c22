"""What the three published tasks of safe reinforcement learning share (Walter et al. 2025, arXiv 2506.01665).

The robot is an equation of motion, the action in −1…1 is its input, and every task has the safeguards `projection`, `ray_mask` and
`hyperbolic_ray_mask`. An episode begins where the safeguard's promise begins. Leaving the safe states ends nothing: evaluations report, as
`exits`, the share of steps spent outside.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robots.description import EquationRobot, Robot
from robots.errors import TetherError
from tasks.draw import Draw
from tasks.task import Memory, Signals, Start, Suite, Task, Transition

SEEDS = 1 << 24  # of a disturbance


@dataclass(frozen=True, kw_only=True)
class SafeSuite(Suite):
    """Ranges an episode is drawn from.

    Attributes:
        start_share: starts are drawn from the safe states, shrunk to this share about their centre.
        place_m: goal or obstacle are within this of the origin, along each axis; for tasks that have one.
        disturbance: on the half-widths of the published disturbance.
        noise: standard deviation of every sensor, as a share of the state box.
    """

    start_share: float = 1.0
    place_m: float = 0.0
    disturbance: float = 0.0
    noise: float = 0.0


class SafeControl(Task):
    """See the module's docstring; subclasses give observation, reward, starts and what is safe.

    Args:
        robot: of the kind that the task is for; the published one by default.
    """

    actuation_mode = "input"
    task_memory_size = 0
    kind: ClassVar[type[EquationRobot]]
    settled: ClassVar[float]  # largest mean error of a success
    lost = 1e4  # state boxes from the origin, from where numbers would soon overflow

    def __init__(self, robot: Robot | None = None) -> None:
        robot = self.published() if robot is None else robot
        if not isinstance(robot, self.kind):
            raise TetherError(f"{self.name} is a task for a {self.kind.__name__}; {robot.name} is a {type(robot).__name__}")
        self.robot: EquationRobot = robot
        self.sensors = (*robot.states, *robot.surroundings)
        self.rate_hz = 1.0 / robot.step_s

    @abc.abstractmethod
    def published(self) -> EquationRobot:
        """The robot of the publication."""

    @abc.abstractmethod
    def outside(self, state: Signals) -> dict[str, Tensor]:
        """What of ``state`` is not as it should be: bool ``[num_envs]`` by name; ``exits`` is about the safe states."""

    @abc.abstractmethod
    def begin(self, suite: SafeSuite, draw: Draw) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """States and surroundings at the start by name, and commands by name."""

    def x(self, signals: Signals) -> Tensor:
        """The state ``[batch, dim]`` from signals that have it."""
        return torch.cat([signals[name] for name in self.robot.states], dim=1)

    def guarded_state(self, sensors: Signals, command: Signals, memory: Memory) -> Tensor:
        """The state, and what is around it."""
        return torch.cat([sensors[name] for name in self.sensors], dim=1)

    def actuate(self, action: Tensor) -> dict[str, Tensor]:
        """The input itself, one signal after the other."""
        signals = self.robot.actuation(self.actuation_mode)
        parts = action.split([signal.size for signal in signals], dim=1)
        return {signal.name: part for signal, part in zip(signals, parts, strict=True)}

    def terminated(self, transition: Transition) -> Tensor:
        """Not finite (every comparison with NaN is false), or far beyond all that is meant."""
        x = self.x(transition.state)
        return ~(x.abs() <= self.lost * x.new_tensor(self.robot.state_box)).all(1)

    def measures(self, transition: Transition) -> dict[str, Tensor]:
        """1 in each step that is not as it should be; see `outside`."""
        some = self.x(transition.state)
        return {name: wrong.to(some.dtype) for name, wrong in self.outside(transition.state).items()}

    def success(self, tracking_errors: Tensor, terminated: Tensor) -> Tensor:
        """Not terminated, and the mean error of the judged part below `settled`."""
        return (self.judged(tracking_errors).mean(0) < self.settled) & ~terminated

    def sample(self, suite: SafeSuite, num_envs: int, generator: torch.Generator) -> Start:
        """Draw ``num_envs`` starts, goals and disturbances from ``suite``."""
        draw = Draw(num_envs, generator)
        some = torch.ones(num_envs, 1, device=draw.device)
        state, command = self.begin(suite, draw)
        seeds = torch.randint(SEEDS, (num_envs, 1), generator=generator, device=draw.device)
        return Start(
            state=state,
            parameters={"disturbance_scale": some * suite.disturbance, "disturbance_seed": seeds.to(some.dtype)},
            command=command,
            sensor_noise=self.noise(suite, some) if suite.noise else {},
        )

    def noise(self, suite: SafeSuite, some: Tensor) -> dict[str, Tensor]:
        """Standard deviations by sensor; surroundings are known exactly."""
        sizes = [self.robot.sensor(name).size for name in self.robot.states]
        parts = (some * suite.noise * some.new_tensor(self.robot.state_box)).split(sizes, dim=1)
        return dict(zip(self.robot.states, parts, strict=True))
