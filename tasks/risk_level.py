"""The command ``risk_level``: how averse to risk a policy should be, 0 (to the mean of the return) to 1 (to the tail it was trained for).

Any task can have it. The policy sees a level that follows the command, brought within 0…1, no faster than `RATE_1_S`, so that turning a
knob in flight is no jump in what is flown; it begins at what is asked. The level itself is an observation, after the task's own, and the
last number of the task memory.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from robots.signals import Command
from tasks.draw import Draw
from tasks.symmetry import Mirror, Reflection
from tasks.task import Memory, Signals, Start, Task

NAME = "risk_level"  # and over ROS 2 the policy node's parameter
RISK_LEVEL = Command(NAME, ("level",), "1", lower=(0.0,), upper=(1.0,), default=(0.0,), on_stale="hold")
RATE_1_S = 0.5


@functools.cache
def with_risk_level(kind: type[Task]) -> type[Task]:
    """A task like ``kind`` that is asked for a level too.

    Unless `asked_level` says which, a third of the episodes is flown at each end, where there is most to learn, the others at any level.
    """

    class Levelled(kind):  # type: ignore[valid-type, misc]
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            plain: Task = self
            plain.commands = (*plain.commands, RISK_LEVEL)
            plain.observation_names = (*plain.observation_names, NAME)
            plain.task_memory_size += 1

        def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
            """The task's observation, and the level."""
            asked, step = command[NAME].clamp(0.0, 1.0), RATE_1_S / self.rate_hz
            before = torch.where(memory.started > 0.0, memory.task[:, -1:], asked)
            level = before + (asked - before).clamp(-step, step)
            observation, task_memory = super().observe(sensors, command, _without_level(memory))
            return torch.cat([observation, level], dim=1), torch.cat([task_memory, level], dim=1)

        def follow(self, task_memory: Tensor, action: Tensor) -> dict[str, Tensor]:
            """The task's."""
            actuation: dict[str, Tensor] = super().follow(task_memory[:, :-1], action)
            return actuation

        def guarded_state(self, sensors: Signals, command: Signals, memory: Memory) -> Tensor:
            """The task's."""
            state: Tensor = super().guarded_state(sensors, command, _without_level(memory))
            return state

        def sample(self, suite: object, num_envs: int, generator: torch.Generator) -> Start:
            """The task's starts, each asked for a level."""
            start: Start = super().sample(suite, num_envs, generator)
            level = Draw(num_envs, generator).uniform(-1.0, 2.0).clamp(0.0, 1.0)
            if self.asked_level is not None:
                level = torch.full_like(level, self.asked_level)
            return start._replace(command={**start.command, NAME: level})

        def command_at(self, start: Start, time_s: Tensor) -> Signals:
            """The task's, and the level that was asked."""
            asked = {name: value for name, value in start.command.items() if name == NAME}  # not yet, while a task still samples
            return {**super().command_at(start, time_s), **asked}

        def mirror(self) -> Mirror | None:
            """The task's; a level has no sides."""
            mirror: Mirror | None = super().mirror()
            if mirror is None or len(mirror.observation.place) == len(self.observation_names):  # a task that goes by its names has it
                return mirror
            return mirror._replace(observation=_with_own_place(mirror.observation))

    Levelled.__name__, Levelled.__qualname__, Levelled.__doc__ = kind.__name__, kind.__qualname__, kind.__doc__
    return Levelled


def _without_level(memory: Memory) -> Memory:
    """What the task itself keeps."""
    return memory._replace(task=memory.task[:, :-1])


def _with_own_place(reflection: Reflection) -> Reflection:
    """One more element, which stays where it is."""
    place = torch.cat([reflection.place, reflection.place.new_tensor([len(reflection.place)])])
    return Reflection(place, torch.cat([reflection.sign, reflection.sign.new_ones(1)]))
