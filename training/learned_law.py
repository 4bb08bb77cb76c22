"""A learned control law: observe → running normaliser → network → bounded action → safeguard, if there is one → follow.

Memory is packed as [started, previous action as it was sent, task memory, recurrent state]; all zeros means episode start.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from robots.contract import SafeguardTerms
from robots.errors import TetherError
from safety.safeguards.safeguard import Guarded
from tasks import risk_level
from tasks.symmetry import Mirror
from tasks.task import Signals, Task
from training.control_law import ControlLaw, LawOutput, split_memory, without_safeguard
from training.guard import NONE, Guard, SafeguardConfig
from training.normalizer import RunningNormalizer
from training.perceptron import perceptron
from training.replicas import Streams
from training.risk import RiskConfig
from training.safety_cost import CostCritic


@dataclass(frozen=True)
class ActorConfig:
    """The actor network.

    Attributes:
        hidden: widths of the hidden layers.
        activation: tanh, elu, relu or silu.
        memory: ``none``, or ``gru`` for a recurrent layer before the hidden ones.
        memory_size: width of the recurrent state.
        symmetric: treat left and right alike, exactly, on a task with a mirror; not with a recurrent layer.
        squash: how the network's output becomes an action within −1…1: clamp, which has no gradient beyond, so that a saturated actor may
            stay so; or tanh.
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    memory: Literal["none", "gru"] = "none"
    memory_size: int = 64
    symmetric: bool = False
    squash: Literal["clamp", "tanh"] = "clamp"


class Percept(NamedTuple):
    """What the law knows before it acts, ``[batch, …]``: observation, next task memory, the actor's recurrent state, the safeguard's state.

    The last is of no width in a law without a safeguard.
    """

    observation: Tensor
    task_memory: Tensor
    recurrent: Tensor
    guarded_state: Tensor


class LearnedLaw(ControlLaw):
    """See the module's docstring.

    `perceive`, `actor`, `guard` and `act` are the four stages of `forward`; training perturbs the action after the second.

    Args:
        task: what it is for.
        config: of the actor.
        safeguard: what guards its actions.
        replicas: how many laws to train side by side, see `training.replicas`, or a seed of the first weights for each.
        risk: whether, and how, it says how close to failing it is; see `training.safety_cost`.

    Raises:
        TetherError: for an actor that the task cannot have, or that cannot be replicated.
    """

    def __init__(
        self,
        task: Task,
        config: ActorConfig | None = None,
        safeguard: SafeguardConfig | None = None,
        replicas: int | Sequence[int] = 1,
        risk: RiskConfig | None = None,
    ) -> None:
        super().__init__()
        self.task = task
        self.config = config or ActorConfig()
        size = len(task.observation_names)
        mirror = task.mirror() if self.config.symmetric else None
        if self.config.symmetric and (mirror is None or self.config.memory != "none"):
            raise TetherError(f"actor.symmetric needs a mirror of {task.name} and no recurrent layer; set actor.symmetric=False")
        self.streams = Streams(replicas)
        if self.replicas > 1 and (mirror is not None or self.config.memory != "none"):
            raise TetherError("replicas need actor.symmetric=False and actor.memory=none; train such an actor one seed at a time")
        reflection, levelled = mirror.observation if mirror else None, task.observation_names[-1] == risk_level.NAME
        self.normalizer = RunningNormalizer(size, reflection=reflection, replicas=self.replicas, kept=int(levelled))
        self.actor = Actor(size, task.action_size, self.config, mirror, self.streams, levelled)
        self.safeguard = safeguard or SafeguardConfig()
        self.guard = Guard(task, self.safeguard) if self.safeguard.name != NONE else None
        self.attitude = risk or RiskConfig()
        self.cost = CostCritic(size, self.attitude, self.streams) if self.attitude.cost_quantiles else None

    @property
    def replicas(self) -> int:
        """How many laws these are."""
        return self.streams.replicas

    def replica(self, index: int) -> LearnedLaw:
        """A copy of one of the laws, by itself."""
        if not 0 <= index < self.replicas:
            raise TetherError(f"there is no replica {index} of {self.replicas}; they count from 0")
        law = LearnedLaw(self.task, self.config, self.safeguard, risk=self.attitude).to(self.normalizer.mean.device)
        own = ("actor", "normalizer", "cost") if self.replicas > 1 else ()
        state = {name: value[index] if name.split(".")[0] in own else value for name, value in self.state_dict().items()}
        law.load_state_dict(state)
        return law

    @property
    def memory_size(self) -> int:
        """Width of the memory vector."""
        return 1 + self.task.action_size + self.task.task_memory_size + self.actor.recurrent_size

    def perceive(self, sensors: Signals, command: Signals, memory: Tensor) -> Percept:
        """Build the observation, not yet normalised."""
        task_view, recurrent = split_memory(memory, self.task.action_size, self.task.task_memory_size)
        observation, task_memory = self.task.observe(sensors, command, task_view)
        state = self.task.guarded_state(sensors, command, task_view) if self.guard else observation[:, :0]
        return Percept(observation, task_memory, recurrent, state)

    def recurrent(self, memory: Tensor) -> Tensor:
        """The actor's recurrent state ``[batch, size]`` in a packed memory."""
        return split_memory(memory, self.task.action_size, self.task.task_memory_size)[1]

    def act(self, percept: Percept, action: Tensor, recurrent: Tensor, guarded: Guarded | None) -> LawOutput:
        """Send what the guard made of ``action``, which is within −1…1, or the action itself, and remember what was sent."""
        sent = action if guarded is None else guarded.action
        memory = torch.cat([torch.ones_like(sent[:, :1]), sent, percept.task_memory, recurrent], dim=1)
        output = without_safeguard(self.task.follow(percept.task_memory, sent), memory, percept.observation)
        if guarded is None:
            return output
        distance, feasible, intervention = guarded.distance, guarded.feasible, guarded.intervention
        return output._replace(safe_distance=distance, feasible=feasible, intervention=intervention, unguarded=action)

    def unguarded(self) -> LearnedLaw:
        """A copy that sends what its actor asks."""
        law = copy.deepcopy(self)
        law.safeguard, law.guard = SafeguardConfig(), None
        return law

    @property
    def terms(self) -> SafeguardTerms | None:
        """See `ControlLaw.terms`."""
        if self.guard is None:
            return None
        return SafeguardTerms(name=self.safeguard.name, action_size=self.task.action_size, promise=self.guard.safeguard.promise)

    def sent(self, memory: Tensor) -> Tensor:
        """The action ``[batch, action_size]`` that was sent when ``memory`` was given."""
        return split_memory(memory, self.task.action_size, self.task.task_memory_size)[0].action

    def forward(self, sensors: Signals, command: Signals, memory: Tensor) -> LawOutput:
        """One deterministic step."""
        percept = self.perceive(sensors, command, memory)
        normal = self.normalizer(percept.observation)
        action, recurrent = self.actor(normal, percept.recurrent)
        action = action.clamp(-1.0, 1.0)
        guarded = self.guard(percept.guarded_state, action) if self.guard else None
        output = self.act(percept, action, recurrent, guarded)
        return output._replace(risk=self.cost.risk(normal)) if self.cost else output


