"""l2f (C++, OpenMP): its vector environment with the observation of 82 numbers, rewards, terminations and resets."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import l2f  # type: ignore[import-not-found]
import numpy as np
from protocol import Case, serve  # type: ignore[import-not-found]

SEED = 0


def build(case: dict[str, Any]) -> Any:
    """One case; the package is compiled for 1, 2, 4 … 8192 environments."""
    n = case["num_envs"]
    vector = importlib.import_module("l2f.interface").__dict__.get(f"vector{n}")
    if vector is None:
        raise RuntimeError(f"l2f is compiled for powers of two up to 8192 environments, not for {n}")
    device, rng, env = l2f.Device(), vector.VectorRng(), vector.VectorEnvironment()
    params, state, following = vector.VectorParameters(), vector.VectorState(), vector.VectorState()
    vector.initialize_rng(device, rng, SEED)
    vector.initialize_environment(device, env)
    vector.sample_initial_parameters(device, env, params, rng)
    vector.sample_initial_state(device, env, params, state, rng)
    observation = np.zeros((n, env.OBSERVATION_DIM), dtype=np.float32)
    rewards, done = np.zeros(n, dtype=np.float32), np.zeros(n, dtype=bool)
    age = np.random.default_rng(SEED).integers(env.EPISODE_STEP_LIMIT, size=n)
    actions = itertools.cycle(np.random.default_rng(SEED).uniform(-0.5, 0.5, (10, n, 4)).astype(np.float32))

    def advance() -> None:
        action = next(actions)
        vector.step(device, env, params, state, action, following, rng)
        vector.reward(device, env, params, state, action, following, rewards, rng)
        vector.terminated(device, env, params, following, done, rng)
        state.assign(following)
        age[...] += 1
        ended = done | (age >= env.EPISODE_STEP_LIMIT)
        vector.sample_initial_parameters_if_truncated(device, env, params, ended, rng)
        vector.sample_initial_state_if_truncated(device, env, params, state, ended, rng)
        age[ended] = 0
        vector.observe(device, env, params, state, observation, rng)

    return Case(advance, lambda: None, n, 1, {"device": "cpu", "observation": env.OBSERVATION_DIM})


if __name__ == "__main__":
    serve(build, "l2f", "numpy")
