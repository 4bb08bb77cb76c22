"""How episodes begin, drawn many at a time, each used once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from robots.errors import TetherError
from sim.fused.kernel import spacing
from sim.fused.structure import flatten, unflatten
from sim.random_numbers import as_seeds
from tasks.task import Signals, Start

Sample = Callable[[int, torch.Generator], Start]
DRAWN = 1024  # at a time; so that the first episodes of a seed are the same for any smaller number of environments


class Stack:
    """Starts from one seed, drawn many at a time, each handed out once.

    Args:
        sample: draws so many starts from the generator.
        size: how many to draw at a time.
        seed: of the generator.
    """

    def __init__(self, sample: Sample, size: int, seed: int, device: torch.device | str) -> None:
        self.sample, self.size = sample, size
        self.generator = torch.Generator(device)
        self.restart(seed)

    def restart(self, seed: int) -> None:
        """Draw from ``seed`` on."""
        self.generator.manual_seed(seed)
        self.draw()

    def draw(self) -> None:
        """Draw a new stack ``[starts, numbers]``."""
        self.before = self.generator.get_state()
        leaves: list[Any] = []
        with torch.no_grad():
            self.structure = flatten(tuple(self.sample(self.size, self.generator)), leaves)
        self.shapes = [None if leaf is None else leaf.shape[1:] for leaf in leaves]
        self.rows = torch.cat([leaf.flatten(1) for leaf in leaves if leaf is not None], dim=1)
        self.used = 0

    def take(self, count: int) -> Tensor:
        """The next so many starts ``[count, numbers]``."""
        if self.used + count > len(self.rows):
            self.draw()
        self.used += count
        return self.rows[self.used - count : self.used]

    def load(self, before: Tensor, used: int) -> None:
        """Draw the stack again that was drawn at this state of the generator, of which so many were used."""
        self.generator.set_state(before)
        self.draw()
        self.used = used


class Starts:
    """The start that each environment took last, from a stack for each seed.

    Args:
        sample: draws so many starts from the generator; several, one for each seed, give the same fields.
        num_envs: environments.
        seed: of the generator. Several share out the environments, and begin in each what they would if it were alone.

    Raises:
        TetherError: for samples that are not as many as the seeds.

    Attributes:
        current: of every environment. `renew` changes it in place while gradients are off.
    """

    def __init__(
        self,
        sample: Sample | Sequence[Sample],
        num_envs: int,
        seed: int | Sequence[int],
        device: torch.device | str = "cpu",
    ) -> None:
        self.num_envs = num_envs
        self.current: Start
        seeds = as_seeds(seed)
        samples = [sample] * len(seeds) if callable(sample) else sample
        if len(samples) != len(seeds):
            raise TetherError(f"{len(samples)} ways to begin an episode for {len(seeds)} seeds; give one for all, or one for each")
        size = max(num_envs // len(seeds), DRAWN)
        self.stacks = [Stack(draw, size, each, device) for draw, each in zip(samples, seeds, strict=True)]
        self._place(torch.empty(self.stacks[0].rows.shape[1], spacing(num_envs), device=device)[:, :num_envs])

    def restart(self, seed: int | Sequence[int]) -> None:
        """Draw from ``seed`` on."""
        for stack, each in zip(self.stacks, as_seeds(seed), strict=True):
            stack.restart(each)

    def renew(self, mask: Tensor) -> Tensor:
        """Take a new start where ``mask`` ``[num_envs]`` is set; returns the indices of these environments, int64 ``[any]``."""
        chosen = mask.nonzero().flatten()
        count = len(chosen)
        if count:
            taken = self._take(mask, count).t()
            if torch.is_grad_enabled():
                self._place(self.values.index_copy(1, chosen, taken))
            else:
                self.values.index_copy_(1, chosen, taken)
        return chosen

    def _take(self, mask: Tensor, count: int) -> Tensor:
        """So many starts ``[count, numbers]``, each from the stack of its seed."""
        if len(self.stacks) == 1:
            return self.stacks[0].take(count)
        counts = mask.view(len(self.stacks), -1).sum(1).tolist()
        return torch.cat([stack.take(each) for stack, each in zip(self.stacks, counts, strict=True) if each])

    def replace_command(self, command: Signals) -> None:
        """Give every present episode this command, by name as in the starts; it is saved with them, and new episodes have their own."""
        values = {name: value.expand(self.num_envs, -1).clone() for name, value in command.items()}  # it may be the present one
        with torch.no_grad():
            for name, value in values.items():
                self.current.command[name].copy_(value)

    def _place(self, values: Tensor) -> None:
        """Use ``values`` ``[numbers, num_envs]`` as the current starts."""
        self.values = values
        stack = self.stacks[0]
        sizes = [0 if shape is None else math.prod(shape) for shape in stack.shapes]
        parts = zip(stack.shapes, values.t().split(sizes, dim=1), strict=True)
        leaves = [None if shape is None else part if len(shape) == 1 else part.unflatten(1, shape) for shape, part in parts]
        self.current = Start(*unflatten(stack.structure, iter(leaves)))

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit; the stacks are drawn again."""
        first, *others = [{"generator": stack.before, "used": stack.used} for stack in self.stacks]
        return first | {"values": self.values} | ({"others": others} if others else {})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        for stack, saved in zip(self.stacks, [state, *state.get("others", [])], strict=True):
            stack.load(saved["generator"], saved["used"])
        self.values.copy_(state["values"])
