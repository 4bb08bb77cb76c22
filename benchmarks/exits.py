"""How often safeguarded systems leave their safe states; ``python -m benchmarks.exits [--steps N] [--policy RUN …] [--json FILE]``.

Every system of `SYSTEMS` under every safeguard of its task, and under none, on the true, non-linear dynamics of `sim.equations`: in
float64, never clamped, with the published disturbance bound. As on a robot, the safeguard sees the state in float32 and its action is sent
in float32. A step counts as outside without any tolerance. Who acts:

    random     uniform actions, held for ten steps on average, and corners of the disturbance's box
    adversary  whichever corner of the actions brings the state closest to leaving in a step, or beyond, and then, knowing what the
               safeguard made of it, the worst corner of the disturbance; in between, for twenty steps on average, as `random`
    policy     trained ones, given by their run directories; half against random corners of the disturbance, half against the worst

Half of the episodes begin at the boundary, to 0.1 %, the others anywhere inside.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from robots import registry
from safety.safeguards.safeguard import Guarded
from sim.equations import STEPS, EquationSimulator
from sim.fused.fuse import Fused
from tasks.certified import CertifiedTask
from tasks.safe_control import SafeControl
from training.checkpoint import load_law
from training.learned_law import LearnedLaw
from training.threads import one_thread

SYSTEMS = ("pendulum", "planar_quadrotor", "seeker")
NONE = "none"
ENVS = 4096
HELD, SWITCHED = 0.1, 0.05  # chances a step that a random action, or who acts, changes
RESULTS = Path(__file__).parent / "results" / "exits.json"

Actor = Callable[["Arena"], Tensor]


class Arena:
    """`ENVS` episodes of a task's system side by side, float64.

    Attributes:
        task: the task. sim: its engine.
        generator: of everything random.
        inputs, noises: corners of the action's and of the disturbance's box, ``[corners, size]``.
    """

    def __init__(self, task: SafeControl, seed: int) -> None:
        self.task = task
        self.sim = EquationSimulator(task.robot, ENVS, dtype=torch.float64)
        self.generator = torch.Generator().manual_seed(seed)
        self.everyone = torch.ones(ENVS, dtype=torch.bool)
        self.inputs, self.noises = corners([1.0] * task.action_size), corners(list(task.robot.disturbance))
        if isinstance(task, CertifiedTask):
            self.faces, self.offsets, self.middle = (torch.tensor(v) for v in (task.safe_set.H, task.safe_set.h, task.safe_set.x0))

    @property
    def x(self) -> Tensor:
        """States ``[ENVS, dim]``."""
        return self.sim.raw().state

    def excess(self, x: Tensor) -> Tensor:
        """How far states ``[…, ENVS, dim]`` are outside, ``[…, ENVS]``; 0 on the boundary, in no unit for a set, in metres for a ball."""
        if isinstance(self.task, CertifiedTask):
            return (x @ self.faces.t() / self.offsets).amax(-1) - 1.0
        surroundings = self.sim.raw().surroundings
        return surroundings[:, -1] - (x - surroundings[:, :-1]).square().sum(-1).sqrt()

    def uniform(self, size: int) -> Tensor:
        """In −1…1, ``[ENVS, size]``."""
        return 2.0 * torch.rand(ENVS, size, generator=self.generator, dtype=torch.float64) - 1.0

    def chance(self, probability: float) -> Tensor:
        """True with this probability, ``[ENVS, 1]``."""
        return torch.rand(ENVS, 1, generator=self.generator) < probability

    def begin(self) -> None:
        """New episodes everywhere."""
        share = torch.where(self.chance(0.5), 0.999, torch.rand(ENVS, 1, generator=self.generator, dtype=torch.float64))
        if isinstance(self.task, CertifiedTask):
            way = torch.randn(ENVS, len(self.middle), generator=self.generator, dtype=torch.float64) * torch.tensor(
                self.task.robot.state_box
            )
            reach = (self.offsets - self.faces @ self.middle) / (way @ self.faces.t()).clamp(min=1e-12)
            state = self.middle + way * reach.amin(1, keepdim=True) * share
        else:
            radius, angle = 1.25 + 0.75 * self.uniform(1), math.pi * self.uniform(1)
            ball = 4.0 * self.uniform(2)
            state = torch.cat([ball + radius / share * torch.cat([angle.cos(), angle.sin()], 1), ball, radius], 1)
        sizes = [self.task.robot.sensor(name).size for name in self.task.sensors]
        self.sim.reset(self.everyone, dict(zip(self.task.sensors, state.split(sizes, 1), strict=True)))

    def worst(self, inputs: Tensor, noises: Tensor) -> Tensor:
        """Which of the pairs ``[pairs, ENVS or 1, size]`` brings each state furthest out in a step, ``[ENVS]``."""
        after = [STEPS[type(self.task.robot)](self.task.robot, self.x, *pair) for pair in zip(inputs, noises, strict=True)]
        return self.excess(torch.stack(after)).argmax(0)

    def worst_input(self) -> Tensor:
        """The corner of the actions ``[ENVS, k]`` that does, without a disturbance."""
        some = self.inputs.unsqueeze(1).expand(-1, ENVS, -1)
        return self.inputs[self.worst(some, torch.zeros(len(some), 1, self.noises.shape[1], dtype=torch.float64))]

    def worst_noise(self, action: Tensor) -> Tensor:
        """The corner of the disturbances ``[ENVS, q]`` that does, under ``action``."""
        return self.noises[self.worst(action.expand(len(self.noises), -1, -1), self.noises.unsqueeze(1))]

    def random_noise(self) -> Tensor:
        """Any corner ``[ENVS, q]``."""
        return self.noises[torch.randint(len(self.noises), (ENVS,), generator=self.generator)]


def corners(half_widths: list[float]) -> Tensor:
    """Of a box about zero, ``[2 ** size, size]``."""
    return torch.tensor(list(itertools.product(*[(-half, half) for half in half_widths])), dtype=torch.float64)


class Random:
    """See the module's docstring."""

    def __init__(self, arena: Arena) -> None:
        self.action = arena.uniform(arena.task.action_size)
        self.adverse = torch.zeros(ENVS, 1, dtype=torch.bool)

    def __call__(self, arena: Arena) -> Tensor:
        """Actions ``[ENVS, k]``."""
        self.action = torch.where(arena.chance(HELD), arena.uniform(arena.task.action_size), self.action)
        return self.action


