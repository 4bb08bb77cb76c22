"""PyFlyt (PyBullet): its QuadX-Hover environment, one at a time as it is shipped."""

from __future__ import annotations

from typing import Any

import gymnasium
import PyFlyt.gym_envs  # type: ignore[import-not-found]  # noqa: F401  (registers the environments)
from protocol import Case, serve  # type: ignore[import-not-found]

SEED = 0


def build(case: dict[str, Any]) -> Any:
    """One case."""
    if case["num_envs"] != 1:
        raise RuntimeError(f"PyFlyt has no batched environment, so it cannot run {case['num_envs']} in one process")
    env = gymnasium.make("PyFlyt/QuadX-Hover-v4", agent_hz=round(case["rate_hz"]))
    env.reset(seed=SEED)
    env.action_space.seed(SEED)

    def advance() -> None:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()

    return Case(advance, lambda: None, 1, round(1.0 / case["rate_hz"] / case["physics_dt"]), {"device": "cpu"})


if __name__ == "__main__":
    serve(build, "PyFlyt", "pybullet", "gymnasium")
