"""mjlab (MuJoCo Warp): its simulation, and its velocity task on flat ground, with its Go1."""

from __future__ import annotations

import itertools
from typing import Any

import mjlab.tasks  # type: ignore[import-not-found]  # noqa: F401  (registers them)
import torch
from mjlab.envs import ManagerBasedRlEnv  # type: ignore[import-not-found]
from mjlab.tasks.registry import load_env_cfg  # type: ignore[import-not-found]
from mjlab.utils.torch import configure_torch_backends  # type: ignore[import-not-found]
from protocol import Case, serve  # type: ignore[import-not-found]

TASK = "Mjlab-Velocity-Flat-Unitree-Go1"
SEED = 0


def build(case: dict[str, Any]) -> Any:
    """A case: ``kind`` is ``physics`` or ``environment``."""
    configure_torch_backends()
    config = load_env_cfg(TASK)
    config.scene.num_envs, config.seed = case["num_envs"], SEED
    timestep, substeps = config.sim.legged.timestep, config.decimation
    if timestep != case["physics_dt"] or substeps != case.get("substeps", substeps):
        raise RuntimeError(f"{TASK} takes {substeps} steps of {timestep} s")
    env = ManagerBasedRlEnv(config, device="cuda:0" if case["device"] == "cuda" else case["device"])
    env.reset()
    shape, random = (10, case["num_envs"], env.action_manager.total_action_dim), torch.Generator().manual_seed(SEED)
    actions = itertools.cycle((0.2 * torch.randn(shape, generator=random)).to(env.device))
    wait = torch.cuda.synchronize if case["device"] == "cuda" else lambda: None

    def step() -> None:
        with torch.no_grad():
            env.step(next(actions))

    def simulate() -> None:
        for _ in range(substeps):
            env.sim.step()

    advance = simulate if case["kind"] == "physics" else step
    return Case(advance, wait, case["num_envs"], substeps, {"device": str(env.device), "task": TASK})


if __name__ == "__main__":
    serve(build, "mjlab", "mujoco-warp", "warp-lang", "torch")
