"""Two critics of a return's quantiles: one that is shown everything, and one that sees what the actor sees.

What is random to the second, the robot's parameters and the weather among it, the first knows: its quantiles are close together, and a
measure of risk would find none in them (see `training.risk.RiskConfig.blind`).
"""

from __future__ import annotations

from torch import Tensor, nn

from training.normalizer import RunningNormalizer
from training.perceptron import perceptron
from training.quantiles import quantile_loss
from training.replicas import Streams


class TwoHeads(nn.Module):
    """Two networks.

    Args:
        size: numbers that are shown.
        seen: how many of them, the first, the actor sees too.
        hidden, activation: of each network.
        count: N, quantiles.
        streams: of first weights.
    """

    def __init__(self, size: int, seen: int, hidden: tuple[int, ...], count: int, activation: str, streams: Streams) -> None:
        super().__init__()
        self.seen = seen
        self.informed = perceptron(size, hidden, count, activation, streams=streams)
        self.blind = perceptron(seen, hidden, count, activation, streams=streams)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both, not sorted, ``[…, N]``, of ``[…, size]``."""
        return self.informed(x), self.blind(x[..., : self.seen])

    def losses(self, x: Tensor, targets: Tensor, kappa: float) -> Tensor:
        """Sum of both quantile losses ``[…]``, targets ``[…, M]``."""
        informed, blind = (quantile_loss(head, targets, kappa) for head in self(x))
        return informed + blind


def both(heads: TwoHeads, x: Tensor, returns: RunningNormalizer) -> tuple[Tensor, Tensor]:
    """Sorted quantiles ``[…, N]`` of both, in the units that ``returns`` normalises."""
    informed, blind = (returns.inverse(head.sort(dim=-1).values) for head in heads(x))
    return informed, blind


def last_layers(heads: TwoHeads) -> list[nn.Module]:
    """Of both."""
    return [heads.informed[-1], heads.blind[-1]]
