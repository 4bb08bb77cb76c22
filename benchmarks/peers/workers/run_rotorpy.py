"""RotorPy (torch): its batched QuadrotorEnv under body-rate control."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from protocol import Case, cores, serve  # type: ignore[import-not-found]
from rotorpy.learning.quadrotor_environments import QuadrotorEnv  # type: ignore[import-not-found]
from rotorpy.vehicles.crazyflie_params import quad_params  # type: ignore[import-not-found]

SEED = 0


def build(case: dict[str, Any]) -> Any:
    """One case, with the package's own defaults but for the control mode."""
    torch.set_num_threads(cores())
    n = case["num_envs"]
    still = {name: torch.zeros(n, 3, dtype=torch.float64) for name in ("x", "v", "w", "wind")}
    level = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64).repeat(n, 1)
    rotors = torch.full((n, 4), 1788.53, dtype=torch.float64)  # the package's examples start there
    start = {**still, "q": level, "rotor_speeds": rotors}
    env = QuadrotorEnv(n, start, control_mode="cmd_ctbr", quad_params=quad_params, sim_rate=case["rate_hz"])
    env.reset(seed=SEED)
    actions = itertools.cycle(np.random.default_rng(SEED).uniform(-0.5, 0.5, (10, n, 4)))
    return Case(lambda: env.step(next(actions)), lambda: None, n, 1, {"device": "cpu"})


if __name__ == "__main__":
    serve(build, "rotorpy", "torch")
