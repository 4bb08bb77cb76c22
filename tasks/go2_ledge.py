"""Ledge: walk along a ledge with a drop on either side, as near to an edge as you dare.

One push in ten is hard in training. The view is best near an edge, and who is pushed over it is gone: how far to stay away is a question
of how much a fall counts (docs/risk.md). The ledge lies along the world's x axis, 1.6 m wide, the drops at y = ±0.8 m; no engine knows of
them, and what is beyond is terminated. Walking is that of `tasks/go2_velocity.py`, 0.5 m/s along the ledge all the time. Ours; no
published task.

## Observation (110)

The walk's 107, and

| index | name | meaning | unit |
|---|---|---|---|
| 107 | `across` | y of the base over half the ledge's width | 0.8 m |
| 108–109 | `along`, `heading` | x and y of the base's forward axis in the world | 1 |

## Reward (per second, times the control period)

The walk's, but for `velocity`, of which only the part along the ledge is asked, and `fall`; and besides, with e = v_x − 0.5 m/s in the
world and h the true `heading`

| term | value |
|---|---|
| `velocity` | exp(−e²/0.25) + exp(−e²/0.04) |
| `view` | 6 min(|y| / 0.6 m, 1) exp(−e²/0.1): what is seen counts while walking |
| `straight` | ½ exp(−h²/0.04) |
| `fall` | −10 once |

## End

*Terminated*: as the walk, or with the base beyond an edge. *Truncated*: after 10 s. *Success*: not terminated, and the mean tracking error
is below 0.3 m/s. *Tracking error*: |v_x − 0.5 m/s| in the world, judged as the walk's.

## Suites

Training and `full` are the walk's, the position read with an error of up to 2 cm and 1 cm of noise; in training up to 4 kg lie on the
robot's back, and one push in ten changes the velocity by 0.9 to 1.8 m/s. `load` has 8 kg on every back, `pushes` sizes up to 1.5 m/s,
`unseen` 6 kg and up to 1.4 m/s.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from robots.description import Robot
from robots.go2 import go2_scout
from tasks.draw import Draw
from tasks.go2_suites import FULL, NOMINAL, TRAINING, Range, VelocitySuite
from tasks.go2_velocity import ACROSS, ORIENTATION, POSITION, VELOCITY, Go2Velocity, sideways
from tasks.rotation import from_yaw_tilt, rotation_matrix
from tasks.task import Memory, Signals, Start, Transition


@dataclass(frozen=True)
class LedgeSuite(VelocitySuite):
    """Ranges that episodes are drawn from; commands do not count.

    Attributes:
        rare: share of the pushes that are out of the ordinary. rare_push_m_s: sizes of such a push.
        more_payload_kg: carried beside ``payload_kg``.
        across_m: largest distance from the middle at the start. heading_rad: largest heading then.
        position_bias_m, position_noise_m: of the position that is read: largest constant error along each axis, and standard deviation.
    """

    rare: float = 0.0
    rare_push_m_s: Range = (0.9, 1.8)
    more_payload_kg: Range = (0.0, 0.0)
    across_m: float = 0.6
    heading_rad: float = 0.2
    position_bias_m: float = 0.02
    position_noise_m: float = 0.01


def _ledge(suite: VelocitySuite, name: str, **changes: Any) -> LedgeSuite:
    return LedgeSuite(**{**asdict(suite), "name": name, **changes})


NOMINAL_LEDGE, FULL_LEDGE = _ledge(NOMINAL, "nominal", position_bias_m=0.0, position_noise_m=0.0), _ledge(FULL, "full")
LOAD = replace(FULL_LEDGE, name="load", payload_kg=8.0)
PUSHES = replace(FULL_LEDGE, name="pushes", push_m_s=1.5)
UNSEEN = replace(FULL_LEDGE, name="unseen", payload_kg=6.0, push_m_s=1.4)


class Go2Ledge(Go2Velocity):
    """Walk along a ledge. See the module's docstring for every number.

    Args:
        robot: as of the walk, with a position that it reads; the Go2 with a tracker by default.
    """

    name = "go2_ledge"
    sensors = (*Go2Velocity.sensors, POSITION)
    across_names = (*ACROSS, "across", "heading")
    suites: ClassVar = {suite.name: suite for suite in (NOMINAL_LEDGE, FULL_LEDGE, LOAD, PUSHES, UNSEEN)}
    training_suite = _ledge(TRAINING, "training", rare=0.1, more_payload_kg=(0.0, 4.0))
    presets: ClassVar = {
        "ppo": {
            **Go2Velocity.presets["ppo"],
            "threads": 1,
            "check_every": 0,
            "iterations": 450,
            "ppo": {**Go2Velocity.presets["ppo"]["ppo"], "discount": 0.995},
            "risk": {"quantiles": 64},
        },
    }

    half_width_m = 0.8
    asked_m_s = 0.5
    best_view, best_m = 6.0, 0.6
    fall = 10.0

    def __init__(self, robot: Robot | None = None) -> None:
        super().__init__(go2_scout if robot is None else robot)
        self.observation_names = (*self.observation_names, "across", "along", "heading")

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        observation, task_memory = super().observe(sensors, command, memory)
        forward = rotation_matrix(sensors[ORIENTATION])[:, :2, 0]
        return torch.cat([observation, sensors[POSITION][:, 1:2] / self.half_width_m, forward], dim=1), task_memory

    # --- what it is worth ---

    def worths(self, transition: Transition) -> dict[str, Tensor]:
        """See the module's docstring."""
        state = transition.state
        lacks, heading = self.tracking_error(state, transition.command).square(), rotation_matrix(state[ORIENTATION])[:, 1, 0]
        return super().worths(transition) | {
            "velocity": torch.exp(-lacks / 0.25) + torch.exp(-lacks / 0.04),
            "view": self.best_view * (self.across(state) / self.best_m).clamp(max=1.0) * torch.exp(-lacks / 0.1),
            "straight": 0.5 * torch.exp(-heading.square() / 0.04),
        }

    def across(self, state: Signals) -> Tensor:
        """Distance of the base from the middle [m]."""
        return state[POSITION][:, 1].abs()

    def terminated(self, transition: Transition) -> Tensor:
        """As the walk, or over an edge."""
        return super().terminated(transition) | (self.across(transition.state) > self.half_width_m)

    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """Of the speed along the ledge [m/s]."""
        return (state[VELOCITY][:, 0] - self.asked_m_s).abs()

    def measures(self, transition: Transition) -> dict[str, Tensor]:
        """The walk's, and how far the nearer edge is."""
        return {**super().measures(transition), "edge_m": self.half_width_m - self.across(transition.state)}

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """The walk's, and where it is and heads for."""
        place = [state[POSITION][:, 1:2] / self.half_width_m, rotation_matrix(state[ORIENTATION])[:, :2, 0], state[VELOCITY]]
        return torch.cat([super().privileged_observation(state, parameters, command), *place], dim=1)

    # --- how episodes begin ---

    def sample(self, suite: Any, num_envs: int, generator: torch.Generator) -> Start:
        """As the walk's, somewhere on the ledge and about along it."""
        start, draw = super().sample(suite, num_envs, generator), Draw(num_envs, generator)
        none = torch.zeros(num_envs, device=draw.device)
        y, yaw = draw.uniform(-suite.across_m, suite.across_m), draw.uniform(-suite.heading_rad, suite.heading_rad)
        place = torch.cat([torch.zeros_like(y), y, start.state[POSITION][:, 2:]], dim=1)
        assert start.sensor_bias is not None
        return start._replace(
            state={**start.state, POSITION: place, ORIENTATION: from_yaw_tilt(yaw[:, 0], none, none)},
            sensor_noise={**start.sensor_noise, POSITION: torch.full((num_envs, 3), suite.position_noise_m, device=draw.device)},
            sensor_bias={**start.sensor_bias, POSITION: draw.uniform(-suite.position_bias_m, suite.position_bias_m, 3)},
        )

    def sample_command(self, suite: VelocitySuite, draw: Draw) -> Tensor:
        """Straight ahead, ``[num_envs, 3]``."""
        return draw.uniform(0.0, 0.0, 3) + torch.tensor([self.asked_m_s, 0.0, 0.0], device=draw.device)

    def sample_push(self, suite: Any, draw: Draw) -> Tensor:
        """A change of velocity ``[num_envs, 3]``, hard where it is rare."""
        push = super().sample_push(suite, draw)
        if not suite.rare:
            return push
        return torch.where(draw.uniform(0.0, 1.0) < suite.rare, sideways(draw, suite.rare_push_m_s), push)

    def sample_parameters(self, suite: Any, draw: Draw) -> dict[str, Tensor]:
        """The walk's, with a load that differs from robot to robot."""
        parameters = super().sample_parameters(suite, draw)
        return parameters | {"payload_mass": parameters["payload_mass"] + draw.uniform(*suite.more_payload_kg)}
