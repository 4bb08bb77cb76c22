"""Dash: run straight ahead, as fast as you dare, while one push in ten is hard and one robot in ten carries a heavy load.

Observation and action are those of `tasks/go2_velocity.py`, asked for 2 m/s straight ahead all the time. Every bit of speed is worth
something and none is demanded, no sensor tells the load or the next push: how fast to run is a question of how much a fall counts
(docs/risk.md). Ours; no published task.

## Reward (per second, times the control period)

That of the walk, with `pace`, 2 · min(max(v_x, 0), 2 m/s), in place of `velocity`; v_x is forward, in the base's frame.

## End

*Terminated*, *truncated*: as the walk. *Success*: not terminated, and faster than 0.6 m/s on average, the first second and the second after
a push left out. *Tracking error*: what v_x lacks to 2 m/s.

## Suites

Training and `full` are the walk's; in training one episode in ten has a load of 2 to 9 kg on its back, and one push in ten changes the
velocity by 0.9 to 2 m/s. `load` has 10 kg on every back, `pushes` sizes up to 2 m/s, `unseen` 6 kg and up to 1.6 m/s.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from tasks.draw import Draw
from tasks.go2_suites import FULL, NOMINAL, TRAINING, Range, VelocitySuite
from tasks.go2_velocity import WALK, Go2Velocity, base_speed, sideways
from tasks.task import Signals, Transition


@dataclass(frozen=True)
class DashSuite(VelocitySuite):
    """Ranges that episodes are drawn from; commands do not count.

    Attributes:
        rare: share of the robots, and of the pushes, that are out of the ordinary.
        rare_payload_kg: carried on the back of such a robot.
        rare_push_m_s: sizes of such a push.
    """

    rare: float = 0.0
    rare_payload_kg: Range = (2.0, 9.0)
    rare_push_m_s: Range = (0.9, 2.0)


def _dash(suite: VelocitySuite, name: str, **changes: Any) -> DashSuite:
    return DashSuite(**{**asdict(suite), "name": name, **changes})


NOMINAL_DASH, FULL_DASH = _dash(NOMINAL, "nominal"), _dash(FULL, "full")
LOAD = replace(FULL_DASH, name="load", payload_kg=10.0)
PUSHES = replace(FULL_DASH, name="pushes", push_m_s=2.0)
UNSEEN = replace(FULL_DASH, name="unseen", payload_kg=6.0, push_m_s=1.6)


class Go2Dash(Go2Velocity):
    """Run. See the module's docstring for every number."""

    name = "go2_dash"
    suites: ClassVar = {suite.name: suite for suite in (NOMINAL_DASH, FULL_DASH, LOAD, PUSHES, UNSEEN)}
    training_suite = _dash(TRAINING, "training", rare=0.1)
    presets: ClassVar = {
        "ppo": {**Go2Velocity.presets["ppo"], "threads": 1, "check_every": 0, "risk": {"quantiles": 64}},
    }

    asked_m_s = 2.0
    success_m_s = 1.4  # of what is lacking

    def worths(self, transition: Transition) -> dict[str, Tensor]:
        """See the module's docstring."""
        pace = 2.0 * base_speed(transition.state)[:, 0].clamp(0.0, self.asked_m_s)
        return {"pace": pace} | {name: value for name, value in super().worths(transition).items() if name != "velocity"}

    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """What the speed forward lacks [m/s]."""
        return (command[WALK][:, 0] - base_speed(state)[:, 0]).clamp(min=0.0)

    def measures(self, transition: Transition) -> dict[str, Tensor]:
        """The walk's, and the speed forward."""
        return {**super().measures(transition), "forward_m_s": base_speed(transition.state)[:, 0]}

    def sample_command(self, suite: Any, draw: Draw) -> Tensor:
        """Straight ahead, ``[num_envs, 3]``."""
        return draw.uniform(0.0, 0.0, 3) + torch.tensor([self.asked_m_s, 0.0, 0.0], device=draw.device)

    def sample_push(self, suite: Any, draw: Draw) -> Tensor:
        """A change of velocity ``[num_envs, 3]``, hard where it is rare."""
        push = super().sample_push(suite, draw)
        if not suite.rare:
            return push
        hard = sideways(draw, suite.rare_push_m_s)
        return torch.where(draw.uniform(0.0, 1.0) < suite.rare, hard, push)

    def sample_parameters(self, suite: Any, draw: Draw) -> dict[str, Tensor]:
        """The walk's, with a load where it is rare."""
        parameters = super().sample_parameters(suite, draw)
        if suite.rare:
            burdened, load = draw.uniform(0.0, 1.0) < suite.rare, draw.uniform(*suite.rare_payload_kg)
            parameters["payload_mass"] = torch.where(burdened, load, parameters["payload_mass"])
        return parameters
