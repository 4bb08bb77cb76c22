"""Two critics of a return's quantiles: one that is shown everything, and one that sees what the actor sees.

What is random to the second, the robot's parameters and the weather among it, the first knows: its quantiles are close together, and a
measure of risk would find none in them (see `training.risk.RiskConfig.blind`).
"""

from __future__ import annotations

from torch import Tensor, nn

from training.learned_law import LearnedLaw
from training.normalizer import RunningNormalizer
from training.perceptron import perceptron
from training.ppo import PPOConfig
from training.quantiles import quantile_loss
from training.replicas import Streams
from training.shac import SHACConfig


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

    def returns(self, x: Tensor, normalizer: RunningNormalizer, *, informed: bool) -> Tensor:
        """Sorted quantiles ``[…, N]`` of one of them, in the units that ``normalizer`` normalises."""
        found = self.informed(x) if informed else self.blind(x[..., : self.seen])
        return normalizer.inverse(found.sort(dim=-1).values)

    def last_layers(self) -> list[nn.Module]:
        """Of both."""
        return [self.informed[-1], self.blind[-1]]


def two_heads(size: int, law: LearnedLaw, config: PPOConfig | SHACConfig, count: int) -> TwoHeads:
    """Critics of ``count`` quantiles for ``law``, of the shape that ``config`` gives, which are shown ``size`` numbers."""
    seen = len(law.task.observation_names)
    critics = TwoHeads(size, seen, config.critic_hidden, count, config.critic_activation, law.streams)
    return critics.to(law.normalizer.mean.device)
