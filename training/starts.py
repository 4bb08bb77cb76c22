"""How episodes begin, drawn many at a time, each used once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sim.fused.kernel import spacing
from sim.fused.structure import flatten, unflatten
from tasks.task import Signals, Start

DRAWN = 1024  # at a time; so that the first episodes of a seed are the same for any smaller number of environments


class Starts:
    """A stack of starts, and the one that each environment took last.

    Args:
        sample: draws so many starts from the generator.
        num_envs: environments.
        seed: of the generator.

    Attributes:
        current: of every environment. `renew` changes it in place while gradients are off.
    """

    def __init__(
        self, sample: Callable[[int, torch.Generator], Start], num_envs: int, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        self.sample, self.num_envs = sample, num_envs
        self.current: Start
        self.generator = torch.Generator(device)
        self.restart(seed)
        self._place(torch.empty(self.stack.shape[1], spacing(num_envs), device=device)[:, :num_envs])

    def restart(self, seed: int) -> None:
        """Draw from ``seed`` on."""
        self.generator.manual_seed(seed)
        self._draw()

    def renew(self, mask: Tensor) -> int:
        """Take a new start where ``mask`` ``[num_envs]`` is set; returns how many."""
        chosen = mask.nonzero().flatten()
        count = len(chosen)
        if count:
            if self.used + count > len(self.stack):
                self._draw()
            taken = self.stack[self.used : self.used + count].t()
            self.used += count
            if torch.is_grad_enabled():
                self._place(self.values.index_copy(1, chosen, taken))
            else:
                self.values.index_copy_(1, chosen, taken)
        return count

    def replace_command(self, command: Signals) -> None:
        """Give every present episode this command, by name as in the starts; it is saved with them, and new episodes have their own."""
        values = {name: value.expand(self.num_envs, -1).clone() for name, value in command.items()}  # it may be the present one
        with torch.no_grad():
            for name, value in values.items():
                self.current.command[name].copy_(value)

    def _draw(self) -> None:
        """Draw a new stack ``[starts, numbers]``."""
        self.before = self.generator.get_state()
        leaves: list[Any] = []
        with torch.no_grad():
            self.structure = flatten(tuple(self.sample(max(self.num_envs, DRAWN), self.generator)), leaves)
        self.shapes = [None if leaf is None else leaf.shape[1:] for leaf in leaves]
        self.stack = torch.cat([leaf.flatten(1) for leaf in leaves if leaf is not None], dim=1)
        self.used = 0

    def _place(self, values: Tensor) -> None:
        """Use ``values`` ``[numbers, num_envs]`` as the current starts."""
        self.values = values
        sizes = [0 if shape is None else math.prod(shape) for shape in self.shapes]
        parts = zip(self.shapes, values.t().split(sizes, dim=1), strict=True)
        leaves = [None if shape is None else part if len(shape) == 1 else part.unflatten(1, shape) for shape, part in parts]
        self.current = Start(*unflatten(self.structure, iter(leaves)))

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit; the stack is drawn again."""
        return {"generator": self.before, "used": self.used, "values": self.values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.generator.set_state(state["generator"])
        self._draw()
        self.used = state["used"]
        self.values.copy_(state["values"])
