"""A protagonist and its adversary, learning by turns from the same roll-outs: zero sum, one reward and its negative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from training.adversaries.environment import ContestedEnvironment
from training.adversaries.player import Player
from training.adversaries.temperature import Temperature
from training.adversaries.value_learner import ValueLearner
from training.episodes import EpisodeStatistics


class Contest:
    """An algorithm, then its opponent: one call of `iterate` is the protagonist's iteration and the adversary's lesson from it.

    Args:
        protagonist: any algorithm of `training.algorithms`, in ``environment``.
        environment: where an adversary plays.
        player: that adversary.
        seeds: of the protagonist, one a replica.
    """

    def __init__(self, protagonist: Any, environment: ContestedEnvironment, player: ValueLearner, seeds: list[int]) -> None:
        self.protagonist, self.environment, self.player = protagonist, environment, player
        self.temperature = Temperature(environment.adversary.temperature, seeds) if environment.adversary.name == "qarl" else None

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return int(self.protagonist.iteration)

    @property
    def config(self) -> Any:
        """The protagonist's."""
        return self.protagonist.config

    @property
    def episodes(self) -> EpisodeStatistics:
        """Of all episodes, disturbed or not."""
        found: EpisodeStatistics = self.protagonist.episodes
        return found

    def iterate(self) -> dict[str, float | None]:
        """See `training.algorithms.Algorithm`; the adversary's figures have names that say so."""
        metrics: dict[str, float | None] = self.protagonist.iterate()
        if self.temperature is not None and isinstance(self.player, Player):
            metrics |= self._heat(self.temperature, self.player)
        if self.iteration % self.environment.adversary.every:
            self.player.forget()
            return metrics
        return metrics | self.player.learn(self.iteration, self.environment.seen())

    def _heat(self, temperature: Temperature, player: Player) -> dict[str, float | None]:
        """Draw what the adversary's entropy is worth, and advance the curriculum."""
        drawn = temperature.draw(self.iteration)
        player.entropy_weights = torch.tensor(drawn, device=self.environment.device)
        temperature.advance(self.iteration, [each["return"] for each in self.episodes.by_replica()])
        return {"adversary_temperature": sum(drawn) / len(drawn), "adversary_shape": sum(temperature.shapes) / len(drawn)}

    def state_dict(self) -> dict[str, Any]:
        """See `training.algorithms.Algorithm`."""
        temperature = self.temperature.state_dict() if self.temperature else None
        return self.protagonist.state_dict() | {"adversary": self.player.state_dict(), "temperature": temperature}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.protagonist.load_state_dict(state)
        self.player.load_state_dict(state["adversary"])
        if self.temperature is not None:
            self.temperature.load_state_dict(state["temperature"])
