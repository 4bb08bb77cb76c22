"""Pendulum: bring it upright and hold it there by a motor that could throw it out.

The task of Walter et al. 2025 (arXiv 2506.01665): observation, reward, dynamics and step are the published ones. Angles are never wrapped:
a turn further is another state, 39.5 worse at every step.

Where episodes begin is not known: here in the safe set shrunk to half, |θ| ≤ 90°, for all but `unseen`. At 180° the two ways up are as good
as each other, and no continuous policy of the observation takes either.

## Observation (3)

| index | name | meaning | unit |
|---|---|---|---|
| 0–1 | `sine`, `cosine` | of the angle from upright θ | 1 |
| 2 | `speed` | θ̇ | rad/s |

## Action (1): motor torque over 30 N·m. Zero is no torque.

## Reward (per step, as published)

| term | value |
|---|---|
| `angle` | −θ² |
| `speed` | −0.1 θ̇² |
| `effort` | −0.001 a² |

## End

*Terminated*: |θ| or |θ̇| beyond 10,000 times its box, or not finite. *Truncated*: after 256 steps (12.8 s), ours: four windows of 64, the
published horizon. *Success*: not terminated, and the mean |θ| over the last sixth below 0.10 rad (5.7°).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from robots.description import EquationRobot
from robots.pendulum import Pendulum, pendulum
from tasks.certified import CertifiedTask
from tasks.draw import Draw
from tasks.safe_control import SafeSuite
from tasks.task import Memory, Signals, Transition
from tasks.uncertainty import Uncertain

ANGLE, SPEED = pendulum.states


class SwingUp(CertifiedTask):
    """Swing up and hold; see the module's docstring."""

    name = "pendulum"
    kind = Pendulum
    set_name = "pendulum"
    clock = "joint_state"
    episode_s = 12.8
    commands = ()
    action_size = 1
    observation_names = ("sine", "cosine", "speed")
    suites: ClassVar = {
        "nominal": SafeSuite(name="nominal", start_share=0.5),
        "full": SafeSuite(name="full", start_share=0.5, disturbance=1.0),
        "unseen": SafeSuite(name="unseen", disturbance=2.0, noise=0.002),
    }
    training_suite = SafeSuite(name="training", start_share=0.5, disturbance=1.0)
    presets: ClassVar = {
        "shac": {
            "num_envs": 32,
            "iterations": 195,
            "actor": {"hidden": (64, 64), "activation": "elu"},
            "shac": {"horizon": 16, "discount": 0.9, "learning_rate": 5e-3, "halve_every": 60, "critic_learning_rate": 5e-3},
        },
        "ppo": {
            "num_envs": 64,
            "iterations": 100,
            "ppo": {"horizon": 16, "minibatches": 8, "discount": 0.95, "learning_rate": 3e-3, "halve_every": 30, "initial_std": 0.5},
        },
        "sac": {
            "num_envs": 32,
            "iterations": 390,
            "actor": {"hidden": (64, 64), "activation": "elu"},
            "sac": {"initial_std": 0.3},
        },
    }
    settled = 0.10  # rad
    uncertain = (
        Uncertain("gravity", "parameter", "gravity_scale", (0.5,), (1.7,)),
        Uncertain("torque", "parameter", "torque_scale", (0.45,), (1.5,)),
        Uncertain("push", "parameter", "disturbance_mean", (-2.0,), (2.0,)),  # rad/s²
        Uncertain("action", "actuation", "joint_torque", (-0.1,), (0.1,)),
        Uncertain("position", "sensor", ANGLE, (-0.05,), (0.05,)),
    )

    def published(self) -> EquationRobot:
        """See `SafeControl`."""
        return pendulum

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        angle = sensors[ANGLE]
        return torch.cat([angle.sin(), angle.cos(), sensors[SPEED]], dim=1), memory.task

    def begin(self, suite: SafeSuite, draw: Draw) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Start in the set."""
        return self.starts(suite, draw), {}

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """See the module's docstring."""
        (action,) = transition.actuation.values()
        state = transition.state
        return {
            "angle": -state[ANGLE].square().squeeze(1),
            "speed": -0.1 * state[SPEED].square().squeeze(1),
            "effort": -0.001 * action.square().squeeze(1),
        }

    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """|θ| [rad]."""
        return state[ANGLE].abs().squeeze(1)

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """θ, which the actor only sees up to whole turns, θ̇, and how large the disturbance is."""
        return torch.cat([state[ANGLE], state[SPEED], parameters["disturbance_scale"]], dim=1)
