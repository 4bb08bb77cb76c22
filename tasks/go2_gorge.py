"""Gorge: walk along the edge of a gorge, as near to it as you dare.

One push in seven is hard in training. The view is best from the edge, and who is pushed over it is gone: how far to stay away is a question
of how much a fall counts (docs/risk.md). The gorge lies along the world's x axis, 0.8 m wide, with robots on either side of it, at a
distance d = |y| − 0.4 m from their edge; no engine knows of it, and who is in it is terminated. Walking is that of
`tasks/go2_velocity.py`, 0.5 m/s along the edge all the time. Ours; no published task.

## Observation (111)

The walk's 107, and

| index | name | meaning | unit |
|---|---|---|---|
| 107 | `side` | 1 to the left of the gorge (y > 0), −1 to the right | 1 |
| 108 | `edge_y` | y from the edge of its side, `side` times d | 0.5 m |
| 109–110 | `along`, `heading` | x and y of the base's forward axis in the world | 1 |

## Reward (per second, times the control period)

The walk's, but for `velocity`, of which only the part along the edge is asked, and `fall`; and besides, with e = v_x − 0.5 m/s in the
world and h the true `heading`

| term | value |
|---|---|
| `velocity` | exp(−e²/0.25) + exp(−e²/0.04) |
| `view` | 5 (1 − d / 1 m)₊ exp(−e²/0.1): what is seen counts while walking |
| `straight` | ½ exp(−h²/0.04) |
| `fall` | −10 once |

## End

*Terminated*: as the walk, or with the base beyond the edge. *Truncated*: after 10 s. *Success*: not terminated, and the mean tracking
error is below 0.3 m/s. *Tracking error*: |v_x − 0.5 m/s| in the world, judged as the walk's.

## Suites

Training and `full` are the walk's with pushes of up to 0.3 m/s, every 2 s; the position is read with an error of up to 2 cm and 1 cm of
noise, and episodes begin 0.2 to 1 m from the edge. In training up to 4 kg lie on the robot's back, and 15 % of pushes are of 0.8 to
1.5 m/s. `load` has 8 kg on every back, in `pushes` every push is of 0.7 to 1.2 m/s, `unseen` has these and 6 kg.
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
class GorgeSuite(VelocitySuite):
    """Ranges that episodes are drawn from; commands do not count.

    Attributes:
        rare: share of the pushes that are out of the ordinary. rare_push_m_s: sizes of such a push.
        more_payload_kg: carried beside ``payload_kg``.
        edge_m: distance from the edge at the start. heading_rad: largest heading then.
        position_bias_m, position_noise_m: of the position that is read: largest constant error along each axis, and standard deviation.
    """

    rare: float = 0.0
    rare_push_m_s: Range = (0.8, 1.5)
    more_payload_kg: Range = (0.0, 0.0)
    edge_m: Range = (0.2, 1.0)
    heading_rad: float = 0.2
    position_bias_m: float = 0.02
    position_noise_m: float = 0.01


def _gorge(suite: VelocitySuite, name: str, **changes: Any) -> GorgeSuite:
    return GorgeSuite(**{**asdict(suite), "name": name, **changes})


NOMINAL_GORGE, FULL_GORGE = _gorge(NOMINAL, "nominal", position_bias_m=0.0, position_noise_m=0.0), _gorge(FULL, "full", push_m_s=0.3)
LOAD = replace(FULL_GORGE, name="load", payload_kg=8.0)
PUSHES = replace(FULL_GORGE, name="pushes", rare=1.0, rare_push_m_s=(0.7, 1.2))
UNSEEN = replace(PUSHES, name="unseen", payload_kg=6.0)


class Go2Gorge(Go2Velocity):
    """Walk along a gorge. See the module's docstring for every number.

    Args:
        robot: as of the walk, with a position that it reads; the Go2 with a tracker by default.
    """

    name = "go2_gorge"
    sensors = (*Go2Velocity.sensors, POSITION)
    across_names = (*ACROSS, "side", "edge_y", "heading")
    suites: ClassVar = {suite.name: suite for suite in (NOMINAL_GORGE, FULL_GORGE, LOAD, PUSHES, UNSEEN)}
    training_suite = _gorge(TRAINING, "training", push_m_s=0.3, rare=0.15, more_payload_kg=(0.0, 4.0))
    presets: ClassVar = {
        "ppo": {
            **Go2Velocity.presets["ppo"],
            "threads": 1,
            "check_every": 0,
            "iterations": 600,
            "ppo": {**Go2Velocity.presets["ppo"]["ppo"], "discount": 0.995, "final_std": 0.1, "calm_from": 420, "calm_until": 600},
            "risk": {"quantiles": 64},
        },
    }

    half_width_m = 0.4
    asked_m_s = 0.5
    best_view, seen_m = 5.0, 1.0  # what the view is worth at the edge, and how far from it there is none
    fall = 10.0
    push_every_s = 2.0

    def __init__(self, robot: Robot | None = None) -> None:
        super().__init__(go2_scout if robot is None else robot)
        self.observation_names = (*self.observation_names, "side", "edge_y", "along", "heading")

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        observation, task_memory = super().observe(sensors, command, memory)
        return torch.cat([observation, self.place(sensors)], dim=1), task_memory

    def place(self, signals: Signals) -> Tensor:
        """Where it is and heads for ``[num_envs, 4]``, see the observation."""
        y = signals[POSITION][:, 1:2]
        side = torch.where(y < 0.0, -1.0, 1.0)
        return torch.cat([side, (y - side * self.half_width_m) / 0.5, rotation_matrix(signals[ORIENTATION])[:, :2, 0]], dim=1)

    # --- what it is worth ---

    def worths(self, transition: Transition) -> dict[str, Tensor]:
        """See the module's docstring."""
        state = transition.state
        lacks, heading = self.tracking_error(state, transition.command).square(), rotation_matrix(state[ORIENTATION])[:, 1, 0]
        return super().worths(transition) | {
            "velocity": torch.exp(-lacks / 0.25) + torch.exp(-lacks / 0.04),
            "view": self.best_view * self.view(state) * torch.exp(-lacks / 0.1),
            "straight": 0.5 * torch.exp(-heading.square() / 0.04),
        }

    def view(self, state: Signals) -> Tensor:
        """What there is to see, 0 to 1."""
        return (1.0 - self.edge(state) / self.seen_m).clamp(0.0, 1.0)

    def edge(self, state: Signals) -> Tensor:
        """Distance of the base from the edge [m]."""
        return state[POSITION][:, 1].abs() - self.half_width_m

    def terminated(self, transition: Transition) -> Tensor:
        """As the walk, or over the edge."""
        return super().terminated(transition) | (self.edge(transition.state) < 0.0)

    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """Of the speed along the edge [m/s]."""
        return (state[VELOCITY][:, 0] - self.asked_m_s).abs()

    def measures(self, transition: Transition) -> dict[str, Tensor]:
        """The walk's, and how far the edge is."""
        return {**super().measures(transition), "edge_m": self.edge(transition.state)}

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """The walk's, and where it is and heads for."""
        walks = super().privileged_observation(state, parameters, command)
        return torch.cat([walks, self.place(state), state[VELOCITY]], dim=1)

    # --- how episodes begin ---

    def sample(self, suite: Any, num_envs: int, generator: torch.Generator) -> Start:
        """As the walk's, on either side of the gorge and about along it."""
        start, draw = super().sample(suite, num_envs, generator), Draw(num_envs, generator)
        none = torch.zeros(num_envs, device=draw.device)
        side = torch.where(draw.uniform(0.0, 1.0) < 0.5, -1.0, 1.0)
        y, yaw = side * (self.half_width_m + draw.uniform(*suite.edge_m)), draw.uniform(-suite.heading_rad, suite.heading_rad)
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
