"""Skim: hold a place as close to the ground as you dare, in gusts with heavy tails.

The goal is a hand's breadth above the ground, every metre away from it costs, and touching the ground ends the flight: how high to stay is
a question of how much a rare, strong gust counts. Frames, estimates and actions are hover's (`tasks/hover.py`), gusts are
`training/bursts.py`'s. Ours; no published task.

## Observation (30)

Hover's 29, then `ground`: exp(−height above ground / 0.3 m).

## Reward (per second, times the control period)

| term | value |
|---|---|
| `alive` | 3 |
| `distance` | −0.5 · min(‖goal − position‖, 4 m) |
| `at_goal` | 8 · exp(−‖goal − position‖ / 0.5 m) |
| `speed` | −0.2 · ‖velocity‖ |
| `rotation` | −0.05 · ‖angular velocity‖ |
| `smoothness` | −0.05 · ‖change of actuation, each channel over its range at ±1‖² |
| `crash` | −5 once |

## End

*Terminated*: ground contact, more than 8 m from the goal, or a state that is not finite. *Truncated*: after 6 s.
*Success*: not terminated, and the mean distance to the goal over the last three seconds is below 2 m.

## Suites

`nominal` has light gusts, `full` those of training and hover's randomisation; `gusts` has gusts and `load` a load that training does not
have, `unseen` both. They start 0.8 to 2.8 m above ground, hardly moving. Of
training's episodes more than half are flown high up, where a robot that cannot fly yet has time to learn it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from robots.description import Robot
from tasks.flight_suite import FlightSuite
from tasks.hover import Hover, Worth
from tasks.hover_suites import FULL as HOVER_FULL
from tasks.quadrotor_flight import GOAL, POSITION
from tasks.task import Memory, Signals, Start, Transition
from tasks.uncertainty import Uncertain

HIGH_M = 15.0


@dataclass(frozen=True, kw_only=True)
class SkimSuite(FlightSuite):
    """Ranges an episode is drawn from.

    Attributes:
        high: share of the episodes that are flown `HIGH_M` higher, goal and all, out of reach of the ground.
    """

    high: float = 0.0


CALM: dict[str, Any] = {"height_m": 0.8, "distance_m": 0.3, "tilt_rad": 0.1, "speed_m_s": 0.3, "rate_rad_s": 0.3}
NOMINAL = SkimSuite(name="nominal", burst_n=0.005, **CALM)
FULL = SkimSuite(**{**asdict(HOVER_FULL), **CALM, "name": "full", "burst_n": 0.1})
GUSTS = replace(FULL, name="gusts", burst_n=0.25)
LOAD = replace(FULL, name="load", load=0.3)
UNSEEN = replace(FULL, name="unseen", burst_n=0.17, load=0.2)
TRAINING = replace(FULL, name="training", high=0.6)


class Skim(Hover):
    """Stay close to the ground. See the module's docstring for every number.

    Args:
        robot: any `Quadrotor` with the actuation mode ``ctbr``; the Crazyflie by default.
    """

    name = "skim"
    observation_names = (*Hover.observation_names, "ground")
    suites: ClassVar = {suite.name: suite for suite in (NOMINAL, FULL, GUSTS, LOAD, UNSEEN)}
    training_suite = TRAINING
    presets: ClassVar = {
        "shac": {
            "num_envs": 64,
            "iterations": 300,
            "shac": {
                "horizon": 30,
                "discount": 0.997,
                "learning_rate": 1e-2,
                "halve_every": 100,
                "betas": (0.7, 0.95),
                "critic_learning_rate": 5e-3,
            },
            "risk": {"quantiles": 64, "warm_up": 100},
        },
    }

    worth: ClassVar = Worth(3.0, 0.5, 4.0, 8.0, 0.5, speed=0.2, rotation=0.05, smoothness=0.05, crash=5.0)
    goal_height_m = 0.15
    success_m = 2.0
    success_s = 3.0
    judged_part = "the last three seconds"
    ground_m = 0.3  # of height, over which the ground is seen

    def __init__(self, robot: Robot | None = None) -> None:
        super().__init__(robot)
        self.uncertain = (*(each for each in self.uncertain if each.name != "force"), Uncertain("burst", "external", "", (0.25,), (2.0,)))

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        observation, task_memory = super().observe(sensors, command, memory)
        return torch.cat([observation, self.ground(sensors)], dim=1), task_memory

    def ground(self, signals: Signals) -> Tensor:
        """How near the ground is, 1 on it to 0 far from it ``[batch, 1]``."""
        return torch.exp(-signals[POSITION][:, 2:].clamp(min=0.0) / self.ground_m)

    def sample(self, suite: Any, num_envs: int, generator: torch.Generator) -> Start:
        """As of every flight, from above a goal close to the ground."""
        start = super().sample(suite, num_envs, generator)
        above = torch.zeros(num_envs, 3, device=generator.device)
        above[:, 2] = HIGH_M * (torch.rand(num_envs, generator=generator, device=generator.device) < suite.high)
        low = torch.cat([start.command[GOAL][:, :2], torch.full_like(above[:, :1], self.goal_height_m)], dim=1)
        return start._replace(state={**start.state, POSITION: start.state[POSITION] + above}, command={GOAL: low + above})

    def measures(self, transition: Transition) -> dict[str, Tensor]:
        """Height above ground."""
        return {"height_m": transition.state[POSITION][:, 2]}

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """Hover's, and the ground."""
        return torch.cat([super().privileged_observation(state, parameters, command), self.ground(state)], dim=1)