class Actor(nn.Module):
    """Normalised observation ``[batch, size]`` and recurrent state to the mean action; near zero at first, which is the resting action.

    `head` gives the action before `squash`, which for ``clamp`` changes nothing: the law clamps, after exploration noise. With ``levelled``
    the observation's last number is a level of risk (`tasks.risk_level`), and `head`, without a recurrent layer, is two networks.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: ActorConfig,
        mirror: Mirror | None = None,
        streams: Streams | None = None,
        levelled: bool = False,
    ) -> None:
        super().__init__()
        self.recurrent_size = config.memory_size if config.memory == "gru" else 0
        self.cell = GatedCell(observation_size, self.recurrent_size) if self.recurrent_size else None
        size = self.recurrent_size or observation_size
        make = functools.partial(perceptron, size, config.hidden, action_size, config.activation, last_gain=0.01, streams=streams)
        head: nn.Module = BetweenEnds(make(), make()) if levelled and not self.recurrent_size else make()
        self.head = head if mirror is None else Symmetric(head, mirror)
        self.squash: nn.Module = nn.Tanh() if config.squash == "tanh" else nn.Identity()

    def forward(self, observation: Tensor, recurrent: Tensor) -> tuple[Tensor, Tensor]:
        """Mean action ``[batch, action_size]`` and next recurrent state."""
        if self.cell is None:
            return self.squash(self.head(observation)), recurrent
        recurrent = self.cell(observation, recurrent)
        return self.squash(self.head(recurrent)), recurrent


class BetweenEnds(nn.Module):
    """a(x) = (1 − l) f_neutral(x) + l f_averse(x), l the last of x: a level of risk as it is, within 0…1.

    One network for all levels has to be torn apart from the middle, where it takes what both ends have in common, and hardly is
    (benchmarks/RESULTS.md); here an episode at one end teaches that end alone.
    """

    def __init__(self, neutral: nn.Module, averse: nn.Module) -> None:
        super().__init__()
        self.neutral, self.averse = neutral, averse

    def forward(self, x: Tensor) -> Tensor:
        """Mean action ``[…, action_size]`` from a normalised observation ``[…, size]``."""
        level = x[..., -1:]
        mixed: Tensor = (1.0 - level) * self.neutral(x) + level * self.averse(x)
        return mixed


class Symmetric(nn.Module):
    """a(x) = ½ (f(x) + M f(M x)), so that a(M x) = M a(x) whatever f has learned."""

    def __init__(self, network: nn.Module, mirror: Mirror) -> None:
        super().__init__()
        self.network, self.mirror = network, mirror

    def forward(self, x: Tensor) -> Tensor:
        """Mean action ``[…, action_size]`` from an observation normalised alike on both sides."""
        own, other = self.network(torch.stack([x, self.mirror.observation(x)])).unbind(0)
        return 0.5 * (own + self.mirror.action(other))


class GatedCell(nn.Module):
    """Gated recurrent unit (Cho et al. 2014, in PyTorch's arrangement), written out so that it exports as plain matrix products.

    r, z = σ(W x + U h);  n = tanh(W_n x + r ∘ U_n h);  h' = (1 − z) ∘ n + z ∘ h
    """

    def __init__(self, input_size: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.input, self.recurrent = nn.Linear(input_size, 3 * size), nn.Linear(size, 3 * size)
        for layer in (self.input, self.recurrent):
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Next state ``[batch, size]``."""
        from_input, from_state = self.input(x), self.recurrent(h)
        gates = torch.sigmoid(from_input[:, : 2 * self.size] + from_state[:, : 2 * self.size])
        reset, keep = gates[:, : self.size], gates[:, self.size :]
        candidate = torch.tanh(from_input[:, 2 * self.size :] + reset * from_state[:, 2 * self.size :])
        return candidate + keep * (h - candidate)
