"""One environment of a task, under the parameters that each reset names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mujoco
import numpy as np

from robots.errors import TetherError
from robustness.gymnasium_tasks.dynamics import Dynamics
from robustness.gymnasium_tasks.tasks import GymnasiumTask

UNSTABLE = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)


class UncertainEnvironment:
    """Gymnasium's environment with parameters; actions are clipped to its bounds.

    Raises:
        ModuleNotFoundError: without the extra ``rrls``; the command line says how to install it.
    """

    def __init__(self, task: GymnasiumTask) -> None:
        self._env = _make(task.environment)
        self.model_path = str(self._env.unwrapped.fullpath)
        self.model, self.data = self._env.unwrapped.model, self._env.unwrapped.data
        self.dynamics = Dynamics(self.model)
        self.low, self.high = self._env.action_space.low, self._env.action_space.high
        self.observation_size, self.action_size = self._env.observation_space.shape[0], self._env.action_space.shape[0]

    def reset(self, seed: int, values: Mapping[str, float]) -> np.ndarray:
        """Start an episode under ``values``, and pristine in everything else; the observation ``[observation_size]``."""
        self.dynamics.set(values)
        observation, _ = self._env.reset(seed=seed)
        self.dynamics.push(self.data, values)  # after the reset, which clears forces
        return np.asarray(observation)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """One control period: observation, reward, terminated, truncated.

        A simulation that has become unstable terminates, and the reward of that step, of a jump to where MuJoCo starts anew, is 0.

        Raises:
            TetherError: for an action that is not finite.
        """
        if not np.isfinite(action).all():
            raise TetherError(f"the policy gave the action {np.array2string(action, precision=3)}; actions must be finite")
        with quiet():
            observation, reward, terminated, truncated, _ = self._env.step(np.clip(action, self.low, self.high))
        if self.unstable:
            return np.asarray(observation), 0.0, True, bool(truncated)
        return np.asarray(observation), float(reward), bool(terminated), bool(truncated)

    @property
    def unstable(self) -> bool:
        """Whether positions, velocities or accelerations have exploded since the reset, after which MuJoCo has silently started anew."""
        return any(self.data.warning[kind].number for kind in UNSTABLE)

    def close(self) -> None:
        """Let go of Gymnasium's resources."""
        self._env.close()


def _make(identifier: str) -> Any:
    import gymnasium

    with quiet():  # HalfCheetah's model is written in a deprecated form
        return gymnasium.make(identifier, disable_env_checker=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MuJoCo's warnings off the terminal and out of MUJOCO_LOG.TXT; what they say is read from ``data.warning``."""
    config = mujoco.MjLogConfig.get()
    before = config.logto_console, config.logto_file
    config.logto_console = config.logto_file = False
    config.set()
    try:
        yield
    finally:
        config.logto_console, config.logto_file = before
        config.set()
