"""The settings of an adversary, and what is only randomised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

AdversaryName = Literal["none", "random", "worst", "rarl", "qarl", "tc_rmdp", "grad"]


@dataclass(frozen=True)
class PlayerConfig:
    """How the adversary learns: clipped policy gradients as in `training.ppo`, on all that a roll-out saw at once.

    Attributes:
        hidden, activation: of its actor and of its critic.
        epochs: gradient steps a roll-out.
        discount, trace, clip, gradient_clip: γ, λ, ε and the largest norm of the gradient, see `training.ppo`.
        learning_rate: of Adam. halve_every: iterations after which it halves; 0 keeps it.
        entropy_coefficient: weight of the entropy of its action; what is random is weaker.
        initial_std, least_std, most_std: of its action, which is cut to −1…1; at the start, and the bounds.
    """

    hidden: tuple[int, ...] = (32, 32)
    activation: str = "relu"
    epochs: int = 4
    discount: float = 0.98
    trace: float = 0.95
    clip: float = 0.2
    gradient_clip: float = 1.0
    learning_rate: float = 3e-3
    halve_every: int = 0
    entropy_coefficient: float = 0.0
    initial_std: float = 0.5
    least_std: float = 0.1
    most_std: float = 1.0


@dataclass(frozen=True)
class TemperatureConfig:
    """The curriculum of QARL, see `training.adversaries.temperature`.

    Attributes:
        rate: of the Gamma distribution of temperatures.
        first_mean, last_mean: of the temperatures at the start, and those of the target.
        largest_step: Kullback–Leibler divergence of one distribution from the one before, at most.
        every: iterations between steps.
        least_return: of the protagonist's episodes, for a step to be taken; none for always.
    """

    rate: float = 1000.0
    first_mean: float = 0.05
    last_mean: float = 0.001
    largest_step: float = 0.5
    every: int = 5
    least_return: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.last_mean <= self.first_mean or self.rate <= 0.0 or self.largest_step <= 0.0 or self.every < 1:
            raise ValueError("a curriculum needs 0 < last_mean <= first_mean, and a positive rate, largest_step and every")


@dataclass(frozen=True)
class AdversaryConfig:
    """What disturbs the episodes of a training, beyond what the task's training distribution does.

    Attributes:
        name: ``none``. ``random``: nobody plays; all of the task's uncertain quantities that are physical are drawn for each episode.
            ``worst``: an adversary chooses before an episode, of several draws, where its critic expects the protagonist to earn least.
            ``rarl``, ``qarl``: it sets what it plays with in every step, at will; the latter's entropy follows a curriculum.
            ``tc_rmdp``: it moves it slowly, from where it was drawn. ``grad``: it stays in a ball, and close to where it was.
        over: the task's uncertain quantities that it plays with, by name; none for all physical ones. Others are drawn for each episode.
        strength: bound on their coordinates, of which 1 are the ends of the ranges; ε of ``grad``, in the 2-norm over all of them.
        pace: how far they move in a step, over ``strength``: L of ``tc_rmdp``, ε̄/ε of ``grad``.
        candidates: draws that ``worst`` chooses from, half of them corners of what it plays with.
        share: of the environments that it plays in; in the others everything is drawn.
        every: roll-outs of which it learns from the last.
        critic_sees: whether the protagonist's critic sees the coordinates; none for wherever its algorithm can. No actor does.
        player: how it learns.
        temperature: of ``qarl``.
    """

    name: AdversaryName = "none"
    over: tuple[str, ...] = ()
    strength: float = 1.0
    pace: float = 0.2
    candidates: int = 32
    share: float = 1.0
    every: int = 1
    critic_sees: bool | None = None
    player: PlayerConfig = field(default_factory=PlayerConfig)
    temperature: TemperatureConfig = field(default_factory=TemperatureConfig)

    def __post_init__(self) -> None:
        for name in ("strength", "pace", "share"):
            if not 0.0 < getattr(self, name) <= (1.0 if name != "strength" else float("inf")):
                raise ValueError(f"{name} must be within 0…1, and not 0, not {getattr(self, name)}")
        for name in ("every", "candidates"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    @property
    def plays(self) -> bool:
        """Whether somebody plays."""
        return self.name not in ("none", "random")
