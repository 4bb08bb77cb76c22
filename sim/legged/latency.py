"""Commands that arrive late, each environment by its own time, to the physics sub-step and between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from robots.errors import TetherError
from sim.action_delay import history_length, takeover_times
from sim.random_numbers import RandomNumbers, uniform

MAX_LATENCY_S = 0.04


class Latency:
    """The target that each physics sub-step of each environment works with, in float64.

    A command takes effect ``delay`` seconds after it was given, with jitter each its own within ±``jitter`` of that and never before 0 or
    after `MAX_LATENCY_S`; of those that have arrived the latest given counts. During a sub-step in which one arrives, its mean with the one
    before, weighted by time, counts: exact in whole sub-steps, and to first order between them.

    Args:
        num_envs: how many.
        rest: what was commanded before an episode ``[width]``; on the device where all is to be.
        control_dt, substeps: when commands come, and what they are for.
        seed: of the jitter.
    """

    def __init__(self, num_envs: int, rest: Tensor, control_dt: float, substeps: int, seed: int = 0) -> None:
        length = history_length(control_dt, MAX_LATENCY_S)
        self.num_envs, self.rest, self.substep_s = num_envs, rest, control_dt / substeps
        self.commands = rest.repeat(length, num_envs, 1)  # newest first
        self.delays = rest.new_zeros(length, num_envs)  # of each
        self.takeover = takeover_times(control_dt, substeps, MAX_LATENCY_S).to(rest.device)  # [substeps, length − 1, 1]
        self.control = rest.repeat(num_envs, substeps, 1)
        self.numbers = RandomNumbers(num_envs, seed, rest.device)

    def reset(self, mask: Tensor, delay: Tensor) -> None:
        """Forget what was commanded where ``mask`` ``[num_envs]`` is set, and be ``delay`` ``[num_envs]`` late from now on."""
        self.commands.copy_(torch.where(mask[:, None], self.rest, self.commands))
        self.delays.copy_(torch.where(mask, delay, self.delays))

    def targets(self, command: Tensor, delay: Tensor, jitter: Tensor) -> Tensor:
        """Targets ``[num_envs, substeps, width]`` of the coming period, valid until the next call.

        Args:
            command: given now, ``[num_envs, width]``.
            delay, jitter: seconds, ``[num_envs]``.
        """
        self.commands, self.delays = self.commands.roll(1, 0), self.delays.roll(1, 0)
        self.commands[0], self.delays[0] = command, self._drawn(delay, jitter)
        if _known_zero(self.delays[:-1]):
            return self.control.copy_(command[:, None])
        share = ((self.takeover - self.delays[:-1]) / self.substep_s).clamp(0.0, 1.0)
        whole = share.round()
        share = torch.where((share - whole).abs() < 1e-6, whole, share)  # whole sub-steps are whole
        self.control.copy_(self.commands[-1][:, None])
        for age in range(len(self.commands) - 2, -1, -1):
            newer = share[:, age].t().unsqueeze(2)
            self.control.mul_(1.0 - newer).add_(newer * self.commands[age][:, None])
        return self.control

    def _drawn(self, delay: Tensor, jitter: Tensor) -> Tensor:
        if _known_zero(jitter):
            return delay
        drawn = 2.0 * uniform(self.numbers.advance(), 0, 1)[:, 0].double() - 1.0
        return (delay + jitter * drawn).clamp(0.0, MAX_LATENCY_S)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return {"commands": self.commands.clone(), "delays": self.delays.clone(), "numbers": self.numbers.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        if state["commands"].shape != self.commands.shape:
            raise TetherError(f"these commands were not saved by an engine with {self.num_envs} environments at this rate")
        self.commands.copy_(state["commands"])
        self.delays.copy_(state["delays"])
        self.numbers.load_state_dict(state["numbers"])


def _known_zero(values: Tensor) -> bool:
    """Whether nothing has to be done for ``values``; on a GPU, asking would wait for it, and doing it does not."""
    return values.device.type == "cpu" and not values.any()
