"""A task's uncertain quantities side by side: from coordinates to parameters, forces and offsets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robots.errors import TetherError, unknown
from tasks.task import Task
from tasks.uncertainty import Uncertain


def quantities(task: Task, over: Sequence[str] = ()) -> tuple[Uncertain, ...]:
    """All physical quantities of ``task``, and what else is in ``over``.

    Raises:
        TetherError: for a task that declares none, or a name it does not have.
    """
    if not task.uncertain:
        raise TetherError(
            f"{task.name} declares nothing uncertain to draw or play with; declare Task.uncertain, or set adversary.name=none"
        )
    names = [quantity.name for quantity in task.uncertain]
    for name in over:
        if name not in names:
            raise unknown(f"uncertain quantity of {task.name}", name, names)
    return tuple(quantity for quantity in task.uncertain if quantity.physical or quantity.name in over)


class Box:
    """Coordinates ``[n, size]``, one for every component that has a range.

    Args:
        found: whose they are, in order.
        device: of what comes out.

    Attributes:
        size: how many.
        labels: what each is of, ``name`` or ``name[component]``.
    """

    def __init__(self, found: Sequence[Uncertain], device: torch.device | str) -> None:
        self.quantities = tuple(found)
        lower, upper = (torch.tensor([end for q in found for end in getattr(q, side)], device=device) for side in ("lower", "upper"))
        self.middle, self.half = 0.5 * (lower + upper), 0.5 * (upper - lower)
        self.moving = self.half.nonzero().flatten()
        self.size = len(self.moving)
        labels = [q.name if len(q.lower) == 1 else f"{q.name}[{index}]" for q in found for index in range(len(q.lower))]
        self.labels = [labels[index] for index in self.moving.tolist()]

    def columns(self, names: Sequence[str]) -> Tensor:
        """Indices of the coordinates of these quantities."""
        chosen = [index for index, label in enumerate(self.labels) if label.partition("[")[0] in names]
        return torch.tensor(chosen, device=self.middle.device)

    def values(self, delta: Tensor) -> dict[str, Tensor]:
        """Every quantity by name, in its own units, ``[n, components]``."""
        full = self.middle.expand(len(delta), -1).index_add(1, self.moving, delta * self.half[self.moving])
        parts = full.split([len(quantity.lower) for quantity in self.quantities], dim=1)
        return {quantity.name: part for quantity, part in zip(self.quantities, parts, strict=True)}
