"""Commands that arrive late, each environment by its own time, to the physics sub-step and between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from robots.errors import TetherError
from sim.action_delay import history_length, takeover_times
from sim.random_numbers import RandomNumbers, uniform

MAX_LATENCY_S = 0.04


class Latency:
    """The target that each physics sub-step of each environment works with.

    A command takes effect ``delay`` seconds after it was given, with jitter each its own within ±``jitter`` of that and never before 0 or
    after `MAX_LATENCY_S`; of those that have arrived the latest given counts. During a sub-step in which one arrives, its mean with the one
    before, weighted by time, counts: exact in whole sub-steps, and to first order between them.

    Args:
        num_envs, width: of commands.
        control_dt, substeps: when they come, and what they are for.
        rest: what was commanded before an episode ``[width]``.
        seed: of the jitter.
    """

    def __init__(self, num_envs: int, width: int, control_dt: float, substeps: int, rest: np.ndarray, seed: int = 0) -> None:
        length = history_length(control_dt, MAX_LATENCY_S)
        self.num_envs, self.rest, self.substep_s = num_envs, rest, control_dt / substeps
        self.commands = np.tile(rest, (length, num_envs, 1))  # newest first
        self.delays = np.zeros((length, num_envs))  # of each
        self.takeover = takeover_times(control_dt, substeps, MAX_LATENCY_S).numpy()  # [substeps, length − 1, 1]
        self.control = np.tile(rest, (num_envs, substeps, 1))
        self.numbers = RandomNumbers(num_envs, seed)

    def reset(self, ids: np.ndarray, delay: np.ndarray) -> None:
        """Forget what was commanded in environments ``ids``, and be ``delay`` ``[n]`` late from now on."""
        self.commands[:, ids] = self.rest
        self.delays[:, ids] = delay[ids]

    def targets(self, command: np.ndarray, delay: np.ndarray, jitter: np.ndarray) -> np.ndarray:
        """Targets ``[num_envs, substeps, width]`` of the coming period, valid until the next call.

        Args:
            command: given now, ``[num_envs, width]``.
            delay, jitter: seconds, ``[num_envs]``.
        """
        self.commands = np.roll(self.commands, 1, axis=0)
        self.delays = np.roll(self.delays, 1, axis=0)
        self.commands[0], self.delays[0] = command, self._drawn(delay, jitter)
        if not self.delays[:-1].any():
            self.control[:] = command[:, None]
            return self.control
        share = np.clip((self.takeover - self.delays[:-1]) / self.substep_s, 0.0, 1.0)
        share = np.where(np.abs(share - np.round(share)) < 1e-6, np.round(share), share)  # whole sub-steps are whole
        self.control[:] = self.commands[-1][:, None]
        for age in range(len(self.commands) - 2, -1, -1):
            newer = share[:, age].T[:, :, None]
            self.control[:] = (1.0 - newer) * self.control + newer * self.commands[age][:, None]
        return self.control

    def _drawn(self, delay: np.ndarray, jitter: np.ndarray) -> np.ndarray:
        if not jitter.any():
            return delay
        drawn = 2.0 * uniform(self.numbers.advance(), 0, 1)[:, 0].double().numpy() - 1.0
        return np.clip(delay + jitter * drawn, 0.0, MAX_LATENCY_S)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return {"commands": _copy(self.commands), "delays": _copy(self.delays), "numbers": self.numbers.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        if state["commands"].shape != self.commands.shape:
            raise TetherError(f"these commands were not saved by an engine with {self.num_envs} environments at this rate")
        self.commands, self.delays = state["commands"].numpy().copy(), state["delays"].numpy().copy()
        self.numbers.load_state_dict(state["numbers"])


def _copy(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.copy())
