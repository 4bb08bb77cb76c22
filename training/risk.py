"""How much the tail of the return matters to a training, and what it knows of it; see `training.risk_measures`, `training.quantiles`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from training.risk_measures import MEASURES, MeasureName, check_level, weights


@dataclass(frozen=True)
class RiskConfig:
    """Attitude to risk, for `ppo`, `shac` and `sac`.

    Attributes:
        quantiles: N of the return that critics learn; 0 for critics of the mean, and then nothing else here counts but the cost's.
        measure, level: see `training.risk_measures`.
        neutral_for: iterations before which the level is neutral.
        warm_up: iterations after them in which it goes from neutral to its own.
        command: the level goes from neutral to its own as the command ``risk_level`` goes from 0 to 1; every episode of training has
            another. See `tasks.risk_level`.
        advantage: ``tail``: returns are worth what they are to the measure, whole samples of them, see `training.quantiles.utility`.
            ``distorted``: steps are, by values that the measure made of the quantiles; risk enters with the weight 1 − λ of a step's end.
        blind: the measure sees quantiles given the actor's observation alone, where what is not known of the robot and of the weather is
            part of the risk; else those given all that simulation knows, which leave little of it.
        trace: λ; below 0 for the algorithm's own.
        samples: of a return, of N, that quantiles are fitted to in an iteration.
        kappa: of the loss of quantiles, over the deviation of returns, for sac in their unit; see `training.quantiles.quantile_loss`.
        cost_quantiles: of the discounted cost of failing that the output ``risk`` is made of; 0 for none. See `training.safety_cost`.
        cost_tail: α: ``risk`` is the mean of that share of the largest.
        cost_discount, cost_learning_rate: of that critic.
    """

    quantiles: int = 0
    measure: MeasureName = "neutral"
    level: float = 1.0
    neutral_for: int = 0
    warm_up: int = 0
    command: bool = False
    advantage: Literal["tail", "distorted"] = "tail"
    blind: bool = True
    trace: float = -1.0
    samples: int = 4
    kappa: float = 0.01
    cost_quantiles: int = 0
    cost_tail: float = 0.05
    cost_discount: float = 0.99
    cost_learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_level(self.measure, self.level)
        if self.measure != "neutral" and self.quantiles < 2:
            raise ValueError(f"risk.measure={self.measure} weighs quantiles; set risk.quantiles, for example to 32")
        if self.command and self.measure == "neutral":
            raise ValueError("risk.command goes from neutral to a measure's level; set risk.measure and risk.level")
        for name in ("quantiles", "neutral_for", "warm_up", "cost_quantiles"):
            if getattr(self, name) < 0:
                raise ValueError(f"risk.{name} must not be negative, not {getattr(self, name)}")
        if self.samples < 1:
            raise ValueError(f"risk.samples must be at least 1, not {self.samples}")
        if not self.trace <= 1.0 or not self.kappa > 0.0:
            raise ValueError(f"risk.trace must be at most 1 and risk.kappa positive, not {self.trace:g} and {self.kappa:g}")
        if not 0.0 < self.cost_tail <= 1.0 or not 0.0 <= self.cost_discount <= 1.0:
            found = f"{self.cost_tail:g} and {self.cost_discount:g}"
            raise ValueError(f"risk.cost_tail must be within 0 (excluded) … 1 and risk.cost_discount within 0 … 1, not {found}")

    def weights(self, iteration: int, asked: Tensor) -> Tensor:
        """Of sorted quantiles ``[…, N]``; ``asked`` is the command ``[…]``, which counts only where there is one."""
        since = iteration - self.neutral_for
        progress = min(max(since / self.warm_up, 0.0), 1.0) if self.warm_up else float(since >= 0)
        share = progress * (asked if self.command else asked.new_ones(()))
        return weights(self.measure, MEASURES[self.measure].between(self.level, share), self.quantiles)
