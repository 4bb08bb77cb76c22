"""The robustness bench: families of disturbances, a grid, and searches for worse, of one policy or several on the same episodes."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from deploy.policy import Policy
from robots.errors import TetherError
from robustness.disturbance import Disturbance, chosen, default_grid, disturbances
from robustness.grid import Axis, all_axes, fly_grid
from robustness.kept import Kept
from robustness.rollouts import Where
from robustness.search import search, search_force
from robustness.sweep import sweep
from training.evaluate import BAR, BATCH, task_of
from training.simulators import engine_for

FORCE = 0.3  # radius of the searched force, of the largest of the family `walk`


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        suite: of the task, that the disturbances come on top of.
        families: names of those swept, of all that the robot has by default; empty for none.
        grid: axes as ``NAME=LOW:HIGH:N``, empty for the default ones of the robot's kind; None for no grid.
        search: whether to search the grid's box, and forces that change slowly, with as many episodes as the grid has.
        severities: of a family, the first of which is none.
        episodes: at every severity.
        grid_episodes: in every cell of the grid. search_episodes: for every candidate of a search.
        fresh: of a worst case, when it is judged.
        seed, simulator, device: as of `training.evaluate.evaluate`.
    """

    suite: str = "full"
    families: tuple[str, ...] | None = None
    grid: tuple[str, ...] | None = None
    search: bool = False
    severities: int = 5
    episodes: int = 50
    grid_episodes: int = 8
    search_episodes: int = 4
    fresh: int = 200
    seed: int = 0
    simulator: str = "auto"
    device: str = "cpu"


def bench(policies: Sequence[Policy], plan: Plan, progress: bool = False, keep: Path | None = None) -> dict[str, Any]:
    """Everything in ``plan`` for every policy, which are of one task.

    Args:
        policies, plan: see there.
        progress: show a bar.
        keep: file that takes every part as soon as it is flown, and that parts which an earlier bench put there are taken from.

    Returns:
        What was flown, and ``policies``: of each its ``families``, ``grid``, ``search`` and ``force``, where asked for.

    Raises:
        TetherError: for policies of several tasks, an unknown suite, family or axis, a plan without episodes, a file that is no record.
        ModuleNotFoundError: for a search without the package ``cma``.
    """
    check(plan)
    kept = Kept(keep)
    task = task_of(policies[0])
    if other := next((policy for policy in policies if policy.contract.task != task.name), None):
        raise TetherError(f"{policies[0].path} is for {task.name} and {other.path} for {other.contract.task}; compare policies of one task")
    known = disturbances(task)
    families = chosen(task, [name for name, each in known.items() if each.family] if plan.families is None else plan.families, known)
    axes = [] if plan.grid is None else all_axes(plan.grid or default_grid(task), known)
    suite = task.suite(plan.suite)
    if not families and not axes:
        raise TetherError("nothing is asked for; leave --families out for all of them, or give --grid")
    if plan.search and plan.search_episodes > (most := math.prod(len(each.values) for each in axes) * plan.grid_episodes):
        raise TetherError(
            f"--search-episodes is {plan.search_episodes}, and a search may fly no more than the grid, which is {most} episodes"
        )
    parts = all_parts(plan, families, axes, known)
    total, results = len(policies) * sum(part.rollouts for part in parts), []
    with tqdm(total=total, desc=f"{task.name} {plan.suite}", disable=None if progress else True, delay=0.5, bar_format=BAR) as bar:
        for policy in policies:
            where = Where(policy, task_of(policy), plan.suite, plan.simulator, plan.device, plan.seed, bar)
            results.append({"policy": str(policy.path), "policy_digest": policy.digest} | _measured(where, parts, kept))
    flown = {"robot": task.robot.name, "task": task.name, "suite": plan.suite, "suite_digest": suite.digest(), "seed": plan.seed}
    return flown | {
        "engine": engine_for(plan.simulator, task.robot),
        "episodes": plan.episodes,
        "judged": task.judged_part,
        "policies": results,
    }


def check(plan: Plan) -> None:
    """Raise `TetherError` for numbers that make no bench."""
    counts = {"--episodes": plan.episodes, "--grid-episodes": plan.grid_episodes, "--search-episodes": plan.search_episodes}
    for name, count in (counts | {"--fresh": plan.fresh}).items():
        if not 1 <= count <= BATCH:
            raise TetherError(f"{name} is {count}; give 1 to {BATCH}")
    if plan.severities < 2:
        raise TetherError(f"--severities is {plan.severities}; give at least 2, the first of which is no disturbance")
    if plan.search and plan.grid is None:
        raise TetherError("--search looks for worse than a grid's worst in the grid's box; give --grid as well")
    if plan.search:
        importlib.import_module("cma")  # complains before anything flies


class Part(NamedTuple):
    """Of the bench of one policy.

    Attributes:
        name: of what is found. depends: what it depends on beside where it is flown, ready for JSON. rollouts: episodes that it takes.
        fly: finds it.
    """

    name: str
    depends: dict[str, Any]
    rollouts: int
    fly: Callable[[Where], dict[str, Any]]


def all_parts(plan: Plan, families: Sequence[Disturbance], axes: Sequence[Axis], known: dict[str, Disturbance]) -> list[Part]:
    """Everything in ``plan``, in the order in which it is flown."""
    parts = [_family(plan, each) for each in families]
    if not axes:
        return parts
    box = {"axes": {each.disturbance.name: each.values for each in axes}}
    count = math.prod(len(each.values) for each in axes) * plan.grid_episodes
    gridded = {"episodes": plan.grid_episodes, "fresh": plan.fresh}
    parts.append(Part("grid", box | gridded, count + plan.fresh, lambda where: fly_grid(where, axes, **gridded)))
    if plan.search:
        budget = {"rollouts": count, "episodes": plan.search_episodes, "fresh": plan.fresh}
        used = count // plan.search_episodes * plan.search_episodes
        parts.append(Part("search", box | budget, used + plan.fresh, lambda where: search(where, axes, **budget)))
        if "walk" in known:
            radius = FORCE * known["walk"].high
            depends = {"radius_n": radius} | budget
            parts.append(Part("force", depends, used + 3 * plan.fresh, lambda where: search_force(where, radius, **budget)))
    return parts


def _family(plan: Plan, family: Disturbance) -> Part:
    swept = {"severities": plan.severities, "episodes": plan.episodes}
    depends = {"family": family.name, "values": family.severities(plan.severities), "episodes": plan.episodes}
    return Part("families", depends, plan.severities * plan.episodes, lambda where: sweep(where, family, **swept))


def _measured(where: Where, parts: Sequence[Part], kept: Kept) -> dict[str, Any]:
    found: dict[str, Any] = {"families": []}
    for part in parts:
        what = _flown(where, part, kept)
        found[part.name] = [*found["families"], what] if part.name == "families" else what
    return found


def _flown(where: Where, part: Part, kept: Kept) -> dict[str, Any]:
    """What is kept of ``part``, or else what flying it finds."""
    task, policy = where.task, where.policy
    depends = {"robot": task.robot.name, "task": task.name, "suite": task.suite(where.suite).digest(), "policy": policy.digest}
    depends |= {"engine": engine_for(where.simulator, task.robot), "device": where.device, "seed": where.seed, "part": part.name}
    known: dict[str, Any] | None = kept.get(depends | part.depends)
    if known is None:
        known = part.fly(where)
        kept.add(depends | part.depends, known)
    else:
        where.bar.update(part.rollouts)
    return known
