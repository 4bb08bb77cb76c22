"""How far a guarded vehicle comes into the margin of `tasks.room`'s safeguard, whoever steers: `python -m benchmarks.room_tube`.

Steerers want the worst: straight at the nearest obstacle; at full speed in random directions that change twice a second; straight to the
goal. For each suite and steerer: collisions, and the share of the margin (contact radius, sensor bound, tube) that was used at most.
The tube of the task is chosen by this: its largest use under `full` and `training`, and some.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks import room
from tasks.quadrotor_flight import GOAL, POSITION
from tasks.room import CLEARANCE, CONTACT_M, SENSED_M, TUBE_M, Room
from tasks.task import Signals
from training.environment import Environment
from training.guard import SafeguardConfig
from training.learned_law import LearnedLaw
from training.pilot import Pilot
from training.simulators import make_simulator

Steerer = Callable[[Signals, Signals, Tensor], Tensor]


def at_the_nearest(sensors: Signals, command: Signals, state: Tensor) -> Tensor:
    """Full speed at the nearest surface."""
    sensed = state[:, 6:].unflatten(1, (room.SLOTS, 4))
    return _full(sensed[:, 0, :3])


def to_the_goal(sensors: Signals, command: Signals, state: Tensor) -> Tensor:
    """Proportional to the goal's distance, at most full speed."""
    return (2.0 * (command[GOAL] - sensors[POSITION])).clamp(-1.0, 1.0)


class Restless:
    """Full speed, another direction every half second."""

    def __init__(self, num_envs: int, seed: int) -> None:
        self.generator, self.num_envs, self.count = torch.Generator().manual_seed(seed), num_envs, 0

    def __call__(self, sensors: Signals, command: Signals, state: Tensor) -> Tensor:
        if self.count % 25 == 0:
            self.wanted = torch.randn(self.num_envs, 3, generator=self.generator).sign()
        self.count += 1
        return self.wanted


def _full(direction: Tensor) -> Tensor:
    return direction / direction.abs().amax(1, keepdim=True).clamp(min=1e-6)


@torch.no_grad()
def fly(suite: Any, steer: Steerer, safeguard: str, num_envs: int, seed: int) -> dict[str, Any]:
    """One episode in every environment."""
    task = Room()
    environment = Environment(task, make_simulator("auto", task, num_envs), suite=suite, seed=seed, auto_reset=False)
    pilot = Pilot(LearnedLaw(task, safeguard=SafeguardConfig(name=safeguard)))
    sensors, command = environment.reset()
    memory = pilot.law.initial_memory(num_envs)
    alive, least, errors = torch.ones(num_envs, dtype=torch.bool), torch.full((num_envs,), 9.0), []
    feasible = torch.zeros(num_envs)
    for _ in range(environment.episode_steps):
        percept = pilot.perceive(sensors, command, memory)
        output = pilot.act(percept, steer(sensors, command, percept.guarded_state), percept.recurrent)
        step = environment.step(output.actuation)
        sensors, command, memory = step.sensors, step.command, output.memory
        least = torch.where(alive, torch.minimum(least, environment.state[CLEARANCE][:, 0]), least)
        feasible += alive * output.feasible[:, 0]
        alive = alive & ~step.terminated
        errors.append(step.tracking_error)
    used = CONTACT_M + SENSED_M + TUBE_M - (least + CONTACT_M)
    success = task.success(torch.stack(errors), ~alive)
    worst = torch.quantile(used, torch.tensor([0.5, 0.99, 1.0])).tolist()
    return {
        "episodes": num_envs,
        "collisions": int((~alive).sum()),
        "reached": float(success.float().mean()),
        "feasible": float(feasible.mean()) / environment.episode_steps,
        "margin_m": CONTACT_M + SENSED_M + TUBE_M,
        "margin_used_m": dict(zip(("p50", "p99", "worst"), worst, strict=True)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--suites", nargs="+", default=["full", "training", "unseen"])
    parser.add_argument("--safeguards", nargs="+", default=list(Room.safeguards))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for name in args.suites:
        suite = Room.training_suite if name == "training" else Room.suites[name]
        for safeguard in args.safeguards:
            steerers: dict[str, Steerer] = {"nearest": at_the_nearest, "restless": Restless(args.episodes, args.seed), "goal": to_the_goal}
            for steerer, steer in steerers.items():
                result = {"suite": name, "safeguard": safeguard, "steerer": steerer} | fly(
                    suite, steer, safeguard, args.episodes, args.seed
                )
                print(json.dumps(result), flush=True)
                found.append(result)
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