class Adversary:
    """See the module's docstring."""

    def __init__(self, arena: Arena) -> None:
        self.random, self.adverse = Random(arena), arena.chance(0.75)

    def __call__(self, arena: Arena) -> Tensor:
        """Actions ``[ENVS, k]``."""
        self.adverse = torch.where(arena.chance(SWITCHED), arena.chance(0.75), self.adverse)
        return torch.where(self.adverse, arena.worst_input(), self.random(arena))


class Trained:
    """See the module's docstring; the goal is drawn by the task's training suite."""

    def __init__(self, arena: Arena, law: LearnedLaw) -> None:
        self.law, self.adverse = law, arena.chance(0.5)
        self.memory = law.initial_memory(ENVS)  # stays: these tasks remember nothing
        suite = arena.task.training_suite
        self.command = arena.task.sample(suite, ENVS, arena.generator).command

    def __call__(self, arena: Arena) -> Tensor:
        """Actions ``[ENVS, k]``."""
        seen = {name: value.float() for name, value in arena.sim.signals().items()}
        percept = self.law.perceive(seen, self.command, self.memory)
        action, _ = self.law.actor(self.law.normalizer(percept.observation), percept.recurrent)
        return action.clamp(-1.0, 1.0).double()


@torch.no_grad()
def measure(task: SafeControl, name: str, make_actor: Callable[[Arena], Any], steps: int, bar: Any) -> dict[str, Any]:
    """At least ``steps`` steps of whole episodes under the safeguard ``name``."""
    arena = Arena(task, seed=0)
    guard = None if name == NONE else Fused(task.safeguard(name), f"the safeguard {name} of {task.name}")
    horizon = round(task.episode_s * task.rate_hz)
    episodes = math.ceil(steps / (ENVS * horizon))
    outside, left, changed, refused = 0, 0, 0, 0
    for _ in range(episodes):
        arena.begin()
        actor, gone = make_actor(arena), torch.zeros(ENVS, dtype=torch.bool)
        for _ in range(horizon):
            action = actor(arena)
            if guard is not None:
                seen = torch.cat([value.float() for value in arena.sim.signals().values()], 1).double()
                guarded: Guarded = guard(seen, action)
                action = guarded.action.float().double()
                changed += int((guarded.intervention > 1e-6).sum())
                refused += int((guarded.feasible < 1.0).sum())
            arena.sim.disturb(torch.where(actor.adverse, arena.worst_noise(action), arena.random_noise()))
            arena.sim.step(action)
            out = ~(arena.excess(arena.x) <= 0.0)
            gone |= out
            outside += int(out.sum())
            bar.update(ENVS)
        left += int(gone.sum())
    count = episodes * horizon * ENVS
    return {
        "steps": count,
        "steps_outside": outside,
        "episodes": episodes * ENVS,
        "episodes_that_left": left,
        "intervention_rate": changed / count,
        "infeasible_steps": refused,
    }


def actors(task: SafeControl, laws: dict[str, LearnedLaw]) -> Iterator[tuple[str, Callable[[Arena], Any]]]:
    """Who acts on this task, by name."""
    yield "random", Random
    yield "adversary", Adversary
    for run, law in laws.items():
        if law.task.name == task.name:
            yield f"policy {run}", lambda arena, law=law: Trained(arena, law)  # type: ignore[misc]


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = [
        "| system | safeguard | who acts | steps | steps outside | episodes that left | interventions |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        share = row["episodes_that_left"] / row["episodes"]
        lines.append(
            f"| {row['system']} | {row['safeguard']} | {row['actor']} | {row['steps']:,} | {row['steps_outside']:,} | "
            f"{row['episodes_that_left']:,} of {row['episodes']:,} ({share:.0%}) | {row['intervention_rate']:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000, metavar="N", help="at least, of each cell (default: 1,000,000)")
    parser.add_argument("--system", nargs="*", default=SYSTEMS, metavar="NAME", help="tasks (default: all)")
    parser.add_argument("--safeguard", nargs="*", metavar="NAME", help=f"safeguards, or {NONE} (default: all, and {NONE})")
    parser.add_argument("--policy", nargs="*", default=[], type=Path, metavar="RUN", help="run directories or checkpoints")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="where to write")
    args = parser.parse_args()
    laws = {path.name if path.is_dir() else path.parent.name: load_law(path)[0] for path in args.policy}
    cells = []
    for system in args.system:
        task = registry.load(registry.TASKS, system)()
        names = args.safeguard or (NONE, *task.safeguards)
        cells += [(task, name, actor, make) for name in names for actor, make in actors(task, laws)]
    rows = []
    with one_thread(), tqdm(total=len(cells) * args.steps, unit="step", unit_scale=True, delay=1.0, disable=None) as bar:
        for task, name, actor, make in cells:
            rows.append({"system": task.name, "safeguard": name, "actor": actor} | measure(task, name, make, args.steps, bar))
            args.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    print(f"wrote {args.json}")


if __name__ == "__main__":
    main()
