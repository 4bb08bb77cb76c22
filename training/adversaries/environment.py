"""An environment in which what is uncertain about the task is drawn for every episode, and an adversary moves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from robots.errors import TetherError
from sim.random_numbers import RandomNumbers, as_seeds, uniform
from sim.simulator import Simulator
from tasks.task import Task
from training.adversaries.box import Box, quantities
from training.adversaries.config import AdversaryConfig
from training.adversaries.motions import DRAWN, MOTIONS
from training.adversaries.player import Player
from training.adversaries.value_learner import Chooser
from training.environment import Environment, EnvironmentStep

ADVERSARY_SEED = 2_000_029  # added to the seed: nobody else draws from there


class ContestedEnvironment(Environment):
    """`Environment` under `AdversaryConfig`.

    Before every step the adversary, where one plays, sees the privileged observation and the coordinates δ, and moves its own; then they
    become parameters, forces and offsets of the step. ``worst`` chooses before an episode instead. The first reading of one has no offset.

    Args:
        task, simulator, suite, seed, options: see `Environment`. What is uncertain goes before what the suite says of the same.
        adversary: what disturbs.

    Attributes:
        delta: δ of the last step, or of the start ``[num_envs, size]``, see `Box`.
        player: the adversary, if one plays.
        watched: indices of the environments that it learns from.

    Raises:
        TetherError: also for a task that declares nothing uncertain, a name it does not have, or an adversary with nothing to play with.
    """

    def __init__(
        self, task: Task, simulator: Simulator, *, suite: Any, seed: int | Sequence[int], adversary: AdversaryConfig, **options: Any
    ) -> None:
        self.adversary, seeds = adversary, [each + ADVERSARY_SEED for each in as_seeds(seed)]
        self.box = Box(quantities(task, adversary.over), simulator.device)
        self.draws = RandomNumbers(simulator.num_envs, seeds, simulator.device)
        self.delta = torch.zeros(simulator.num_envs, self.box.size, device=simulator.device)
        self.force: Tensor | None = None  # [N] of δ, beside the episodes' own
        self.factor: Tensor | None = None  # of δ, on the episodes' own
        self.held: Tensor | None = None
        self.over = torch.zeros(simulator.num_envs, dtype=torch.bool, device=simulator.device)  # ended, and not begun anew
        self.player: Player | Chooser | None = None
        super().__init__(task, simulator, suite=suite, seed=seed, **options)
        if adversary.plays:
            self._invite(seeds)

    def _invite(self, seeds: list[int]) -> None:
        """Let the adversary in: into the first environments of every replica."""
        config, own = self.adversary, self.num_envs // len(seeds)
        count = round(config.share * own)
        if not count or self.auto_reset:
            raise TetherError(f"an adversary plays in whole environments that do not reset themselves; {config.share:g} of {own} are none")
        self.columns = self.box.columns(config.over or self.box.labels)
        self.playing = torch.arange(self.num_envs, device=self.device).view(len(seeds), own)[:, :count].flatten()
        chooses = config.name == "worst"
        self.watched = torch.arange(self.num_envs, device=self.device) if chooses else self.playing
        middle, now = self.box.values(torch.zeros_like(self.delta)), self.simulator.parameters()
        known = {q.of: middle[q.name].expand_as(now[q.of]).clone() for q in self.box.quantities if q.kind == "parameter"}
        self.described = known  # what δ says, the adversary need not see twice
        size = self._situation().shape[1] + self.box.size
        if chooses:
            self.player = Chooser(size, len(self.watched), config.player, seeds, self.device)
        else:
            self.player = Player(size, len(self.columns), len(self.playing), config.player, seeds, self.device)

    def hold(self, delta: Tensor) -> None:
        """Let every later episode have these coordinates ``[num_envs, size]`` or ``[1, size]``, instead of drawn ones."""
        self.held = delta.expand(self.num_envs, -1)

    def restart(self, seed: int | Sequence[int]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See `Environment.restart`."""
        self.draws.restart([each + ADVERSARY_SEED for each in as_seeds(seed)])
        return super().restart(seed)

    def privileged(self) -> Tensor:
        """See `Environment.privileged`; with the coordinates, if the critic sees them."""
        return torch.cat([super().privileged(), self.context()], dim=1)

    def context(self) -> Tensor:
        """See `Environment.context`: the coordinates, if the critic sees them."""
        return self.delta if self.adversary.critic_sees else super().context()

    def seen(self) -> Tensor:
        """What the adversary sees, ``[n, size]``; no gradient comes from there."""
        return torch.cat([self._situation(), self.delta], dim=1)[self.watched]

    def _situation(self) -> Tensor:
        """The privileged observation, as if nothing were uncertain about the parameters."""
        observation: Tensor = self._privileged(self.state, self.simulator.parameters() | self.described, self.command)
        return observation.detach()

    def step(self, actuation: Mapping[str, Tensor]) -> EnvironmentStep:
        """See `Environment.step`."""
        self.draws.advance()
        if isinstance(self.player, Player):
            self._move(self.player)
            self._impose(self.box.values(self.delta))
        elif self.player is not None:
            self.player.look(self.seen())
        values = self.box.values(self.delta)
        step = super().step(self._offset("actuation", actuation, values))
        self.sensors = self._offset("sensor", self.sensors, values)
        if self.player is not None:
            parts = (step.reward.detach(), step.terminated, step.truncated, ~self.over)
            reward, terminated, truncated, running = (part[self.watched] for part in parts)
            self.player.feel(reward, terminated, truncated, running, self.seen())
        self.over = self.over | step.terminated | step.truncated
        return step._replace(sensors=self.sensors)

    @torch.no_grad()
    def _move(self, player: Player) -> None:
        action, where = player.act(self.seen()), (self.playing.unsqueeze(1), self.columns)
        self.delta = self.delta.index_put(where, MOTIONS[self.adversary.name](self.adversary, self.delta[where], action))

    def _reset(self, mask: Tensor, chosen: Tensor) -> None:
        super()._reset(mask, chosen)
        self.over = self.over & ~mask
        self.delta = torch.where(mask.unsqueeze(1), self._first(), self.delta)
        self._impose(self.box.values(self.delta))

    def _first(self) -> Tensor:
        """δ at the start of an episode: drawn, but the adversary's own in the middle unless it moves them from where they were drawn."""
        if self.held is not None:
            return self.held
        drawn = 2.0 * uniform(self.draws.key, 0, self.box.size) - 1.0
        if self.player is None:
            return drawn
        where = (self.playing.unsqueeze(1), self.columns)
        if isinstance(self.player, Chooser):
            own = self._worst(self.player, drawn[self.playing])
        elif self.adversary.name in DRAWN:
            own = drawn[where].clamp(-self.adversary.strength, self.adversary.strength)
        else:
            own = torch.zeros_like(drawn[where])
        return drawn.index_put(where, own)

    def _worst(self, chooser: Chooser, drawn: Tensor) -> Tensor:
        """The adversary's own, of the candidate that its critic fears least; half of them are drawn in the box, half of its corners."""
        count, size = self.adversary.candidates, len(self.columns)
        numbers = (2.0 * uniform(self.draws.key, 1, count * size) - 1.0)[self.playing].unflatten(1, (count, size))
        corner = torch.arange(count, device=self.device).view(-1, 1) % 2 == 0
        own = self.adversary.strength * torch.where(corner, torch.where(numbers < 0.0, -1.0, 1.0), numbers)
        candidates = drawn.expand(count, -1, -1).index_copy(2, self.columns, own.transpose(0, 1))
        return chooser.choose(self._situation()[self.playing], candidates)[:, self.columns]

    def _impose(self, values: Mapping[str, Tensor]) -> None:
        """Give the engine what is physical."""
        parameters = {q.of: values[q.name] for q in self.box.quantities if q.kind == "parameter"}
        if parameters:
            self.simulator.randomize(self.everyone, parameters)
        forces, factors = ([values[q.name] for q in self.box.quantities if q.kind == kind] for kind in ("force", "external"))
        self.force = torch.stack(forces).sum(0) if forces else None
        self.factor = torch.stack(factors).prod(0) if factors else None
        if forces or factors:
            constant = self.episode.force_in_world
            self._pull(torch.zeros(self.num_envs, 3, device=self.device) if constant is None else constant)

    def _pull(self, force: Tensor) -> None:
        own = force if self.factor is None else force * self.factor
        super()._pull(own if self.force is None else own + self.force)

    def _offset(self, kind: str, signals: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``signals`` with what is added to them."""
        offsets = {q.of: values[q.name] for q in self.box.quantities if q.kind == kind}
        return {name: value + offsets[name] if name in offsets else value for name, value in signals.items()}

    def state_dict(self) -> dict[str, Any]:
        """See `Environment.state_dict`; the player's own is with the algorithm."""
        return super().state_dict() | {"delta": self.delta, "over": self.over, "draws": self.draws.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        super().load_state_dict(state)
        self.delta, self.over = state["delta"], state.get("over", self.over)
        self.draws.load_state_dict(state["draws"])
