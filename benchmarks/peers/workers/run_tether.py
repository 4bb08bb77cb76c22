"""Ours, under the same protocol: `benchmarks.sim` and `benchmarks.environment`."""

from __future__ import annotations

from typing import Any

import torch
from protocol import cores, serve  # type: ignore[import-not-found]

from benchmarks import environment, sim
from robots import registry


def build(case: dict[str, Any]) -> Any:
    """A case: ``kind`` is ``physics`` or ``environment``."""
    torch.set_num_threads(cores())
    settings = {name: case[name] for name in ("num_envs", "physics_dt", "device", "engine") if name in case}
    if case["kind"] == "physics":
        robot = registry.robot(case["robot"])
        control_dt = case["physics_dt"] * case["substeps"]
        return sim.loop(robot, actuation_mode=case["actuation_mode"], control_dt=control_dt, **settings)
    return environment.loop(case["task"], rate_hz=case["rate_hz"], **settings)


if __name__ == "__main__":
    serve(build, "tether", "torch")
