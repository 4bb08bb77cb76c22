"""What of the world may be other than described: ranges that randomisation draws from, and in which an adversary moves.

Every component has a coordinate δ in −1…1 between its lower and its upper end: value = ½ (lower + upper) + ½ δ (upper − lower).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Uncertain:
    """A quantity with its ranges.

    Attributes:
        name: what a configuration calls it.
        kind: ``parameter`` of the engine (`Simulator.parameters`); ``force`` on the base in the world [N], x, y, z;
            ``external``: a factor on the force that episodes have of their own, bursts, waves and all; ``sensor`` or ``actuation``:
            something that is added to a reading or a signal.
        of: name of the parameter, sensor or actuation signal; else empty.
        lower, upper: of every component, in the units of what it is of. One whose ends are equal stays there.
    """

    name: str
    kind: Literal["parameter", "force", "external", "sensor", "actuation"]
    of: str
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.lower) != len(self.upper) or any(low > high for low, high in zip(self.lower, self.upper)):
            raise ValueError(f"{self.name}: {self.lower} to {self.upper} are no ranges")

    @property
    def physical(self) -> bool:
        """Whether it is of the world rather than of what passes between robot and policy: only this is randomised without being named."""
        return self.kind in ("parameter", "force", "external")
